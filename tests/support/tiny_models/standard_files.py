"""The public files that the workflows name, in tiny."""

import json
from collections.abc import Callable
from pathlib import Path

import torch

from . import autoencoders, layouts, sparse_file, text_encoders, transformers, weights
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
CLIP_L, CLIP_G = "sd1_clip_config.json", "clip_config_bigg.json"
T5, UMT5 = "text_encoders/t5_config_xxl.json", "text_encoders/umt5_config_xxl.json"


def _clip(prefix: str, config: str) -> Entries:
    return weights.random(text_encoders.clip(prefix, config))


def _clip_l() -> Entries:
    return _clip("", CLIP_L)


def _t5(prefix: str, config: str = T5) -> Entries:
    return weights.quantised(text_encoders.t5(prefix, config), f"{prefix}shared.")


def _language_model(name: str) -> Entries:
    return weights.quantised(text_encoders.language_model(name), "model.embed_tokens.")


def _vae(prefix: str, channels: int, scale: float, shift: float = 0.0) -> Entries:
    return weights.taesd(autoencoders.taesd(prefix, channels), prefix, scale, shift)


def _flux_vae(prefix: str) -> Entries:
    return _vae(prefix, 16, 0.3611, 0.1159)


def _sd15() -> Entries:
    unet = weights.random(layouts.unet(UNET, **SD15))
    return unet | _clip("cond_stage_model.transformer.", CLIP_L) | _vae("first_stage_model.", 4, 0.18215)


def _sd15_controlnet() -> Entries:
    return weights.random(layouts.controlnet("control_model.", **SD15))


def _sdxl() -> Entries:
    unet = weights.random(layouts.unet(UNET, **SDXL))
    large = _clip("conditioner.embedders.1.model.transformer.", CLIP_G)
    return unet | _clip("conditioner.embedders.0.transformer.", CLIP_L) | large | _vae("first_stage_model.", 4, 0.13025)


def _sdxl_refiner() -> Entries:
    unet = weights.random(layouts.unet(UNET, **REFINER))
    return unet | _clip("conditioner.embedders.0.model.transformer.", CLIP_G) | _vae("first_stage_model.", 4, 0.13025)


def _sd3() -> Entries:
    clips = _clip("text_encoders.clip_l.transformer.", CLIP_L) | _clip("text_encoders.clip_g.transformer.", CLIP_G)
    vae = _vae("first_stage_model.", 16, 1.5305, 0.0609)
    return weights.random(transformers.sd3(UNET)) | clips | _t5("text_encoders.t5xxl.transformer.") | vae


def _flux(guidance: bool) -> Entries:
    texts = _clip("text_encoders.clip_l.transformer.", CLIP_L) | _t5("text_encoders.t5xxl.transformer.")
    return weights.random(transformers.flux(UNET, guidance)) | texts | _flux_vae("vae.")


def _umt5() -> Entries:
    return _t5("", UMT5) | {"spiece_model": dense(sentencepiece_model())}


def _wan(channels: int, expert: str = "") -> Entries:
    return weights.random(transformers.wan(channels), file=expert)


def _wan_vae() -> Entries:
    return weights.random(autoencoders.wan(), torch.float32)


def _hunyuan_vae() -> Entries:
    vae, last = weights.random(autoencoders.hunyuan_video()), "decoder.22.weight"
    contrast = 40  # of frames that are nearly grey otherwise
    return vae | {last: vae[last]._replace(values=vae[last].values * contrast)}


def _ltx() -> Entries:
    sound, pictures = autoencoders.ltx_audio(), autoencoders.ltx_video("vae.")
    return weights.random(transformers.ltx_av(UNET)) | weights.random(sound | pictures, torch.float32)


def _qwen_lora() -> Entries:
    layer = "transformer_blocks.0.attn.to_q"
    sizes: layouts.Layout = {f"{layer}.lora_down.weight": (1, 3072), f"{layer}.lora_up.weight": (3072, 1)}
    return weights.random(sizes | {f"{layer}.alpha": ()})


def _ace_step() -> Entries:
    return weights.quantised(transformers.ace_step(), "decoder.condition_embedder.")


def _ace_text() -> Entries:
    model = weights.random(text_encoders.language_model("Qwen3_06B_ACE15", narrow=False))
    # The host looks here for what the larger language model beside it is quantised to.
    return model | {"model.norm.comfy_quant": weights.MARK}


