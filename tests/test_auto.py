"""The scheme auto: right where the truth is known, the same in every parametrization, damped where the path bends."""

import math
from typing import Any

import pytest
import torch
from problems import Gaussian, Mixture, mixture, noise
from torch import Tensor

from lml_sampler import LMLSettings, sample_lml
from lml_sampler.diagnostics import Recorder
from lml_sampler.parametrization import level_of

SIGMAS = torch.tensor([14.6, 5.0, 2.3, 1.2, 0.6, 0.2, 0.03], dtype=torch.float64)


def to_flow(sigmas: Tensor) -> Tensor:
    return sigmas / (1 + sigmas)


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


def test_the_smallest_settings_are_the_plain_scheme() -> None:
    """kappa / lambda is no number any more, but none of them is 0."""
    x = noise(6, 8) * SIGMAS[0]
    least = LMLSettings(kappa=1e-308, damping=1e8)
    plain = sample_lml(mixture().denoise, x, SIGMAS, disable=True, settings=LMLSettings(kappa=0.0))
    torch.testing.assert_close(sample_lml(mixture().denoise, x, SIGMAS, disable=True, settings=least), plain)


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


def last_damping(answers: list[Tensor], sigmas: Tensor, parametrization: str = "ve") -> float:
    """How strongly the last step is damped if the model predicts this noise, one after the other; 1 is not at all."""
    left, recorder = iter(answers), Recorder()

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        level = level_of(float(sigma[0]), parametrization)
        return (x - level.sigma * next(left)) / (level.alpha or 1)  # at pure noise x shows nothing of the picture

    x = answers[0] * sigmas[0]
    sample_lml(model, x, sigmas, disable=True, parametrization=parametrization, recorder=recorder)
    damping = recorder.read()[-1].damping
    assert damping is not None
    return max(damping)


def test_a_turn_that_was_foreseen_is_followed() -> None:
    """The same predictions up to the last one, whose turn is as sharp, but goes on in one case only."""
    base, on, off = noise(3, 2, 4096, seed=7).unbind()
    path = [base + 0.12 * k * on for k in range(5)]
    smooth, sharp = (last_damping([*path[:4], path[3] + 0.12 * turn], SIGMAS[:6]) for turn in (on, off))
    assert sharp - 1 > 2 * (smooth - 1)


def test_without_guidance_the_picture_may_appear_from_pure_noise() -> None:
    """The turn of the first step is not damped there; it is where the first step started from less than pure noise."""
    base, on = noise(2, 2, 4096, seed=7).unbind()
    sigmas = torch.tensor([1.0, 0.9, 0.8], dtype=torch.float64)
    assert last_damping([base, base + 0.3 * on], sigmas, "flow") == pytest.approx(1)
    assert last_damping([base, base + 0.3 * on], sigmas - 0.1, "flow") > 1.1


class Guided:
    """Guidance towards two of the points of a mixture; remembers its last answer without guidance."""

    def __init__(self, parametrization: str, cfg: float) -> None:
        self.unconditional = mixture(parametrization)
        self.conditional = Mixture(self.unconditional.points[:2], parametrization=parametrization)
        self.cfg, self.bare = cfg, torch.empty(0)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.bare = self.conditional.denoise(x, sigma)
        return torch.lerp(self.unconditional.denoise(x, sigma), self.bare, self.cfg)


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
        known = (run(steps, cond_denoised=lambda: model.bare) - exact).square().mean().sqrt()
        unknown = (run(steps) - exact).square().mean().sqrt()
        assert known < unknown
        assert known < 0.5 * unknown or cfg < 7


def test_what_guidance_adds_has_a_say_in_auto_alone() -> None:
    """Nobody to ask and no answer are the same."""
    model = mixture()
    x = noise(6, 8) * SIGMAS[0]
    answers: list[Tensor] = []

    def remembered(x: Tensor, sigma: Tensor) -> Tensor:
        answers.append(model.denoise(x, sigma))
        return answers[-1]

    def run(**options: Any) -> Tensor:
        return sample_lml(remembered, x, SIGMAS, disable=True, **options)

    def with_guidance(factor: float, **fields: Any) -> Tensor:
        return run(cond_denoised=lambda: factor * answers[-1], settings=LMLSettings(**fields))

    assert torch.equal(run(cond_denoised=lambda: None), run())
    assert not torch.equal(with_guidance(2.0), with_guidance(1.0))
    for fields in ({"kappa": 0.0}, {"scheme": "ddim"}, {"scheme": "dpmsolver++", "order": 2}):
        assert torch.equal(with_guidance(2.0, **fields), run(settings=LMLSettings(**fields)))


@pytest.mark.parametrize("parametrization", ["ve", "flow"])
def test_guidance_fades_where_the_path_turns_sharply(parametrization: str) -> None:
    """A right angle at the second of three calls: on the step that follows guidance counts as much as at its end."""
    sigmas = torch.tensor([0.9, 0.6, 0.3], dtype=torch.float64)
    straight, bare, guided = noise(3, 4, 4096, seed=6)
    outputs = iter((straight, guided))
    bares = iter((straight, bare))

    def denoised(x: Tensor, level: float, eps: Tensor) -> Tensor:
        return x - level * eps if parametrization == "ve" else (x - level * eps) / (1 - level)

    asked: list[Tensor] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        level = sigma[0].item()
        asked[:] = [x, denoised(x, level, next(bares))]
        return denoised(x, level, next(outputs))

    result = sample_lml(
        model,
        torch.zeros(4, 4096, dtype=torch.float64),
        sigmas,
        disable=True,
        parametrization=parametrization,
        cond_denoised=lambda: asked[1],
    )
    alpha, alpha_next = (1.0, 1.0) if parametrization == "ve" else (0.4, 0.7)
    ratio = alpha_next / alpha
    share = 0.3 / alpha_next / (0.6 / alpha)
    followed = share * guided + (1 - share) * bare
    expected = asked[0] * ratio + (0.3 - 0.6 * ratio) * followed
    assert (result - expected).norm() < 0.1 * (expected - asked[0]).norm()


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
            cond_denoised=lambda: torch.where(mask == 1, guided.bare, outside),
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
