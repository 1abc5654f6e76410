"""The pack in a running ComfyUI, over its HTTP and websocket API, as a person's browser uses it."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from comfy_host.client import Client, PromptError
from comfy_host.prompts import Info, around
from demo import cell_prompt, find
from node_definitions import node_ids
from PIL import Image

pytestmark = pytest.mark.every_host

ROOT = Path(__file__).parents[1]
SMALL: dict[str, dict[str, Any]] = {
    "BasicScheduler": {"steps": 3},
    "LMLKSampler": {"steps": 3},
    "LMLKSamplerAdvanced": {"steps": 3},
    "LMLReport": {"steps": 3},
    "LMLCompare": {"steps": 3},
    "LMLSavePreset": {"name": "saved by a test"},
    "LMLSweep": {"column_values": "0, 1", "row_values": "2, 3"},
}
"""What to give nodes that need a name, or would take long."""


@pytest.fixture(scope="module")
def workflow(server: Client) -> dict[str, Any]:
    """The shipped demo workflow in API form."""
    return server.to_api(json.loads((ROOT / "workflows" / "LML_Demo.json").read_text()))


def changed(workflow: dict[str, Any], class_type: str, **inputs: Any) -> dict[str, Any]:
    """The workflow with other inputs on the node of a type."""
    result = copy.deepcopy(workflow)
    for node in result.values():
        if node["class_type"] == class_type:
            node["inputs"] |= inputs
    return result


def same_pictures(first: list[Image.Image], second: list[Image.Image]) -> bool:
    """Whether two lists hold the same pictures, pixel by pixel."""
    return all(np.array_equal(np.asarray(one), np.asarray(other)) for one, other in zip(first, second, strict=True))


def test_every_node_is_offered(info: Info) -> None:
    assert sorted(name for name in info if name.startswith("LML")) == node_ids()


@pytest.mark.parametrize("name", [name for name in node_ids() if name != "LMLTune"])  # see test_tune.py
def test_every_node_runs(server: Client, info: Info, name: str) -> None:
    prompt = around(info, name)
    for node in prompt.values():
        node["inputs"] |= SMALL.get(node["class_type"], {})
    result = server.run(prompt)
    assert result.outputs
    assert all(latent.isfinite().all() for latent in result.latents.values())
    assert all(np.asarray(image).std() > 0 for images in result.images.values() for image in images)


@pytest.mark.parametrize("name", node_ids())
def test_every_node_explains_itself(server: Client, name: str) -> None:
    info = server.object_info()[name]
    assert info["display_name"].startswith("LML") and info["description"] and info["search_aliases"]
    assert info["python_module"] == "custom_nodes.lml-sampler"
    for group in ("required", "optional"):
        for key, (_, options) in info["input"].get(group, {}).items():
            assert options.get("tooltip"), f"{name}.{key} has no tooltip"
    assert all(info["output_tooltips"])
    page = requests.get(f"{server.url}/extensions/lml-sampler/docs/{name}.md", timeout=10)
    assert page.ok and page.text.startswith("# ")


def test_the_names_of_the_parameters(server: Client) -> None:
    for name in ("LMLSampler", "LMLKSampler", "LMLKSamplerAdvanced"):
        inputs = server.object_info()[name]["input"]["required"]
        assert inputs["damping"][1]["display_name"] == "λ" and inputs["kappa"][1]["display_name"] == "κ"
        assert not inputs["kappa"][1].get("advanced")


def test_the_sampler_lists_have_one_more_entry_at_the_end(server: Client) -> None:
    info = server.object_info()
    for name in ("KSampler", "KSamplerSelect", "KSamplerAdvanced"):
        kind, *rest = info[name]["input"]["required"]["sampler_name"]
        options = kind if isinstance(kind, list) else rest[0]["options"]
        assert options.count("lml") == 1 and options[-1] == "lml" and options[0] == "euler"


def test_the_workflows_are_offered_as_templates(server: Client) -> None:
    names = {path.stem for path in (ROOT / "workflows").glob("*.json")}
    offered = requests.get(f"{server.url}/workflow_templates", timeout=10).json()
    assert set(offered["lml-sampler"]) == names and "LML_Demo" in names
    for name in names:
        for ending in ("json", "jpg"):
            file = requests.get(f"{server.url}/api/workflow_templates/lml-sampler/{name}.{ending}", timeout=10)
            assert file.ok and len(file.content) > 1000, f"{name}.{ending}"


def test_the_shipped_workflow_makes_pictures(server: Client, workflow: dict[str, Any]) -> None:
    result = server.run(changed(workflow, "LMLKSampler", seed=123, steps=40))
    saved = [node for node, value in workflow.items() if value["class_type"] == "SaveImage"]
    assert len(saved) == 2
    for node in saved:
        assert len(result.images[node]) == 4
        for image in result.images[node]:
            assert image.size == (256, 256) and np.asarray(image).std() > 10
    sampler = find(workflow, "LMLKSampler")
    steps = [(value, total) for node, value, total in result.progress if node == sampler]
    assert steps and all(total == 40 for _, total in steps) and steps[-1] == (40, 40)
    assert result.previews


def test_the_same_prompt_gives_the_same_picture(server: Client, workflow: dict[str, Any]) -> None:
    """Other runs come between, so that the cache of the host cannot answer."""
    first = server.run(changed(workflow, "LMLKSampler", seed=5))
    server.run(changed(workflow, "LMLKSampler", seed=6))
    server.forget()
    second = server.run(changed(workflow, "LMLKSampler", seed=5))
    assert all(same_pictures(images, second.images[node]) for node, images in first.images.items())


def test_kappa_zero_gives_the_picture_of_euler(server: Client, workflow: dict[str, Any]) -> None:
    result = server.run(changed(workflow, "LMLKSampler", kappa=0.0))
    lml, euler = result.images.values()
    assert same_pictures(lml, euler)


def test_the_list_entry_works_in_ksampler(server: Client, workflow: dict[str, Any]) -> None:
    result = server.run(changed(workflow, "KSampler", sampler_name="lml"))
    lml, entry = result.images.values()
    assert same_pictures(lml, entry)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"damping": -1.0}, "is -1.0; it must be from 0 to 100"),
        ({"kappa": 1.5}, "is 1.5; it must be from 0 to 1"),
        ({"steps": 0}, "Value 0 smaller than min of 1"),
    ],
)
def test_bad_input_is_named(server: Client, workflow: dict[str, Any], inputs: dict[str, Any], message: str) -> None:
    one_branch = cell_prompt(workflow, "lml", 8, ("star", "blue"))
    with pytest.raises(PromptError, match=message) as caught:
        server.run(changed(one_branch, "LMLKSampler", **inputs))
    assert "LMLKSampler" in str(caught.value)


def test_velocity_on_an_eps_model_is_named(server: Client) -> None:
    prompt = {
        "1": {"class_type": "LMLDemoModel", "inputs": {"variant": "eps", "shape": "star", "color": "any"}},
        "2": {"class_type": "LMLSampler", "inputs": {"scheme": "ddim", "scheme.target": "velocity"}},
        "3": {
            "class_type": "SamplerCustom",
            "inputs": {
                "model": ["1", 0],
                "positive": ["1", 1],
                "negative": ["1", 2],
                "latent_image": ["1", 3],
                "sampler": ["2", 0],
                "sigmas": ["4", 0],
                "add_noise": True,
                "noise_seed": 1,
                "cfg": 3.0,
            },
        },
        "4": {
            "class_type": "BasicScheduler",
            "inputs": {"model": ["1", 0], "scheduler": "normal", "steps": 5, "denoise": 1.0},
        },
        "5": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["1", 4]}},
        "6": {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}},
    }
    prompt = server.filled(prompt)
    with pytest.raises(PromptError, match=r"node 3 .*target is 'velocity', but this is not a flow model"):
        server.run(prompt)
    prompt["1"]["inputs"]["variant"] = "flow"
    (image, *_) = server.run(prompt).images["6"]
    assert image.size == (32, 32) and np.asarray(image).std() > 10


def test_a_cancelled_run_leaves_the_next_one_clean(server: Client, workflow: dict[str, Any]) -> None:
    expected = server.run(changed(workflow, "LMLKSampler", seed=77))
    with pytest.raises(PromptError, match="interrupted"):
        server.run(changed(workflow, "LMLKSampler", seed=78, steps=5000, scheduler="karras"), cancel=True)
    server.forget()
    again = server.run(changed(workflow, "LMLKSampler", seed=77))
    assert all(same_pictures(images, again.images[node]) for node, images in expected.images.items())
