"""What many runs have in common: the model, the prompt, the latent and the schedule."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .. import host


@dataclass(frozen=True)
class Scene:
    """The inputs of a KSampler that do not change from run to run."""

    model: Any
    positive: Any
    negative: Any
    latent: dict[str, Any]
    scheduler: str
    denoise: float

    def sigmas(self, steps: int, sampler_name: str | None = None) -> Tensor:
        """The schedule, `[steps + 1]`; that of one of ComfyUI's samplers if it is named."""
        return host.schedule(self.model, self.scheduler, steps, self.denoise, sampler_name)

    def sample(self, sampler: Any, sigmas: Tensor, seed: int, cfg: float, callback: Any) -> dict[str, Any]:
        """The LATENT of one run."""
        return host.sample(
            self.model, sampler, sigmas, seed, cfg, self.positive, self.negative, self.latent, callback=callback
        )
