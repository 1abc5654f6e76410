"""A recorded run as text, as JSON and as a plot."""

import dataclasses
import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from PIL import Image

from ..lml_sampler import LMLSettings
from ..lml_sampler.diagnostics import StepReport
from .drawing import Line, chart
from .preset_files import describe

PANEL = (760, 470)


class Figure(NamedTuple):
    """One figure of the report."""

    name: str
    """Of `StepReport`."""
    heading: str
    """In the table and in the legends."""


COLUMNS = (
    Figure("length", "|u|"),
    Figure("across", "|u_perp|"),
    Figure("turn", "turn °"),
    Figure("rotation", "rotation °"),
    Figure("gain", "gain"),
    Figure("damping", "λ"),
    Figure("trust", "trust"),
)

PANELS: tuple[tuple[str, str, bool, tuple[str, ...]], ...] = (
    ("How the path turns, and how LML bends it", "degrees", True, ("turn", "rotation")),
    ("How far it extrapolates", "gain, trust", False, ("gain", "trust")),
    ("Damping", "λ / |u|²", True, ("damping",)),
    ("Length of the step, and of its change", "", True, ("length", "across")),
)
"""Title, label, whether logarithmic, and what is drawn."""


class Report:
    """What one run did."""

    def __init__(self, settings: LMLSettings, steps: Sequence[StepReport]) -> None:
        self.settings = settings
        self.steps = steps

    def text(self) -> str:
        """The table, means and ranges over the batch; then the times and what was left out."""
        headings = ["step", "σ", *(column.heading for column in COLUMNS), "model s", "sampler s"]
        rows = [headings, *(self._row(index, step) for index, step in enumerate(self.steps))]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        model = sum(step.model_seconds for step in self.steps)
        sampler = sum(step.sampler_seconds for step in self.steps)
        notes = [f"Step {index + 1}: {note}." for index, step in enumerate(self.steps) for note in step.notes]
        summary = f"{len(self.steps)} steps: model {model:.3g} s, sampler {sampler:.3g} s (with the measuring)."
        return "\n".join([describe(self.settings), *table, summary, *_merged(notes)])

    def _row(self, index: int, step: StepReport) -> list[str]:
        figures = [_show(getattr(step, column.name)) for column in COLUMNS]
        times = [f"{step.model_seconds:.3g}", f"{step.sampler_seconds:.3g}"]
        return [str(index + 1), f"{step.sigma:.4g}", *figures, *times]

    def json(self) -> str:
        """Everything, each figure for each picture of the batch; what is not a number is null."""
        steps = [_finite(step._asdict()) for step in self.steps]
        content = {
            "format": "lml-sampler report",
            "version": 1,
            "settings": dataclasses.asdict(self.settings),
            "steps": steps,
        }
        return json.dumps(content, indent=1, allow_nan=False)

    def plot(self) -> Image.Image:
        """All figures against the number of the step."""
        panels = [panel for panel in (self._panel(*panel) for panel in PANELS) if panel is not None]
        numbers = range(1, len(self.steps) + 1)
        sigmas = Line("σ", numbers, [step.sigma for step in self.steps])
        panels.append(_chart("Noise level", "", True, [sigmas]))
        times = [
            Line("model", numbers, [1000 * step.model_seconds for step in self.steps]),
            Line("sampler", numbers, [1000 * step.sampler_seconds for step in self.steps]),
        ]
        panels.append(_chart("Time", "milliseconds", True, times))
        sheet = Image.new("RGB", (2 * PANEL[0], -(-len(panels) // 2) * PANEL[1]), "white")
        for index, panel in enumerate(panels):
            sheet.paste(panel, (index % 2 * PANEL[0], index // 2 * PANEL[1]))
        return sheet

    def _panel(self, title: str, label: str, log: bool, names: Sequence[str]) -> Image.Image | None:
        headings = {column.name: column.heading.removesuffix(" °") for column in COLUMNS}
        lines = []
        for name in names:
            values = [_numbers(getattr(step, name), log) for step in self.steps]
            if any(values):
                means = [sum(those) / len(those) if those else math.nan for those in values]
                ranges = [(min(those), max(those)) if those else (math.nan, math.nan) for those in values]
                lines.append(Line(headings[name], range(1, len(values) + 1), means, ranges=ranges))
        return _chart(title, label, log, lines) if lines else None


def _chart(title: str, label: str, log: bool, lines: Sequence[Line]) -> Image.Image:
    return chart(lines, title=title, x_label="step", y_label=label, log_y=log, size=PANEL)


def _numbers(values: Sequence[float] | None, positive: bool = False) -> list[float]:
    """What of the values can be shown."""
    return [value for value in values or () if math.isfinite(value) and (value > 0 or not positive)]


def _show(values: Sequence[float] | None) -> str:
    """Mean and range."""
    if values is None:
        return "-"
    if not all(map(math.isfinite, values)):
        return "not finite"
    mean, low, high = sum(values) / len(values), min(values), max(values)
    return f"{mean:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{mean:.3g} ({low:.3g} to {high:.3g})"


def _finite(value: Any) -> Any:
    """A structure with null for numbers that JSON has not."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _merged(notes: Sequence[str]) -> list[str]:
    """`Step 1: x.`, `Step 2: x.` as `Steps 1, 2: x.`"""
    steps: dict[str, list[str]] = {}
    for note in notes:
        number, text = note.removeprefix("Step ").split(": ", 1)
        steps.setdefault(text, []).append(number)
    return [f"Step{'s' * (len(numbers) > 1)} {', '.join(numbers)}: {text}" for text, numbers in steps.items()]
