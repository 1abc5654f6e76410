"""The text encoders: names and shapes. Their widths are constants of the host."""

import json
from typing import Any

import torch

from .layouts import Layout, layout_of, narrowed

T5_INNER = 64  # the host's number of heads
T5_HIDDEN = 10240  # of the last layer, by which the host knows a T5-XXL in a file of its own
UMT5_TOKENS = 512  # of our own tokenizer, see `tokenizer.py`


def clip(prefix: str, config: str) -> Layout:
    """CLIP-L or CLIP-G."""
    from comfy.clip_model import CLIPTextModel

    return layout_of(CLIPTextModel, prefix, config_dict=_config(config), dtype=torch.float16)


def t5(prefix: str, config: str) -> Layout:
    """T5-XXL or UMT5-XXL: all layers, with narrow insides.

    The linear layers of a quantised file take their shapes from the file.
    """
    layout = _t5(prefix, config)
    layout = narrowed(layout, rows=r"SelfAttention\.[qkv]\.", columns=r"SelfAttention\.o\.", width=T5_INNER)
    layout = narrowed(layout, rows=r"\.wi_[01]\.", columns=r"\.wo\.", width=1)
    if not prefix:
        last = f"encoder.block.{_config(config)['num_layers'] - 1}.layer.1.DenseReluDense."
        layout |= {f"{last}wi_1.weight": (T5_HIDDEN, 4096), f"{last}wo.weight": (4096, T5_HIDDEN)}
    if "umt5" in config:
        layout[f"{prefix}shared.weight"] = (UMT5_TOKENS, 4096)
    return layout


def byt5() -> Layout:
    """The encoder of letters of HunyuanVideo 1.5."""
    return _t5("", "text_encoders/byt5_config_small_glyph.json")


def _t5(prefix: str, config: str) -> Layout:
    from comfy.text_encoders.t5 import T5

    return layout_of(T5, prefix, config_dict=_config(config), dtype=torch.float16)


def _config(name: str) -> dict[str, Any]:
    from comfy_host.install import comfyui_path

    return json.loads((comfyui_path() / "comfy" / name).read_text())


def language_model(name: str, narrow: bool = True) -> Layout:
    """One of the host's language models: all layers.

    Args:
        name: of its class in `comfy.text_encoders.llama`.
        narrow: whether to cut the insides of its layers, which a quantised file may.
    """
    import comfy.text_encoders.llama as models

    layout = layout_of(getattr(models, name), "", config_dict={}, dtype=torch.float16)
    if not narrow:
        return layout
    return narrowed(layout, rows=r"layers\..*(gate|up)_proj\.", columns=r"layers\..*down_proj\.", width=1)
