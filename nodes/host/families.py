"""Which family of models a MODEL belongs to."""

from typing import Any

import comfy.model_sampling
import comfy.supported_models as supported

from ...lml_sampler.presets import Family

CLASSES: dict[Family, tuple[str, ...]] = {
    "sd": ("SD15", "SD15_instructpix2pix"),
    "sd2": ("SD20",),
    "sdxl": ("SDXL", "SDXLRefiner"),
    "sd3": ("SD3",),
    "flux": ("Flux", "Flux2"),
    "video": (
        "SVD_img2vid",
        "GenmoMochi",
        "LTXV",
        "HunyuanVideo",
        "HunyuanVideo15",
        "CosmosT2V",
        "CosmosI2V",
        "WAN21_T2V",
        "CogVideoX_T2V",
        "Kandinsky5",
        "MiniMaxH3",
    ),
}
"""ComfyUI's model configurations (and what is derived from them); older hosts lack some."""


def family(model: Any) -> Family | None:
    """The family of a MODEL, None for all others."""
    config = model.model.model_config
    for name, classes in CLASSES.items():
        known = tuple(getattr(supported, each) for each in classes if hasattr(supported, each))
        if isinstance(config, known) and "Image" not in type(config).__name__:  # image models of video families
            return name
    return None


def is_flow(model: Any) -> bool:
    """Whether a MODEL predicts a flow velocity."""
    return is_flow_sampling(model.get_model_object("model_sampling"))


def is_flow_sampling(model_sampling: Any) -> bool:
    """Whether the states are (1 - sigma) x0 + sigma noise: ComfyUI's image to image flow models are CONST, but VE."""
    return isinstance(model_sampling, comfy.model_sampling.CONST) and float(model_sampling.sigma_max) <= 1


def prediction(model: Any) -> str:
    """What a MODEL predicts, in words."""
    if is_flow(model):
        return "the flow velocity"
    sampling = model.get_model_object("model_sampling")
    if isinstance(sampling, comfy.model_sampling.EDM):
        return "the denoised picture (EDM)"
    return "v" if isinstance(sampling, comfy.model_sampling.V_PREDICTION) else "the noise (eps)"
