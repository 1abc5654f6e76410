"""LML around any sampler: which earlier call a call is corrected by, on a hand-written sampler."""

import dataclasses
import itertools
from typing import Any

import pytest
import torch
from core_runs import LASTING, SIGMAS, euler, rms, run
from problems import mixture, noise
from torch import Tensor

from lml_sampler import LMLSettings, correct, wrap_sampler

FLOW_SIGMAS = torch.tensor([1.0, 0.9, 0.7, 0.4, 0.2, 0.0], dtype=torch.float64)
RELATIVE = LMLSettings(**LASTING)


def seen_by(levels: list[float], settings: LMLSettings, kind: str = "ve", **extra: Any) -> list[tuple[Tensor, Tensor]]:
    """The plain and the corrected noise predictions of a sampler that calls the model at these sigmas."""
    problem, pairs = mixture(kind), []

    def visitor(model: Any, x: Tensor, sigmas: Tensor, **_: Any) -> Tensor:
        for step, level in enumerate(levels):
            sigma = torch.full([len(x)], level, dtype=x.dtype)
            state = x * level + 0.1 * step
            alpha = 1 - level if kind == "flow" else 1.0
            plain, corrected = problem.denoise(state, sigma), model(state, sigma, **extra)
            pairs.append(tuple((state - alpha * denoised) / level for denoised in (plain, corrected)))
        return x

    sigmas = torch.tensor([*sorted({round(level, 3) for level in levels}, reverse=True), 0.0])
    wrap_sampler(visitor, settings, kind)(lambda x, sigma, **_: problem.denoise(x, sigma), noise(3, 8), sigmas)
    return pairs


@pytest.mark.parametrize("kind", ["ve", "flow"])
@pytest.mark.parametrize(
    "settings", [LMLSettings(), RELATIVE, LMLSettings(start_percent=0.3, end_percent=0.7)], ids=str
)
def test_around_euler_it_is_lml_of_order_one(kind: str, settings: LMLSettings) -> None:
    """From the third call on, for two moves have to be seen; lambda = 0 waits for none."""
    sigmas = SIGMAS if kind == "ve" else FLOW_SIGMAS
    model, x = mixture(kind).denoise, noise(4, 8) * sigmas[0]
    wrapped = wrap_sampler(euler, settings, kind)(model, x, sigmas)
    seen = 2 / (len(sigmas) - 1) if settings.damping > 0 else 0.0
    own = dataclasses.replace(settings, scheme="ddim", start_percent=max(settings.start_percent, seen))
    torch.testing.assert_close(wrapped, run(model, x, sigmas, settings=own, parametrization=kind))
    assert not torch.allclose(wrapped, euler(model, x, sigmas), rtol=1e-3)


def two_step(model: Any, x: Tensor, sigmas: Tensor, **_: Any) -> Tensor:
    """Euler's steps, each with the change of the prediction that the step before has shown (ve)."""
    before, passed = None, 0.0
    for sigma, target in itertools.pairwise(sigmas.tolist()):
        denoised = model(x, torch.full([len(x)], sigma, dtype=x.dtype))
        ahead = denoised if before is None else denoised + (denoised - before) * (sigma - target) / passed / 2
        before, passed = denoised, sigma - target
        x = ahead + target / sigma * (x - ahead)
    return x


def noisy_euler(model: Any, x: Tensor, sigmas: Tensor, **_: Any) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    for step in itertools.pairwise(sigmas):
        x = euler(model, x, torch.stack(step))
        x = x + 0.1 * step[1] * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    return x


def euler_in_place(model: Any, x: Tensor, sigmas: Tensor, **_: Any) -> Tensor:
    x = x.clone()
    for sigma, target in itertools.pairwise(sigmas.tolist()):
        x.lerp_(model(x, torch.full([len(x)], sigma, dtype=x.dtype)), 1 - target / sigma)
    return x


def test_a_sampler_may_go_on_in_place() -> None:
    model, x = mixture("ve").denoise, noise(4, 8) * SIGMAS[0]
    first, second = (wrap_sampler(sampler)(model, x, SIGMAS) for sampler in (euler, euler_in_place))
    torch.testing.assert_close(second, first)


