"""How exact the correction is: by its definition in 50 digits, and in float64 at the sizes of real latents."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import core_runs
import mpmath
import pytest
import torch
from core_runs import relative_error
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import noise
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lml_sampler import LMLSettings, correct, sample_lml

FLOAT32 = torch.finfo(torch.float32).eps
TURNS = {
    "equal": (1.0, 0.0),
    "parallel": (1.7, 0.0),
    "nearly parallel": (0.8, 1e-3),
    "some angle": (1.0, 0.4),
    "orthogonal": (0.0, 1.0),
    "opposite": (-1.0, 0.0),
    "nearly opposite": (-1.0, 1e-2),
    "longer": (1e3, 1e3),
    "none": (0.0, 0.0),
}
"""By name: how much of the step, and of a vector across it of the same length, the previous step is."""


def operands(turn: str, size: int, energy: float, seed: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A step with |u|^2 = energy and a previous step in a given relation to it, `[1, size]`."""
    step, across = frame(size, energy, seed)
    along, beside = TURNS[turn]
    return step.to(dtype), torch.add(along * step, across, alpha=beside).to(dtype)


@lru_cache(maxsize=1)
def frame(size: int, energy: float, seed: int) -> tuple[Tensor, Tensor]:
    """A step and a vector across it of its length."""
    step, other = noise(2, 1, size, seed=seed)
    step = step * (energy**0.5 / step.norm())
    across = other - (other * step).sum() / (step * step).sum() * step
    return step, across * (step.norm() / across.norm())


def exact(step: Tensor, previous: Tensor, damping: float, kappa: float) -> Tensor:
    """The definition with Sherman-Morrison in 50 digits, `[1, N]` to `[1, N]`."""
    with mpmath.workdps(50):
        u = [mpmath.mpf(value) for value in step[0].tolist()]
        p = [mpmath.mpf(value) for value in previous[0].tolist()]
        q = [(1 - mpmath.mpf(kappa)) * a + mpmath.mpf(kappa) * b for a, b in zip(u, p, strict=True)]
        overlap, square = mpmath.fdot(q, u), mpmath.fdot(q, q)
        v = [(damping + square) * a - b * overlap for a, b in zip(u, q, strict=True)]
        length = mpmath.sqrt(mpmath.fdot(u, u) / mpmath.fdot(v, v))
        return torch.tensor([[float(length * value) for value in v]], dtype=torch.float64)


def rotation(step: Tensor, previous: Tensor) -> Callable[[float, float], tuple[Tensor, float]]:
    """By damping and kappa: the closed form in float64, orthogonalised twice, and the condition of the problem.

    Rounding the inputs moves the direction across the step by eps |p| / |w|, which the rotation scales by its sine.
    """
    u, p = step.double(), previous.double()
    energy = (u * u).sum()
    along = ((p - u) * u).sum() / energy
    across = p - u - along * u
    across = across - (across * u).sum() / energy * u
    tangent, share = (across.norm() / u.norm()).item(), p.norm() / across.norm()

    def turned(damping: float, kappa: float) -> tuple[Tensor, float]:
        if tangent < 1e-12:
            return u, 1.0
        slope = kappa * (1 + kappa * along) / (damping / energy + kappa**2 * tangent**2)
        cosine = 1 / torch.sqrt(1 + (slope * tangent) ** 2)
        sine = (slope * tangent * cosine).abs().item()
        return cosine * u - slope * cosine * across, 1 + sine * share.item()

    return turned


