"""Names and shapes of the tensors of each architecture, from the host's own classes with no memory behind them.

The numbers are the smallest that the host's detection still takes for the architecture.
"""

import json
from typing import Any

import torch

Layout = dict[str, tuple[int, ...]]
"""Shapes by name."""

T5_INNER = 64  # the host's number of heads
T5_HIDDEN = 10240  # of the last layer, by which the host knows a T5-XXL in a file of its own
UMT5_TOKENS = 512  # of our own tokenizer, see `tokenizer.py`


def _layout(kind: Any, prefix: str, **options: Any) -> Layout:
    import comfy.ops

    module = kind(**options, device="meta", operations=comfy.ops.disable_weight_init)
    return {prefix + name: tuple(value.shape) for name, value in module.state_dict().items()}


def unet(prefix: str, **options: Any) -> Layout:
    """A UNet of Stable Diffusion with the given depths and widths."""
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    return _layout(UNetModel, prefix, **_unet_options(**options), out_channels=4)


def controlnet(prefix: str, **options: Any) -> Layout:
    """The ControlNet that fits such a UNet."""
    from comfy.cldm.cldm import ControlNet

    return _layout(ControlNet, prefix, **_unet_options(**options), hint_channels=3)


def _unet_options(**options: Any) -> dict[str, Any]:
    fixed = {"image_size": 32, "in_channels": 4, "use_spatial_transformer": True, "legacy": False}
    classes = {"num_classes": "sequential"} if "adm_in_channels" in options else {}
    return fixed | classes | options


def flux(prefix: str, guidance: bool) -> Layout:
    """FLUX with one block of each kind; the distilled guidance tells dev from schnell."""
    from comfy.ldm.flux.model import Flux

    sizes = {"in_channels": 16, "out_channels": 16, "vec_in_dim": 768, "context_in_dim": 4096, "hidden_size": 128}
    depths = {"mlp_ratio": 4.0, "num_heads": 1, "depth": 1, "depth_single_blocks": 1, "axes_dim": [16, 56, 56]}
    fixed = {"theta": 10000, "patch_size": 2, "qkv_bias": True, "txt_ids_dims": []}
    return _layout(Flux, prefix, **sizes, **depths, **fixed, guidance_embed=guidance)


def sd3(prefix: str) -> Layout:
    """SD3.5 medium's kind (attention twice in the first blocks, normed queries); depth 2 is width 128."""
    from comfy.ldm.modules.diffusionmodules.mmdit import MMDiT

    embedder = {"target": "torch.nn.Linear", "params": {"in_features": 4096, "out_features": 128}}
    sizes = {"input_size": None, "in_channels": 16, "depth": 2, "adm_in_channels": 2048, "num_patches": 384**2}
    fixed = {"pos_embed_max_size": 384, "qk_norm": "rms", "x_block_self_attn_layers": [0]}
    return _layout(MMDiT, prefix, **sizes, **fixed, context_embedder_config=embedder)


def wan() -> Layout:
    """Wan 2.1 text to video with one block of one head."""
    from comfy.ldm.wan.model import WanModel

    return _layout(WanModel, "", dim=128, ffn_dim=256, num_heads=1, num_layers=1)


def wan_vae() -> Layout:
    """Wan 2.1's own video decoder and encoder, 8 channels wide."""
    from comfy.ldm.wan.vae import WanVAE

    with torch.device("meta"):
        module = WanVAE(dim=8, z_dim=16, temperal_downsample=[False, True, True])
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def taesd(prefix: str, channels: int) -> Layout:
    """The tiny autoencoder, which the host takes for any of its image models."""
    from comfy.taesd.taesd import TAESD

    with torch.device("meta"):
        module = TAESD(latent_channels=channels)
    return {prefix + name: tuple(value.shape) for name, value in module.state_dict().items()}


def clip(prefix: str, config: str) -> Layout:
    """CLIP-L or CLIP-G, whose sizes are constants of the host."""
    from comfy.clip_model import CLIPTextModel
    from comfy_host.install import comfyui_path

    options = json.loads((comfyui_path() / "comfy" / config).read_text())
    return _layout(CLIPTextModel, prefix, config_dict=options, dtype=torch.float16)


def t5(prefix: str, config: str) -> Layout:
    """T5-XXL or UMT5-XXL: all layers, with narrow insides.

    The linear layers of a quantised file take their shapes from the file.
    """
    from comfy.text_encoders.t5 import T5
    from comfy_host.install import comfyui_path

    options = json.loads((comfyui_path() / "comfy" / "text_encoders" / config).read_text())
    layout = _layout(T5, prefix, config_dict=options, dtype=torch.float16)
    last = f"encoder.block.{options['num_layers'] - 1}.layer.1.DenseReluDense."
    for name, (rows, *columns) in layout.items():
        if ".SelfAttention.o." in name:
            layout[name] = (rows, T5_INNER)
        elif ".SelfAttention." in name and "bias" not in name:
            layout[name] = (T5_INNER, *columns)
        elif ".wo." in name:
            layout[name] = (rows, 1)
        elif ".wi_" in name:
            layout[name] = (1, *columns)
    if not prefix:
        layout[f"{last}wi_1.weight"], layout[f"{last}wo.weight"] = (T5_HIDDEN, 4096), (4096, T5_HIDDEN)
    if "umt5" in config:
        layout[f"{prefix}shared.weight"] = (UMT5_TOKENS, 4096)
    return layout
