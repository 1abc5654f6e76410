"""A labelled sheet of pictures."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from .lettering import load_font, printable, wrap

Cell = Image.Image | str | None
"""A picture, the message of a cell that failed, or nothing yet."""

MOST_TILES = 4
PAPER, INK, WAITING, FAILED, ALARM = "white", "#202020", "#ececec", "#fbeceb", "#a3201a"


def tile(images: Tensor, size: int) -> Image.Image:
    """Up to 4 pictures of a batch (spread evenly over the frames of a video), beside and below each other.

    Args:
        images: `[N, height, width, 3]` in [0, 1], N from 1.
        size: about the length of the longer side of the tile in pixels. Small pictures are enlarged by whole factors.
    """
    count = min(len(images), MOST_TILES)
    across = math.ceil(math.sqrt(count))
    height, width = images.shape[1:3]
    scale = size / (across * max(height, width))
    scale = math.floor(scale) if scale >= 1 else scale
    shape = (max(round(width * scale), 1), max(round(height * scale), 1))
    result = Image.new("RGB", (shape[0] * across, shape[1] * math.ceil(count / across)), PAPER)
    for place, index in enumerate(np.linspace(0, len(images) - 1, count).round().astype(int)):
        pixels = (images[index].clamp(0, 1) * 255).round().byte().numpy()
        method = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
        picture = Image.fromarray(pixels).resize(shape, method)
        result.paste(picture, (place % across * shape[0], place // across * shape[1]))
    return result


def message_card(message: str, size: tuple[int, int]) -> Image.Image:
    """A message on a picture of a size, as large as fits; what does not fit is cut."""
    card = Image.new("RGB", size, FAILED)
    draw = ImageDraw.Draw(card)
    edge = max(min(size) // 24, 1)
    for letters in range(max(min(size) // 9, 8), 7, -1):
        font = load_font(letters)
        lines = wrap(message, font, size[0] - 2 * edge)
        if len(lines) * letters * 1.25 <= size[1] - 2 * edge:
            break
    for row, line in enumerate(lines):
        draw.text((edge, edge + row * letters * 1.25), line, ALARM, font)
    return card


def contact_sheet(
    cells: Sequence[Sequence[Cell]], columns: Sequence[str], rows: Sequence[str], title: str
) -> Image.Image:
    """Pictures of about the same size in a grid, below a title and the names of the columns.

    The names of the rows are at the left; empty ones take no room.
    """
    pictures = [cell for row in cells for cell in row if isinstance(cell, Image.Image)]
    width = max((picture.width for picture in pictures), default=256)
    height = max((picture.height for picture in pictures), default=256)
    gap = max(min(width, height) // 32, 3)
    # Legible where a node shows the whole sheet some 350 pixels wide, and narrow enough for its column.
    letters = min(max(width * len(columns) / 26, height * len(rows) / 50, 15), width / 6)
    font = load_font(letters)
    side = max(font.getlength(printable(row)) for row in rows) + 2 * gap if any(rows) else gap
    whole = round(side + len(columns) * (width + gap))
    heading = wrap(title, font, whole - 2 * gap)
    names = [wrap(column, font, width) for column in columns]
    line = letters * 1.3
    top = round(gap + (len(heading) + max(len(name) for name in names)) * line + gap)
    sheet = Image.new("RGB", (whole, top + len(rows) * (height + gap)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for index, text in enumerate(heading):
        draw.text((gap, gap + index * line), text, INK, font)
    for column, name in enumerate(names):
        middle = side + column * (width + gap) + width / 2
        for index, text in enumerate(reversed(name)):
            draw.text((middle, top - gap - index * line), text, INK, font, "mb")
    for row, name in enumerate(rows):
        draw.text((side - gap, top + row * (height + gap) + height / 2), printable(name), INK, font, "rm")
        for column, cell in enumerate(cells[row]):
            place = (round(side + column * (width + gap)), top + row * (height + gap))
            sheet.paste(_card(cell, (width, height)), place)
    return sheet


def _card(cell: Cell, size: tuple[int, int]) -> Image.Image:
    if isinstance(cell, str):
        return message_card(cell, size)
    return Image.new("RGB", size, WAITING) if cell is None else cell
