"""The correction of a step: the released directions, and its properties. How exact it is: `test_precision.py`."""

import json
from pathlib import Path

import pytest
import torch
from core_runs import relative_error
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import noise
from safetensors import safe_open
from torch import Tensor

from lml_sampler import correct

GOLDEN = Path(__file__).parent / "golden" / "directions.safetensors"
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def vectors(shape: tuple[int, ...], seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """A step and a previous step at some angle to it."""
    step, other = noise(2, *shape, seed=seed)
    return step.to(dtype), (step + 0.5 * other).to(dtype)


def golden_directions() -> list[int]:
    with safe_open(GOLDEN, "pt") as file:
        return list(range(len(json.loads(file.metadata()["cases"]))))


@pytest.mark.parametrize("case", golden_directions())
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 1e-5)])
def test_equals_the_released_direction_in_float64(case: int, dtype: torch.dtype, tolerance: float) -> None:
    with safe_open(GOLDEN, "pt") as file:
        entry = json.loads(file.metadata()["cases"])[case]
        step, direction = file.get_tensor(f"{case}.step"), file.get_tensor(f"{case}.direction")
        # The first step of a run has no previous one: its direction is the step itself.
        previous = file.get_tensor(f"{case}.previous") if entry["has_previous"] else step
    result = correct(step.to(dtype), previous.to(dtype), entry["damping"], entry["kappa"])
    assert relative_error(result, direction) < tolerance


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_kappa_or_a_huge_damping_leaves_the_step(dtype: torch.dtype) -> None:
    step, previous = vectors((2, 4, 8, 8), dtype=dtype)
    assert torch.equal(correct(step, previous, 1.0, 0.0), step)
    nearly = correct(step, previous, 1e30, 1.0)
    torch.testing.assert_close(nearly, step, rtol=4 * torch.finfo(dtype).eps, atol=0)


def test_zero_steps_stay_zero() -> None:
    step, previous = vectors((2, 3, 4))
    step[0] = 0
    result = correct(step, previous, 1e-3, 0.5)
    assert torch.equal(result[0], torch.zeros(3, 4, dtype=result.dtype))
    assert result.isfinite().all()
    assert torch.equal(correct(step * 0, previous * 0, 1e-3, 0.5), step * 0)


shapes = st.lists(st.integers(1, 5), min_size=2, max_size=6).map(tuple)
gains = {"damping": st.floats(0, 1e8), "kappa": st.floats(0, 1), "seed": st.integers(0, 99)}


@given(shape=shapes, scale=st.sampled_from([1e-6, 1.0, 1e6]), **gains)
@settings(max_examples=200)
def test_each_of_a_batch_is_turned_alone_and_keeps_its_length(
    shape: tuple[int, ...], scale: float, damping: float, kappa: float, seed: int
) -> None:
    step, previous = (scale * vector for vector in vectors(shape, seed))
    together = correct(step, previous, damping, kappa)
    assert together.isfinite().all()
    torch.testing.assert_close(together.flatten(1).norm(dim=1), step.flatten(1).norm(dim=1))
    for k in range(shape[0]):
        alone = correct(step[k : k + 1], previous[k : k + 1], damping, kappa)
        torch.testing.assert_close(together[k : k + 1], alone)


@given(scale=st.sampled_from([1e-3, 0.5, 4.0, 1e3]), **gains)
@settings(max_examples=100)
def test_scaling_the_step_scales_the_damping_quadratically(
    scale: float, damping: float, kappa: float, seed: int
) -> None:
    step, previous = vectors((2, 3, 4), seed)
    scaled = correct(step * scale, previous * scale, damping * scale**2, kappa)
    torch.testing.assert_close(scaled, correct(step, previous, damping, kappa) * scale)


def test_what_the_mask_leaves_out_neither_counts_nor_changes() -> None:
    step, previous = vectors((2, 4, 8, 8))
    mask = torch.zeros(1, 1, 8, 8, dtype=step.dtype)
    mask[..., 2:6, 2:6] = 1
    result = correct(step, previous, 1.0, 0.5, mask)
    other_step, other_previous = (torch.where(mask > 0, value, 1e3 * value.flip(0)) for value in (step, previous))
    other = correct(other_step, other_previous, 1.0, 0.5, mask)
    inside = (mask > 0).expand_as(step)
    assert torch.equal(result[inside], other[inside])
    assert torch.equal(other[~inside], other_step[~inside])
    alone = correct(step[..., 2:6, 2:6], previous[..., 2:6, 2:6], 1.0, 0.5)
    torch.testing.assert_close(result[..., 2:6, 2:6], alone)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((torch.ones(2, 3), torch.ones(2, 3), -1.0, 0.5), r"damping \(λ\) is -1.0; it must be a finite number from 0"),
        ((torch.ones(2, 3), torch.ones(2, 3), float("nan"), 0.5), r"damping \(λ\) is nan"),
        ((torch.ones(2, 3), torch.ones(2, 3), 1.0, 1.5), r"kappa \(κ\) is 1.5; it must be within \[0, 1\]"),
        ((torch.ones(2, 3), torch.ones(2, 3), 1.0, float("nan")), r"kappa \(κ\) is nan"),
        ((torch.ones(2, 3), torch.ones(2, 4), 1.0, 0.5), r"previous has shape \(2, 4\) and step \(2, 3\)"),
        (
            (torch.ones(2, 3), torch.ones(2, 3), torch.ones(3), 0.5),
            r"damping \(λ\) has shape \(3,\); it must be a number",
        ),
        ((torch.ones(3), torch.ones(3), 1.0, 0.5), r"step has shape \(3,\); it needs a batch axis"),
    ],
)
def test_bad_input_is_named(inputs: tuple[Tensor, Tensor, float | Tensor, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        correct(*inputs)


def test_damping_may_differ_per_sample() -> None:
    step, previous = vectors((2, 5))
    result = correct(step, previous, torch.tensor([0.1, 10.0]), 0.5)
    torch.testing.assert_close(result[1:], correct(step[1:], previous[1:], 10.0, 0.5))
    assert not torch.allclose(result[0], correct(step, previous, 10.0, 0.5)[0])
