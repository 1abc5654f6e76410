"""A recorded run as text, as JSON and as a plot."""

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

from ...lml_sampler import LMLSettings
from ...lml_sampler.diagnostics import StepReport
from ..inputs.choice import describe
from ..pictures.drawing import INK, Line, chart
from ..pictures.lettering import load_font, wrap

PANEL = (564, 330)
LETTERS = 22
"""Height of the letters: a plot is shown half as wide on a node and in the help."""


COLUMNS = {
    "length": "|u|",
    "across": "|u_perp|",
    "turn": "turn °",
    "rotation": "rotation °",
    "gain": "gain",
    "damping": "λ",
    "trust": "trust",
    "guidance": "guidance",
    "news": "news",
}
"""The figures of `StepReport` in the table, and their headings."""

WASTED = 0.05
"""A call is said to be wasted below this share of what the others told on average. On exact problems, leaving out such
a call moved the distance of the median picture to the finished one up by 3 % at the most."""

PANELS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("How the path turns", "degrees", {"turn": "turn of the path", "rotation": "bent by LML"}),
    ("How far the turn is extrapolated", "share", {"gain": "gain", "trust": "trust"}),
)
"""Title, label, and the figures that are drawn with their names."""


class Report:
    """What one run did."""

    def __init__(self, settings: LMLSettings, steps: Sequence[StepReport]) -> None:
        self.settings = settings
        self.steps = steps

    def text(self) -> str:
        """The table, means and ranges over the batch; then the times and what was left out."""
        headings = ["step", "σ", *COLUMNS.values(), "model s", "sampler s"]
        rows = [headings, *(self._row(index, step) for index, step in enumerate(self.steps))]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        model, sampler = self._seconds()
        summary = f"{len(self.steps)} steps: model {model:.3g} s, sampler {sampler:.3g} s (with the measuring)."
        return "\n".join([self.conclusion(), describe(self.settings), *table, summary, *self._notes()])

    def _row(self, index: int, step: StepReport) -> list[str]:
        figures = [_show(getattr(step, name)) for name in COLUMNS]
        times = [f"{step.model_seconds:.3g}", f"{step.sampler_seconds:.3g}"]
        return [str(index + 1), f"{step.sigma:.4g}", *figures, *times]

    def _seconds(self) -> tuple[float, float]:
        """What model and sampler took in all."""
        return sum(step.model_seconds for step in self.steps), sum(step.sampler_seconds for step in self.steps)

    def _notes(self) -> list[str]:
        """Every note once, with the steps that it is about."""
        steps: dict[str, list[str]] = {}
        for number, step in enumerate(self.steps, 1):
            for note in step.notes:
                steps.setdefault(note, []).append(str(number))
        return [f"Step{'s' * (len(numbers) > 1)} {', '.join(numbers)}: {note}." for note, numbers in steps.items()]

    def json(self) -> str:
        """Everything, each figure for each picture of the batch; what is not a number is null."""
        steps = [_finite(step._asdict()) for step in self.steps]
        settings = dataclasses.asdict(self.settings)
        content = {"format": "lml-sampler report", "version": 1, "settings": settings, "steps": steps}
        return json.dumps(content, indent=1, allow_nan=False)

    def conclusion(self) -> str:
        """What the run shows, in sentences; first what can be done about it, as a node shows two lines."""
        turns = [(_mean(step.turn), index + 1) for index, step in enumerate(self.steps) if _numbers(step.turn)]
        bent = [_mean(step.rotation) for step in self.steps if _numbers(step.rotation)]
        model, sampler = self._seconds()
        time = f"the sampler took {sampler / max(model + sampler, 1e-9):.1%} of the time"
        if not turns:
            return f"{self._nothing_to_learn()}; {time}."
        most, where = max(turns)
        lml = "LML corrects nothing"
        if bent:
            lml = f"LML bends {len(bent)} of {len(self.steps)} steps, by {sum(bent) / len(bent):.2g}° on average"
        return (
            f"{_wasted_sentence(self.wasted())}The path turns most before step {where}, by {most:.2g}°; {lml}; {time}."
        )

    def _nothing_to_learn(self) -> str:
        """Why no step knows a turn."""
        if self.settings.neutral:
            return "κ is 0: this is the plain sampler"
        if len(self.steps) == 1:
            return "One step: there is no turn to learn from"
        return "The noise level does not fall: every step is plain"

    def wasted(self) -> list[int]:
        """The calls that told almost nothing new, by number."""
        told = {index + 1: _mean(step.news) for index, step in enumerate(self.steps) if _numbers(step.news)}
        total = sum(told.values())
        return [number for number, news in told.items() if news * (len(told) - 1) < WASTED * (total - news)]

    def plot(self) -> Image.Image:
        """The panels one above the other, below the conclusion."""
        panels = self.panels()
        font = load_font(LETTERS)
        lines = wrap(self.conclusion(), font, PANEL[0] - 2 * LETTERS)
        top = round((len(lines) + 1) * LETTERS * 1.3)
        sheet = Image.new("RGB", (PANEL[0], top + len(panels) * PANEL[1]), "white")
        draw = ImageDraw.Draw(sheet)
        for index, line in enumerate(lines):
            draw.text((LETTERS, LETTERS * (0.7 + 1.3 * index)), line, INK, font)
        for index, panel in enumerate(panels):
            sheet.paste(panel, (0, top + index * PANEL[1]))
        return sheet

    def panels(self) -> list[Image.Image]:
        """What is told, each against the number of the step; the most important first."""
        panels = [panel for panel in (self._panel(*panel) for panel in PANELS) if panel is not None]
        numbers = range(1, len(self.steps) + 1)
        times = [
            Line("model", numbers, [1000 * step.model_seconds for step in self.steps]),
            Line("sampler", numbers, [1000 * step.sampler_seconds for step in self.steps]),
        ]
        return [*panels, _chart("Time of a step", "milliseconds", True, times)]

    def _panel(self, title: str, label: str, names: dict[str, str]) -> Image.Image | None:
        lines = []
        for name, shown in names.items():
            values = [_numbers(getattr(step, name)) for step in self.steps]
            if any(values):
                means = [_mean(those) for those in values]
                ranges = [(min(those), max(those)) if those else (math.nan, math.nan) for those in values]
                lines.append(Line(shown, range(1, len(values) + 1), means, ranges=ranges))
        return _chart(title, label, False, lines) if lines else None


