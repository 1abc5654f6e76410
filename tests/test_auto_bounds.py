"""The scheme auto where nothing is known: the same however a run is written, and bounded whatever the model answers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from core_runs import PLAIN, rms, run
from problems import Denoiser, lasting_guidance, mixture, noise
from torch import Tensor

from lml_sampler.diagnostics import Recorder

SIGMAS = torch.tensor([14.6, 5.0, 2.3, 1.2, 0.6, 0.2, 0.03], dtype=torch.float64)
FLOW_SIGMAS = torch.tensor([1.0, 0.8, 0.6, 0.4, 0.2, 0.02], dtype=torch.float64)
LAMBDAS = (1e308, 1e4, 30.0, 3.0, 1.0, 0.3, 0.01, 1e-300, 0.0)


def random_answers(x: Tensor, sigma: Tensor) -> Tensor:
    """Nothing in it follows from anything."""
    return 5 * noise(*x.shape, seed=int(1e4 * sigma[0]))


def on_mixture(**options: Any) -> Tensor:
    return run(mixture().denoise, noise(6, 8) * SIGMAS[0], SIGMAS, **options)


# --- However it is written

Twins = Callable[[], tuple[Tensor, Tensor]]


def as_flow() -> tuple[Tensor, Tensor]:
    """x_flow = x_ve / (1 + sigma_ve) at sigma_flow = sigma_ve / (1 + sigma_ve)."""
    x = noise(6, 8) * SIGMAS[0] / (1 + SIGMAS[0])
    flow = run(mixture("flow").denoise, x, SIGMAS / (1 + SIGMAS), parametrization="flow")
    return flow * (1 + SIGMAS[-1]), on_mixture()


def in_shape(*shape: int, parametrization: str = "ve") -> tuple[Tensor, Tensor]:
    flat, sigmas = mixture(parametrization).denoise, SIGMAS if parametrization == "ve" else FLOW_SIGMAS

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return flat(x.flatten(1), sigma).view_as(x)

    x, options = noise(6, 8) * sigmas[0], {"parametrization": parametrization}
    return run(model, x.view(6, *shape), sigmas, **options).flatten(1), run(flat, x, sigmas, **options)


def constant(answer: float, start: float) -> tuple[Tensor, Tensor]:
    """No turn and no surprise; a denoised state of 0 and one without any noise divide by nothing."""
    x = torch.full((2, 8), start, dtype=torch.float64)
    model: Denoiser = lambda x, sigma: torch.full_like(x, answer)  # noqa: E731
    return run(model, x, SIGMAS), run(model, x, SIGMAS, **PLAIN)


def masked(mask: Tensor, outside: float, parametrization: str = "ve") -> Tensor:
    flat, sigmas = mixture(parametrization).denoise, SIGMAS if parametrization == "ve" else FLOW_SIGMAS

    def model(x: Tensor, sigma: Tensor, denoise_mask: Tensor) -> Tensor:
        return denoise_mask * flat(x * denoise_mask, sigma)

    x = torch.where(mask == 1, noise(6, 8) * sigmas[0], outside)
    return run(model, x, sigmas, extra_args={"denoise_mask": mask}, parametrization=parametrization)


FIVE = (torch.arange(8) < 5).double()[None]


def beside_a_mask(parametrization: str) -> tuple[Tensor, Tensor]:
    one, other = (masked(FIVE, outside, parametrization)[:, :5] for outside in (0.0, 1e3))
    return one, other


TWINS: dict[str, Twins] = {
    "as flow": as_flow,
    **{
        f"{kind} in the shape {shape}": partial(in_shape, *shape, parametrization=kind)
        for kind in ("ve", "flow")
        for shape in ((8, 1), (1, 8), (2, 2, 2), (1, 2, 2, 2))
    },
    "a mask of ones": lambda: (masked(torch.ones_like(FIVE), 0.0), on_mixture()),
    **{f"{kind} with other things outside of the mask": partial(beside_a_mask, kind) for kind in ("ve", "flow")},
    **{f"always {answer}, from {x}": partial(constant, answer, x) for answer in (0.0, 1.0) for x in (0.0, 1.0)},
}
"""By name: two ways to write the same run."""
TO_THE_BIT = "outside of the mask"


@pytest.mark.parametrize("name", TWINS)
def test_it_is_the_same_however_it_is_written(name: str) -> None:
    torch.testing.assert_close(*TWINS[name](), **({"rtol": 0, "atol": 0} if name.endswith(TO_THE_BIT) else {}))


# --- A little changes little, and more of it more


@pytest.mark.parametrize(
    ("parametrization", "step", "change"),
    [*[("flow", 0, -gap) for gap in (1e-7, 1e-5, 1e-4)], *[("ve", step, 1e-6) for step in (1, 3, 5)]],
)
def test_a_level_moved_a_little_moves_the_picture_a_little(parametrization: str, step: int, change: float) -> None:
    """Nearly pure noise is pure noise, among others."""
    sigmas = SIGMAS if parametrization == "ve" else FLOW_SIGMAS
    model, x, near = mixture(parametrization).denoise, noise(32, 8) * sigmas[0], sigmas.clone()
    near[step] *= 1 + change
    own, plain = ({"parametrization": parametrization, **fields} for fields in ({}, PLAIN))
    moved, of_plain = (rms(run(model, x, near, **o) - run(model, x, sigmas, **o)) for o in (own, plain))
    assert moved < 2 * of_plain + 1e-9


@pytest.mark.parametrize(
    ("model", "field", "values"),
    [
        (random_answers, "damping", LAMBDAS),
        (mixture().denoise, "kappa", (0.0, 1e-300, 0.25, 0.5, 0.75, 1.0)),
        (mixture().denoise, "end_percent", (0.0, 0.5, 1.0)),
    ],
    ids=["less damping", "more kappa", "more steps"],
)
def test_more_correction_leads_steadily_away_from_the_plain_scheme(
    model: Denoiser, field: str, values: tuple[float, ...]
) -> None:
    x = noise(64, 8) * SIGMAS[0]
    plain = run(model, x, SIGMAS, **PLAIN)
    gone = [rms(run(model, x, SIGMAS, **{field: value}) - plain) for value in values]
    assert gone == sorted(gone) and gone[0] < 1e-12 < gone[len(gone) // 2] < gone[-1]


@pytest.mark.parametrize(
    "model",
    [random_answers, lasting_guidance(0.5, 7.0), lasting_guidance(4.0, 7.0), lasting_guidance(1.0, 1.0)],
    ids=["random", "narrow", "wide", "no guidance"],
)
def test_nothing_explodes_for_any_lambda(model: Denoiser) -> None:
    x = noise(4, 64) * SIGMAS[0]
    plain = run(model, x, SIGMAS, **PLAIN)
    for value in LAMBDAS:
        assert rms(run(model, x, SIGMAS, damping=value) - plain) < 3 * rms(plain), value


def test_little_of_random_answers_is_followed() -> None:
    x = noise(4, 512) * SIGMAS[0]
    plain, careful, bold = (run(random_answers, x, SIGMAS, **fields) for fields in (PLAIN, {}, {"damping": 0.0}))
    assert rms(careful - plain) < 0.2 * rms(bold - plain)


# --- What it says


def test_fresh_noise_is_not_taken_for_a_surprise() -> None:
    recorder = Recorder()
    on_mixture(extra_args={"seed": 1}, eta=1.0, recorder=recorder)
    reports = recorder.read()
    assert all(report.trust is None for report in reports)
    assert any("no hindsight" in note for note in reports[2].notes)


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
