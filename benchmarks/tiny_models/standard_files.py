"""The public files that the workflows name, in tiny."""

from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from . import layouts, sparse_file, weights
from .sparse_file import Entry, dense
from .tokenizer import sentencepiece_model

Entries = dict[str, Entry]
UNET = "model.diffusion_model."
SD15 = {
    "model_channels": 320,
    "num_res_blocks": [1],
    "channel_mult": [1],
    "transformer_depth": [1],
    "transformer_depth_output": [1, 0],
    "transformer_depth_middle": -1,
    "context_dim": 768,
    "num_heads": 8,
}
SDXL = {
    "model_channels": 320,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 1, 1],
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_output": [0] * 9,
    "transformer_depth_middle": -1,
    "context_dim": 2048,
    "use_linear_in_transformer": True,
    "adm_in_channels": 2816,
    "num_head_channels": 64,
}
REFINER = SDXL | {
    "model_channels": 384,
    "num_res_blocks": [2] * 4,
    "channel_mult": [1] * 4,
    "transformer_depth": [0, 0, 4, 4, 4, 4, 0, 0],
    "transformer_depth_output": [0] * 12,
    "context_dim": 1280,
    "adm_in_channels": 2560,
}
CLIP_L, CLIP_G, T5 = "sd1_clip_config.json", "clip_config_bigg.json", "t5_config_xxl.json"


def _clip(prefix: str, config: str) -> Entries:
    return weights.random(layouts.clip(prefix, config))


def _t5(prefix: str, config: str = T5) -> Entries:
    return weights.quantised(layouts.t5(prefix, config), prefix)


def _vae(prefix: str, channels: int, scale: float, shift: float = 0.0) -> Entries:
    return weights.taesd(layouts.taesd(prefix, channels), prefix, scale, shift)


def _sd15() -> Entries:
    unet = weights.unet(layouts.unet(UNET, **SD15), UNET)
    return unet | _clip("cond_stage_model.transformer.", CLIP_L) | _vae("first_stage_model.", 4, 0.18215)


def _sd15_controlnet() -> Entries:
    return weights.random(layouts.controlnet("control_model.", **SD15))


def _sdxl() -> Entries:
    unet = weights.unet(layouts.unet(UNET, **SDXL), UNET)
    large = _clip("conditioner.embedders.1.model.transformer.", CLIP_G)
    return unet | _clip("conditioner.embedders.0.transformer.", CLIP_L) | large | _vae("first_stage_model.", 4, 0.13025)


def _sdxl_refiner() -> Entries:
    unet = weights.unet(layouts.unet(UNET, **REFINER), UNET)
    return unet | _clip("conditioner.embedders.0.model.transformer.", CLIP_G) | _vae("first_stage_model.", 4, 0.13025)


def _sd3() -> Entries:
    clips = _clip("text_encoders.clip_l.transformer.", CLIP_L) | _clip("text_encoders.clip_g.transformer.", CLIP_G)
    vae = _vae("first_stage_model.", 16, 1.5305, 0.0609)
    return weights.random(layouts.sd3(UNET)) | clips | _t5("text_encoders.t5xxl.transformer.") | vae


def _flux(guidance: bool) -> Entries:
    texts = _clip("text_encoders.clip_l.transformer.", CLIP_L) | _t5("text_encoders.t5xxl.transformer.")
    return weights.random(layouts.flux(UNET, guidance)) | texts | _vae("vae.", 16, 0.3611, 0.1159)


def _umt5() -> Entries:
    return _t5("", "umt5_config_xxl.json") | {"spiece_model": dense(sentencepiece_model())}


FILES: dict[str, Callable[[], Entries]] = {
    "checkpoints/v1-5-pruned-emaonly-fp16.safetensors": _sd15,
    "controlnet/control_v11p_sd15_canny_fp16.safetensors": _sd15_controlnet,
    "checkpoints/sd_xl_base_1.0.safetensors": _sdxl,
    "checkpoints/sd_xl_refiner_1.0.safetensors": _sdxl_refiner,
    "checkpoints/sd3.5_medium_incl_clips_t5xxlfp8scaled.safetensors": _sd3,
    "checkpoints/flux1-dev-fp8.safetensors": lambda: _flux(guidance=True),
    "checkpoints/flux1-schnell-fp8.safetensors": lambda: _flux(guidance=False),
    "diffusion_models/wan2.1_t2v_1.3B_fp16.safetensors": lambda: weights.random(layouts.wan()),
    "text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors": _umt5,
    "vae/wan_2.1_vae.safetensors": lambda: weights.random(layouts.wan_vae(), torch.float32),
}
"""By path in ComfyUI's folder of models. ComfyUI must be loaded in this process (`comfy_host.inprocess`)."""


def write(folder: Path, names: Iterable[str] = tuple(FILES)) -> None:
    """Write files into a folder of models.

    Raises:
        KeyError: a name that is not in `FILES`.
    """
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        sparse_file.write(path, FILES[name]())
