"""The layers that UNet2DModel and VQModel of diffusers are made of, under the names that their files use.

All take and give `[B, C, H, W]`.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Make:
    """Makes layers: of torch, or of a host that moves weights between devices by itself."""

    operations: Any = nn
    groups: int = 32
    eps: float = 1e-6
    dtype: torch.dtype = torch.float32
    device: torch.device | None = None

    def conv(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, padding: int | None = None) -> Any:
        """A convolution; without `padding` one that keeps the size at stride 1."""
        padding = kernel // 2 if padding is None else padding
        size = {"kernel_size": kernel, "stride": stride, "padding": padding}
        return self.operations.Conv2d(inputs, outputs, **size, dtype=self.dtype, device=self.device)

    def linear(self, inputs: int, outputs: int) -> Any:
        """A linear layer with a bias."""
        return self.operations.Linear(inputs, outputs, dtype=self.dtype, device=self.device)

    def norm(self, channels: int) -> Any:
        """A group norm."""
        return self.operations.GroupNorm(self.groups, channels, eps=self.eps, dtype=self.dtype, device=self.device)


class Resnet(nn.Module):
    """Two convolutions beside a skip path; `time_width` is that of the time embedding, 0 for none."""

    def __init__(self, make: Make, inputs: int, outputs: int, time_width: int = 0, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.norm1 = make.norm(inputs)
        self.conv1 = make.conv(inputs, outputs)
        self.time_emb_proj = make.linear(time_width, outputs) if time_width else None
        self.norm2 = make.norm(outputs)
        self.conv2 = make.conv(outputs, outputs)
        self.conv_shortcut = make.conv(inputs, outputs, kernel=1) if inputs != outputs else None

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        hidden = self.conv1(functional.silu(self.norm1(x)))
        if self.time_emb_proj is not None and time is not None:
            hidden = hidden + self.time_emb_proj(functional.silu(time))[:, :, None, None]
        hidden = self.conv2(functional.silu(self.norm2(hidden)))
        skip = x if self.conv_shortcut is None else self.conv_shortcut(x)
        return (skip + hidden) / self.scale


class Attention(nn.Module):
    """Self-attention over the pixels, with heads of `head_width` channels."""

    def __init__(self, make: Make, channels: int, head_width: int, scale: float = 1.0) -> None:
        super().__init__()
        self.head_width, self.scale = head_width, scale
        self.group_norm = make.norm(channels)
        self.to_q = make.linear(channels, channels)
        self.to_k = make.linear(channels, channels)
        self.to_v = make.linear(channels, channels)
        self.to_out = nn.ModuleList([make.linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        pixels = self.group_norm(x).flatten(2).transpose(1, 2)
        parts = [layer(pixels).unflatten(2, (-1, self.head_width)) for layer in (self.to_q, self.to_k, self.to_v)]
        query, key, value = (part.transpose(1, 2) for part in parts)
        mixed = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return (x + self.to_out[0](mixed).transpose(1, 2).unflatten(2, x.shape[2:])) / self.scale


class Downsample(nn.Module):
    """Half the size."""

    def __init__(self, make: Make, channels: int, padding: int) -> None:
        super().__init__()
        self.padding = padding
        self.conv = make.conv(channels, channels, stride=2, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x if self.padding else functional.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Twice the size."""

    def __init__(self, make: Make, channels: int) -> None:
        super().__init__()
        self.conv = make.conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


class Middle(nn.Module):
    """The block at the lowest resolution."""

    def __init__(
        self, make: Make, channels: int, head_width: int | None, time_width: int = 0, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([Resnet(make, channels, channels, time_width, scale) for _ in range(2)])
        self.attentions = nn.ModuleList([Attention(make, channels, head_width, scale)] if head_width else [])

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        x = self.resnets[0](x, time)
        for attention in self.attentions:
            x = attention(x)
        return self.resnets[1](x, time)


OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of an older diffusers under the names of today's."""
    result = {}
    for name, value in weights.items():
        *start, layer, kind = name.rsplit(".", 2)
        old = bool(start) and ".attentions." in start[0] and layer in OLD_NAMES
        result[f"{start[0]}.{OLD_NAMES[layer]}.{kind}" if old else name] = value
    return result
