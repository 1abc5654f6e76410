"""A picture to be made, as the inputs of KSampler ask for it."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...lml_sampler import LMLSettings
from .. import host
from . import choice


@dataclass(frozen=True)
class Job:
    """What a node with KSampler's inputs, λ, κ and settings is given, by the names of these inputs."""

    model: Any
    seed: int
    steps: int
    cfg: float
    scheduler: str
    positive: Any
    negative: Any
    latent_image: dict[str, Any]
    denoise: float
    damping: float
    kappa: float
    settings: LMLSettings | None = None

    def scaled(self) -> LMLSettings:
        """The settings of the run; see `choice.scaled`."""
        return choice.scaled(self.settings, self.damping, self.kappa, self.model)

    def sigmas(self, steps: int, sampler_name: str | None = None) -> Tensor:
        """The schedule, `[steps + 1]`; that of one of ComfyUI's samplers if it is named."""
        return host.schedule(self.model, self.scheduler, steps, self.denoise, sampler_name)

    def sample(self, sampler: Any, sigmas: Tensor, callback: Any = None, add_noise: bool = True) -> dict[str, Any]:
        """The LATENT of one run, as `host.sample` makes it."""
        prompts = (self.positive, self.negative)
        return host.sample(
            self.model, sampler, sigmas, self.seed, self.cfg, *prompts, self.latent_image, add_noise, callback
        )
