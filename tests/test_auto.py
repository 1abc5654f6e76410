"""The scheme auto: right where the truth is known, the same in every parametrization, damped where the path bends."""

import math
from typing import Any

import pytest
import torch
from problems import Gaussian, Mixture, mixture
from scipy.integrate import quad
from torch import Tensor

from lml_sampler import LMLSettings, sample_lml
from lml_sampler.parametrization import level_of
from lml_sampler.schedule_gain import schedule_gain

SIGMAS = torch.tensor([14.6, 5.0, 2.3, 1.2, 0.6, 0.2, 0.03], dtype=torch.float64)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def to_flow(sigmas: Tensor) -> Tensor:
    return sigmas / (1 + sigmas)


@pytest.mark.parametrize(("before", "here", "target"), [(14.6, 5.0, 2.3), (3.0, 1.2, 0.5), (0.5, 0.2, 0.03)])
@pytest.mark.parametrize("parametrization", ["ve", "flow"])
def test_the_coefficients_are_the_integrals_they_stand_for(
    before: float, here: float, target: float, parametrization: str
) -> None:
    def sine(sigma: float) -> float:
        return sigma / math.hypot(sigma, 1)

    scale = 1.0 if parametrization == "ve" else 1 / (1 + here)
    levels = [level_of(s if parametrization == "ve" else s / (1 + s), parametrization) for s in (before, here, target)]
    coefficients = schedule_gain(*levels)
    change = sine(before) - sine(here)
    mean = quad(sine, target, here)[0] / (here - target)
    assert coefficients.gain == pytest.approx((sine(here) - mean) / change)
    assert coefficients.outlook == pytest.approx((sine(here) - sine(target)) / change)
    integral = quad(lambda sigma: (sine(before) - sine(sigma)) / change, here, before)[0]
    assert coefficients.hindsight == pytest.approx(integral * scale)
    wrong_state = integral / here * here**2 / (1 + here**2)  # d eps / d x = sigma / (1 + sigma^2)
    assert coefficients.share == pytest.approx(1 / (1 + wrong_state))


def test_pure_noise_is_the_limit_of_much_noise() -> None:
    """Sigma 1 of a flow model has no half-logSNR; the coefficients there are those of its neighbourhood."""
    here, target = level_of(0.9, "flow"), level_of(0.7, "flow")
    exact = schedule_gain(level_of(1.0, "flow"), here, target)
    near = schedule_gain(level_of(1 - 1e-9, "flow"), here, target)
    assert exact == pytest.approx(near, rel=1e-6)


def test_data_of_unit_variance_are_solved_almost_exactly() -> None:
    """What the coefficients are made for, undamped: the error is far below that of one order less."""
    problem = Gaussian(mean=0.0, std=1.0)
    x = noise(8, 64) * math.hypot(SIGMAS[0], 1)
    exact = problem.solve(x, SIGMAS[0], SIGMAS[-1])

    def error(**options: object) -> float:
        settings = LMLSettings(damping_mode="relative", **options)
        return (sample_lml(problem.denoise, x, SIGMAS, disable=True, settings=settings) - exact).norm().item()

    assert error() < 0.1 * error(kappa=0.0)
    assert error() < 0.5 * error(kappa=0.0, scheme="dpmsolver++", order=2)


@pytest.mark.parametrize("damping_mode", ["adaptive", "relative"])
def test_every_parametrization_gives_the_same_picture(damping_mode: str) -> None:
    """The same data and noise levels, once as VE and once as flow: x_flow = x_ve / (1 + sigma_ve)."""
    settings = LMLSettings(damping_mode=damping_mode)
    x = noise(6, 8) * SIGMAS[0]
    ve = sample_lml(mixture().denoise, x, SIGMAS, disable=True, settings=settings)
    flow = sample_lml(
        mixture("flow").denoise,
        x / (1 + SIGMAS[0]),
        to_flow(SIGMAS),
        disable=True,
        settings=settings,
        parametrization="flow",
    )
    torch.testing.assert_close(flow * (1 + SIGMAS[-1]), ve)


@pytest.mark.parametrize("parametrization", ["ve", "flow"])
def test_it_converges_with_order_two(parametrization: str) -> None:
    problem = Gaussian(std=0.7, parametrization=parametrization)
    start, errors, counts = noise(4, 16, seed=1), [], [60, 120]
    for count in counts:
        grid = torch.linspace(math.log(9.0), math.log(0.05), count + 1, dtype=torch.float64).exp()
        sigmas = grid if parametrization == "ve" else to_flow(grid)
        x = start * sigmas[0]
        result = sample_lml(problem.denoise, x, sigmas, disable=True, parametrization=parametrization)
        errors.append((result - problem.solve(x, sigmas[0], sigmas[-1])).norm().item())
    assert math.log2(errors[0] / errors[1]) > 1.7


