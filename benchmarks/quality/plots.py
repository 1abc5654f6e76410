"""The pictures of docs/measurements.md."""

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from pages import shrink

from .grid import AUTO
from .summary import Cells, geometric_mean, samplers_in, value

PANELS = ("exact, no guidance", "exact, guided", "networks, no guidance", "networks, guided")
LINES = (AUTO, "euler", "dpmpp_2m", "uni_pc", "sa_solver, eta 0", "deis")
LIMIT = 4.0
"""Ratios beyond this are drawn in the same colour."""


def means(cells: Cells, panel: str, name: str, against: str | None = None) -> dict[int, float]:
    """By number of calls: the geometric mean over a panel's conditions of the RMS, perhaps as a ratio to another's."""
    figures: dict[int, list[float]] = defaultdict(list)
    for (condition, calls), block in cells.items():
        if f"{'exact' if condition.exact else 'networks'}, {condition.guidance}" == panel:
            scale = value(block[against], "rms") if against else 1.0
            figures[calls].append(value(block.get(name), "rms") / scale)
    return {calls: geometric_mean(figures[calls]) for calls in sorted(figures)}


def heatmap(cells: Cells, path: Path) -> None:
    """Rows: samplers, best first; columns: calls; colour: RMS distance to the converged solution against euler."""
    samplers = samplers_in(cells.values())
    panels = {panel: {name: means(cells, panel, name, "euler") for name in samplers} for panel in PANELS}

    def order(name: str) -> float:
        figures = [mean for panel in panels.values() for mean in panel[name].values() if math.isfinite(mean)]
        return geometric_mean(figures) if figures else math.inf

    samplers = sorted((name for name in samplers if order(name) < math.inf), key=order)
    figure = Figure(figsize=(12, 1.6 + 0.165 * len(samplers)), dpi=80, layout="constrained")
    shade = TwoSlopeNorm(vmin=-math.log(LIMIT), vcenter=0, vmax=math.log(LIMIT))
    for axes, (panel, ratios) in zip(figure.subplots(1, len(PANELS), sharey=True), panels.items(), strict=True):
        calls = list(ratios[samplers[0]])
        grid = np.array([list(ratios[name].values()) for name in samplers])
        axes.imshow(np.log(grid), cmap="RdYlGn_r", norm=shade, aspect="auto", interpolation="nearest")
        for (row, column), ratio in np.ndenumerate(grid):
            if math.isfinite(ratio):
                ink = "white" if abs(math.log(ratio)) > 0.75 * math.log(LIMIT) else "black"
                text = f"{ratio:.2f}" if ratio < 9.5 else ">9"
                axes.text(column, row, text, color=ink, ha="center", va="center", fontsize=6)
        axes.set_title(panel, fontsize=9)
        axes.set_xticks(range(len(calls)), calls, fontsize=7)
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
        calls = list(means(cells, panel, AUTO))
        for name in LINES:
            line = means(cells, panel, name).values()
            axes.loglog(calls, list(line), marker="o", markersize=3, linewidth=2.5 if name == AUTO else 1, label=name)
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
    figure.savefig(path)
    shrink(path, 64)
