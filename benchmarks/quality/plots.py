"""The pictures of docs/measurements.md."""

import io
import math
from pathlib import Path

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from PIL import Image

from .grid import AUTO, Condition
from .summary import Block, geometric_mean, value

Cells = dict[tuple[Condition, int], Block]

PANELS = {
    "exact, no guidance": lambda condition: condition.exact and not condition.guided,
    "exact, guided": lambda condition: condition.exact and condition.guided,
    "networks, no guidance": lambda condition: not condition.exact and not condition.guided,
    "networks, guided": lambda condition: not condition.exact and condition.guided,
}
LINES = (AUTO, "euler", "dpmpp_2m", "uni_pc", "sa_solver, eta 0", "deis")
LIMIT = 4.0
"""Ratios beyond this are drawn in the same colour."""


def mean_ratios(cells: Cells, panel: str, name: str, calls: list[int]) -> list[float]:
    """Geometric mean over the conditions of a panel of the RMS ratio to euler; NaN where the sampler has no figures."""
    result = []
    for count in calls:
        blocks = [block for (condition, c), block in cells.items() if c == count and PANELS[panel](condition)]
        ratios = [value(block.get(name), "rms") / value(block["euler"], "rms") for block in blocks]
        mean = geometric_mean(ratios)
        result.append(mean if math.isfinite(mean) else math.nan)
    return result


def heatmap(cells: Cells, path: Path) -> None:
    """Rows: samplers, best first; columns: calls; colour: RMS distance to the converged solution against euler."""
    calls = {panel: sorted({n for condition, n in cells if holds(condition)}) for panel, holds in PANELS.items()}
    samplers = list(dict.fromkeys(name for block in cells.values() for name in block))
    panels = {panel: {name: mean_ratios(cells, panel, name, calls[panel]) for name in samplers} for panel in PANELS}

    def order(name: str) -> float:
        figures = [x for panel in panels.values() for x in panel[name] if not math.isnan(x)]
        return geometric_mean(figures) if figures else math.inf

    samplers = sorted((name for name in samplers if order(name) < math.inf), key=order)
    figure = Figure(figsize=(12, 1.6 + 0.165 * len(samplers)), dpi=80, layout="constrained")
    shade = TwoSlopeNorm(vmin=-math.log(LIMIT), vcenter=0, vmax=math.log(LIMIT))
    for axes, (panel, ratios) in zip(figure.subplots(1, len(PANELS), sharey=True), panels.items(), strict=True):
        grid = np.array([ratios[name] for name in samplers])
        axes.imshow(np.log(grid), cmap="RdYlGn_r", norm=shade, aspect="auto", interpolation="nearest")
        for (row, column), ratio in np.ndenumerate(grid):
            if not math.isnan(ratio):
                ink = "white" if abs(math.log(ratio)) > 0.75 * math.log(LIMIT) else "black"
                text = f"{ratio:.2f}" if ratio < 9.5 else ">9"
                axes.text(column, row, text, color=ink, ha="center", va="center", fontsize=6)
        axes.set_title(panel, fontsize=9)
        axes.set_xticks(range(len(calls[panel])), calls[panel], fontsize=7)
        axes.set_xlabel("model calls", fontsize=8)
        axes.set_yticks(range(len(samplers)), samplers, fontsize=7)
        for label in axes.get_yticklabels():
            label.set_fontweight("bold" if label.get_text() == AUTO else "normal")
    figure.suptitle("RMS distance to the converged solution, as a ratio to euler (green: closer)", fontsize=10)
    _save(figure, path)


def convergence(cells: Cells, path: Path) -> None:
    """RMS distance against model calls, geometric means over the conditions of each panel."""
    figure = Figure(figsize=(10, 3.4), dpi=100, layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        calls = sorted({count for condition, count in cells if PANELS[panel](condition)})
        for name in LINES:
            means = []
            for count in calls:
                blocks = [block for (condition, c), block in cells.items() if c == count and PANELS[panel](condition)]
                means.append(geometric_mean(value(block.get(name), "rms") for block in blocks))
            axes.loglog(calls, means, marker="o", markersize=3, linewidth=2.5 if name == AUTO else 1, label=name)
        axes.set_title(panel, fontsize=9)
        axes.set_xlabel("model calls", fontsize=8)
        axes.set_xticks(calls, calls, fontsize=7)
        axes.tick_params(labelsize=7)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("RMS distance to the converged solution", fontsize=8)
    figure.axes[0].legend(fontsize=7)
    _save(figure, path)


def schedules(panels: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Sigmas over the steps, a panel a kind of model; the last one is 0."""
    figure = Figure(figsize=(9, 3.4), dpi=100, layout="constrained")
    for axes, (title, lines) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        logless = title.startswith("flow")
        for name, sigmas in lines.items():
            shown = sigmas if logless else sigmas[:-1]
            axes.plot(shown, marker="o", markersize=3, linewidth=2.5 if name == "lml" else 1, label=name)
        axes.set_yscale("linear" if logless else "log")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step", fontsize=9)
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("sigma", fontsize=9)
    figure.axes[0].legend(fontsize=8)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    """As a PNG with a palette: the pictures ship with the pack."""
    data = io.BytesIO()
    figure.savefig(data)
    Image.open(data).convert("RGB").quantize(64).save(path, optimize=True)
