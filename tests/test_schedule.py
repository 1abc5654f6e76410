"""LML's own schedule: its properties for any model, and its node."""

import itertools
import math
from types import ModuleType
from typing import Any

import pytest
import torch
from demo_runs import Linked
from hypothesis import given
from hypothesis import strategies as st

from lml_sampler.schedule import MIDDLE, lml_schedule

STEPS = st.integers(1, 200)


def check(sigmas: list[float], steps: int, sigma_min: float, sigma_max: float) -> None:
    """What holds of every schedule, in the float32 that ComfyUI keeps too."""
    assert len(sigmas) == steps + 1 and sigmas[0] == sigma_max and sigmas[-1] == 0
    assert all(sigma >= sigma_min for sigma in sigmas[:-1])
    for numbers in (sigmas, torch.tensor(sigmas, dtype=torch.float32).tolist()):
        assert all(high > low for high, low in itertools.pairwise(numbers))


@given(STEPS, st.floats(1e-4, 10), st.floats(1.1, 1e5))
def test_it_falls_from_end_to_end_for_any_range(steps: int, sigma_min: float, ratio: float) -> None:
    check(lml_schedule(steps, sigma_min, sigma_min * ratio, "ve"), steps, sigma_min, sigma_min * ratio)


@given(STEPS, st.floats(math.log(0.01), math.log(100)))
def test_it_falls_for_any_shift_of_a_flow(steps: int, log_shift: float) -> None:
    shift = math.exp(log_shift)
    sigma_min = shift * 0.001 / (1 + (shift - 1) * 0.001)
    check(lml_schedule(steps, sigma_min, 1.0, "flow", shift), steps, sigma_min, 1.0)


@given(STEPS, st.floats(0.0, 0.1), st.floats(5, 100), st.floats(0.1, 10))
def test_both_kinds_of_model_get_the_same_levels(steps: int, low: float, high: float, shift: float) -> None:
    ve = lml_schedule(steps, low, high, "ve", shift)
    flow = lml_schedule(steps, low / (1 + low), high / (1 + high), "flow", shift)
    assert flow[:-1] == pytest.approx([sigma / (1 + sigma) for sigma in ve[:-1]])


@given(st.integers(4, 200), st.floats(0.1, 10))
def test_half_of_the_calls_lie_above_the_middle_and_the_ends_are_slower(steps: int, shift: float) -> None:
    """In the model's own time, where `simple` is even."""
    middle = MIDDLE * (shift / MIDDLE) ** (2 / 3)
    sigmas = lml_schedule(2 * steps, 0.0, 1.0, "flow", shift)
    assert sigmas[steps] == pytest.approx(middle / (1 + middle))
    shares = [sigma / (sigma + middle * (1 - sigma)) for sigma in sigmas]
    lengths = [high - low for high, low in itertools.pairwise(shares)]
    longest = lengths.index(max(lengths))
    rising, falling = lengths[:longest], lengths[longest:]
    assert abs(longest - steps) <= 1 + steps / 10
    assert all(outer < inner for outer, inner in itertools.pairwise(rising))
    assert all(outer < inner for inner, outer in itertools.pairwise(falling))
    assert max(lengths[0], lengths[-1]) < 0.75 / (2 * steps) and lengths[steps] > 1.25 / (2 * steps)


@given(st.integers(5, 100), st.floats(0.1, 10))
def test_the_last_step_falls_as_the_square_of_the_number_of_steps(steps: int, shift: float) -> None:
    """As the errors of the steps before it do, which are of second order."""
    few, many = (lml_schedule(count, 0.0, 1.0, "flow", shift)[-2] for count in (2 * steps, 4 * steps))
    assert few / many > 3.3


@pytest.mark.parametrize("shift", [1.0, 1.15, 3.0, 8.0])
def test_a_flow_model_gives_its_own_shift(pack: ModuleType, shift: float) -> None:
    import comfy.model_sampling as sampling
    from comfy.samplers import calculate_sigmas

    class Flow(sampling.ModelSamplingDiscreteFlow, sampling.CONST):
        pass

    flow = Flow()
    flow.set_parameters(shift=shift)
    expected = lml_schedule(10, float(flow.sigma_min), 1.0, "flow", shift)
    assert calculate_sigmas(flow, "lml", 10).tolist() == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0.03, 14.6, "ve"), "steps is 0"),
        ((5, 1.0, 1.0, "ve"), "sigma_min is 1, sigma_max 1"),
        ((5, -0.1, 1.0, "ve"), "sigma_min is -0.1"),
        ((5, math.nan, 1.0, "ve"), "sigma_min is nan"),
        ((5, 0.1, math.inf, "ve"), "sigma_max inf"),
        ((5, 0.1, 1.0, "ve", 0.0), "shift 0"),
    ],
)
def test_what_is_no_schedule_is_named(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lml_schedule(*arguments)


@pytest.mark.parametrize(("steps", "denoise"), [(1, 1.0), (8, 1.0), (8, 0.5), (5, 0.35), (7, 0.99995), (4, 0.0)])
def test_the_node_gives_what_ksampler_uses(pack: ModuleType, demo: Linked, steps: int, denoise: float) -> None:
    from comfy_extras.nodes_custom_sampler import BasicScheduler

    model = demo["model"]
    (sigmas,) = pack.nodes.samplers.LMLScheduler.execute(model, steps, denoise).result
    assert torch.equal(sigmas, pack.nodes.host.schedule(model, "lml", steps, denoise))
    assert torch.equal(sigmas, BasicScheduler.execute(model, "lml", steps, denoise).result[0])
    assert len(sigmas) == (steps + 1 if denoise else 0)


def test_the_node_names_what_is_wrong(pack: ModuleType, demo: Linked) -> None:
    for steps, denoise, message in ((0, 1.0, "steps is 0"), (5, math.nan, "denoise is nan"), (5, 1e-6, "at least")):
        with pytest.raises(ValueError, match=message):
            pack.nodes.samplers.LMLScheduler.execute(demo["model"], steps, denoise)
