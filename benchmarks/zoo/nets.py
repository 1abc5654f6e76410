"""Three kinds of small network: a UNet, a transformer (DiT) and an MLP-mixer, for pictures and for sound.

Each maps `(x [B, C, ...], level [B] in [0, 1], label [B])` to the shape of x; the label `classes` stands for no label.
"""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention, silu


def fold(x: Tensor, patch: int) -> Tensor:
    """Move each patch of the grid into the channels: `[B, C, n p, ...]` to `[B, C p^d, n, ...]`."""
    for axis in range(2, x.ndim):
        x = x.unflatten(axis, (-1, patch)).movedim(axis + 1, 1).flatten(1, 2)
    return x


def unfold(x: Tensor, patch: int) -> Tensor:
    """The inverse of `fold`."""
    for axis in reversed(range(2, x.ndim)):
        x = x.unflatten(1, (patch, -1)).movedim(1, axis + 1).flatten(axis, axis + 1)
    return x


class Condition(nn.Module):
    """Noise level and label as one vector `[B, width]`."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", math.pi * torch.logspace(0, 6, 24, base=2), persistent=False)
        self.level = nn.Sequential(nn.Linear(48, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(classes + 1, width)
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    def forward(self, level: Tensor, label: Tensor) -> Tensor:
        angle = level[:, None] * self.frequencies
        return self.mix(self.level(torch.cat([angle.sin(), angle.cos()], 1)) + self.label(label))


def zero(layer: nn.Module) -> nn.Module:
    """Start a layer at zero, so that its branch starts as nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def convolution(axes: int, inner: int, outer: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    return (nn.Conv1d if axes == 1 else nn.Conv2d)(inner, outer, kernel, stride, kernel // 2)


class Residual(nn.Module):
    """Two convolutions; the condition scales and shifts between them."""

    def __init__(self, axes: int, inner: int, outer: int, condition: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = nn.GroupNorm(8, inner), nn.GroupNorm(8, outer)
        self.first = convolution(axes, inner, outer)
        self.second = zero(convolution(axes, outer, outer))
        self.modulate = nn.Linear(condition, 2 * outer)
        self.skip = nn.Identity() if inner == outer else convolution(axes, inner, outer, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.first(silu(self.first_norm(x)))
        scale, shift = self.modulate(condition).view(len(x), -1, *[1] * (x.ndim - 2)).chunk(2, 1)
        return self.skip(x) + self.second(silu(self.second_norm(h) * (1 + scale) + shift))


class Attention(nn.Module):
    """Self-attention over tokens `[B, N, width]`."""

    def __init__(self, width: int, head: int = 32) -> None:
        super().__init__()
        self.heads = width // head
        self.enter, self.leave = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.enter(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.leave(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class UNet(nn.Module):
    """Convolutions at `len(widths)` scales, attention at the coarsest."""

    def __init__(self, shape: tuple[int, ...], classes: int, patch: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        axes, self.patch = len(shape) - 1, patch
        channels, c = shape[0] * patch**axes, 2 * widths[0]
        self.condition = Condition(c, classes)
        self.enter = convolution(axes, channels, widths[0])
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(Residual(axes, w, w, c) for w in widths[:-1])
        self.shrink = nn.ModuleList(convolution(axes, a, b, 3, 2) for a, b in pairs)
        self.before = Residual(axes, widths[-1], widths[-1], c)
        self.norm, self.attention = nn.LayerNorm(widths[-1]), Attention(widths[-1])
        self.after = Residual(axes, widths[-1], widths[-1], c)
        self.grow = nn.ModuleList(convolution(axes, b, a) for a, b in reversed(pairs))
        self.up = nn.ModuleList(Residual(axes, 2 * w, w, c) for w in reversed(widths[:-1]))
        self.leave = nn.Sequential(nn.GroupNorm(8, widths[0]), nn.SiLU(), zero(convolution(axes, widths[0], channels)))

    def forward(self, x: Tensor, level: Tensor, label: Tensor) -> Tensor:
        condition = self.condition(level, label)
        h, kept = self.enter(fold(x, self.patch)), []
        for block, shrink in zip(self.down, self.shrink, strict=True):
            h = block(h, condition)
            kept.append(h)
            h = shrink(h)
        h = self.before(h, condition)
        h = h + self.attention(self.norm(h.flatten(2).transpose(1, 2))).transpose(1, 2).unflatten(2, h.shape[2:])
        h = self.after(h, condition)
        for block, grow in zip(self.up, self.grow, strict=True):
            h = torch.cat([grow(interpolate(h, scale_factor=2.0)), kept.pop()], 1)
            h = block(h, condition)
        return unfold(self.leave(h), self.patch)


class DiTBlock(nn.Module):
    """Attention and an MLP, both scaled, shifted and gated by the condition (arXiv 2212.09748)."""

    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        self.attention = Attention(width)
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU("tanh"), nn.Linear(3 * width, width))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulate = zero(nn.Linear(width, 6 * width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        a, b, gate_a, c, d, gate_c = self.modulate(condition)[:, None].chunk(6, 2)
        x = x + gate_a * self.attention(self.norm(x) * (1 + a) + b)
        return x + gate_c * self.mlp(self.norm(x) * (1 + c) + d)


class MixerBlock(nn.Module):
    """An MLP over the tokens, then one over the channels (arXiv 2105.01601), scaled and shifted by the condition."""

    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        self.across = nn.Sequential(nn.Linear(tokens, 2 * tokens), nn.GELU("tanh"), nn.Linear(2 * tokens, tokens))
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU("tanh"), nn.Linear(3 * width, width))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulate = zero(nn.Linear(width, 4 * width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        a, b, c, d = self.modulate(condition)[:, None].chunk(4, 2)
        x = x + self.across((self.norm(x) * (1 + a) + b).transpose(1, 2)).transpose(1, 2)
        return x + self.mlp(self.norm(x) * (1 + c) + d)


class Tokens(nn.Module):
    """Patches as tokens through a row of blocks; the input comes through with a gain of its own per level."""

    block: type[nn.Module]

    def __init__(self, shape: tuple[int, ...], classes: int, patch: int, width: int, depth: int) -> None:
        super().__init__()
        axes, self.patch = len(shape) - 1, patch
        channels, tokens = shape[0] * patch**axes, math.prod(n // patch for n in shape[1:])
        self.condition = Condition(width, classes)
        self.enter = nn.Linear(channels, width)
        self.place = nn.Parameter(0.1 * torch.randn(tokens, width))
        self.blocks = nn.ModuleList(self.block(width, tokens) for _ in range(depth))
        self.norm, self.leave = nn.LayerNorm(width), zero(nn.Linear(width, channels))
        self.gain = zero(nn.Linear(width, 1))

    def forward(self, x: Tensor, level: Tensor, label: Tensor) -> Tensor:
        condition = self.condition(level, label)
        folded = fold(x, self.patch)
        patches = folded.flatten(2).transpose(1, 2)
        h = self.enter(patches) + self.place
        for block in self.blocks:
            h = block(h, condition)
        answer = self.leave(self.norm(h)) + self.gain(condition)[:, None] * patches
        return unfold(answer.transpose(1, 2).reshape(folded.shape), self.patch)


class DiT(Tokens):
    """The transformer."""

    block = DiTBlock


class Mixer(Tokens):
    """The MLP-mixer."""

    block = MixerBlock