def _chart(title: str, label: str, log: bool, lines: Sequence[Line]) -> Image.Image:
    return chart(lines, title=title, x_label="step", y_label=label, log_y=log, size=PANEL, letters=LETTERS)


def _wasted_sentence(calls: Sequence[int]) -> str:
    if not calls:
        return ""
    numbers = ", ".join(map(str, calls))
    if len(calls) == 1:
        return f"Almost nothing new came of call {numbers}: another scheduler may spend it better. "
    return f"Almost nothing new came of calls {numbers}: another scheduler may spend them better. "


def _mean(values: Sequence[float] | None) -> float:
    """The mean of what can be shown, nan if that is nothing."""
    shown = _numbers(values)
    return sum(shown) / len(shown) if shown else math.nan


def _numbers(values: Sequence[float] | None) -> list[float]:
    """What of the values can be shown."""
    return [value for value in values or () if math.isfinite(value)]


def _show(values: Sequence[float] | None) -> str:
    """Mean and range."""
    if values is None:
        return "-"
    if not all(map(math.isfinite, values)):
        return "not finite"
    mean, low, high = sum(values) / len(values), min(values), max(values)
    return f"{mean:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{mean:.3g} ({low:.3g} to {high:.3g})"


def _finite(value: Any) -> Any:
    """A structure with null in place of the numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
