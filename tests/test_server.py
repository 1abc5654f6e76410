"""The pack in a running ComfyUI, over its HTTP and websocket API, as a person's browser uses it."""

import json
from pathlib import Path

import numpy as np
import pytest
import requests
from comfy_host.client import Client, PromptError
from comfy_host.prompts import Info, around, inputs_of
from demo import find
from node_definitions import node_ids
from small_workflows import QUICK, taken

pytestmark = pytest.mark.every_host

ROOT = Path(__file__).parents[1]
SMALL = QUICK | {"name": "saved by a test"}
"""What to give nodes that need a name, or would take long, by input."""


@pytest.mark.parametrize("name", [name for name in node_ids() if name != "LMLTune"])  # see test_tune.py
def test_every_node_runs(server: Client, info: Info, name: str) -> None:
    prompt = around(info, name)
    for node in prompt.values():
        node["inputs"] |= taken(info, node["class_type"], SMALL)
    result = server.run(prompt)
    assert result.outputs
    assert all(latent.isfinite().all() for latent in result.latents.values())
    assert all(np.asarray(image).std() > 0 for images in result.images.values() for image in images)


@pytest.mark.parametrize("name", node_ids())
def test_every_node_explains_itself(server: Client, info: Info, name: str) -> None:
    node = info[name]
    assert node["display_name"].startswith("LML") and node["description"] and node["search_aliases"]
    assert node["python_module"] == "custom_nodes.lml-sampler"
    for key, (_, options, _) in inputs_of(info, name).items():
        assert options.get("tooltip"), f"{name}.{key} has no tooltip"
    assert all(node["output_tooltips"])
    page = requests.get(f"{server.url}/extensions/lml-sampler/docs/{name}.md", timeout=10)
    assert page.ok and page.text.startswith("# ")


def test_the_workflows_are_offered_as_templates(server: Client) -> None:
    names = {path.stem for path in (ROOT / "workflows").glob("*.json")}
    offered = requests.get(f"{server.url}/workflow_templates", timeout=10).json()
    assert set(offered["lml-sampler"]) == names and "LML_Demo" in names
    for name in names:
        for ending in ("json", "jpg"):
            file = requests.get(f"{server.url}/api/workflow_templates/lml-sampler/{name}.{ending}", timeout=10)
            assert file.ok and len(file.content) > 1000, f"{name}.{ending}"


def test_the_shipped_workflow_shows_lml_beside_euler(server: Client) -> None:
    """With kappa 0 they are the same pictures."""
    workflow = server.to_api(json.loads((ROOT / "workflows" / "LML_Demo.json").read_text()))
    workflow[find(workflow, "LMLKSampler")]["inputs"]["kappa"] = 0.0
    result = server.run(workflow)
    lml, euler = (np.stack([np.asarray(image) for image in images]) for images in result.images.values())
    assert lml.shape == (4, 256, 256, 3) and np.array_equal(lml, euler)
    assert (lml.std(axis=(1, 2, 3)) > 10).all()


def test_an_input_that_a_choice_shows_is_heard(server: Client, info: Info) -> None:
    prompt = around(info, "LMLSampler", {"scheme": "ddim", "scheme.target": "velocity"})
    with pytest.raises(PromptError, match=r"SamplerCustom.*target is 'velocity', but this is not a flow model"):
        server.run(prompt)
    prompt["LMLDemoModel"]["inputs"]["variant"] = "flow"
    (latent,) = server.run(prompt).latents.values()
    assert latent.isfinite().all()
