"""The shipped workflow files against the nodes as they are now; none is run."""

import copy
import itertools
import json
import re
import uuid
from pathlib import Path
from typing import Any

import make_thumbnails
import make_workflows
import pytest
from comfy_host.client import Client
from comfy_host.prompts import inputs_of
from node_definitions import version
from PIL import Image
from saved_workflows import FILES, check_value, load, overlap, sockets, widgets
from tiny_models import standard_files

from lml_sampler.schedule import lml_schedule

NOTES = ("MarkdownNote",)


@pytest.fixture(scope="module")
def definitions(stocked: Client) -> dict[str, Any]:
    """The definitions of all nodes, with the checkpoints among the choices."""
    return stocked.object_info()


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
            assert properties["cnr_id"] == ("lml-sampler" if ours else "comfy-core")
            assert properties["ver"] == version() if ours else properties["ver"]
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


@pytest.mark.parametrize("path", make_workflows.files(), ids=lambda path: path.stem)
def test_a_file_is_up_to_date(definitions: dict[str, Any], path: Path) -> None:
    saved = json.loads(path.read_text("utf-8"))
    renewed = copy.deepcopy(saved)
    make_workflows.renew(renewed, definitions)
    assert renewed == saved, "run make workflows"


def test_an_input_that_is_new_comes_to_the_end_of_a_saved_node(definitions: dict[str, Any]) -> None:
    workflow = load("LML FLUX.2 dev text to image")
    expected = copy.deepcopy(workflow)
    node = next(node for node in workflow["nodes"] if node["type"] == "LMLSampler")
    assert node["inputs"].pop()["name"] == "end_percent" and node["widgets_values"].pop() == 1.0
    make_workflows.renew(workflow, definitions)
    assert workflow == expected


@pytest.mark.parametrize(
    ("name", "boundary", "levels"),
    [
        # SDXL's refiner was trained on the lowest 200 of SD's 1,000 levels.
        ("LML SDXL base and refiner", 0.572, (0.0292, 14.61, "ve")),
        ("LML Wan 2.2 text to video", 0.875, (0.005, 1.0, "flow", 5.0)),
        ("LML Wan 2.2 image to video", 0.9, (0.005, 1.0, "flow", 5.0)),
    ],
)
def test_the_second_model_is_called_from_where_it_was_trained(
    definitions: dict[str, Any], name: str, boundary: float, levels: tuple[Any, ...]
) -> None:
    kind = "LMLKSamplerAdvanced"
    nodes = [node for node in load(name)["nodes"] if node["type"] == kind]
    first, second = (widgets(inputs_of(definitions, kind), node["widgets_values"]) for node in nodes)
    assert first["end_at_step"] == second["start_at_step"] and first["scheduler"] == second["scheduler"] == "lml"
    sigmas = lml_schedule(first["steps"], *levels)
    assert sigmas[first["end_at_step"] - 1] >= boundary > sigmas[first["end_at_step"]]


def test_no_thumbnail_is_drawn_for_a_workflow_that_is_gone() -> None:
    assert make_thumbnails.CARDS.keys() <= FILES.keys()