@given(
    turn=st.sampled_from(list(TURNS)),
    size=st.integers(8, 64),
    energy=st.floats(-12, 12).map(lambda power: 10.0**power),
    damping=st.floats(-8, 8).map(lambda power: 10.0**power),
    kappa=st.one_of(st.floats(0, 1), st.floats(-8, 0).map(lambda power: 10.0**power)),
    seed=st.integers(0, 999),
)
@settings(max_examples=400)
def test_float32_is_as_exact_as_its_inputs(
    turn: str, size: int, energy: float, damping: float, kappa: float, seed: int
) -> None:
    step, previous = operands(turn, size, energy, seed, torch.float32)
    result = correct(step, previous, damping, kappa)
    reference, condition = rotation(step, previous)(damping, kappa)
    assert result.isfinite().all()
    norm = step.double().norm()
    assert abs(result.double().norm() - norm) <= 1e-6 * norm
    if kappa > 0 and condition < 1e3:
        high = exact(step, previous, damping, kappa)
        assert relative_error(reference, high) < 1e-9 * condition
        assert relative_error(result, high) < 20 * FLOAT32 * condition


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("turn", ["nearly parallel", "some angle", "orthogonal", "opposite"])
@pytest.mark.parametrize("size", [64, 4 * 64 * 64, 16 * 128 * 128, 8_000_000])
def test_it_is_exact_in_every_dtype_and_size(turn: str, dtype: torch.dtype, size: int) -> None:
    """The paper's lambda, and one of the size of the step; elements of order one, as noise predictions are."""
    step, previous = operands(turn, size, float(size), 1, dtype)
    turned = rotation(step, previous)
    for damping, kappa in ((1e-3, 1e-5), (0.7 * size, 0.5)):
        result = correct(step, previous, damping, kappa)
        reference, condition = turned(damping, kappa)
        rounding = max(torch.finfo(dtype).eps, 1e-15)
        tolerance = rounding + (1e-5 * condition if dtype != torch.float64 else 1e-10 * condition)
        assert relative_error(result, reference) < tolerance, (damping, kappa)
        if dtype in (torch.float32, torch.float64):
            assert abs(result.double().norm() / reference.norm() - 1) < 1e-6


def test_the_released_arithmetic_is_right_where_it_can_be_and_noise_where_it_cannot() -> None:
    """A large damping leaves it digits; the published one leaves none."""
    sigmas = torch.tensor([4.0, 2.0, 1.0, 0.0])
    x = 4 * torch.randn(1, 256, generator=torch.Generator().manual_seed(0))

    def run(arithmetic: str, damping: float, kappa: float) -> Tensor:
        fields = {"scheme": "ddim", "damping_mode": "absolute", "arithmetic": arithmetic}
        return core_runs.run(lambda x, sigma: torch.sin(x), x, sigmas, damping=damping, kappa=kappa, **fields)

    torch.testing.assert_close(run("released_float32", 100.0, 0.3), run("exact", 100.0, 0.3), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(run("released_float32", 1e-3, 0.0), run("exact", 1e-3, 0.0), atol=1e-3)


class NoDoubles(TorchDispatchMode):
    """Fails at the first operation that makes a float64 tensor, which MPS and DirectML do not have."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        made = result if isinstance(result, tuple | list) else (result,)
        assert not any(isinstance(value, Tensor) and value.dtype == torch.float64 for value in made), function
        return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "settings",
    [
        LMLSettings(),
        LMLSettings(scheme="dpmsolver++", order=3),
        LMLSettings(scheme="dpmsolver", order=2, target="increment", damping_mode="relative"),
        LMLSettings(scheme="ddim", damping_mode="absolute", kappa=1e-5, eta=1.0),
    ],
    ids=str,
)
def test_no_device_needs_float64(settings: LMLSettings, dtype: torch.dtype) -> None:
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)).to(dtype) * 14
    sigmas = torch.tensor([14.0, 7.0, 3.0, 1.0, 0.3, 0.0])
    mask = torch.ones(1, 1, 8, 8)
    mask[..., :3] = 0

    def model(x: Tensor, sigma: Tensor, denoise_mask: Tensor, seed: int) -> Tensor:
        return torch.tanh(x)

    with NoDoubles():
        result = sample_lml(model, x, sigmas, {"denoise_mask": mask, "seed": 1}, disable=True, settings=settings)
    assert result.isfinite().all()


def test_auto_is_as_exact_on_a_video_as_on_a_picture() -> None:
    """Squares of two million elements are added in float32, on a processor one after the other."""
    shape = (1, 16, 21, 60, 104)
    noise, picture = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.tanh(x / (1 + sigma**2).item() + 0.3 * picture.to(x))

    low, high = (core_runs.run(model, 8 * noise.to(dtype)) for dtype in (torch.float32, torch.float64))
    assert relative_error(low, high) < 5e-6
