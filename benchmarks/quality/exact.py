"""Problems whose denoiser is exact: data as a Gaussian mixture, guidance between exact denoisers.

To be imported after `load_pack`.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_sample_images
from torch import Tensor

from .bare import BareProblem, model_sampling
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


class ExactProblem(BareProblem):
    """A Gaussian mixture: the denoiser is exact."""

    def __init__(
        self, data: Data, path: Path, shift: float | None, cfg: float, samples: int, seed: int, dtype: torch.dtype
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        # Sorted, so that the samples of one class are one slice.
        chosen = torch.randint(len(data.labels), [samples], generator=generator)
        labels = data.labels[chosen].sort().values
        noise = torch.randn(samples, *data.shape, generator=generator, dtype=torch.float64).to(dtype)
        super().__init__(model_sampling(path, shift), noise, cfg, seed)
        self.data, self.path = data, path
        self.points = data.points.to(dtype)
        self.classes = [
            (labels == label, data.points[data.labels == label].to(dtype)) for label in labels.unique().tolist()
        ]

    def conditional(self, x: Tensor, sigma: float) -> Tensor:
        rows = x.flatten(1)
        answer = torch.empty_like(rows)
        for mine, points in self.classes:
            answer[mine] = self._denoise(rows[mine], points, sigma)
        return answer.view_as(x)

    def unconditional(self, x: Tensor, sigma: float) -> Tensor:
        return self._denoise(x.flatten(1), self.points, sigma).view_as(x)

    def _denoise(self, x: Tensor, points: Tensor, sigma: float) -> Tensor:
        """E[x0 | x] for a mixture around `points`; x `[B, D]`."""
        alpha = 1.0 if self.path == "ve" else 1 - sigma
        variance = alpha**2 * WIDTH**2 + sigma**2
        logits = torch.addmm(points.square().sum(1) * (-alpha / 2), x, points.T).mul_(alpha / variance)
        nearest = torch.softmax(logits, 1) @ points
        return torch.add(nearest, x - alpha * nearest, alpha=alpha * WIDTH**2 / variance)
