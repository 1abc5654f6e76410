"""The shipped workflow files: against the current nodes, and run in the real ComfyUI on tiny checkpoints.

The checkpoints have the architectures and names of the public files (`support/tiny_models`). The dearest workflows
run with `make test-workflows`.
"""

import copy
import itertools
import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import make_thumbnails
import make_workflows
import numpy as np
import pytest
import requests
from comfy_host.client import Client, PromptError, Result
from comfy_host.prompts import inputs_of
from demo import find
from PIL import Image
from small_workflows import SIDE, fewer_steps, smaller, with_a_quick_encoder, without_large_inputs
from templates import blueprint
from templates.catalogue import TEMPLATES
from tiny_models import standard_files

FULL = os.environ.get("LML_TESTS") == "full"
ROOT = Path(__file__).parents[1]
SUBGRAPH = ROOT / "subgraphs" / f"{blueprint.NAME}.json"
FILES = {path.stem: path for path in sorted((ROOT / "workflows").glob("*.json"))}
HEAVY = (
    "LML Chroma text to image",
    "LML Qwen-Image text to image",
    "LML SDXL text to image",
    "LML Z-Image text to image",
    "LML FLUX.1 schnell 4 steps",
    "LML SD 3.5 medium text to image",
    "LML SDXL base and refiner",
    "LML Wan 2.1 text to video",
)
RUN = [name for name in FILES if FULL or name not in HEAVY]
WIDGETS = ("INT", "FLOAT", "FLOAT,INT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3")
VIEWS = ("IMAGECOMPARE",)
"""Types of inputs that the page alone fills."""
NOTES = ("MarkdownNote",)
TITLE_HEIGHT = 30

SIZES = {
    "LML_Demo": {(256, 256)},
    "LML Compare": {(32, 32)},
    "LML SD 1.5 hires fix": {(64, 64), (96, 96)},
    "LML Wan 2.1 text to video": {(64, 32)},
}
"""Of the pictures of a run; 64 x 64 if not named."""
SAMPLERS = (
    "KSampler",
    "LMLCompare",
    "LMLKSampler",
    "LMLKSamplerAdvanced",
    "LMLSweep",
    "SamplerCustom",
    "SamplerCustomAdvanced",
)
NOT_PREVIEWED = ("LML ACE-Step 1.5 song", "LML Compare")
"""The host has no previews of sound; LML Compare shows none of its two runs."""
DRAWN = ("LMLSweep", "LMLTune")
"""Nodes that draw sheets and plots, of a size of their own."""


@pytest.fixture(scope="module")
def host(server: Client, pack: ModuleType) -> Iterator[Client]:
    """The server, with the tiny checkpoints in its folder of models and a picture among its inputs."""
    assert server.folder
    standard_files.write(server.folder / "models")
    y, x = np.mgrid[:96, :96] / 96
    picture = np.stack([x, y, 1 - x], axis=-1) * (np.hypot(x - 0.5, y - 0.5) < 0.35)[..., None]
    server.upload("example.png", Image.fromarray((picture * 255).astype(np.uint8)))
    yield server
    server.forget()


@pytest.fixture(scope="module")
def definitions(host: Client) -> dict[str, Any]:
    """The definitions of all nodes, with the checkpoints among the choices."""
    return host.object_info()


def load(name: str) -> dict[str, Any]:
    return json.loads(FILES[name].read_text())


def sockets(definition: dict[str, Any]) -> dict[str, str]:
    """Types of the inputs that are not widgets, by name."""
    return {name: kind for name, (kind, _, _) in definition.items() if kind not in (*WIDGETS, *VIEWS)}


