"""Pictures of one coloured shape on a soft background, unlimited and labelled.

Every picture is drawn from signed distances with an antialiased edge, so shape and color of a sample can be judged
by a machine and the data never repeats.
"""

import math

import torch
from torch import Tensor

SIZE = 32

RGB = torch.tensor(
    [
        [0.86, 0.12, 0.14],
        [0.97, 0.52, 0.10],
        [0.97, 0.86, 0.16],
        [0.16, 0.66, 0.27],
        [0.13, 0.37, 0.83],
        [0.55, 0.23, 0.74],
    ]
)
"""red, orange, yellow, green, blue, violet: the order of the demo model's colors."""


def draw(shape: Tensor, color: Tensor, generator: torch.Generator, size: int = SIZE) -> Tensor:
    """Draw one picture per label.

    Args:
        shape: `[B]`, 0 circle, 1 square, 2 triangle, 3 star.
        color: `[B]`, indices into `RGB`.
        generator: source of place, size, turn, shade and background.
        size: edge of the picture in pixels.

    Returns:
        `[B, 3, size, size]` in [-1, 1].
    """
    count = len(shape)
    coverage, u, v = cover(shape, (0.42, 0.62), generator, size)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, generator=generator)

    light = (1.0 - 0.16 * (u + v)).clamp(0.6, 1.3) * uniform(0.85, 1.05)
    paint = (RGB[color][:, :, None, None] * light[:, None]).clamp(0, 1)
    tone, slope = uniform(0.12, 0.92), uniform(-0.12, 0.12)
    background = (tone + slope * axis(size)[None, :, None]).expand(count, size, size)[:, None]
    return (coverage * paint + (1 - coverage) * background).clamp(0, 1) * 2 - 1


def axis(size: int) -> Tensor:
    """The middles of the pixels along an edge, from -1 to 1."""
    return (torch.arange(size) + 0.5) / size * 2 - 1


def cover(
    shape: Tensor, radius: tuple[float, float], generator: torch.Generator, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Place one shape per label.

    Returns:
        How much of each pixel it covers, `[B, 1, size, size]`, and the pixels' coordinates in the shape's own frame,
        each `[B, size, size]`.
    """
    count = len(shape)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, generator=generator)

    reach = uniform(*radius)
    x = (axis(size)[None, None, :] - uniform(-1, 1) * (0.85 - reach)) / reach
    y = (axis(size)[None, :, None] - uniform(-1, 1) * (0.85 - reach)) / reach
    turn = uniform(-0.25, 0.25)
    u, v = x * turn.cos() + y * turn.sin(), y * turn.cos() - x * turn.sin()
    distances = torch.stack(
        [
            torch.hypot(u, v) - 0.95,
            torch.maximum(u.abs(), v.abs()) - 0.84,
            _star_distance(u, v, 3, 0.5) - 0.12,
            _star_distance(u, v, 5, 0.48) - 0.06,
        ]
    )
    distance = distances.gather(0, shape.view(1, -1, 1, 1).expand(1, -1, size, size))[0]
    return (0.5 - distance * reach * size / 2).clamp(0, 1)[:, None], u, v


def recognise(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Tell the shape and the color of pictures.

    The color is the nearest in hue where the picture is most colourful. The shape is that of the nearest of 4,000
    drawn silhouettes, all centred and scaled to one size.

    Args:
        pictures: `[B, 3, H, W]` in [-1, 1].

    Returns:
        Shape and color indices, each `[B]`.
    """
    pictures = torch.nn.functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)  # what noise a sample has
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4000) % 4
    drawn = _silhouettes(draw(labels, torch.arange(4000) % len(RGB), generator))
    shape = labels[torch.cdist(_silhouettes(pictures), drawn).argmin(1)]
    values, weight = (pictures + 1) / 2, _saturation(pictures)
    mean = (values * weight[:, None]).sum((2, 3)) / weight.sum((1, 2))[:, None]
    color = torch.cdist(_chroma(mean), _chroma(RGB)).argmin(1)
    return shape, color


def _star_distance(x: Tensor, y: Tensor, corners: int, inner: float) -> Tensor:
    """Signed distance to the edges of a star with outer radius 1 and inner radius `inner`, one tip up."""
    half = math.pi / corners
    angle = (torch.atan2(x, -y) + half).remainder(2 * half) - half
    radius = torch.hypot(x, y)
    px, py = radius * torch.cos(angle), radius * torch.sin(angle).abs()
    edge = (inner * math.cos(half) - 1.0, inner * math.sin(half))
    return ((px - 1.0) * edge[1] - py * edge[0]) / math.hypot(*edge)


def _saturation(pictures: Tensor) -> Tensor:
    """How colourful each pixel is for its brightness, `[B, H, W]`; 0 where it is nearly grey."""
    values = (pictures + 1) / 2
    brightest = values.amax(1)
    share = (brightest - values.amin(1)) / brightest.clamp_min(0.15)
    return torch.where(share > 0.25, share, torch.zeros_like(share))


def _chroma(rgb: Tensor) -> Tensor:
    """Hue and saturation without brightness, unit length."""
    centred = rgb - rgb.mean(-1, keepdim=True)
    return centred / centred.norm(dim=-1, keepdim=True)


def _silhouettes(pictures: Tensor, size: int = 16) -> Tensor:
    """The colourful region of each picture, centred and scaled, `[B, size * size]`."""
    mask = (_saturation(pictures) > 0).float()
    height, width = mask.shape[1:]
    ys, xs = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    area = mask.sum((1, 2)).clamp_min(1)
    x = (mask.sum(1) * xs).sum(1) / area
    y = (mask.sum(2) * ys).sum(1) / area
    spread = ((mask.sum(1) * (xs - x[:, None]) ** 2).sum(1) + (mask.sum(2) * (ys - y[:, None]) ** 2).sum(1)) / area
    zoom = 2.2 * spread.clamp_min(1e-4).sqrt()
    zero = torch.zeros_like(x)
    theta = torch.stack([torch.stack([zoom, zero, x], 1), torch.stack([zero, zoom, y], 1)], 1)
    grid = torch.nn.functional.affine_grid(theta, [len(mask), 1, size, size], align_corners=True)
    return torch.nn.functional.grid_sample(mask[:, None], grid, align_corners=True).flatten(1)
