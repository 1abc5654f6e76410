"""Schedules as people build them: levels that come twice, rise, or lie above pure noise; and parts of one latent."""

import math
from typing import Any

import core_runs
import pytest
import torch
from problems import mixture, noise
from torch import Tensor

from lml_sampler import LMLSettings, Recorder

FALLING = core_runs.SIGMAS.tolist()
SETTINGS = [
    LMLSettings(),
    LMLSettings(scheme="ddim"),
    LMLSettings(scheme="ddim", target="direction"),
    LMLSettings(scheme="dpmsolver", order=2),
    LMLSettings(scheme="dpmsolver++", order=3, target="increment"),
    LMLSettings(scheme="ddim", damping_mode="absolute", arithmetic="released_float32", damping=1e3, kappa=0.1),
]
PROBLEMS = {name: mixture(parametrization=name) for name in ("ve", "flow")}


def run(
    sigmas: list[float],
    settings: LMLSettings = SETTINGS[0],
    problem: str = "ve",
    x: Tensor | None = None,
    **options: Any,
) -> Tensor:
    schedule = torch.tensor(sigmas, dtype=torch.float64)
    x = noise(4, 8) * sigmas[0] if x is None else x
    options = {"model": PROBLEMS[problem].denoise, "parametrization": problem} | options
    return core_runs.run(x=x, sigmas=schedule, settings=settings, **options)


def euler(sigmas: list[float], problem: str, x: Tensor) -> Tensor:
    return core_runs.euler(PROBLEMS[problem].denoise, x, sigmas)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("problem", ["ve", "flow"])
