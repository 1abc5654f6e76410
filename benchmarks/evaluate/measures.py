"""Distances between sets of features, and how sure they are.

The figures are torch-fidelity's. The half-widths come from resampling the pictures, the same ones in every cell: the
cells share their noise, so what is left of a difference is the sampler's. A resampled Fréchet distance is biased
upwards, as that of fewer pictures, so only its spread is used: 1.96 standard deviations.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics.pairwise import polynomial_kernel
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from .features import Features

WIDTH = 1.96
SUBSET = 1000
BLOCKS = 20
KERNEL_MOST = 4000
"""Pictures up to which all pairs fit into memory."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """A figure and its values on the resampled pictures (none where there is no way to resample)."""

    value: float
    resampled: Array

    @property
    def half_width(self) -> float | None:
        """Of the 95 % interval."""
        return WIDTH * float(self.resampled.std(ddof=1)) if len(self.resampled) > 1 else None

    def minus(self, other: "Score") -> "Score":
        """The difference of two figures of the same pictures."""
        common = min(len(self.resampled), len(other.resampled))
        return Score(self.value - other.value, self.resampled[:common] - other.resampled[:common])


def picks(count: int, resamples: int) -> list[NDArray[np.int64]]:
    """The resampled pictures: the same for every cell of so many."""
    generator = np.random.default_rng(0)
    return [generator.integers(0, count, count) for _ in range(resamples)]


class Frechet:
    """The Fréchet distance of Gaussians to fixed real pictures: FID (arXiv 1706.08500) if the features are Inception's.

    tr sqrt(S R) is the sum of the singular values of X sqrt(R) / sqrt(n - 1) for centred features X.
    """

    def __init__(self, real: Features) -> None:
        self._statistics = fid_features_to_statistics(torch.from_numpy(real))
        self._mean = self._statistics["mu"].astype(np.float64)
        values, vectors = np.linalg.eigh(self._statistics["sigma"])
        self._root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
        self._trace = float(np.trace(self._statistics["sigma"]))

    def score(self, features: Features, resampled: list[NDArray[np.int64]]) -> Score:
        """The distance of `[n, d]`."""
        statistics = fid_features_to_statistics(torch.from_numpy(features))
        value = fid_statistics_to_metric(statistics, self._statistics, verbose=False)["frechet_inception_distance"]
        x = features.astype(np.float64)
        projected = x @ self._root
        return Score(value, np.array([self._distance(x[pick], projected[pick]) for pick in resampled]))

    def _distance(self, x: Array, projected: Array) -> float:
        """Of features `[n, d]` and the same times sqrt(R)."""
        n, d = x.shape
        y = projected - projected.mean(0)
        squares = np.linalg.eigvalsh(y @ y.T if n < d else y.T @ y)  # of the singular values; the smaller matrix
        shared = np.sqrt(squares.clip(0)).sum() / np.sqrt(n - 1)
        return float(((x.mean(0) - self._mean) ** 2).sum() + x.var(0, ddof=1).sum() + self._trace - 2 * shared)


def kid(features: Features, real: Features, resampled: list[NDArray[np.int64]]) -> Score:
    """The kernel distance (KID, arXiv 1801.01401), unbiased in the number of pictures, times 1000."""
    size = min(SUBSET, len(features), len(real))
    options = {"kid_subset_size": size, "kid_subsets": 100, "verbose": False, "rng_seed": 2020}
    pair = (torch.from_numpy(features.astype(np.float64)), torch.from_numpy(real.astype(np.float64)))
    value = kid_features_to_metric(*pair, **options)["kernel_inception_distance_mean"]
    if len(features) > KERNEL_MOST:
        return Score(value * 1000, _kid_of_blocks(features, real))
    own, other = _kernel(features, features), _kernel(features, real).mean(1)
    constant = _mean_of_pairs(_kernel(real, real)) if len(real) <= KERNEL_MOST else 0.0
    found = [_mean_of_pairs(own[np.ix_(pick, pick)]) + constant - 2 * other[pick].mean() for pick in resampled]
    return Score(value * 1000, np.array(found) * 1000)


def _kid_of_blocks(features: Features, real: Features) -> Array:
    """A stand-in for resampling where all pairs are too many: as spread as the mean of the blocks of pictures."""
    found = []
    for mine, theirs in zip(np.array_split(features, BLOCKS), np.array_split(real, BLOCKS), strict=True):
        size = min(len(mine), len(theirs), SUBSET)
        x, y = mine[:size], theirs[:size]
        found.append(_mean_of_pairs(_kernel(x, x)) + _mean_of_pairs(_kernel(y, y)) - 2 * _kernel(x, y).mean())
    blocks = np.array(found) * 1000
    return blocks.mean() + (blocks - blocks.mean()) / np.sqrt(len(blocks))


def _mean_of_pairs(kernel: Array) -> float:
    """Of two different pictures: without the diagonal."""
    return (kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1))


def _kernel(x: Features, y: Features) -> Array:
    return polynomial_kernel(x.astype(np.float64), y.astype(np.float64), degree=3)


def precision_recall(features: Features, real: Features) -> dict[str, Score]:
    """Improved precision and recall (arXiv 1904.06991)."""
    options = {"prc_neighborhood": 3, "prc_batch_size": 10000, "save_cpu_ram": True, "verbose": False}
    found = prc_features_to_metric(torch.from_numpy(features), torch.from_numpy(real), **options)
    return {name: Score(found[name], np.empty(0)) for name in ("precision", "recall")}


def mean(each: Any, resampled: list[NDArray[np.int64]]) -> Score:
    """The mean of a figure that every picture has."""
    values = np.asarray(each, dtype=np.float64)
    return Score(float(values.mean()), np.array([values[pick].mean() for pick in resampled]))
