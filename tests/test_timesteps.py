"""The timesteps and sigmas of evaluations are those of diffusers."""

from typing import Any

import pytest
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from evaluate import suite, units

pytestmark = pytest.mark.every_host


@pytest.mark.parametrize(
    ("spacing", "kind"),
    [
        ("leading", DDIMScheduler),
        ("linspace", DPMSolverMultistepScheduler),  # DDIM's takes the last timestep too, and steps by another width
    ],
)
@pytest.mark.parametrize("steps", [5, 7, 10, 20])
@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_timesteps_are_those_of_diffusers(spacing: str, kind: Any, steps: int) -> None:
    scheduler = kind(timestep_spacing=spacing)
    scheduler.set_timesteps(steps)
    assert units.timesteps_of(spacing, steps) == scheduler.timesteps.tolist()


@pytest.mark.parametrize(("start", "end", "schedule"), [(1e-4, 0.02, "linear"), (0.00085, 0.012, "scaled_linear")])
def test_sigmas_are_those_of_the_schedule(start: float, end: float, schedule: Any) -> None:
    kept = DDIMScheduler(beta_start=start, beta_end=end, beta_schedule=schedule).alphas_cumprod[[800, 600, 400, 200, 0]]
    found = units.sigmas_of(suite.Betas(schedule, start, end), "leading", 5)
    expected = ((1 - kept) / kept).sqrt().tolist()
    assert found == pytest.approx([*expected, 0.0], rel=1e-4)
