"""Measure references, ComfyUI's samplers and settings of LML, and say what came of it."""

import dataclasses
import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ...lml_sampler import LMLSettings
from .. import host
from ..pictures.drawing import Level, Line, Mark, chart
from . import tuning
from .cache import Cache
from .task import BASELINE, REFERENCE, Task
from .tuning import Trial

log = logging.getLogger(__name__)


@dataclass
class Search:
    """One search while it runs.

    Attributes:
        trials: errors of settings of LML, in order; the first is that of the settings as they were.
        built_in: errors of ComfyUI's samplers; inf where one failed.
        made: model calls made.
    """

    task: Task
    trials: list[Trial] = field(default_factory=list)
    built_in: dict[str, float] = field(default_factory=dict)
    made: int = 0

    def run(self, folder: Path, show: Callable[[str], None]) -> None:
        """Measure everything. `show` tells the person how it goes.

        Raises:
            RuntimeError: the reference is not finite; or what a run of LML raises.
        """
        self._cache = self._open(folder)
        self._progress = host.running.Progress(self.task.job.model, sum(self.task.calls))
        show(f"{self.task.budget()} {self.note}".strip())
        log.info("LML Tune: %s", self.task.budget())
        try:
            self._measure()
        except BaseException:  # cancelled, as a rule: say what there is, then let it end
            if any(math.isfinite(trial.error) for trial in self.trials):
                best = tuning.best_of(self.trials)
                so_far = f"{self.named(best)}, error {best.error:.4g}"
                show(f"Ended early. Best so far: {so_far}. Run again to go on. {self.note}".strip())
            raise
        self._progress.finish()

    def _open(self, folder: Path) -> Cache:
        try:
            return Cache(folder, *self.task.keys())
        except host.fingerprint.NoFingerprint as reason:
            cache = Cache(None, "", "")
            cache.problem = f"Nothing is kept for the next run: {reason}, which cannot be compared."
            return cache

    @property
    def note(self) -> str:
        """What an earlier search has measured, and why something is not kept for the next one."""
        found = self._cache.found
        known = f"{found} runs were measured by an earlier search." if found else ""
        return f"{known} {self._cache.problem}".strip()

    def _measure(self) -> None:
        task = self.task
        for seed in task.seeds:
            self._reference(seed)
        for name in task.built_in:
            try:
                sampler, sigmas = host.built_in_sampler(name), task.job.sigmas(task.job.steps, name)
                self.built_in[name] = self._error(f"sampler {name}", sampler, sigmas)
            except host.running.Cancelled:
                raise
            except Exception:  # somebody else's sampler: a comparison less
                log.exception("LML Tune: %s failed", name)
                self.built_in[name] = math.inf

        def evaluate(candidate: str, value: float) -> float:
            settings = task.axis.put(task.candidates[candidate], value)
            run = json.dumps(dataclasses.asdict(settings), sort_keys=True)
            error = self._error(run, host.sampler(settings), task.sigmas)
            self.trials.append(Trial(candidate, value, error))
            if math.isfinite(error):
                self._progress.show(self.plot)
            return error

        tuning.search(list(task.candidates), task.axis, task.axis.of(task.base), evaluate, task.evaluations)

    def _reference(self, seed: int) -> None:
        steps = len(self.task.fine_sigmas) - 1
        if self._cache.reference(seed) is None:
            sampler = host.built_in_sampler(REFERENCE)
            latent = self._latent(sampler, self.task.fine_sigmas, seed)
            if not latent.isfinite().all():
                raise RuntimeError(
                    f"The reference ({REFERENCE}, {steps} steps) is not finite: the model fails on these inputs. "
                    "Lower cfg, or use another scheduler."
                )
            self._cache.keep_reference(seed, latent)
        self._progress.advance(steps)

    def _error(self, run: str, sampler: Any, sigmas: Tensor) -> float:
        """Mean over the seeds of the RMS distance to the reference."""
        errors = []
        for seed in self.task.seeds:
            error = self._cache.error(run, seed)
            if error is None:
                reference = self._cache.reference(seed)
                assert reference is not None
                error = _rms(self._latent(sampler, sigmas, seed), reference)
                self._cache.keep_error(run, seed, error)
            self._progress.advance(len(self.task.sigmas) - 1)
            errors.append(error)
        return sum(errors) / len(errors)

    def _latent(self, sampler: Any, sigmas: Tensor, seed: int) -> Tensor:
        job = dataclasses.replace(self.task.job, seed=seed)
        latent = job.sample(sampler, sigmas, self._progress.callback)
        self.made += len(sigmas) - 1
        return _flat(latent["samples"])

    @property
    def settings(self) -> LMLSettings:
        """The best settings."""
        best = tuning.best_of(self.trials)
        return self.task.axis.put(self.task.candidates[best.candidate], best.value)

    def named(self, trial: Trial) -> str:
        """A trial in words."""
        value = f"{self.task.axis.name} {trial.value:g}"
        return f"{trial.candidate}, {value}" if len(self.task.candidates) > 1 else value

    def report(self) -> str:
        """What was measured: the verdict first."""
        task, best, start = self.task, tuning.best_of(self.trials), self.trials[0]
        rows = [(f"LML tuned: {self.named(best)}", best.error)]
        rows += [(f"LML as it was: {self.named(start)}", start.error)] if start != best else []
        rows += list(self.built_in.items())
        width = max(len(name) for name, _ in rows)
        seeds = f"seed {task.seeds[0]}" + (f" and the {len(task.seeds) - 1} after it" if len(task.seeds) > 1 else "")
        lines = [self.verdict(), ""]
        lines += [
            f"  {name:<{width}}  {f'{error:.5f}' if math.isfinite(error) else 'failed'}"
            for name, error in sorted(rows, key=lambda row: row[1])
        ]
        lines += [
            "",
            f"RMS distance of the latent to {REFERENCE} with {len(task.fine_sigmas) - 1} steps.",
            f"{task.job.steps} steps, CFG {task.job.cfg:g}, {task.job.scheduler}, {seeds}.",
            f"{len(self.trials)} settings tried, {self.made} model calls. {self.note}".strip(),
        ]
        return "\n".join(lines)

    def verdict(self) -> str:
        """Short sentences, one a line, the most important one first."""
        best, start = tuning.best_of(self.trials), self.trials[0]
        baseline = self.built_in.get(BASELINE, math.inf)
        lines = [f"{self.named(best)}: {compared(best.error, baseline)} than {BASELINE}."]
        if best == start:
            lines.append("The settings were the best already.")
        else:
            lines.append(f"{compared(best.error, start.error)} than LML as it was.")
        rival = self._rival()
        if rival != BASELINE and math.isfinite(self.built_in[rival]):
            lines.append(
                f"{compared(best.error, self.built_in[rival])} than {rival}, the best of six of ComfyUI's samplers."
            )
            if self.built_in[rival] < best.error:
                lines.append(f"Here {rival} is the better choice.")
        if best.value in (self.task.axis.low, self.task.axis.high):
            lines.append(f"The best {self.task.axis.name} lies at the end of its range.")
        return "\n".join(lines)

    def _rival(self) -> str:
        """The best of the samplers in `Task.built_in`."""
        return min(self.built_in, key=lambda name: self.built_in[name], default=BASELINE)

    def plot(self) -> Image.Image:
        """Error against the parameter; euler and the best of the samplers in `Task.built_in` as lines."""
        lines = []
        for candidate in self.task.candidates:
            points = sorted((trial.value, trial.error) for trial in self.trials if trial.candidate == candidate)
            lines.append(
                Line(
                    candidate if len(self.task.candidates) > 1 else f"LML, {candidate}",
                    [x for x, _ in points],
                    [y for _, y in points],
                )
            )
        best = min(self.trials, key=lambda trial: trial.error)
        named = dict.fromkeys((BASELINE, self._rival()))
        levels = [Level(name, self.built_in[name]) for name in named if name in self.built_in]
        errors = [y for line in lines for y in line.y] + [level.y for level in levels]
        shown = [error for error in errors if math.isfinite(error) and error > 0]
        return chart(
            lines,
            title=self.verdict().split("\n")[0] if math.isfinite(best.error) else "Nothing finite yet",
            x_label=self.task.axis.name,
            y_label="distance to the picture",
            size=(564, 470),
            letters=22 if len(self.task.candidates) == 1 else 14,  # shown half as wide on a node and in the help
            levels=levels,
            marks=[Mark(f"best: {best.error:.4g} at {best.value:g}", best.value, best.error)],
            log_x=self.task.axis.log,
            span=(self.task.axis.low, self.task.axis.high),  # the first value may be one that is not on it: λ 0
            log_y=bool(shown) and max(shown) > 5 * min(shown),
        )


def _rms(latent: Tensor, reference: Tensor) -> float:
    """Root mean square difference of two latents of one shape, inf if it is not finite."""
    value = (latent.float() - reference.float()).square().mean().sqrt().item()
    return value if value == value else float("inf")


def _flat(samples: Any) -> Tensor:
    """The samples of a LATENT as `[B, N]` in float32 on the CPU; nested ones (video and audio) side by side."""
    return torch.cat([part.flatten(1).to("cpu", torch.float32) for part in host.parts_of(samples)], 1)


def compared(error: float, other: float) -> str:
    """How much closer an error is than another one, in words that `than` follows."""
    if other == 0 or not math.isfinite(other):
        return "closer" if error < other else "farther" if error > other else "no closer"
    share = 1 - error / other
    return f"{100 * abs(share):.0f} % {'closer' if share >= 0 else 'farther'}"