@pytest.mark.parametrize("position", [0, 1, 3, 6])
@pytest.mark.parametrize("apart", [0.0, 3e-8])
def test_a_sigma_that_comes_twice_changes_nothing(
    settings: LMLSettings, problem: str, position: int, apart: float
) -> None:
    falling = FALLING if problem == "ve" else [sigma / 8 for sigma in FALLING]
    twice = [*falling[: position + 1], falling[position] * (1 - apart), *falling[position + 1 :]]
    calls = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        calls.append(sigma[0].item())
        return PROBLEMS[problem].denoise(x, sigma)

    result = run(twice, settings, problem, model=model)
    assert calls == twice[:-1]
    torch.testing.assert_close(result, run(falling, settings, problem), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("settings", SETTINGS[:-1], ids=str)
@pytest.mark.parametrize("problem", ["ve", "flow"])
def test_a_level_may_be_as_small_as_it_likes(settings: LMLSettings, problem: str) -> None:
    scale = 1.0 if problem == "ve" else 0.125
    for smallest in (1e-19, 1e-20, 1e-30, 1e-45):
        sigmas = [*(sigma * scale for sigma in FALLING[:-1]), smallest, 0.0]
        start = (noise(4, 8) * sigmas[0]).float()
        assert run(sigmas, settings, problem, start).isfinite().all(), smallest


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("problem", ["ve", "flow"])
def test_where_sigma_rises_the_step_is_plain_and_the_next_begins_anew(settings: LMLSettings, problem: str) -> None:
    scale = 1.0 if problem == "ve" else 0.125
    down, again = [8 * scale, 4 * scale, 2 * scale], [5 * scale, 3 * scale, 1 * scale, 0.0]
    first = run(down, settings, problem)
    up = euler([down[-1], again[0]], problem, first)
    torch.testing.assert_close(run(down + again, settings, problem), run(again, settings, problem, up))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("above", [1.2e-7, 0.001, 0.03, 0.2])
def test_above_pure_noise_a_flow_model_is_stepped_plainly(settings: LMLSettings, above: float) -> None:
    falling = [1 + above, 1 + above / 2, 0.8, 0.5, 0.2, 0.0]
    states: list[Tensor] = []
    result = run(falling, settings, "flow", callback=lambda now: states.append(now["x"]))
    assert result.isfinite().all()
    torch.testing.assert_close(states[2], euler(falling[:3], "flow", states[0]))


@pytest.mark.parametrize("settings", [*SETTINGS, LMLSettings(eta=1.0), LMLSettings(renoise=True)], ids=str)
def test_one_float_around_pure_noise_is_pure_noise(settings: LMLSettings) -> None:
    rest = [0.8, 0.5, 0.2, 0.0]
    results = [
        run([first, *rest], settings, "flow", noise(4, 8), extra_args={"seed": 1})
        for first in (0.99999994, 1.0, 1.0000001)
    ]
    for other in (results[0], results[2]):
        torch.testing.assert_close(other, results[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("settings", [LMLSettings(eta=0.7), LMLSettings(eta=1.0), LMLSettings(renoise=True)], ids=str)
@pytest.mark.parametrize("sigmas", [[1.05, 1.02, 0.8, 0.8, 0.9, 0.3, 0.0], [1.0, 0.6, 0.6, 0.9, 0.0]])
@pytest.mark.parametrize("problem", ["ve", "flow"])
def test_with_noise_any_schedule_ends_finite(settings: LMLSettings, sigmas: list[float], problem: str) -> None:
    assert run(sigmas, settings, problem, extra_args={"seed": 1}).isfinite().all()


def test_the_report_says_where_a_step_was_plain() -> None:
    recorder = Recorder()
    run([4.0, 2.0, 2.0, 3.0, 1.0, 0.0], recorder=recorder)
    notes = [step.notes for step in recorder.read()]
    assert notes[1] == notes[2] == ("sigma does not fall here: the plain step",)
    assert "no step before" in notes[0][0] and "no step before" in notes[3][0] and not notes[4]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_parts_are_stepped_as_if_each_were_alone(settings: LMLSettings, masked: bool) -> None:
    sizes, whole = [8, 24], noise(3, 1, 32) * 8
    mask = torch.ones(1, 1, 32, dtype=torch.float64)
    mask[..., 5:8] = mask[..., 20:] = 0

    def alone(x: Tensor, sigma: Tensor, **_: Any) -> Tensor:
        if x.shape[-1] == 8:
            return mixture().denoise(x.flatten(1), sigma).view_as(x)
        return 3 * torch.tanh(x * 2 / (1 + sigma.view(-1, 1, 1) ** 2))

    def together(x: Tensor, sigma: Tensor, **_: Any) -> Tensor:
        return torch.cat([alone(part, sigma) for part in x.split(sizes, -1)], -1)

    extra = {"denoise_mask": mask} if masked else {}
    result = run(FALLING, settings, x=whole, model=together, parts=sizes, extra_args=extra)
    for part, own, of_mask in zip(result.split(sizes, -1), whole.split(sizes, -1), mask.split(sizes, -1), strict=True):
        extra = {"denoise_mask": of_mask} if masked else {}
        assert torch.equal(part, run(FALLING, settings, x=own, model=alone, extra_args=extra))
    as_one = run(FALLING, settings, x=whole, model=together)
    assert not torch.allclose(as_one, result)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("settings", "most"), [(LMLSettings(kappa=0.0), 0.95), (SETTINGS[0], 1.85), (SETTINGS[1], 1.55), (SETTINGS[3], 1.5)]
)
def test_the_state_stays_wide_between_narrow_answers(dtype: torch.dtype, settings: LMLSettings, most: float) -> None:
    """Twenty steps move by what the narrow answers of the model move them, which a correction extrapolates.

    `most` is below what a state that is rounded at each step gives, but for DPM-Solver, where both are close.
    """
    sigmas = torch.cat([torch.logspace(0.9, -1, 20), torch.zeros(1)]).to(dtype).float()
    x = (torch.randn(4, 512, generator=torch.Generator().manual_seed(0)) * sigmas[0]).to(dtype)
    seen = set()

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        seen.add(x.dtype)
        return 2 * torch.tanh(2 * x / (0.3 + sigma.view(-1, 1) ** 2)) * x.sigmoid()

    def run(x: Tensor) -> Tensor:
        return core_runs.run(model, x, sigmas.to(x), callback=lambda now: seen.add(now["x"].dtype), settings=settings)

    narrow = run(x)
    assert seen == {dtype} and narrow.dtype == dtype
    plain, stepwise = (core_runs.euler(model, start, sigmas) for start in (x.float(), x))
    assert (narrow - run(x.float())).norm() <= most * (stepwise - plain).norm()


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_nan_ends_the_run_at_its_step(settings: LMLSettings, bad: float) -> None:
    calls = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        calls.append(sigma)
        return x * (bad if len(calls) == 3 else 0.5)

    message = r"step 3 of 6 \(sigma 2\) holds NaN or Inf\. It comes from the latent, the model, its patches or its"
    with pytest.raises(FloatingPointError, match=message):
        run(FALLING, settings, model=model)
    assert len(calls) == 3
