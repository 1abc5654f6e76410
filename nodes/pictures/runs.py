"""One run and its pictures: a cell of a sweep, a side of a comparison."""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ...lml_sampler import LMLSettings
from .. import host
from ..inputs import Job


@dataclass(frozen=True)
class Run:
    """How a picture is sampled; equal runs give equal pictures."""

    sampler: str
    settings: LMLSettings | None
    """None for the samplers of ComfyUI."""
    steps: int
    cfg: float


def pictures(job: Job, vae: Any, run: Run, callback: Any) -> Tensor:
    """The pictures of one run on the CPU, `[N, height, width, 3]`.

    Raises:
        ValueError: they are not finite; or whatever the run raises.
    """
    if run.settings is None:
        sampler, sigmas = host.built_in_sampler(run.sampler), job.sigmas(run.steps, run.sampler)
    else:
        sampler, sigmas = host.sampler(run.settings), job.sigmas(run.steps)
    images = host.running.decode(vae, replace(job, cfg=run.cfg).sample(sampler, sigmas, callback))
    if not images.isfinite().all():
        raise ValueError("The picture is not finite (NaN or infinity): this sampler breaks up here.")
    return images
