"""What is measured on samples: Fréchet distances and RMS distances with bootstrap intervals."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

Array = NDArray[np.float64]

RIDGE = 1e-6
"""Variance added to every axis of both sets, so that the square root is well-conditioned where a set is flat."""
RESAMPLES = 1000


class Frechet:
    """Squared Fréchet distance of Gaussian fits to one fixed set, as in the FID (arXiv 1706.08500).

    |m_a - m_b|^2 + tr C_a + tr C_b - 2 tr (C_a^1/2 C_b C_a^1/2)^1/2, with C + 1e-6 I for C.
    """

    def __init__(self, samples: Array) -> None:
        """Args: samples: `[N, D]`, N >= 2."""
        self.mean, covariance = _fit(samples)
        self.trace = np.trace(covariance)
        values, vectors = np.linalg.eigh(covariance)
        self.root = vectors * np.sqrt(values) @ vectors.T

    def __call__(self, samples: Array) -> float:
        """The distance of `samples`, `[M, D]`; 0 or more."""
        mean, covariance = _fit(samples)
        inner = np.linalg.eigvalsh(self.root @ covariance @ self.root)
        shared = 2 * np.sqrt(inner.clip(0)).sum()
        distance = ((mean - self.mean) ** 2).sum() + self.trace + np.trace(covariance) - shared
        return float(max(distance, 0.0))


def _fit(samples: Array) -> tuple[Array, Array]:
    samples = samples.astype(np.float64)
    return samples.mean(0), np.cov(samples.T) + RIDGE * np.eye(samples.shape[1])


def rms(squares: Array) -> float:
    """Root of the mean of `squares`, `[N]`: the mean square distance of each sample."""
    return float(np.sqrt(squares.mean()))


def median(squares: Array) -> float:
    """Distance of the median sample; `squares` as for `rms`."""
    return float(np.sqrt(np.median(squares)))


def rms_interval(squares: Array, seed: int) -> tuple[float, float]:
    """95 % percentile interval of `rms` under resampling of whole samples (the same draws for all samplers)."""
    found = bootstrap((squares,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=seed).confidence_interval
    return float(np.sqrt(found.low)), float(np.sqrt(found.high))