def widgets(definition: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """The saved values of a node by the names of its widgets, read in their order as the page does."""
    rest = iter(values)
    result = {}
    for name, (kind, options, _) in definition.items():
        if kind in WIDGETS:
            result[name] = next(rest)
            if options.get("control_after_generate"):
                assert next(rest) in ("fixed", "randomize", "increment", "decrement")
            if options.get("image_upload"):
                assert next(rest) == "image"
    assert not list(rest), "more values than widgets"
    return result


def check_value(value: Any, kind: str, options: dict[str, Any]) -> None:
    if kind in ("INT", "FLOAT", "FLOAT,INT"):
        assert isinstance(value, int if kind == "INT" else int | float) and not isinstance(value, bool)
        assert options.get("min", value) <= value <= options.get("max", value)
    elif kind == "STRING":
        assert isinstance(value, str)
    elif kind == "BOOLEAN":
        assert isinstance(value, bool)
    else:
        choices = options["options"]
        assert value in [choice["key"] if isinstance(choice, dict) else choice for choice in choices]


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(
        one["pos"][axis] - top < other["pos"][axis] + other["size"][axis]
        and other["pos"][axis] - top < one["pos"][axis] + one["size"][axis]
        for axis, top in ((0, 0), (1, TITLE_HEIGHT))
    )


@pytest.mark.parametrize("name", FILES)
def test_the_form_of_a_file(name: str) -> None:
    workflow = load(name)
    assert workflow["version"] == 0.4 and str(uuid.UUID(workflow["id"])) == workflow["id"]
    assert re.fullmatch(r"[\w.\- ]+", name, re.ASCII), "this name is the title on ComfyUI's page, and a file everywhere"
    with Image.open(FILES[name].with_suffix(".jpg")) as thumbnail:
        assert thumbnail.format == "JPEG" and thumbnail.width == thumbnail.height >= 256
    nodes = workflow["nodes"]
    assert any(node["type"] in NOTES for node in nodes)
    ids = [node["id"] for node in nodes]
    assert len(set(ids)) == len(ids) and max(ids) == workflow["last_node_id"]
    touching = [(a["type"], b["type"]) for a, b in itertools.combinations(nodes, 2) if overlap(a, b)]
    assert not touching
    for node in nodes:
        if node["type"] not in NOTES:
            ours = node["type"].startswith("LML")
            properties = node["properties"]
            assert properties["cnr_id"] == ("lml-sampler" if ours else "comfy-core") and properties["ver"]
            assert properties["Node name for S&R"] == node["type"]


def test_every_file_has_an_id_of_its_own() -> None:
    assert len({load(name)["id"] for name in FILES}) == len(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_file_fits_the_nodes(definitions: dict[str, Any], name: str) -> None:
    workflow = load(name)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    for node in nodes.values():
        if node["type"] in NOTES:
            continue
        definition = inputs_of(definitions, node["type"])
        named = {entry["name"]: entry for entry in node["inputs"]}
        for socket, kind in sockets(definition).items():
            optional = definition[socket][2]
            assert named[socket]["type"] == kind and (optional or named[socket]["link"]), f"{node['type']}.{socket}"
        values = widgets(definition, node["widgets_values"])
        for widget, value in values.items():
            check_value(value, *definition[widget][:2])
        outputs = [output["type"] for output in node["outputs"]]
        assert outputs == definitions[node["type"]]["output"][: len(outputs)]  # the host may append outputs
    for link, source, output, target, place, kind in workflow["links"]:
        assert link in nodes[source]["outputs"][output]["links"]
        assert nodes[target]["inputs"][place]["link"] == link
        assert kind in (nodes[source]["outputs"][output]["type"], "*")
        assert nodes[target]["inputs"][place]["type"] in (kind, "*")


@pytest.mark.parametrize("name", FILES)
def test_the_page_can_offer_the_models(definitions: dict[str, Any], name: str) -> None:
    known = {tuple(path.rsplit("/", 1)) for path in standard_files.FILES}
    for node in load(name)["nodes"]:
        models = node["properties"].get("models", [])
        files = [value for value in node["widgets_values"] if str(value).endswith(".safetensors")]
        assert [model["name"] for model in models] == files
        for model in models:
            assert (model["directory"], model["name"]) in known
            assert model["url"].startswith("https://huggingface.co/")
            assert "/resolve/" in model["url"] and model["url"].endswith("/" + model["name"])


@pytest.mark.parametrize("name", RUN)
def test_a_workflow_makes_pictures(host: Client, name: str) -> None:
    assert host.folder
    log = host.folder / "comfyui.log"
    before = len(log.read_text())
    prompt = smaller(host.to_api(load(name)))
    if name in TEMPLATES:
        fewer_steps(prompt)
        without_large_inputs(prompt)
        if not FULL:
            with_a_quick_encoder(prompt)
    result = host.run(prompt, timeout=600)
    assert "invalid value" not in log.read_text()[before:], "a picture was not finite"
    check_pictures(name, prompt, result)
    check_sound(host.folder, prompt, result)
    ends = {node: (value, total) for node, value, total in result.progress}
    samplers = [node for node, value in prompt.items() if value["class_type"] in SAMPLERS]
    assert samplers and all(ends[node][0] == ends[node][1] for node in samplers)
    assert result.previews or name in NOT_PREVIEWED


def check_pictures(name: str, prompt: dict[str, Any], result: Result) -> None:
    shown = ("SaveImage", "SaveVideo", "PreviewImage")
    saving = [node for node, value in prompt.items() if value["class_type"].startswith(shown)]
    assert saving or find(prompt, "SaveAudioMP3")
    sizes = set()
    for node in saving:
        assert result.images[node]
        source = next(value[0] for value in prompt[node]["inputs"].values() if isinstance(value, list))
        for image in result.images[node]:
            assert np.asarray(image).std() > 5, "one color"
            if prompt[source]["class_type"] not in DRAWN:
                sizes.add(image.size)
    drawn = any(value["class_type"] == "LMLSweep" for value in prompt.values())
    silent = not saving
    assert sizes == (set() if drawn or silent else SIZES.get(name, {(64, 64)}))


def check_sound(folder: Path, prompt: dict[str, Any], result: Result) -> None:
    """Where a workflow makes sound, its file has a track that is not silent."""
    makers = ("VAEDecodeAudio", "LTXVAudioVAEDecode")
    if not any(value["class_type"] in makers for value in prompt.values()):
        return
    entries = [
        entry for output in result.outputs.values() for kind in ("audio", "images") for entry in output.get(kind, ())
    ]
    (path,) = [folder / entry["type"] / entry["subfolder"] / entry["filename"] for entry in entries]
    with av.open(str(path)) as file:
        sound = np.concatenate([frame.to_ndarray().ravel() for frame in file.decode(audio=0)])
    assert np.isfinite(sound).all() and sound.std() > 0


def ours(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    """The pack's own nodes in a workflow and its sub-graphs."""
    graphs = [workflow, *workflow.get("definitions", {}).get("subgraphs", ())]
    return [node for graph in graphs for node in graph["nodes"] if node["type"].startswith("LML")]


def test_the_generated_files_follow_the_nodes(definitions: dict[str, Any]) -> None:
    stale = [name for name in TEMPLATES if ours(load(name)) != ours(make_workflows.workflow(definitions, name))]
    assert ours(json.loads(SUBGRAPH.read_text())) == ours(blueprint.blueprint(definitions)), "run make workflows"
    assert not stale, "run make workflows"


def test_no_thumbnail_is_drawn_for_a_workflow_that_is_gone() -> None:
    assert make_thumbnails.CARDS.keys() <= FILES.keys()


def test_the_sub_graph_makes_a_picture(host: Client) -> None:
    listed = requests.get(f"{host.url}/global_subgraphs", timeout=10).json()
    (key,) = [key for key, entry in listed.items() if entry["name"] == SUBGRAPH.stem]
    assert listed[key]["source"] == "custom_node" and listed[key]["info"]["node_pack"].endswith("lml-sampler")
    workflow = json.loads(requests.get(f"{host.url}/global_subgraphs/{key}", timeout=10).json()["data"])
    (node,) = workflow["nodes"]
    assert all(port["label"] for port in node["inputs"])
    prompt = smaller(host.to_api(workflow))
    fewer_steps(prompt)
    prompt[find(prompt, "CheckpointLoaderSimple")]["inputs"]["ckpt_name"] = "v1-5-pruned-emaonly-fp16.safetensors"
    decoded = find(prompt, "VAEDecode")
    prompt["shown"] = {"class_type": "PreviewImage", "inputs": {"images": [decoded, 0]}}
    (picture,) = host.run(prompt).images["shown"]
    assert picture.size == (SIDE, SIDE) and np.asarray(picture).std() > 5


def test_what_does_not_fit_is_named(host: Client) -> None:
    prompt = smaller(host.to_api(load("LML SD 1.5 text to image")))
    sampler = find(prompt, "LMLKSampler")
    unknown = copy.deepcopy(prompt)
    unknown[sampler]["class_type"] = "LMLOfTomorrow"
    with pytest.raises(PromptError, match="LMLOfTomorrow"):
        host.run(unknown)
    missing = copy.deepcopy(prompt)
    del missing[sampler]["inputs"]["kappa"]
    with pytest.raises(PromptError, match=r"Required input is missing.*kappa.*LMLKSampler"):
        host.run(missing)
    removed = copy.deepcopy(prompt)
    removed[sampler]["inputs"]["scheduler"] = "ddim2"
    with pytest.raises(PromptError, match=r"scheduler: 'ddim2' not in .*'?LMLKSampler"):
        host.run(removed)
