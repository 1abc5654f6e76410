"""What a search is asked for, checked before the first model call."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from ... import lml_sampler as core
from ...lml_sampler import LMLSettings
from ...lml_sampler.settings import MULTISTEP, Scheme
from .. import host
from ..inputs import Job, choice
from . import tuning
from .tuning import Parameter

REFERENCE = "dpmpp_2m"
"""Second order on eps, v and flow models alike."""

BASELINE = "euler"
"""What everything is compared with: what the default is without its correction."""

BUILT_IN = (BASELINE, "dpmpp_2m", "uni_pc", "deis", "res_multistep", "gradient_estimation")
"""Samplers to compare with: one model call a step, no noise."""

LEAST_STEP = 0.01
"""The first step of the reference, as a share of its second, below which it is no step."""


@dataclass(frozen=True)
class Task:
    """What is searched for, checked on construction.

    Raises:
        ValueError: names the input, its value, the range and the remedy.
    """

    job: Job
    base: LMLSettings
    axis: Parameter
    candidates: dict[str, LMLSettings]
    seeds: tuple[int, ...]
    evaluations: int
    reference_steps: int
    sigmas: Tensor = field(init=False)
    fine_sigmas: Tensor = field(init=False)

    def __post_init__(self) -> None:
        if self.base.stochastic:
            raise ValueError(
                f"The settings add noise (eta {self.base.eta:g}, renoise {self.base.renoise}), so there is no "
                "converged picture to compare with. Use settings without noise."
            )
        job = self.job
        host.check_filled(job.latent_image)
        check_reference(job.steps, self.reference_steps)
        tuning.check_budget(self.evaluations, len(self.candidates), self.axis.place(self.axis.of(self.base)))
        sigmas, fine = job.sigmas(job.steps), job.sigmas(self.reference_steps)
        # The reference starts at the noise of the run, also where the scheduler's first level depends on the steps.
        fine = torch.cat([sigmas[:1], _levels_below(sigmas[0], fine)]) if len(sigmas) else fine
        for name, steps, levels in (("steps", job.steps, sigmas), ("reference_steps", self.reference_steps, fine)):
            if len(levels) < 2 or not (levels.isfinite().all() and (levels.diff() < 0).all()):
                raise ValueError(
                    f"{name} is {steps}: the scheduler {job.scheduler!r} with denoise {job.denoise:g} makes no falling "
                    "schedule of it. Use another number or another scheduler."
                )
        self._check_parameter(len(sigmas) - 1)
        object.__setattr__(self, "sigmas", sigmas)
        object.__setattr__(self, "fine_sigmas", fine)

    def _check_parameter(self, steps: int) -> None:
        """See that the search can find something: that a step behind the first, which never is, is corrected."""
        tried = self.axis.put(self.base, self.axis.high)
        if not any(tried.corrects(step, steps) for step in range(1, steps)):
            raise ValueError(
                f"parameter is {self.axis.name}, which changes nothing here, because no step is corrected: steps is "
                f"{steps}, kappa (κ) {tried.kappa:g}, start_percent {tried.start_percent:g}, end_percent "
                f"{tried.end_percent:g}. Take 2 steps or more, a κ above 0, and settings that correct some steps."
            )

    @property
    def built_in(self) -> tuple[str, ...]:
        """The samplers to compare with that this ComfyUI has."""
        return tuple(name for name in BUILT_IN if name in host.sampler_names())

    @property
    def calls(self) -> tuple[int, int, int]:
        """Model calls for the references, for ComfyUI's samplers, and for the search at most."""
        runs, steps = len(self.seeds), len(self.sigmas) - 1
        return runs * (len(self.fine_sigmas) - 1), runs * steps * len(self.built_in), runs * steps * self.evaluations

    def budget(self) -> str:
        """What the search will cost, in words."""
        reference, built_in, search = self.calls
        return (
            f"At most {sum(self.calls)} model calls: {reference} for the references, {built_in} for "
            f"{len(self.built_in)} of ComfyUI's samplers, {search} for {self.evaluations} settings of LML. "
            "Cancel at any time: what has been measured is kept, and the next run goes on from there."
        )

    def keys(self) -> tuple[str, str]:
        """Hashes of all that decides the errors, and of all that decides the references.

        Raises:
            host.fingerprint.NoFingerprint: something has no content that could be compared.
        """
        job = self.job
        inputs = host.fingerprint.of([job.positive, job.negative, job.latent_image, job.cfg, self.fine_sigmas])
        reference = _hash([host.fingerprint.of_model(job.model), inputs])
        code = [path.read_text("utf-8") for path in sorted(Path(core.__file__).parent.rglob("*.py"))]
        return _hash([reference, self.sigmas.tolist(), job.scheduler, job.denoise, code]), reference


def _levels_below(first: Tensor, levels: Tensor) -> Tensor:
    """The levels that follow `first`.

    One that is lower by rounding alone is left out: a multistep reference would divide by that step, and take the
    rounding of the model's answers for the slope of the path.
    """
    below = levels[levels < first]
    same = len(below) > 1 and first - below[0] < LEAST_STEP * (below[0] - below[1])
    return below[1:] if same else below


def candidates(base: LMLSettings) -> dict[str, LMLSettings]:
    """The settings with every scheme that goes with them, by name; first the settings as they are."""
    found = {choice.scheme_name(base): base}
    for scheme in get_args(Scheme):
        changed: dict[str, Any] = {"scheme": scheme, "order": 2 if scheme in MULTISTEP else 1}
        if scheme == "auto" and base.damping_mode == "relative":
            changed["damping_mode"] = "adaptive"  # the only one that auto has; λ is of the same kind
        try:
            other = dataclasses.replace(base, **changed)
        except ValueError:  # the target is for another scheme
            continue
        found.setdefault(choice.scheme_name(other), other)
    return found


def check_reference(steps: int, reference_steps: int) -> None:
    """Raise ValueError unless the reference has enough steps."""
    if reference_steps < 2 * steps:
        raise ValueError(
            f"reference_steps is {reference_steps}; it must be {2 * steps} or more, twice the steps, "
            "and better ten times."
        )


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]
