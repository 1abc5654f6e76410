"""Problems whose denoiser is exact: data as a Gaussian mixture, guidance between exact denoisers.

To be imported after `load_pack`.
"""

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import comfy.model_sampling
import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_sample_images
from torch import Tensor

from .grid import Path

WIDTH = 0.05
"""Standard deviation of the Gaussian around each data point; the data lie in [-1, 1]."""
PATCH = 8
PATCHES_PER_PHOTOGRAPH = 450
PATCH_CLASSES = 8


class Data(NamedTuple):
    """Points with classes."""

    points: Tensor
    """`[K, D]`."""
    labels: Tensor
    """`[K]`."""
    shape: tuple[int, int, int]
    """Of one point as a latent; the product is D."""


@cache
def digits() -> Data:
    """The 1,797 handwritten digits of 8 x 8 grey pixels that scikit-learn ships; ten classes."""
    bunch: Any = load_digits()
    return Data(torch.tensor(bunch.data / 8 - 1), torch.tensor(bunch.target), (1, 8, 8))


@cache
def patches() -> Data:
    """900 patches of 8 x 8 x 3 from the two photographs that scikit-learn ships, at half size.

    Their classes are clusters of k-means, about what they show: sky, leaves, petals, edges.
    """
    draw = np.random.default_rng(0)
    found = []
    bunch: Any = load_sample_images()
    for photograph in bunch.images:
        height, width = (edge // 2 for edge in photograph.shape[:2])
        image = photograph[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).mean((1, 3)) / 127.5 - 1
        tops = draw.integers(0, height - PATCH + 1, PATCHES_PER_PHOTOGRAPH)
        lefts = draw.integers(0, width - PATCH + 1, PATCHES_PER_PHOTOGRAPH)
        for top, left in zip(tops, lefts, strict=True):
            found.append(image[top : top + PATCH, left : left + PATCH].transpose(2, 0, 1).ravel())
    points = np.stack(found)
    labels = KMeans(PATCH_CLASSES, n_init=1, random_state=0).fit_predict(points)
    return Data(torch.tensor(points), torch.tensor(labels, dtype=torch.int64), (3, PATCH, PATCH))


def model_sampling(path: Path, shift: float | None) -> Any:
    """ComfyUI's noise levels: those of SD for `ve`, those of SD3 and FLUX for `flow`."""
    if path == "ve":
        bases = (comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS)
        return type("ModelSampling", bases, {})()
    bases = (comfy.model_sampling.ModelSamplingDiscreteFlow, comfy.model_sampling.CONST)
    sampling = type("ModelSampling", bases, {})()
    sampling.set_parameters(shift=1.0 if shift is None else shift, multiplier=1000)
    return sampling


class ExactProblem:
    """An exact denoiser in the place of ComfyUI's guider: `KSAMPLER.sample` takes it as it is.

    Attributes:
        calls: model calls of the last run.
        model_patcher: what stands for the MODEL.
    """

    def __init__(
        self, data: Data, path: Path, shift: float | None, cfg: float, samples: int, seed: int, dtype: torch.dtype
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        # Sorted, so that the samples of one class are one slice.
        chosen = torch.randint(len(data.labels), [samples], generator=generator)
        labels = data.labels[chosen].sort().values
        self.noise = torch.randn(samples, *data.shape, generator=generator, dtype=torch.float64).to(dtype)
        self.data, self.path, self.cfg, self.seed, self.calls = data, path, cfg, seed, 0
        self.points = data.points.to(dtype)
        self.classes = [
            (labels == label, data.points[data.labels == label].to(dtype)) for label in labels.unique().tolist()
        ]
        sampling = model_sampling(path, shift)
        self.model_patcher = SimpleNamespace(get_model_object=lambda name: sampling, model=self)
        self.inner_model = SimpleNamespace(model_sampling=sampling)

    def __call__(self, x: Tensor, sigma: Tensor, model_options: dict[str, Any], seed: int | None) -> Tensor:
        """The guided denoised state, `[B, C, H, W]`; CFG++ samplers leave their hook in `model_options`."""
        self.calls += 1
        hooks: list[Callable[[dict[str, Any]], Tensor]] = model_options.get("sampler_post_cfg_function", [])
        rows, level = x.flatten(1), float(sigma[0])
        conditional = torch.empty_like(rows)
        for mine, points in self.classes:
            conditional[mine] = self._denoise(rows[mine], points, level)
        unconditional = conditional
        if self.cfg != 1 or hooks:
            unconditional = self._denoise(rows, self.points, level)
        result = torch.lerp(unconditional, conditional, self.cfg).view_as(x)
        for hook in hooks:
            result = hook(
                {
                    "denoised": result,
                    "cond_denoised": conditional.view_as(x),
                    "uncond_denoised": unconditional.view_as(x),
                    "uncond": None if self.cfg == 1 else True,
                    "cond_scale": self.cfg,
                    "sigma": sigma,
                    "input": x,
                    "model": self,
                    "model_options": model_options,
                }
            )
        return result

    def _denoise(self, x: Tensor, points: Tensor, sigma: float) -> Tensor:
        """E[x0 | x] for a mixture around `points`; x `[B, D]`."""
        alpha = 1.0 if self.path == "ve" else 1 - sigma
        variance = alpha**2 * WIDTH**2 + sigma**2
        logits = torch.addmm(points.square().sum(1) * (-alpha / 2), x, points.T).mul_(alpha / variance)
        nearest = torch.softmax(logits, 1) @ points
        return torch.add(nearest, x - alpha * nearest, alpha=alpha * WIDTH**2 / variance)

    def run(self, sampler: Any, sigmas: Tensor) -> Tensor:
        """Sample from the problem's noise; `[B, D]`."""
        self.calls = 0
        extra_args = {"seed": self.seed, "model_options": {}}
        with torch.inference_mode():
            latent = torch.zeros_like(self.noise)
            noise = self.noise.clone()
            sigmas = sigmas.to(noise.dtype)
            return sampler.sample(self, sigmas, extra_args, None, noise, latent, None, True).flatten(1)
