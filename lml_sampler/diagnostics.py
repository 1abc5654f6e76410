"""What one run did, step by step: collected on the device, read to the host once after the run."""

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .correction import inner, measure_turn, nonzero
from .parametrization import Level
from .settings import LMLSettings
from .step import Figures

FIGURES = ("length", "across", "turn", "rotation", "gain", "damping", "trust", "guidance", "news")
"""The figures that a step has for each sample."""


class StepReport(NamedTuple):
    """One step. The figures are one per sample, None where the step has none of it.

    u is the vector that is corrected (`LMLSettings.target`), p the one of the step before.
    """

    sigma: float
    sigma_next: float
    length: list[float] | None
    """|u|."""
    across: list[float] | None
    """|u_perp|: length of the part of p orthogonal to u."""
    turn: list[float] | None
    """Angle between p and u, in degrees."""
    rotation: list[float] | None
    """Angle between u and the vector that was followed in its place, in degrees."""
    gain: list[float] | None
    """How far u was extrapolated, in units of the last change: |v_perp| / |u_perp|, v_perp being the part orthogonal
    to u of what was followed; 0 where nothing turns."""
    damping: list[float] | None
    """The lambda that was used, in units of |u|^2."""
    trust: list[float] | None
    """Scheme `auto`: the share of the hindsight that was applied to the step before, 0 to 1."""
    guidance: list[float] | None
    """How much guidance adds to the noise prediction, in units of |u|, where that is known."""
    news: list[float] | None
    """About how far the picture would end elsewhere without this call, as a length; see `news`."""
    notes: tuple[str, ...]
    """What was left out at this step, and why."""
    model_seconds: float
    sampler_seconds: float


class Recorder:
    """Takes note of one run of `sample_lml`. Make one for each run; `read` it afterwards.

    It keeps small tensors where they are and marks times without waiting for the device, so it is only `read` that
    waits. Without a recorder nothing of this is computed.
    """

    def __init__(self) -> None:
        self.settings: LMLSettings | None = None
        """The settings of the run."""
        self._levels: Sequence[Level] = ()
        self._figures: list[dict[str, Tensor]] = []
        self._notes: list[list[str]] = []
        self._marks: list[Any] = []
        self._answers: list[Tensor | None] = []
        self._device = torch.device("cpu")

    def begin(self, settings: LMLSettings, levels: Sequence[Level], device: torch.device) -> None:
        """A run begins.

        Raises:
            RuntimeError: the recorder has seen a run already.
        """
        if self.settings is not None:
            raise RuntimeError("this Recorder has seen a run already; make a new one for each run")
        self.settings, self._levels, self._device = settings, levels, device

    def step(self) -> None:
        """A step begins."""
        self._figures.append({})
        self._notes.append([])
        settings, index, steps = self.settings, len(self._notes) - 1, len(self._levels) - 1
        if settings is None or settings.neutral:
            self.note("the settings are neutral: this is the plain scheme")
        elif settings.kappa_factor(index, steps) == 0:
            self.note("the κ curve is 0 here")
        elif not settings.corrects(index, steps):
            self.note("outside of start_percent to end_percent")
        self.mark()

    def mark(self) -> None:
        """Take the time: each step has four, around the model and around the sampler."""
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self._device))
            self._marks.append(event)
        else:
            self._marks.append(time.perf_counter())

    def note(self, text: str) -> None:
        """Say what this step left out."""
        self._notes[-1].append(text)

    def take(self, parts: Sequence[tuple[Figures | None, Tensor | None]], note: str = "") -> None:
        """The figures of this step and their weight, for each part of the latent, and why the step was plain."""
        shown = [(figures, weight) for figures, weight in parts if figures is not None]
        measured = [measure(figures, weight) for figures, weight in shown]
        here = len(self._notes) - 1
        for values, (figures, weight), before in zip(measured, shown, self._answers, strict=False):
            if figures.denoised is not None and before is not None:
                levels = self._levels[here - 1], self._levels[here]
                values["news"] = news(figures.denoised - before, *levels, weight)
        self._answers = [figures.denoised for figures, _ in shown]
        for name in measured[0] if measured else ():
            self._figures[-1][name] = torch.cat([values[name].flatten() for values in measured])
        notes = [note] if note else [note for figures, _ in shown for note in figures.notes]
        if any(figures.previous is None for figures, _ in shown):
            notes.append("there is no step before this one to learn from")
        self._notes[-1] += dict.fromkeys(notes)

    def read(self) -> list[StepReport]:
        """Every step that was finished: the one read of the device."""
        steps = len(self._marks) // 4
        values = [value for figures in self._figures[:steps] for value in figures.values()]
        host = iter(torch.stack(values).tolist() if values else ())
        seconds = self._seconds()
        reports = []
        for index in range(steps):
            read = {name: next(host) for name in self._figures[index]}
            reports.append(
                StepReport(
                    self._levels[index].sigma,
                    self._levels[index + 1].sigma,
                    *(read.get(name) for name in FIGURES),
                    notes=tuple(self._notes[index]),
                    model_seconds=seconds[4 * index],
                    sampler_seconds=seconds[4 * index + 2],
                )
            )
        return reports

    def _seconds(self) -> list[float]:
        """The time between each mark and the next one."""
        pairs = list(zip(self._marks, self._marks[1:], strict=False))
        if self._device.type != "cuda":
            return [after - before for before, after in pairs]
        self._marks[-1].synchronize()
        return [before.elapsed_time(after) / 1000 for before, after in pairs]


def measure(figures: Figures, weight: Tensor | None) -> dict[str, Tensor]:
    """The numbers of `FIGURES` for each sample, `[B, 1, ...]`; `weight` as in `Step`."""
    vector, previous, corrected, damping, trust, _, guidance, _ = figures
    turn = measure_turn(vector, vector if previous is None else previous, weight)
    length = inner(vector, vector, weight).sqrt()
    values = {"length": length}
    if previous is not None:
        tangent = turn.tangent_squared.sqrt()
        values["across"] = tangent * length
        values["turn"] = torch.rad2deg(torch.atan2(tangent, turn.along / turn.energy))
    if corrected is not None:
        bend = measure_turn(vector, corrected, weight)
        values["rotation"] = torch.rad2deg(torch.atan2(bend.tangent_squared.sqrt(), bend.along / bend.energy))
        values["gain"] = (bend.tangent_squared / nonzero(turn.tangent_squared)).sqrt()
    if damping is not None:
        base, sensitivity = damping
        values["damping"] = turn.tangent_squared * sensitivity + base
    if trust is not None:
        values["trust"] = trust.expand_as(turn.energy)
    if guidance is not None:
        values["guidance"] = (inner(guidance, guidance, weight) / turn.energy).sqrt()
    return values


def news(change: Tensor, before: Level, here: Level, weight: Tensor | None) -> Tensor:
    """How far the picture would end elsewhere, had the model's answer not changed on the step to `here`, `[B, 1, ...]`.

        |change| (alpha - alpha before sigma / sigma before) / sqrt(alpha^2 + sigma^2)

    The bracket moves the state, and a state that is off there ends that much less off for data of unit width.
    """
    moved = here.alpha - before.alpha * here.sigma / before.sigma
    return inner(change, change, weight).sqrt() * (moved / math.hypot(here.alpha, here.sigma))