@pytest.mark.parametrize("sampler", [two_step, noisy_euler])
def test_a_sampler_that_looks_ahead_or_adds_noise_itself_is_left_as_it_is(sampler: Any) -> None:
    model, x = mixture("ve").denoise, noise(4, 8) * SIGMAS[0]
    bare, corrected, forced = (
        sampler(model, x, SIGMAS) if settings is None else wrap_sampler(sampler, settings)(model, x, SIGMAS)
        for settings in (None, LMLSettings(), LMLSettings(damping=0.0))
    )
    assert rms(forced - bare) > 0.01
    assert 0 < rms(corrected - bare) < 0.1 * rms(forced - bare)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([4, 2, 1], [None, 0, 1]),  # one call a step
        ([4, 2, 2, 1, 1], [None, 0, 0, 2, 2]),  # Heun, PECE
        ([4, 2, 2 * (1 + 1e-6), 1], [None, 0, 0, 2]),  # the same level through exp and log
        ([4, 3, 2, 1.5], [None, 0, 1, 2]),  # stages inside a step
        ([4, 2, 1, 2, 1], [None, 0, 1, 0, 3]),  # Heun++
        ([4, 2, 1, 0.5, 4, 2], [None, 0, 1, 2, None, 4]),  # a restart from the top
        ([4, 2, 1, 0.5, 0.2, 2], [None, 0, 1, 2, 3, None]),  # further back than it remembers
    ],
)
@pytest.mark.parametrize("kind", ["ve", "flow"])
def test_which_call_is_the_previous_one(levels: list[float], expected: list[int | None], kind: str) -> None:
    if kind == "flow":
        levels = [level / 5 for level in levels]
    pairs = seen_by(levels, RELATIVE, kind)
    for (plain, corrected), previous in zip(pairs, expected, strict=True):
        if previous is None:
            assert torch.equal(corrected, plain)
        else:
            energy = plain.square().sum(1)
            torch.testing.assert_close(corrected, correct(plain, pairs[previous][0], energy, 0.3), rtol=1e-6, atol=1e-8)


def test_a_call_belongs_to_the_step_it_is_in() -> None:
    window = LMLSettings(scheme="ddim", damping_mode="relative", kappa=0.3, start_percent=0.5, end_percent=1.0)
    touched = [not torch.equal(*pair) for pair in seen_by([4, 3.9994, 2, 1.5, 1], window)]
    assert touched == [False, False, False, True, True]


def test_sigma_zero_and_sigma_one_of_a_flow_are_not_corrected() -> None:
    def visitor(model: Any, x: Tensor, sigmas: Tensor, **_: Any) -> Tensor:
        return torch.stack([model(x, sigma.expand(len(x))) for sigma in sigmas])

    for kind, levels in (("flow", [1.0, 0.5, 1.0, 0.0, 0.5]), ("ve", [1.0, 0.0, 0.5])):
        x, sigmas, model = noise(2, 8), torch.tensor(levels, dtype=torch.float64), mixture(kind).denoise

        def guarded(x: Tensor, sigma: Tensor, model: Any = model) -> Tensor:
            return model(x, sigma) if sigma[0] > 0 else x

        result, plain = (sampler(guarded, x, sigmas) for sampler in (wrap_sampler(visitor, RELATIVE, kind), visitor))
        assert result.isfinite().all()
        for level, one, other in zip(levels, result, plain, strict=True):
            assert torch.equal(one, other) == (level in (0.0, 1.0)), (kind, level)


def test_a_mask_leaves_out_and_does_not_count() -> None:
    mask = torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0], dtype=torch.float64)
    plain, corrected = seen_by([4, 2], RELATIVE, denoise_mask=mask)[1]
    first = seen_by([4, 2], RELATIVE)[0][0]
    assert torch.equal(corrected[:, 4:], plain[:, 4:])
    alone = correct(plain[:, :4], first[:, :4], plain[:, :4].square().sum(1), 0.3)
    torch.testing.assert_close(corrected[:, :4], alone)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_dtype_stays_and_the_shape_may_change(dtype: torch.dtype) -> None:
    def grower(model: Any, x: Tensor, sigmas: Tensor, **_: Any) -> Tensor:
        for sigma in sigmas[:-1]:
            x = torch.cat([model(x, sigma.expand(len(x))), x.new_ones(len(x), 1)], 1)
            assert x.dtype == dtype
        return x

    model = lambda x, sigma: (x / (1 + sigma[:, None] ** 2)).to(x.dtype)  # noqa: E731
    assert wrap_sampler(grower)(model, noise(2, 8).to(dtype), SIGMAS.float()).isfinite().all()


@pytest.mark.parametrize("device", ["meta", "cuda"] if torch.cuda.is_available() else ["meta"])
@pytest.mark.parametrize("settings", [LMLSettings(), RELATIVE, LMLSettings(end_percent=0.5)], ids=str)
@pytest.mark.parametrize("kind", ["ve", "flow"])
def test_nothing_is_read_from_the_device(kind: str, settings: LMLSettings, device: str) -> None:
    """Tensors on `meta` have no values to read; on a GPU the driver watches."""

    def visitor(model: Any, x: Tensor, sigmas: Tensor, **_: Any) -> Tensor:
        levels = sigmas.unsqueeze(-1).expand(-1, len(x))
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("error")
        for level in levels:
            x = x + model(x, level, denoise_mask=torch.ones_like(x))
        return x

    x, sigmas = torch.empty(2, 8, device=device), FLOW_SIGMAS.float().to(device)
    try:
        result = wrap_sampler(visitor, settings, kind, [3, 5])(lambda x, sigma, **_: 0.5 * x, x, sigmas)
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    assert result.shape == x.shape


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"scheme is 'dpmsolver\+\+', but around another sampler only"):
        wrap_sampler(euler, LMLSettings(scheme="dpmsolver++"))
    with pytest.raises(ValueError, match="parametrization is 'edm'"):
        wrap_sampler(euler, LMLSettings(), "edm")  # pyright: ignore[reportArgumentType]
