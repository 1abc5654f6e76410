"""Charts, text and sheets, looked at pixel by pixel."""

import itertools
import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image


@pytest.fixture(scope="module")
def drawing(pack: ModuleType) -> ModuleType:
    return pack.nodes.pictures.drawing


def has(image: Image.Image, color: str, box: tuple[int, int, int, int] | None = None) -> int:
    """How many pixels of a part of a picture are close to a color."""
    wanted = np.array([int(color[k : k + 2], 16) for k in (1, 3, 5)])
    return int((np.abs(np.asarray(image.crop(box) if box else image, dtype=int) - wanted).max(-1) < 40).sum())


@pytest.mark.parametrize("size", [(1000, 620), (400, 260), (2000, 1200)])
def test_a_chart_shows_its_lines_and_levels(drawing: ModuleType, size: tuple[int, int]) -> None:
    lines = [drawing.Line("factor λ", [0, 0.5, 1, 2], [0.11, 0.08, 0.09, 0.13])]
    levels = [drawing.Level("euler", 0.107), drawing.Level("deis", 0.1)]
    marks = [drawing.Mark("tuned", 0.5, 0.08)]
    image = drawing.chart(lines, title="t", x_label="x", y_label="y", levels=levels, marks=marks, size=size)
    assert image.size == size
    for color in drawing.COLORS[:3]:
        assert has(image, color) > size[0] / 10, color
    bare = drawing.chart(lines, title="", x_label="", y_label="", size=size)
    assert has(bare, drawing.COLORS[1]) == 0
    tensor = drawing.to_tensor(image)
    assert tensor.shape == (1, size[1], size[0], 3) and tensor.dtype == torch.float32 and 0 <= tensor.min() <= 1


def test_a_line_breaks_where_there_is_no_value(drawing: ModuleType) -> None:
    def middle(values: list[float], **options: Any) -> int:
        lines = [drawing.Line("", [1, 2, 3, 4, 5], values)]
        image = drawing.chart(lines, title="", x_label="", y_label="", **options)
        return has(image, drawing.COLORS[0], (400, 100, 660, 560))

    whole = middle([1, 1, 1, 1, 1])
    for gap in (math.nan, math.inf):
        assert middle([1, 1, gap, 1, 1]) < 0.2 * whole
    assert middle([1, 1, -1, 1, 1], log_y=True) < 0.2 * middle([1, 1, 1, 1, 1], log_y=True)


def test_points_lie_where_the_axis_says(drawing: ModuleType) -> None:
    """A rising line falls in the picture's rows, logarithmically if asked."""

    def rows(log: bool) -> list[float]:
        lines = [drawing.Line("", [1, 1.5, 2, 2.5, 3], [1, math.nan, 10, math.nan, 100])]
        image = drawing.chart(lines, title="", x_label="", y_label="", log_y=log)
        pixels = np.asarray(image.crop((120, 100, 980, 560)), dtype=int)
        where = np.abs(pixels - [0, 0x72, 0xB2]).max(-1) < 40
        thirds = np.array_split(where, 3, axis=1)
        return [float(np.nonzero(third)[0].mean()) for third in thirds]

    low, mid, high = rows(log=True)
    assert low - mid == pytest.approx(mid - high, abs=2) and low > mid > high
    low, mid, high = rows(log=False)
    assert (low - mid) / (low - high) == pytest.approx(9 / 99, abs=0.01)


def test_nothing_to_draw_is_named(drawing: ModuleType) -> None:
    with pytest.raises(ValueError, match="there is nothing to draw: none of 1 values is finite"):
        drawing.chart([drawing.Line("", [1], [math.nan])], title="", x_label="", y_label="")


@given(values=st.lists(st.floats(min_value=0), min_size=1, max_size=3))
def test_a_logarithmic_axis_shows_any_number_that_it_says_it_shows(pack: ModuleType, values: list[float]) -> None:
    """Down to what a float just is: a person may link any λ."""
    axes = pack.nodes.pictures.axes
    shown = [value for value in values if axes.visible(value, True)]
    assume(shown)
    axis = axes.fit_axis(values, 0.0, 100.0, True, 0.05)
    assert all(0 < axis.place(value) < 100 for value in shown) and axis.ticks()


