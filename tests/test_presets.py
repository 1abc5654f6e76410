"""Presets as numbers: each makes a picture; those of the paper are as published."""

import dataclasses

import pytest
import torch
from core_runs import karras, rms, run
from problems import guided, mixture, noise
from torch import Tensor

from lml_sampler import LMLSettings
from lml_sampler.presets import paper, published

CONVERGED = 400


def test_published_figures() -> None:
    assert [published("sd", steps).damping for steps in (5, 10, 15)] == [1e-3] * 3
    assert [published("sd2", steps).damping for steps in (10, 15)] == [1e-3, 8e-4]
    assert published("flux", 28).damping == 1e-2 and published("flux", 28).target == "velocity"
    assert published("sd", 14).lower_order_final and not published("sd", 15).lower_order_final
    assert published("sd", 10).damping_mode == "absolute" and published("sd", 10).order == 3


# --- Every preset makes a picture


def schedule(kind: str, steps: int) -> Tensor:
    """eps: even timesteps of SD. v: karras over the same range. flow: shift 3."""
    if kind == "flow":
        even = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
        return 3 * even / (1 + 2 * even)
    if kind == "v":
        return karras(steps)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    product = torch.cumprod(1 - betas, 0)
    levels = ((1 - product) / product).sqrt()[torch.linspace(999, 0, steps).round().long()]
    return torch.cat([levels, torch.zeros(1, dtype=torch.float64)])


def picture(kind: str, cfg: float, steps: int, settings: LMLSettings) -> Tensor:
    flow = "flow" if kind == "flow" else "ve"
    sigmas = schedule(kind, steps)
    x = noise(64, 8, seed=5) * sigmas[0]
    return run(guided(mixture(flow), cfg), x, sigmas, settings=settings, parametrization=flow)


@pytest.mark.parametrize("cfg", [1.0, 5.0])
@pytest.mark.parametrize("kind", ["eps", "v", "flow"])
@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_a_preset_is_not_further_from_the_picture_than_its_plain_scheme(preset: str, kind: str, cfg: float) -> None:
    settings = paper(kind == "flow") if preset == "paper" else LMLSettings()
    plain = dataclasses.replace(settings, kappa=0.0)
    converged = picture(kind, cfg, CONVERGED, LMLSettings(scheme="dpmsolver++", order=2, kappa=0.0))

    def apart(steps: int, chosen: LMLSettings) -> float:
        return rms(picture(kind, cfg, steps, chosen) - converged)

    for steps in range(5, 21):
        assert 0 < apart(steps, settings) <= 1.2 * apart(steps, plain), steps


def test_the_published_numbers_are_not_small() -> None:
    """Why the presets do not take them: at the size of SD's latent they turn the step around, whatever the picture."""
    x = noise(2, 4, 64, 64, seed=1) * 14.6
    problem = mixture()

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return problem.denoise(x.reshape(-1, 8), sigma.repeat_interleave(2048)).reshape(x.shape)

    literal = published("sd", 8)
    plain, preset, literal = (
        run(model, x, schedule("eps", 8), settings=settings)
        for settings in (dataclasses.replace(literal, kappa=0.0), paper(flow=False), literal)
    )
    assert (preset - plain).norm() < 0.05 * plain.norm() < 0.3 * (literal - plain).norm()


def test_bad_input_of_the_published_numbers_is_named() -> None:
    with pytest.raises(ValueError, match="family is 'dalle'; choose one of sd, sd2"):
        published("dalle", 8)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="steps is 0"):
        published("sd", 0)
