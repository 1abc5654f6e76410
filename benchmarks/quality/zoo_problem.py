"""The zoo's networks, sampled by ComfyUI's samplers. To be imported after `load_pack`."""

import torch
from torch import Tensor
from zoo.problems import load
from zoo.reference import STEPS, solve

from .bare import BareProblem, model_sampling


class ZooProblem(BareProblem):
    """One network with guidance at a scale; the labels go round."""

    def __init__(self, name: str, shift: float | None, cfg: float, samples: int, seed: int) -> None:
        self.network = load(name)
        self.labels = self.network.labels(samples)
        path = self.network.parametrization
        levels = (self.network.sigma_min, self.network.sigma_max)
        noise = torch.randn((samples, *self.network.shape), generator=torch.Generator().manual_seed(seed))
        super().__init__(model_sampling(path, shift or self.network.shift, levels), noise, cfg, seed)

    def conditional(self, x: Tensor, sigma: float) -> Tensor:
        return self.network.denoise(x, sigma, self.labels)

    def unconditional(self, x: Tensor, sigma: float) -> Tensor:
        return self.network.denoise(x, sigma)

    def converged(self) -> Tensor:
        """Where the path leads from `start()`, `[B, D]` in float64."""
        with torch.inference_mode():
            return solve(self.network, self.cfg, self.start(), STEPS).flatten(1)