LTX_CONFIG = {
    "transformer": transformers.LTX,
    "vae": autoencoders.LTX_VIDEO,
    "audio_vae": autoencoders.LTX_AUDIO,
    "vocoder": autoencoders.LTX_VOCODER,
}
METADATA = {"checkpoints/ltx-2-19b-dev-fp8.safetensors": {"config": json.dumps(LTX_CONFIG)}}
"""Texts in the header of a file, by its path."""
FILES: dict[str, Callable[[], Entries]] = {
    "checkpoints/v1-5-pruned-emaonly-fp16.safetensors": _sd15,
    "controlnet/control_v11p_sd15_canny_fp16.safetensors": _sd15_controlnet,
    "checkpoints/sd_xl_base_1.0.safetensors": _sdxl,
    "checkpoints/sd_xl_refiner_1.0.safetensors": _sdxl_refiner,
    "checkpoints/sd3.5_medium_incl_clips_t5xxlfp8scaled.safetensors": _sd3,
    "checkpoints/flux1-dev-fp8.safetensors": lambda: _flux(guidance=True),
    "checkpoints/flux1-schnell-fp8.safetensors": lambda: _flux(guidance=False),
    "diffusion_models/flux2_dev_fp8mixed.safetensors": lambda: weights.random(transformers.flux2(guidance=True)),
    "diffusion_models/flux-2-klein-4b.safetensors": lambda: weights.random(transformers.flux2(guidance=False)),
    "text_encoders/mistral_3_small_flux2_bf16.safetensors": _clip_l,
    "text_encoders/qwen_3_4b.safetensors": _clip_l,
    "vae/full_encoder_small_decoder.safetensors": lambda: weights.random(autoencoders.flux2()),
    "vae/flux2-vae.safetensors": lambda: weights.random(autoencoders.flux2()),
    "diffusion_models/z_image_bf16.safetensors": lambda: weights.quantised(transformers.z_image(), "x_embedder."),
    "diffusion_models/z_image_turbo_bf16.safetensors": lambda: weights.quantised(transformers.z_image(), "x_embedder."),
    "vae/ae.safetensors": lambda: _flux_vae(""),
    "diffusion_models/Chroma1-HD-fp8mixed.safetensors": lambda: weights.random(transformers.chroma()),
    "text_encoders/t5xxl_fp8_e4m3fn_scaled.safetensors": lambda: _t5(""),
    "diffusion_models/qwen_image_fp8_e4m3fn.safetensors": lambda: weights.random(transformers.qwen_image()),
    "loras/Qwen-Image-Lightning-4steps-V1.0.safetensors": _qwen_lora,
    "diffusion_models/qwen_image_edit_2509_fp8_e4m3fn.safetensors": lambda: weights.random(transformers.qwen_image()),
    "text_encoders/qwen_2.5_vl_7b_fp8_scaled.safetensors": lambda: _language_model("Qwen25_7BVLI"),
    "vae/qwen_image_vae.safetensors": _wan_vae,
    "diffusion_models/wan2.1_t2v_1.3B_fp16.safetensors": lambda: _wan(16),
    "diffusion_models/wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors": lambda: _wan(16, "high"),
    "diffusion_models/wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors": lambda: _wan(16, "low"),
    "diffusion_models/wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors": lambda: _wan(36, "high"),
    "diffusion_models/wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors": lambda: _wan(36, "low"),
    "text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors": _umt5,
    "vae/wan_2.1_vae.safetensors": _wan_vae,
    "diffusion_models/hunyuanvideo1.5_720p_t2v_fp16.safetensors": lambda: weights.random(transformers.hunyuan_video()),
    "text_encoders/byt5_small_glyphxl_fp16.safetensors": lambda: weights.random(text_encoders.byt5()),
    "vae/hunyuanvideo15_vae_fp16.safetensors": _hunyuan_vae,
    "checkpoints/ltx-2-19b-dev-fp8.safetensors": _ltx,
    "text_encoders/gemma_3_12B_it_fp4_mixed.safetensors": _clip_l,
    "diffusion_models/acestep_v1.5_turbo.safetensors": _ace_step,
    "text_encoders/qwen_0.6b_ace15.safetensors": _ace_text,
    "text_encoders/qwen_1.7b_ace15.safetensors": lambda: _language_model("Qwen3_2B_ACE15_lm"),
    "vae/ace_1.5_vae.safetensors": lambda: weights.random(autoencoders.ace_step()),
}
"""By path in ComfyUI's folder of models. ComfyUI must be loaded in this process (`comfy_host.inprocess`).

A CLIP-L stands for Mistral, Qwen 3 and Gemma: they have 30 layers and more, and fill every prompt up to 512 or 1,024
tokens. FLUX.2, Z-Image and LTX-2 take their texts at any width.
"""


def write(folder: Path) -> None:
    """Write all of them into a folder of models."""
    for name, entries in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        sparse_file.write(path, entries(), METADATA.get(name))
