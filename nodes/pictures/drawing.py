"""Charts with Pillow alone: matplotlib is none of ComfyUI's requirements."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from .axes import Axis, fit_axis, short, visible
from .lettering import load_font, printable

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#6a51a3", "#7f7f7f", "#3f7d20", "#b10058")
"""Told apart by people with any color vision; after Okabe and Ito, darkened for white paper."""

INK, GRID, FAINT = "#202020", "#e4e4e4", "#606060"
OVERSAMPLING = 2
"""Everything is drawn this much larger and scaled down, for smooth lines."""


class Line(NamedTuple):
    """A curve with a marker at each point; it breaks where a value is not finite."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    ranges: Sequence[tuple[float, float]] = ()
    """From where to where each point reaches, drawn as a thin bar through it."""


class Level(NamedTuple):
    """A dashed horizontal line, named at the right margin."""

    label: str
    y: float


class Mark(NamedTuple):
    """A ring around one point, named beside the lines."""

    label: str
    x: float
    y: float


def chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str,
    levels: Sequence[Level] = (),
    marks: Sequence[Mark] = (),
    log_x: bool = False,
    log_y: bool = False,
    span: Sequence[float] = (),
    size: tuple[int, int] = (1000, 620),
    letters: float | None = None,
) -> Image.Image:
    """A chart of lines, dashed levels and marked points.

    Values that cannot be shown (not finite, or not above 0 on a log axis) are left out. The x axis spans `span` in any
    case. The lettering is `letters` pixels high, else it follows the height of the picture.

    Raises:
        ValueError: there is nothing that can be shown.
    """
    canvas = _Canvas(size, letters)
    xs = [*span, *(x for line in lines for x in line.x), *(mark.x for mark in marks)]
    ys = [y for line in lines for y in (*line.y, *(end for ends in line.ranges for end in ends))]
    ys += [level.y for level in levels] + [mark.y for mark in marks]
    right = canvas.margin_for([level.label for level in levels])
    left, top, bottom = canvas.em * 5.5, canvas.em * (4.6 if lines else 3), canvas.height - canvas.em * 4
    x_axis = fit_axis(xs or [0.0, 1.0], left, canvas.width - right, log_x, 0.03)
    y_axis = fit_axis(ys, bottom, top, log_y, 0.06)
    canvas.frame(x_axis, y_axis, title, x_label, y_label)
    canvas.levels(levels, x_axis, y_axis, len(lines))
    for index, line in enumerate(lines):
        canvas.line(line, x_axis, y_axis, COLORS[index % len(COLORS)])
    for mark in marks:
        if visible(mark.x, log_x) and visible(mark.y, log_y):
            canvas.ring(x_axis.place(mark.x), y_axis.place(mark.y))
    canvas.legend([line.label for line in lines], [mark.label for mark in marks], left)
    return canvas.image.reduce(OVERSAMPLING)


def to_tensor(image: Image.Image) -> Tensor:
    """IMAGE of a picture: `[1, height, width, 3]` in [0, 1]."""
    return torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32) / 255)[None]


