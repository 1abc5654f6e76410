"""The coefficients of the scheme auto are the integrals that they stand for, in every parametrization."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.integrate import quad

from lml_sampler.parametrization import level_of, noise_ratio
from lml_sampler.schedule_gain import bend_gain, hindsight_gain, mean_hindsight, mean_width, schedule_gain
from lml_sampler.shrinkage import shrinkage


def length(sigma: float, width: float = 1.0) -> float:
    """Of the noise prediction on the path of Gaussian data; of unit width it is the sine of the angle."""
    return sigma / math.hypot(sigma, width)


def next_term(sigma: float, earlier: float, before: float, here: float) -> float:
    """The weight that Newton's interpolation in the sine gives the second difference."""
    scale = (length(before) - length(here)) * (length(earlier) - length(here))
    return (length(here) - length(sigma)) * (length(before) - length(sigma)) / scale


def to_zero(function: Callable[[float], float], here: float, end: float) -> float:
    """The mean of a function over a step from `here` to 0, on which it stays below `end` what it is there."""
    return (quad(function, end, here)[0] + end * function(end)) / here


@pytest.mark.parametrize(("before", "here", "target"), [(14.6, 5.0, 2.3), (3.0, 1.2, 0.5), (0.5, 0.2, 0.03)])
@pytest.mark.parametrize("parametrization", ["ve", "flow"])
def test_the_coefficients_are_the_integrals_they_stand_for(
    before: float, here: float, target: float, parametrization: str
) -> None:
    scale = 1.0 if parametrization == "ve" else 1 / (1 + here)
    levels = [level_of(s if parametrization == "ve" else s / (1 + s), parametrization) for s in (before, here, target)]
    coefficients = schedule_gain(*levels)
    change = length(before) - length(here)
    mean = quad(length, target, here)[0] / (here - target)
    assert coefficients.gain == pytest.approx((length(here) - mean) / change)
    assert coefficients.outlook == pytest.approx((length(here) - length(target)) / change)
    integral = quad(lambda sigma: (length(before) - length(sigma)) / change, here, before)[0]
    assert hindsight_gain(*levels[:2]).hindsight == pytest.approx(integral * scale)
    for wider in (0.0, 1.0, 2.7, 100.0):
        answer = here / (here**2 + 1 + min(here, wider) ** 2)  # d eps / d x
        share = hindsight_gain(*levels[:2], wider).share
        assert share == pytest.approx(1 / (1 + integral * answer))


@pytest.mark.parametrize("sigmas", [(14.6, 5.0, 2.3, 1.2), (0.3, 0.2, 0.1, 0.03), (2.0, 1.0, 0.5, 0.0)])
@pytest.mark.parametrize("parametrization", ["ve", "flow"])
def test_the_next_term_is_newtons(sigmas: tuple[float, ...], parametrization: str) -> None:
    levels = [level_of(s if parametrization == "ve" else s / (1 + s), parametrization) for s in sigmas]
    here, target = sigmas[2:]

    coefficients = bend_gain(*levels)
    assert coefficients.bend == pytest.approx(quad(next_term, target, here, sigmas[:3])[0] / (here - target))
    assert coefficients.outlook == pytest.approx(next_term(target, *sigmas[:3]))


@pytest.mark.parametrize("step", [1e-7, 1e-4, 2e-3, 0.02])
def test_the_next_term_does_not_cancel_on_short_steps(step: float) -> None:
    """Equal steps: 5/12 of the second difference on average, as in Adams-Bashforth, and all of it at the end."""
    bend, outlook = bend_gain(*(level_of(1 + k * step, "ve") for k in (3, 2, 1, 0)))
    assert bend == pytest.approx(5 / 12, rel=3 * step + 1e-5)
    assert outlook == pytest.approx(1, rel=5 * step + 1e-5)


@pytest.mark.parametrize("sigmas", [(2.0, 1.0, 0.5, 0.1), (0.3, 0.2, 0.1, 0.03), (0.3, 0.2, 0.03, 0.03)])
def test_below_the_smallest_level_the_prediction_stays_what_it_is(sigmas: tuple[float, ...]) -> None:
    levels = [level_of(s, "ve") for s in sigmas]
    before, here, end = sigmas[1:]
    rest = noise_ratio(levels[3], levels[2])
    last = length(before) - length(here)
    coefficients = schedule_gain(*levels[1:], rest=rest)
    assert coefficients.gain == pytest.approx(
        to_zero(lambda s: (length(here) - length(s)) / last, here, end), abs=1e-12
    )

    bend = to_zero(lambda sigma: next_term(sigma, *sigmas[:3]), here, end)
    assert bend_gain(*levels, rest=rest).bend == pytest.approx(bend, abs=1e-12)

    width = 0.05
    energy, energy_before = (torch.full([2, 1], length(s, width) ** 2, dtype=torch.float64) for s in (here, before))
    mean = shrinkage(energy, energy_before, *levels[1:], rest=rest).mean
    exact = to_zero(lambda sigma: length(sigma, width), here, end) / length(here, width)
    torch.testing.assert_close(mean, torch.full_like(mean, exact))


