"""The shipped workflow files, run in the real ComfyUI on tiny checkpoints.

The checkpoints have the architectures and names of the public files (`support/tiny_models`). The dearest workflows
run with `make test-workflows`.
"""

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import requests
from comfy_host.client import Client, Result
from conftest import FULL
from demo import find
from saved_workflows import FILES, load
from small_workflows import SIDE, fewer_steps, smaller, with_a_quick_encoder, without_large_inputs

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
SIZES = {
    "LML_Demo": {(256, 256)},
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


@pytest.mark.parametrize("name", RUN)
def test_a_workflow_makes_pictures(stocked: Client, name: str) -> None:
    assert stocked.folder
    log = stocked.folder / "comfyui.log"
    before = len(log.read_text())
    prompt = smaller(stocked.to_api(load(name)))
    fewer_steps(prompt)
    without_large_inputs(prompt)
    if not FULL:
        with_a_quick_encoder(prompt)
    result = stocked.run(prompt, timeout=600)
    assert "invalid value" not in log.read_text()[before:], "a picture was not finite"
    check_pictures(name, prompt, result)
    check_sound(stocked.folder, prompt, result)
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


def test_the_sub_graph_makes_a_picture(stocked: Client) -> None:
    listed = requests.get(f"{stocked.url}/global_subgraphs", timeout=10).json()
    (key,) = [key for key, entry in listed.items() if entry["name"] == "LML Text to Image"]
    assert listed[key]["source"] == "custom_node" and listed[key]["info"]["node_pack"].endswith("lml-sampler")
    workflow = json.loads(requests.get(f"{stocked.url}/global_subgraphs/{key}", timeout=10).json()["data"])
    (node,) = workflow["nodes"]
    assert all(port["label"] for port in node["inputs"])
    prompt = smaller(stocked.to_api(workflow))
    fewer_steps(prompt)
    prompt[find(prompt, "CheckpointLoaderSimple")]["inputs"]["ckpt_name"] = "v1-5-pruned-emaonly-fp16.safetensors"
    decoded = find(prompt, "VAEDecode")
    prompt["shown"] = {"class_type": "PreviewImage", "inputs": {"images": [decoded, 0]}}
    (picture,) = stocked.run(prompt).images["shown"]
    assert picture.size == (SIDE, SIDE) and np.asarray(picture).std() > 5
