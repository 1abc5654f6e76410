"""The scheme auto: right where the truth is known, bounded everywhere, and the same however a problem is written."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from problems import Gaussian, Mixture, mixture, noise
from torch import Tensor

from lml_sampler import LMLSettings, sample_lml
from lml_sampler.diagnostics import Recorder

SIGMAS = torch.tensor([14.6, 5.0, 2.3, 1.2, 0.6, 0.2, 0.03], dtype=torch.float64)
PLAIN = LMLSettings(kappa=0.0)

Model = Callable[..., Tensor]


def to_flow(sigmas: Tensor) -> Tensor:
    return sigmas / (1 + sigmas)


def karras(steps: int, high: float = 14.6, low: float = 0.03) -> Tensor:
    """`steps` levels and 0."""
    ramp = torch.linspace(high ** (1 / 7), low ** (1 / 7), steps, dtype=torch.float64) ** 7
    return torch.cat([ramp, torch.zeros(1, dtype=torch.float64)])


def run(model: Model, x: Tensor, sigmas: Tensor, **options: Any) -> Tensor:
    return sample_lml(model, x, sigmas, disable=True, **options)


def rms(difference: Tensor) -> float:
    return difference.square().mean().sqrt().item()


@pytest.mark.parametrize("std", [0.1, 0.5, 1.0, 2.0])
def test_gaussian_data_of_any_width_are_solved_in_few_steps(std: float) -> None:
    problem = Gaussian(mean=0.3, std=std)
    sigmas = karras(10)[:-1]
    x = noise(8, 64) * math.hypot(14.6, std)
    exact = problem.solve(x, sigmas[0], sigmas[-1])
    error, plain, second = (
        rms(run(problem.denoise, x, sigmas, settings=settings) - exact)
        for settings in (LMLSettings(), PLAIN, LMLSettings(scheme="dpmsolver++", order=2, kappa=0.0))
    )
    assert error < 0.25 * plain
    assert error < 0.7 * second


def test_every_parametrization_gives_the_same_picture() -> None:
    """The same data and noise levels, once as VE and once as flow: x_flow = x_ve / (1 + sigma_ve)."""
    x = noise(6, 8) * SIGMAS[0]
    ve = run(mixture().denoise, x, SIGMAS)
    flow = run(mixture("flow").denoise, x / (1 + SIGMAS[0]), to_flow(SIGMAS), parametrization="flow")
    torch.testing.assert_close(flow * (1 + SIGMAS[-1]), ve)


def test_every_shape_gives_the_same_picture() -> None:
    x = noise(6, 8) * SIGMAS[0]
    flat = run(mixture().denoise, x, SIGMAS)
    for shape in ((8, 1), (2, 2, 2), (1, 2, 2, 2)):

        def model(x: Tensor, sigma: Tensor) -> Tensor:
            return mixture().denoise(x.flatten(1), sigma).view_as(x)

        shaped = run(model, x.view(6, *shape), SIGMAS)
        torch.testing.assert_close(shaped.flatten(1), flat)


@pytest.mark.parametrize("parametrization", ["ve", "flow"])
def test_it_converges_with_order_two_where_the_path_turns(parametrization: str) -> None:
    """A mixture, whose prediction turns by some 60 degrees on the way."""
    model, start = mixture(parametrization).denoise, noise(16, 8, seed=1)

    def solve(steps: int, settings: LMLSettings) -> Tensor:
        grid = torch.linspace(math.log(9.0), math.log(0.2), steps + 1, dtype=torch.float64).exp()
        sigmas = grid if parametrization == "ve" else to_flow(grid)
        return run(model, start * sigmas[0], sigmas, parametrization=parametrization, settings=settings)

    exact = solve(4000, LMLSettings(scheme="dpmsolver++", order=2, kappa=0.0))
    coarse, fine = (rms(solve(steps, LMLSettings()) - exact) for steps in (80, 160))
    assert math.log2(coarse / fine) > 1.7
    assert fine < 0.1 * rms(solve(160, PLAIN) - exact)


def lasting_guidance(variance: float, cfg: float) -> Model:
    """The condition and its counterpart are Gaussians: what guidance adds never ends."""
    mean = 2 * noise(1, 64, seed=4)

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        square = sigma[:, None] ** 2
        bare, other = (x * variance + mean * square) / (variance + square), x / (1 + square)
        return other + cfg * (bare - other)

    return model


@pytest.mark.parametrize("cfg", [2.0, 4.0, 7.0])
@pytest.mark.parametrize("variance", [0.25, 0.5, 0.75, 1.0, 2.0, 4.0])
def test_guidance_that_lasts_is_followed(variance: float, cfg: float) -> None:
    model, z = lasting_guidance(variance, cfg), noise(16, 64)
    exact = run(model, z * 14.6, karras(3000), settings=LMLSettings(scheme="dpmsolver++", order=2, kappa=0.0))
    for steps in (5, 8, 12, 20):
        error, plain = (
            rms(run(model, z * 14.6, karras(steps), sigma_min=0.03, settings=settings) - exact)
            for settings in (LMLSettings(), PLAIN)
        )
        assert error <= 1.01 * plain, steps


def guided(cfg: float) -> Model:
    """Guidance towards two of the points of a mixture: it ends when it is clear what the picture shows."""
    everything = mixture()
    wanted = Mixture(everything.points[:2])

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.lerp(everything.denoise(x, sigma), wanted.denoise(x, sigma), cfg)

    return model


def test_guidance_that_ends_does_no_harm() -> None:
    """Of 256 samples, the middle one: a few end at another point whatever the sampler."""
    for cfg in (2.0, 4.0, 7.0):
        x = noise(256, 8, seed=2) * 14.6
        exact = run(guided(cfg), x, karras(1000), settings=PLAIN)
        for steps in (6, 8, 12):
            error, plain = (
                (run(guided(cfg), x, karras(steps), sigma_min=0.03, settings=settings) - exact).norm(dim=1).median()
                for settings in (LMLSettings(), PLAIN)
            )
            assert error < plain


def random_answers(x: Tensor, sigma: Tensor) -> Tensor:
    """Nothing in it follows from anything."""
    return 5 * noise(*x.shape, seed=int(1e4 * sigma[0]))


LAMBDAS = (0.0, 1e-300, 0.01, 0.3, 1.0, 3.0, 30.0, 1e4, 1e308)


def test_more_damping_stays_closer_to_the_plain_scheme() -> None:
    x = noise(4, 512) * SIGMAS[0]
    plain = run(random_answers, x, SIGMAS, settings=PLAIN)
    gone = [rms(run(random_answers, x, SIGMAS, settings=LMLSettings(damping=value)) - plain) for value in LAMBDAS]
    assert gone == sorted(gone, reverse=True)
    assert gone[-1] < 1e-12


@pytest.mark.parametrize("model", [lasting_guidance(0.5, 7.0), lasting_guidance(4.0, 7.0), lasting_guidance(1.0, 1.0)])
def test_nothing_explodes_for_any_lambda(model: Model) -> None:
    x = noise(4, 64) * SIGMAS[0]
    plain = run(model, x, SIGMAS, settings=PLAIN)
    for value in LAMBDAS:
        assert rms(run(model, x, SIGMAS, settings=LMLSettings(damping=value)) - plain) < 3 * rms(plain)


def test_little_of_random_answers_is_followed() -> None:
    x = noise(4, 512) * SIGMAS[0]
    plain = run(random_answers, x, SIGMAS, settings=PLAIN)
    careful = rms(run(random_answers, x, SIGMAS) - plain)
    assert careful < 0.2 * rms(run(random_answers, x, SIGMAS, settings=LMLSettings(damping=0.0)) - plain)


def test_kappa_goes_from_the_plain_scheme_to_all_of_the_correction() -> None:
    x = noise(6, 8) * SIGMAS[0]
    kappas = (0.0, 1e-300, 0.25, 0.5, 0.75, 1.0)
    plain, *others = (run(mixture().denoise, x, SIGMAS, settings=LMLSettings(kappa=value)) for value in kappas)
    torch.testing.assert_close(others[0], plain)
    gone = [rms(other - plain) for other in others]
    assert gone == sorted(gone)


def test_a_step_that_is_not_corrected_is_plain() -> None:
    x = noise(6, 8) * SIGMAS[0]
    plain = run(mixture().denoise, x, SIGMAS, settings=PLAIN)
    assert torch.equal(run(mixture().denoise, x, SIGMAS, settings=LMLSettings(end_percent=0.0)), plain)
    halves = run(mixture().denoise, x, SIGMAS, settings=LMLSettings(end_percent=0.5))
    assert 0 < rms(halves - plain) < rms(run(mixture().denoise, x, SIGMAS) - plain)


@pytest.mark.parametrize("gap", [1e-7, 1e-5, 1e-4])
def test_nearly_pure_noise_is_pure_noise(gap: float) -> None:
    sigmas = torch.tensor([1.0, 0.8, 0.6, 0.4, 0.2, 0.02], dtype=torch.float64)
    x, near = noise(32, 8), sigmas.clone()
    near[0] -= gap
    model = mixture("flow").denoise
    moved, plain = (
        rms(run(model, x, near, parametrization="flow", **o) - run(model, x, sigmas, parametrization="flow", **o))
        for o in ({}, {"settings": PLAIN})
    )
    assert moved < 5 * plain + 1e-9


@pytest.mark.parametrize("step", [1, 3, 5])
def test_a_level_moved_a_little_moves_the_picture_a_little(step: int) -> None:
    x, moved = noise(32, 8) * SIGMAS[0], SIGMAS.clone()
    moved[step] *= 1 + 1e-6
    assert rms(run(mixture().denoise, x, moved) - run(mixture().denoise, x, SIGMAS)) < 1e-4


def test_what_is_not_sampled_has_no_say() -> None:
    mask = torch.zeros(1, 8, dtype=torch.float64)
    mask[:, :5] = 1

    def model(x: Tensor, sigma: Tensor, denoise_mask: Tensor) -> Tensor:
        return denoise_mask * mixture().denoise(x * denoise_mask, sigma)

    def masked(mask: Tensor, outside: float) -> Tensor:
        x = torch.where(mask == 1, noise(6, 8, seed=4) * SIGMAS[0], outside)
        return run(model, x, SIGMAS, extra_args={"denoise_mask": mask})

    assert torch.equal(masked(mask, 0.0)[:, :5], masked(mask, 1e3)[:, :5])
    ones = torch.ones_like(mask)
    whole = run(mixture().denoise, noise(6, 8, seed=4) * SIGMAS[0], SIGMAS)
    torch.testing.assert_close(masked(ones, 0.0), whole)


def test_fresh_noise_is_not_taken_for_a_surprise() -> None:
    recorder = Recorder()
    x = noise(6, 8) * SIGMAS[0]
    run(mixture().denoise, x, SIGMAS, extra_args={"seed": 1}, settings=LMLSettings(eta=1.0), recorder=recorder)
    reports = recorder.read()
    assert all(report.trust is None for report in reports)
    assert any("no hindsight" in note for note in reports[2].notes)


def test_an_answer_that_never_changes_gives_the_plain_picture() -> None:
    """No turn and no surprise; a denoised state of 0 and one without any noise divide by nothing."""
    for answer in (0.0, 1.0):
        for start in (0.0, 1.0):
            x = torch.full((2, 8), start, dtype=torch.float64)

            def model(x: Tensor, sigma: Tensor, answer: float = answer) -> Tensor:
                return torch.full_like(x, answer)

            torch.testing.assert_close(run(model, x, SIGMAS), run(model, x, SIGMAS, settings=PLAIN))


@pytest.mark.parametrize("damping_mode", ["relative", "absolute"])
def test_it_damps_by_the_turn_alone(damping_mode: Any) -> None:
    with pytest.raises(ValueError, match=f"damping_mode is '{damping_mode}', but the scheme auto damps by how the"):
        run(mixture().denoise, noise(2, 8), SIGMAS, settings=LMLSettings(damping_mode=damping_mode))


def test_the_recorder_tells_what_guidance_adds() -> None:
    """The answers are twice those without guidance; what is told leaves the picture alone."""
    answers: list[Tensor] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        answers.append(mixture().denoise(x, sigma))
        return 2 * answers[-1]

    x, recorder = noise(6, 8) * SIGMAS[0], Recorder()
    told = run(model, x, SIGMAS, recorder=recorder, cond_denoised=lambda: answers[-1])
    assert torch.equal(told, run(model, x, SIGMAS))
    first = recorder.read()[0]
    added = (answers[0] / SIGMAS[0]).norm(dim=1) / ((x - 2 * answers[0]) / SIGMAS[0]).norm(dim=1)
    assert first.guidance == pytest.approx(added.tolist())
