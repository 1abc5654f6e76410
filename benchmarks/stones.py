"""The picture world of the demo model: a veined stone of one shape and colour on wood, 64 x 64, unlimited and labelled.

Veins and grain have strong contrast at every size, which is what few steps lose first.
"""

import math

import torch
from shapes import RGB, axis, cover
from torch import Tensor

SIZE = 64
VEINS, GRAIN = 4, 6
"""How many dark and light bands go across the picture."""


def draw(shape: Tensor, color: Tensor, generator: torch.Generator, size: int = SIZE) -> Tensor:
    """Draw one picture per label.

    Args:
        shape: `[B]`, 0 circle, 1 square, 2 triangle, 3 star.
        color: `[B]`, indices into `RGB`.
        generator: source of place, size, turn, veins and grain.
        size: edge of the picture in pixels.

    Returns:
        `[B, 3, size, size]` in [-1, 1].
    """
    coverage, *_ = cover(shape, (0.55, 0.72), generator, size)
    turn, phase = 2 * math.pi * torch.rand(2, len(shape), 1, 1, generator=generator)
    x, y = axis(size)[None, None, :], axis(size)[None, :, None]
    across = math.pi * VEINS * (x * turn.cos() + y * turn.sin()) + phase
    stone = paint(color, (across + 1.3 * field(len(shape), size, 1, generator)).sin())
    wood = (math.pi * GRAIN * y + 2.8 * field(len(shape), size, 4, generator)).sin()
    return coverage * stone + (1 - coverage) * 0.5 * wood[:, None]


def paint(color: Tensor, tone: Tensor) -> Tensor:
    """Tones `[B, H, W]` from -1 to 1 as a dark, the full and a light shade of a color, in [-1, 1]."""
    full, tone = RGB[color][:, :, None, None], tone[:, None]
    dark, light = 0.12 * full, 0.6 * full + 0.4
    return 2 * torch.where(tone < 0, full + (full - dark) * tone, full + (light - full) * tone) - 1


def field(count: int, size: int, stretch: float, generator: torch.Generator) -> Tensor:
    """Smooth random fields of width 1, `[count, size, size]`, `stretch` times as long as they are high."""
    frequency = torch.hypot(torch.fft.fftfreq(size)[:, None], stretch * torch.fft.rfftfreq(size)[None])
    spectrum = (1 + (frequency / 0.035) ** 2) ** -1.25
    spectrum[0, 0] = 0
    noise = torch.fft.rfft2(torch.randn(count, size, size, generator=generator))
    values = torch.fft.irfft2(noise * spectrum, s=(size, size))
    return values / values.square().mean().sqrt()