@given(
    low=st.floats(1e-9, 1e6),
    factor=st.floats(1.001, 1e9),
    log=st.booleans(),
    most=st.integers(3, 12),
)
def test_ticks_are_few_and_inside_and_round_numbers_apart(
    pack: ModuleType, low: float, factor: float, log: bool, most: int
) -> None:
    axis = pack.nodes.pictures.axes.fit_axis([low, low * factor], 0.0, 100.0, log, 0.05)
    ticks = axis.ticks(most)
    assert 1 <= len(ticks) <= most + 1 and ticks == sorted(ticks)
    slack = 1e-6 * (axis.high - axis.low)
    assert all(axis.low - slack <= tick <= axis.high + slack for tick in ticks)
    assert all(-1e-3 <= axis.place(tick) <= 100.001 for tick in ticks if tick > 0 or not log)
    if not log:
        gaps = [f"{b - a:.4e}" for a, b in itertools.pairwise(ticks)]
        assert len({*gaps}) <= 1 and all(float(gap[:6]) in (1, 2, 2.5, 5) for gap in gaps)


@given(st.lists(st.floats(0, 500), min_size=1, max_size=12))
def test_labels_do_not_overlap(pack: ModuleType, places: list[float]) -> None:
    result = pack.nodes.pictures.drawing.spread(sorted(places), 20.0, 600.0)
    assert all(b - a >= 20 - 1e-6 for a, b in itertools.pairwise(result)) and result[-1] <= 600


@given(st.text(max_size=200), st.integers(8, 40), st.integers(30, 400))
def test_any_text_is_wrapped_and_printable(pack: ModuleType, text: str, size: int, width: int) -> None:
    lettering = pack.nodes.pictures.lettering
    font = lettering.load_font(size)
    lines = lettering.wrap(text, font, width)
    assert all(font.getlength(line) <= width or len(line) == 1 for line in lines)
    plain = lettering.printable(text)
    assert "".join("".join(lines).split()) == "".join(plain.split())
    assert all(letter == "\n" or " " <= letter <= "~" for letter in plain)


def test_greek_is_spelled(pack: ModuleType) -> None:
    assert pack.nodes.pictures.lettering.printable("λ 0.5 × κ é") == "lambda 0.5 x kappa e"


def test_a_sheet_holds_pictures_messages_and_labels(pack: ModuleType) -> None:
    sheets = pack.nodes.pictures.contact_sheet
    green, blue = (Image.new("RGB", (128, 128), color) for color in ("#00ff00", "#0000ff"))
    sheet = sheets.contact_sheet(
        [[green, "it failed: σ is NaN", None], [blue, blue, green]], ["a", "b", "c"], ["one", "two"], "title"
    )
    assert has(sheet, "#00ff00") == 2 * 128 * 128 and has(sheet, "#0000ff") == 2 * 128 * 128
    assert has(sheet, sheets.FAILED) > 1000 and has(sheet, sheets.ALARM) > 50 and has(sheet, sheets.INK) > 100


@pytest.mark.parametrize("channels", [3, 4])
def test_a_message_stands_for_pictures_of_any_kind(pack: ModuleType, channels: int) -> None:
    """Some VAEs also decode how opaque a picture is."""
    like = torch.zeros(2, 48, 64, channels)
    shown = pack.nodes.pictures.runs.message("it failed", like)
    assert shown.shape == like.shape and (shown[..., 3:] == 1).all() and shown[..., :3].std() > 0.05


@pytest.mark.parametrize("side", [64, 256, 1024])
def test_messages_are_as_large_as_fits(pack: ModuleType, side: int) -> None:
    card = pack.nodes.pictures.contact_sheet.message_card(
        "scheme is 'rk4'; choose one of ddim, dpmsolver", (side, side)
    )
    ink = (np.asarray(card.convert("L")) < 150).any(axis=1).nonzero()[0]
    assert ink.max() < side and ink.max() - ink.min() > side * 0.3


@pytest.mark.parametrize(
    ("shape", "size"), [((32, 32), (256, 256)), ((100, 50), (200, 100)), ((512, 1024), (128, 256))]
)
def test_tiles_keep_their_shape(pack: ModuleType, shape: tuple[int, int], size: tuple[int, int]) -> None:
    tile = pack.nodes.pictures.contact_sheet.tile(torch.rand(1, *shape, 3), 256)
    assert (tile.height, tile.width) == size
    frames = torch.arange(9).view(9, 1, 1, 1).expand(9, 32, 32, 3) / 8
    corners = pack.nodes.pictures.contact_sheet.tile(frames, 64)
    assert corners.size == (64, 64)
    assert [corners.getpixel(xy)[0] for xy in ((0, 0), (63, 0), (0, 63), (63, 63))] == [0, 96, 159, 255]
