"""Values for the tensors of a layout: random where it costs nothing, by hand where a picture depends on it."""

import json
import zlib

import torch
from torch import Tensor

from .layouts import Layout
from .sparse_file import Entry, dense

FILLED = 2**15  # values of a tensor that are not zero
TOKENS = 4096  # embeddings that differ: vocabularies begin with what is frequent
EMBEDDINGS = ("token_embedding.weight", "shared.weight", "embed_tokens.weight")
SPREAD = 0.2  # of the brightness, for a latent of unit variance
MARK = dense(torch.frombuffer(bytearray(json.dumps({"format": "float8_e4m3fn"}).encode()), dtype=torch.uint8))
"""What the host reads beside a matrix that is quantised, under the name comfy_quant."""


def random(layout: Layout, dtype: torch.dtype = torch.float16, file: str = "") -> dict[str, Entry]:
    """Weights of the usual size; norms and scales are one, biases zero.

    Args:
        layout: names and shapes.
        dtype: of all of them.
        file: tells files of one layout apart: each tensor depends on this and its name alone.
    """
    return {name: Entry(shape, dtype, _values(name, shape, file)) for name, shape in layout.items()}


def _values(name: str, shape: tuple[int, ...], file: str) -> Tensor:
    count = torch.Size(shape).numel()
    if len(shape) < 2 or name.endswith("gamma"):
        return torch.zeros(1) if name.endswith("bias") or not shape else torch.ones(count)
    filled, scale = FILLED, torch.Size(shape[1:]).numel() ** -0.5
    if name.endswith(EMBEDDINGS):
        filled, scale = TOKENS * shape[1], 1.0
    generator = torch.Generator().manual_seed(zlib.crc32(f"{file}{name}".encode()))
    return torch.randn(min(filled, count), generator=generator) * scale


def quantised(layout: Layout, *names: str) -> dict[str, Entry]:
    """Random weights of which some matrices, by the beginning of their names, are quantised to 8 bits.

    One is enough for all linear layers to take their shapes from the file.
    """
    entries = random(layout)
    for name in [name for name in layout if name.startswith(names) and name.endswith(".weight")]:
        if len(layout[name]) == 2:
            layer = name.removesuffix("weight")
            entries[name] = entries[name]._replace(dtype=torch.float8_e4m3fn)
            entries[f"{layer}weight_scale"] = dense(torch.ones(()))
            entries[f"{layer}comfy_quant"] = MARK
    return entries


def taesd(layout: Layout, prefix: str, scale: float, shift: float) -> dict[str, Entry]:
    """An autoencoder that shows the first three channels of a latent, and keeps a picture at an eighth of its size.

    Args:
        scale, shift: of the latent format: what the network sees is `(latent - shift) * scale`.
    """
    entries = {}
    for name, shape in layout.items():
        weight = torch.zeros(shape)
        if len(shape) == 4 and ".conv." not in name:
            for channel in range(3):
                weight[channel, channel, 1, 1] = 1
        entries[name] = weight
    for name, value in ((f"{prefix}taesd_decoder.1", SPREAD), (f"{prefix}taesd_encoder.14", 1 / SPREAD)):
        entries[f"{name}.weight"] *= value
        entries[f"{name}.bias"][:3] = 0.5 if "decoder" in name else -0.5 / SPREAD
    entries[f"{prefix}vae_scale"] += scale
    entries[f"{prefix}vae_shift"] += shift
    return {name: dense(value.half()) for name, value in entries.items()}