def test_a_path_that_turns_is_followed_carefully() -> None:
    """A model whose answer jumps at random: extrapolating it would make things worse, so little is extrapolated."""
    answers = iter(noise(6, 4, 512, seed=3))

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return 5 * next(answers)

    x = noise(4, 512) * SIGMAS[0]
    careful = sample_lml(model, x, SIGMAS, disable=True)
    answers = iter(noise(6, 4, 512, seed=3))
    plain = sample_lml(model, x, SIGMAS, disable=True, settings=LMLSettings(kappa=0.0))
    answers = iter(noise(6, 4, 512, seed=3))
    bold = sample_lml(model, x, SIGMAS, disable=True, settings=LMLSettings(damping_mode="relative"))
    assert (careful - plain).norm() < 0.2 * (bold - plain).norm()


class Guided:
    """Guidance towards two of the points of a mixture; remembers the unconditional part of its last answer."""

    def __init__(self, parametrization: str, cfg: float) -> None:
        self.unconditional = mixture(parametrization)
        self.conditional = Mixture(self.unconditional.points[:2], parametrization=parametrization)
        self.cfg, self.part = cfg, torch.empty(0)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.part = self.unconditional.denoise(x, sigma)
        return torch.lerp(self.part, self.conditional.denoise(x, sigma), self.cfg)


@pytest.mark.parametrize("cfg", [4.0, 7.0])
@pytest.mark.parametrize("parametrization", ["ve", "flow"])
def test_knowing_what_is_guidance_helps(parametrization: str, cfg: float) -> None:
    model = Guided(parametrization, cfg)

    def run(steps: int, **options: Any) -> Tensor:
        grid = torch.linspace(math.log(14.6), math.log(0.03), steps + 1, dtype=torch.float64).exp()
        sigmas = grid if parametrization == "ve" else to_flow(grid)
        start = noise(256, 8, seed=2) * sigmas[0]
        return sample_lml(model, start, sigmas, disable=True, parametrization=parametrization, **options)

    exact = run(2000)
    for steps in (6, 8, 12):
        known = (run(steps, uncond_denoised=lambda: model.part) - exact).square().mean().sqrt()
        unknown = (run(steps) - exact).square().mean().sqrt()
        assert known < unknown


def test_no_guidance_is_no_part() -> None:
    """A part that is all of the answer, and no part at all, are the same; so is any part where nothing is corrected."""
    model = mixture()
    x = noise(6, 8) * SIGMAS[0]
    answers: list[Tensor] = []

    def remembered(x: Tensor, sigma: Tensor) -> Tensor:
        answers.append(model.denoise(x, sigma))
        return answers[-1]

    def run(**options: Any) -> Tensor:
        return sample_lml(remembered, x, SIGMAS, disable=True, **options)

    torch.testing.assert_close(run(uncond_denoised=lambda: answers[-1]), run())
    assert torch.equal(run(uncond_denoised=lambda: None), run())
    for settings in (LMLSettings(kappa=0.0), LMLSettings(scheme="ddim"), LMLSettings(scheme="dpmsolver++", order=2)):
        options = {"settings": settings}
        assert torch.equal(run(uncond_denoised=lambda: 2 * answers[-1], **options), run(**options))


def test_guidance_outside_of_a_mask_has_no_say() -> None:
    guided = Guided("ve", 4.0)
    mask = torch.zeros(1, 8, dtype=torch.float64)
    mask[:, :5] = 1

    def model(x: Tensor, sigma: Tensor, denoise_mask: Tensor) -> Tensor:
        return denoise_mask * guided(x * denoise_mask, sigma)

    def run(outside: float) -> Tensor:
        x = noise(6, 8, seed=4) * SIGMAS[0]
        return sample_lml(
            model,
            x,
            SIGMAS,
            {"denoise_mask": mask},
            disable=True,
            uncond_denoised=lambda: torch.where(mask == 1, guided.part, outside),
        )

    assert torch.equal(run(0.0), run(1e6))


def test_a_prediction_that_grows_is_not_followed() -> None:
    """One giant step under strong guidance: the next noise prediction is several times as long, in any direction."""
    direction = noise(4, 512, seed=5)
    sigmas = SIGMAS[:3]

    def run(growth: float, **fields: Any) -> Tensor:
        lengths = iter((1.0, growth))

        def model(x: Tensor, sigma: Tensor) -> Tensor:
            return x - sigma[:, None] * next(lengths) * direction

        return sample_lml(
            model, torch.zeros(4, 512, dtype=torch.float64), sigmas, disable=True, settings=LMLSettings(**fields)
        )

    def share(growth: float) -> float:
        plain = run(growth, kappa=0.0)
        bold = run(growth, damping_mode="relative")
        return ((run(growth) - plain).norm() / (bold - plain).norm()).item()

    assert share(1.02) > 0.9
    assert share(7.0) < 0.01