class _Canvas:
    """A white picture, larger by `OVERSAMPLING`, and what can be drawn on it."""

    def __init__(self, size: tuple[int, int], letters: float | None) -> None:
        self.width, self.height = (side * OVERSAMPLING for side in size)
        self.em = letters * OVERSAMPLING if letters else max(self.height / 34, 12)
        self.thin, self.thick = max(round(self.em / 8), 3), max(round(self.em / 5), 4)
        self.image = Image.new("RGB", (self.width, self.height), "white")
        self.draw = ImageDraw.Draw(self.image)
        self.font, self.large = load_font(self.em), load_font(self.em * 1.25)

    def margin_for(self, labels: Sequence[str]) -> float:
        """Width of the right margin with these labels in it."""
        widest = max((self.font.getlength(printable(label)) for label in labels), default=0)
        return widest + self.em * (3 if labels else 2)

    def frame(self, x_axis: Axis, y_axis: Axis, title: str, x_label: str, y_label: str) -> None:
        """Title, axes, grid, ticks and their labels."""
        box = (x_axis.start, y_axis.end, x_axis.end, y_axis.start)
        thin = max(round(self.em / 12), 1)
        for value in x_axis.ticks():
            x = x_axis.place(value)
            self.draw.line((x, box[1], x, box[3]), GRID, thin)
            self.draw.text((x, box[3] + self.em * 0.5), short(value), INK, self.font, "ma")
        labelled = float("inf")
        for value in y_axis.ticks():
            y = y_axis.place(value)
            self.draw.line((box[0], y, box[2], y), GRID, thin)
            if labelled - y >= self.em:  # on a log axis they come closer and closer
                self.draw.text((box[0] - self.em * 0.5, y), short(value), INK, self.font, "rm")
                labelled = y
        self.draw.rectangle(box, outline=FAINT, width=thin)
        self.draw.text((self.width / 2, self.em), printable(title), INK, self.large, "ma")
        middle = (box[0] + box[2]) / 2
        self.draw.text((middle, self.height - self.em * 0.6), printable(x_label), INK, self.font, "mb")
        self._upright(printable(y_label), (box[1] + box[3]) / 2)

    def _upright(self, text: str, middle: float) -> None:
        label = Image.new("RGB", (int(self.font.getlength(text)) + 2, int(self.em * 1.5)), "white")
        ImageDraw.Draw(label).text((0, 0), text, INK, self.font)
        label = label.rotate(90, expand=True)
        self.image.paste(label, (int(self.em * 0.3), int(middle - label.height / 2)))

    def levels(self, levels: Sequence[Level], x_axis: Axis, y_axis: Axis, taken: int) -> None:
        """Dashed lines, their names side by side at the right even where the lines are close."""
        shown = sorted(
            (y_axis.place(level.y), index) for index, level in enumerate(levels) if visible(level.y, y_axis.log)
        )
        for (y, index), at in zip(shown, spread([y for y, _ in shown], self.em * 1.2, y_axis.start), strict=True):
            color = COLORS[(taken + index) % len(COLORS)]
            self._dashes(x_axis.start, x_axis.end, y, color)
            elbow = x_axis.end + self.em * 0.8
            self.draw.line([(x_axis.end, y), (elbow, at), (elbow + self.em * 0.3, at)], color, self.thin)
            label = printable(levels[index].label)
            self.draw.text((elbow + self.em * 0.6, at), label, color, self.font, "lm")

    def _dashes(self, start: float, end: float, y: float, color: str) -> None:
        x = start
        while x < end:
            self.draw.line((x, y, min(x + self.em * 0.5, end), y), color, self.thin)
            x += self.em

    def line(self, line: Line, x_axis: Axis, y_axis: Axis, color: str) -> None:
        """A curve and its markers."""
        points = [
            (x_axis.place(x), y_axis.place(y)) if visible(x, x_axis.log) and visible(y, y_axis.log) else None
            for x, y in zip(line.x, line.y, strict=True)
        ]
        for here, there in itertools.pairwise(points):
            if here and there:
                self.draw.line([here, there], color, self.thick, joint="curve")
        for x, (low, high) in zip(line.x, line.ranges, strict=False):
            if visible(low, y_axis.log) and visible(high, y_axis.log):
                place = x_axis.place(x)
                self.draw.line((place, y_axis.place(low), place, y_axis.place(high)), color, self.thin)
        for point in points:
            if point:
                self.draw.circle(point, self.em * 0.28, color)

    def ring(self, x: float, y: float) -> None:
        """A mark, around a point or beside its name."""
        self.draw.circle((x, y), self.em * 0.55, outline=INK, width=self.thin)

    def legend(self, lines: Sequence[str], marks: Sequence[str], left: float) -> None:
        """The names of the lines and marks, below the title."""
        x, y = left, self.em * 3.5
        for index, label in enumerate([*lines, *marks]):
            if index < len(lines):
                color = COLORS[index % len(COLORS)]
                self.draw.line((x, y, x + self.em * 1.4, y), color, self.thick)
                self.draw.circle((x + self.em * 0.7, y), self.em * 0.28, color)
            else:
                self.ring(x + self.em * 0.7, y)
            self.draw.text((x + self.em * 1.8, y), printable(label), INK, self.font, "lm")
            x += self.em * 3 + self.font.getlength(printable(label))


def spread(places: Sequence[float], gap: float, bottom: float) -> list[float]:
    """Sorted places moved apart to `gap` at least, none below `bottom`."""
    result: list[float] = []
    for place in places:
        result.append(max(place, result[-1] + gap) if result else place)
    limit = bottom
    for index in reversed(range(len(result))):
        result[index] = min(result[index], limit)
        limit = result[index] - gap
    return result
