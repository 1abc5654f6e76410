"""One run and its pictures: a cell of a sweep, a side of a comparison."""

import logging
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.nn import functional

from ...lml_sampler import LMLSettings
from .. import host
from ..inputs import Job
from . import contact_sheet, drawing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """How a picture is sampled; equal runs give equal pictures."""

    sampler: str
    settings: LMLSettings | None
    """None for the samplers of ComfyUI."""
    steps: int
    cfg: float

    def plan(self, job: Job) -> tuple[Any, Tensor]:
        """Its SAMPLER and its schedule.

        Raises:
            ValueError: see `host.schedule`.
        """
        if self.settings is None:
            return host.built_in_sampler(self.sampler), job.sigmas(self.steps, self.sampler)
        return host.sampler(self.settings), job.sigmas(self.steps)


def pictures(job: Job, vae: Any, run: Run, callback: Any) -> Tensor:
    """The pictures of one run on the CPU, `[N, height, width, 3]`, or 4 with how opaque they are.

    Raises:
        ValueError: they are no pictures, or not finite; or whatever the run raises.
    """
    sampler, sigmas = run.plan(job)
    images = host.running.decode(vae, replace(job, cfg=run.cfg).sample(sampler, sigmas, callback))
    if images.shape[-1] < 3:
        raise ValueError(
            f"vae makes something of {images.shape[-1]} channels, as sound has them; a picture has 3. "
            "Connect the VAE of a model for pictures or video."
        )
    if not images.isfinite().all():
        raise ValueError("The picture is not finite (NaN or infinity): this sampler breaks up here.")
    return images


def attempt(job: Job, vae: Any, run: Run, callback: Any) -> Tensor | str:
    """The same, or the reason why the run failed: what other runs have made is not lost with it.

    Raises:
        host.running.Cancelled: the person has cancelled it.
    """
    try:
        return pictures(job, vae, run, callback)
    except host.running.Cancelled:
        raise
    except Exception as error:
        log.exception("LML: %s failed", run)
        host.running.recover(error)
        return str(error) or type(error).__name__


def message(reason: str, like: Tensor) -> Tensor:
    """Why there are no pictures, in the shape of some, `[N, height, width, 3]`, or 4 with how opaque they are."""
    card = drawing.to_tensor(contact_sheet.message_card(reason, (like.shape[2], like.shape[1])))
    return functional.pad(card, (0, like.shape[3] - 3), value=1.0).expand(like.shape)
