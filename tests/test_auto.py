"""The scheme auto where the truth is known: how far from it a few steps end, and that more of them converge."""

import math
from collections.abc import Callable

import pytest
import torch
from core_runs import PLAIN, SECOND, flow_shift_3, karras, rms, run
from problems import Denoiser, Gaussian, Mixture, guided, lasting_guidance, mixture, noise
from torch import Tensor

HIGH, LOW = 14.6, 0.03
"""The first and last level of `karras`."""

Known = tuple[Denoiser, Tensor, Tensor]
"""A model, where runs of it begin, and where they should end."""


def gaussian(std: float) -> Known:
    problem, x = Gaussian(mean=0.3, std=std), noise(8, 64) * math.hypot(HIGH, std)
    high, low = torch.tensor([HIGH, LOW], dtype=torch.float64)
    return problem.denoise, x, problem.denoise(problem.solve(x, high, low), low.expand(8))


def guidance_that_lasts(variance: float, cfg: float) -> Known:
    model, x = lasting_guidance(variance, cfg), noise(16, 64) * HIGH
    return model, x, run(model, x, karras(3000), **SECOND)


def guidance_that_ends(cfg: float) -> Known:
    """It is clear at some level what the picture shows; both answers agree from there on."""
    model, x = guided(mixture(), cfg), noise(256, 8, seed=2) * HIGH
    return model, x, run(model, x, karras(1000), **PLAIN)


def middle(difference: Tensor) -> float:
    """Of the median sample: a few end at another point of the data whatever the sampler."""
    return difference.norm(dim=1).median().item()


def against_others(known: Known, steps: int, of: Callable[[Tensor], float]) -> tuple[float, float]:
    """The error of auto, over that of the plain scheme and over that of the second-order one."""
    model, x, exact = known
    error, plain, second = (
        of(run(model, x, karras(steps), sigma_min=LOW, **settings) - exact) for settings in ({}, PLAIN, SECOND)
    )
    return error / plain, error / second


@pytest.mark.parametrize(
    ("problem", "numbers", "steps", "of", "most"),
    [
        *[(gaussian, (std,), (10,), rms, (0.001, 0.003)) for std in (0.1, 0.5)],
        (gaussian, (1.0,), (10,), rms, (0.002, 0.005)),
        (gaussian, (2.0,), (10,), rms, (0.02, 0.05)),
        *[
            (guidance_that_lasts, (variance, cfg), (5, 8, 12, 20), rms, (1.01, math.inf))
            for variance in (0.25, 0.5, 0.75, 1.0, 2.0, 4.0)
            for cfg in (2.0, 4.0, 7.0)
        ],
        *[
            (guidance_that_ends, (cfg,), (6, 8, 12), middle, (most, 0.8))
            for cfg, most in ((2.0, 0.8), (4.0, 0.8), (7.0, 0.83))
        ],
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_few_steps_end_no_further_from_the_truth_than_those_of_others(
    problem: Callable[..., Known],
    numbers: tuple[float, ...],
    steps: tuple[int, ...],
    of: Callable[[Tensor], float],
    most: tuple[float, float],
) -> None:
    """At `most` that share of the error of the plain scheme, and of the second-order one."""
    known = problem(*numbers)
    for count in steps:
        shares = against_others(known, count, of)
        assert shares[0] < most[0] and shares[1] < most[1], count


def test_a_first_prediction_of_nothing_is_no_sign_that_the_picture_goes() -> None:
    """From pure noise the mean of the data is predicted, here 0: foresight looks past it."""
    points = noise(8, 256, seed=5)
    model, x = Mixture(torch.cat([points, -points]), parametrization="flow").denoise, noise(32, 256, seed=6)

    def solve(steps: int, **settings: float) -> Tensor:
        return run(model, x, flow_shift_3(steps), parametrization="flow", **settings)

    exact = solve(150)
    assert rms(solve(5) - exact) < 0.6 * rms(solve(5, **PLAIN) - exact)


@pytest.mark.parametrize("parametrization", ["ve", "flow"])
def test_it_converges_with_order_two_where_the_path_turns(parametrization: str) -> None:
    """A mixture, whose prediction turns by some 60 degrees on the way."""
    model, start = mixture(parametrization).denoise, noise(16, 8, seed=1)

    def solve(steps: int, **settings: float) -> Tensor:
        grid = torch.linspace(math.log(9.0), math.log(0.2), steps + 1, dtype=torch.float64).exp()
        sigmas = grid if parametrization == "ve" else grid / (1 + grid)
        return run(model, start * sigmas[0], sigmas, parametrization=parametrization, **settings)

    exact = solve(4000, **SECOND)
    coarse, fine = (rms(solve(steps) - exact) for steps in (80, 160))
    assert math.log2(coarse / fine) > 1.7
    assert fine < 0.1 * rms(solve(160, **PLAIN) - exact)


@pytest.mark.parametrize("parametrization", ["ve", "flow"])
@pytest.mark.parametrize("last", [0.03, 0.3])
def test_the_picture_is_what_the_model_sees_at_its_smallest_level(parametrization: str, last: float) -> None:
    """Details as fine as that level: a step to 0 as the flow asks for would leave half of the noise in the picture."""
    problem = Gaussian(std=0.05, parametrization=parametrization)
    grid = torch.linspace(math.log(9.0), math.log(last), 41, dtype=torch.float64).exp()
    smallest = torch.tensor(0.03, dtype=torch.float64)
    if parametrization == "flow":
        grid, smallest = grid / (1 + grid), smallest / (1 + smallest)
    sigmas = torch.cat([grid, torch.zeros(1, dtype=torch.float64)])
    x = noise(4, 64) * sigmas[0]
    seen = problem.denoise(problem.solve(x, sigmas[0], smallest), smallest.expand(4))

    def error(**options: float) -> float:
        return rms(run(problem.denoise, x, sigmas, parametrization=parametrization, **options) - seen)

    assert error(sigma_min=smallest.item()) < 0.1 * error()
