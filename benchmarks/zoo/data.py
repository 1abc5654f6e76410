"""The data of the zoo: real pictures from packages, and pictures and sounds that are drawn.

Each set is `(values [N, C, ...] float16, labels [N])`, the same at every call. It is scaled to a root mean square of 1
about zero; what is sparse keeps its background at exactly 0.
"""

import gzip
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from shapes import RGB, draw
from sklearn.datasets import load_digits, load_sample_image
from torch import Tensor
from torch.nn.functional import interpolate, pad

Examples = tuple[Tensor, Tensor]
SEED = 20260
FASHION = Path("/usr/share/datasets/fashion-mnist")


def examples(name: str) -> Examples:
    """The set of a name; labels are all 0 where there are none."""
    values, labels = SETS[name](torch.Generator().manual_seed(SEED))
    return (values / values.pow(2).mean().sqrt()).half(), labels


def fashion(_: torch.Generator) -> Examples:
    """Ten kinds of clothing, grey, 32 x 32: the first half of fashion-MNIST (arXiv 1708.07747)."""
    if not FASHION.exists():
        raise FileNotFoundError(f"{FASHION} is missing: apt-get install dataset-fashion-mnist")
    pixels = np.frombuffer(gzip.open(FASHION / "train-images-idx3-ubyte.gz").read(), np.uint8, offset=16)
    labels = np.frombuffer(gzip.open(FASHION / "train-labels-idx1-ubyte.gz").read(), np.uint8, offset=8)
    pictures = torch.from_numpy(pixels.reshape(-1, 1, 28, 28)[:30000].copy()).float() / 127.5 - 1
    return pad(pictures, (2, 2, 2, 2), value=-1.0), torch.from_numpy(labels[:30000].astype(np.int64))


def digits(generator: torch.Generator) -> Examples:
    """Ten handwritten digits on black, 16 x 16, each at 16 places."""
    source = load_digits()
    pictures = torch.from_numpy(source.images).float()[:, None] / 16
    pictures = pad(interpolate(pictures, (12, 12), mode="bicubic").clamp(0, 1), (2, 2, 2, 2)).repeat(16, 1, 1, 1)
    moves = torch.randint(-2, 3, (len(pictures), 2), generator=generator).tolist()
    moved = [picture.roll(move, (1, 2)) for picture, move in zip(pictures, moves, strict=True)]
    return torch.stack(moved), torch.from_numpy(source.target).long().repeat(16)


def photograph(name: str, size: int, largest: int, count: int) -> Callable[[torch.Generator], Examples]:
    """Square pieces of a photograph at many scales, in colour."""

    def crops(generator: torch.Generator) -> Examples:
        picture = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1).float() / 127.5 - 1
        height, width = picture.shape[1:]
        pieces = []
        for scale, down, right, flip in torch.rand(count, 4, generator=generator).tolist():
            side = int(size * (largest / size) ** scale)
            top, left = int(down * (height - side)), int(right * (width - side))
            piece = picture[None, :, top : top + side, left : left + side]
            piece = interpolate(piece, (size, size), mode="bilinear", antialias=True, align_corners=False)[0]
            pieces.append(piece.flip(-1) if flip < 0.5 else piece)
        return torch.stack(pieces), torch.zeros(count, dtype=torch.long)

    return crops


def shapes(generator: torch.Generator) -> Examples:
    """Four shapes in six colours on a soft ground, 32 x 32; the label is shape * 6 + colour."""
    labels = torch.arange(16384) % (4 * len(RGB))
    return draw(labels // len(RGB), labels % len(RGB), generator), labels


def stars(generator: torch.Generator) -> Examples:
    """A dark sky, 32 x 32: a few point sources whose brightness follows a power law, and some discs of galaxies."""
    count, sources = 16384, 8
    grid = torch.arange(32).float()

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, sources, 1, 1, generator=generator)

    x, y = grid.view(1, 1, 1, -1) - uniform(0, 31), grid.view(1, 1, -1, 1) - uniform(0, 31)
    turn, squeeze, reach = uniform(0, math.pi), uniform(1, 2.5), uniform(1.5, 4)
    u, v = x * turn.cos() + y * turn.sin(), (y * turn.cos() - x * turn.sin()) * squeeze
    point, disc = torch.exp(-(x * x + y * y) / 2.4), torch.exp(-torch.hypot(u, v) / reach)
    brightness = uniform(0.02, 1) ** -0.8 * (uniform(0, 1) < 0.45)
    light = torch.where(uniform(0, 1) < 0.3, 0.3 * disc, point) * brightness
    sky = light.sum(1, keepdim=True).clamp(max=8)
    return torch.where(sky < 0.01, 0, sky), torch.zeros(count, dtype=torch.long)


def curves(generator: torch.Generator) -> Examples:
    """A thin closed line that winds over black, 32 x 32."""
    count, harmonics = 16384, 3
    angle = torch.linspace(0, 2 * math.pi, 97)[:-1]
    order = torch.arange(1, harmonics + 1).float()
    size = torch.randn(count, 2, harmonics, 1, generator=generator) / order.view(1, 1, -1, 1) ** 0.7
    phase = 2 * math.pi * torch.rand(count, 2, harmonics, 1, generator=generator)
    path = (size * torch.sin(order.view(1, 1, -1, 1) * angle + phase)).sum(2)
    path = 16 + 13 * path / path.abs().amax((1, 2), keepdim=True)
    grid = torch.arange(32) + 0.5
    pixels = torch.stack(torch.meshgrid(grid, grid, indexing="ij"), -1).flatten(0, 1)
    nearest = torch.cat([torch.cdist(pixels, p.transpose(1, 2)).amin(-1) for p in path.split(512)])
    return (1.6 - nearest).clamp(0, 1).view(count, 1, 32, 32), torch.zeros(count, dtype=torch.long)


def tones(generator: torch.Generator) -> Examples:
    """Plucked and bowed notes, one channel of 256 samples; the label is one of four pitches, plus 4 where bowed."""
    count = 16384
    labels = torch.arange(count) % 8

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, generator=generator)

    time = torch.linspace(0, 1, 256).view(1, 1, -1)
    bowed = (labels >= 4).view(-1, 1, 1)
    pitch = 5 * 2 ** ((labels % 4).view(-1, 1, 1) / 3) * uniform(0.985, 1.015)
    partials = torch.arange(1, 6).view(1, -1, 1)
    strength = partials.float() ** -uniform(0.7, 1.8) * torch.where(bowed & (partials % 2 == 0), 0.15, 1.0)
    phase = 2 * math.pi * torch.rand(count, 5, 1, generator=generator)
    wave = (strength * torch.sin(2 * math.pi * pitch * partials * time + phase)).sum(1, keepdim=True)
    onset = time - uniform(0, 0.3)
    plucked = torch.exp(-onset.clamp(min=0) * uniform(3, 9)) * torch.sigmoid(onset * 200)
    swell = torch.sigmoid(onset * 30) * torch.sigmoid((uniform(0.7, 1) - time) * 30)
    return wave * torch.where(bowed, swell, plucked) * uniform(0.7, 1.3), labels


SETS: dict[str, Callable[[torch.Generator], Examples]] = {
    "fashion": fashion,
    "digits": digits,
    "china": photograph("china.jpg", 32, 160, 20000),
    "flower": photograph("flower.jpg", 64, 320, 8000),
    "shapes": shapes,
    "stars": stars,
    "curves": curves,
    "tones": tones,
}
