"""Workflows made small, so that a tiny model runs them in seconds."""

import copy
from typing import Any

from comfy_host.prompts import Info, inputs_of
from demo import find

SMALLER = {
    **{"evaluations": 8, "seeds": 1, "reference_steps": 20, "cell_size": 64, "row_values": "4, 6"},
    **{"length": 9, "frames_number": 9, "seconds": 1.0, "duration": 1.0, "generate_audio_codes": False},
}
"""Values for the runs here, by input; sizes are an eighth or less."""
QUICK = {
    "steps": 3,
    "evaluations": 9,
    "seeds": 1,
    "reference_steps": 10,
    "column_values": "0, 1",
    "row_values": "2, 3",
    "cell_size": 64,
}
"""In place of defaults that take long, by input, for the smallest models."""
SIDE = 64
STEPS = 4
"""Of the models that need a second a step."""


def taken(info: Info, node: str, values: dict[str, Any]) -> dict[str, Any]:
    """Those of the values that are for inputs of a node."""
    return {name: value for name, value in values.items() if name in inputs_of(info, node)}


def smaller(prompt: dict[str, Any]) -> dict[str, Any]:
    """A workflow in API form at an eighth of its size."""
    prompt = copy.deepcopy(prompt)
    for node in prompt.values():
        inputs = node["inputs"]
        for name in inputs:
            if name in ("width", "height"):
                inputs[name] = min(max(inputs[name] // 256 * 32, 32), SIDE)
            elif name in ("x", "y"):
                inputs[name] //= 8
            elif name in SMALLER:
                inputs[name] = SMALLER[name]
    return prompt


def fewer_steps(prompt: dict[str, Any]) -> None:
    """Take `STEPS` steps, in parts if there are parts."""
    for node in prompt.values():
        inputs = node["inputs"]
        steps = inputs.get("steps", STEPS)
        for name in {"steps", "start_at_step", "end_at_step"} & inputs.keys():
            inputs[name] = inputs[name] * STEPS // steps


def without_large_inputs(prompt: dict[str, Any]) -> None:
    """Go round what the host makes large whatever the model.

    Gemma fills every prompt up to 1,024 tokens of 48 layers; Qwen-Image-Edit scales every picture to a megapixel.
    """
    for key, node in list(prompt.items()):
        inputs = node["inputs"]
        if node["class_type"] == "LTXAVTextEncoderLoader":
            loaded = {"clip_name": inputs["text_encoder"], "type": "ltxv"}
            prompt[key] = {"class_type": "CLIPLoader", "inputs": loaded}
        elif node["class_type"] == "FluxKontextImageScale":
            size = {"width": SIDE, "height": SIDE, "upscale_method": "area", "crop": "center"}
            prompt[key] = {"class_type": "ImageScale", "inputs": {"image": inputs["image"], **size}}
        elif node["class_type"] == "TextEncodeQwenImageEditPlus":
            text = {"clip": inputs["clip"], "text": inputs["prompt"]}
            prompt[f"{key}_text"] = {"class_type": "CLIPTextEncode", "inputs": text}
            linked = {"conditioning": [f"{key}_text", 0], "latent": [find(prompt, "VAEEncode"), 0]}
            prompt[key] = {"class_type": "ReferenceLatent", "inputs": linked}


def with_a_quick_encoder(prompt: dict[str, Any]) -> None:
    """UMT5 fills every prompt up to 512 tokens; the same layers with the tokens of another tokenizer take a tenth."""
    for node in prompt.values():
        if node["inputs"].get("type") == "wan":
            node["inputs"] |= {"clip_name": "t5xxl_fp8_e4m3fn_scaled.safetensors", "type": "chroma"}