def test_pure_noise_is_the_limit_of_much_noise() -> None:
    """Sigma 1 of a flow model has no half-logSNR; the coefficients there are those of its neighbourhood."""
    here, target = level_of(0.9, "flow"), level_of(0.7, "flow")
    pure, near = level_of(1.0, "flow"), level_of(1 - 1e-9, "flow")
    assert schedule_gain(pure, here, target) == pytest.approx(schedule_gain(near, here, target), rel=1e-6)
    assert hindsight_gain(pure, here, 3.0) == pytest.approx(hindsight_gain(near, here, 3.0), rel=1e-6)


def test_a_short_step_from_pure_noise_is_redone_by_half() -> None:
    """In front of so much noise no model answers to x: what its picture changed by counts half, as in a trapezoid."""
    before, here = level_of(1.0, "flow"), level_of(1 - 1e-4, "flow")
    redone = hindsight_gain(before, here, mean_width(64))
    # What the picture changes by is sigma / alpha of what the noise prediction does.
    assert redone.hindsight * redone.share * here.alpha / here.sigma == pytest.approx(here.alpha / 2, rel=1e-3)


@pytest.mark.parametrize(("sigma", "positions"), [(0.9, 1024), (0.5, 64), (0.5, 4)])
def test_the_mean_is_redone_as_gaussian_data_of_its_width(sigma: float, positions: int) -> None:
    """The limit of much noise of what `schedule_gain` does for unit width; never narrower than that."""
    here, tangent = level_of(sigma, "flow"), sigma / (1 - sigma)
    width = max(1.0, math.sqrt(positions) / 3)

    before = 1e5
    change = length(before, width) - length(tangent, width)
    turn = quad(
        lambda tan: length(before, width) - length(tan, width), tangent, before, limit=500, points=[width, 10 * width]
    )[0]
    integral = turn / change
    found = mean_hindsight(level_of(1.0, "flow"), here, positions)
    assert found.hindsight == pytest.approx(integral * here.alpha, rel=1e-3)
    assert found.share == pytest.approx(1 / (1 + integral * tangent / (tangent**2 + width**2)), rel=1e-3)


@given(
    width=st.floats(0.0, 30.0),
    sigmas=st.lists(st.floats(0.01, 0.99), min_size=3, max_size=3, unique=True),
    parametrization=st.sampled_from(["ve", "flow"]),
)
def test_the_length_of_gaussian_data_is_foreseen(width: float, sigmas: list[float], parametrization: str) -> None:
    levels = [level_of(sigma, parametrization) for sigma in sorted(sigmas, reverse=True)]
    before, here, target = (level.sigma / level.alpha for level in levels)
    assume(min(before / here, here / target) > 1.01)

    energy, energy_before = (torch.full([2, 1], 3 * length(s, width) ** 2, dtype=torch.float64) for s in (here, before))
    found = shrinkage(energy, energy_before, *levels)
    mean = quad(length, target, here, (width,))[0] / (here - target) / length(here, width)
    torch.testing.assert_close(found.mean, torch.full_like(energy, mean), rtol=1e-6, atol=0)
    torch.testing.assert_close(
        found.end, torch.full_like(energy, length(target, width) / length(here, width)), rtol=1e-6, atol=0
    )


def test_a_length_has_its_limits() -> None:
    """One that grew keeps its length; at sigma 0 nothing is NaN; before it may lie pure noise."""
    levels = level_of(1.0, "flow"), level_of(0.6, "flow"), level_of(0.0, "flow")
    energy = torch.tensor([[1.0], [2.0], [1e-30]])
    found = shrinkage(energy, torch.ones(3, 1), *levels)
    assert torch.equal(found.mean[:2], torch.ones(2, 1)) and found.mean[2] == pytest.approx(0.5)
    assert torch.equal(found.end, torch.zeros(3, 1))
