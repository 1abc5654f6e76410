"""The loop: neutrality, damping, the contract of a k-diffusion sampler, noise, and that a run leaves nothing behind."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import core_runs
import pytest
import torch
from core_runs import SIGMAS, euler, never_called
from problems import mixture, noise
from torch import Tensor

from lml_sampler import LMLSettings, Recorder

DENOISE = mixture().denoise


def run(x: Tensor, sigmas: Tensor = SIGMAS, model: Any = DENOISE, **options: Any) -> Tensor:
    return core_runs.run(model, x, sigmas, **options)


@pytest.mark.parametrize("scheme", ["auto", "ddim"])
@pytest.mark.parametrize("parametrization", ["ve", "flow"])
def test_kappa_zero_is_euler_bit_for_bit(scheme: str, parametrization: str) -> None:
    """And for the other schemes the solver of that name: see `test_schemes.py`."""
    sigmas = SIGMAS.float() / (1 if parametrization == "ve" else 8)
    x, model = noise(4, 8).float() * sigmas[0], mixture(parametrization).denoise
    plain = run(x, sigmas, model, scheme=scheme, parametrization=parametrization, kappa=0.0)
    assert torch.equal(plain, euler(model, x, sigmas))


@pytest.mark.parametrize(
    ("scheme", "target", "mode"),
    [("auto", "score", "adaptive")]
    + [
        (scheme, target, mode)
        for scheme in ("ddim", "dpmsolver", "dpmsolver++")
        for target in ("score", "increment")
        for mode in ("adaptive", "relative", "absolute")
    ],
)
def test_where_no_step_is_corrected_it_is_kappa_zero_bit_for_bit(scheme: str, target: str, mode: str) -> None:
    x, sigmas = noise(4, 8).float() * 8, SIGMAS.float()
    options = {"scheme": scheme, "target": target, "damping_mode": mode, "order": 3 if "dpm" in scheme else 1}
    plain = run(x, sigmas, kappa=0.0, **options)
    for none in ({"start_percent": 1.0}, {"end_percent": 0.0}, {"kappa_curve": ((0.0, 0.0),)}):
        assert torch.equal(run(x, sigmas, **options, **none), plain), none
    assert not torch.allclose(run(x, sigmas, **options), plain)


@pytest.mark.parametrize("scheme", ["ddim", "dpmsolver", "dpmsolver++"])
@pytest.mark.parametrize(("parametrization", "target"), [("ve", "score"), ("flow", "score"), ("flow", "velocity")])
@pytest.mark.parametrize("kappa", [1e-9, 0.3, 1.0])
def test_the_short_first_order_is_the_general_one(scheme: str, parametrization: Any, target: str, kappa: float) -> None:
    """A mask that lets everything in takes the general way."""
    sigmas = SIGMAS if parametrization == "ve" else SIGMAS / 8
    problem = mixture(parametrization=parametrization)
    x = noise(4, 8) * sigmas[0]
    options = {"model": problem.denoise, "parametrization": parametrization, "scheme": scheme, "target": target}
    options |= {"kappa": kappa, "start_percent": 0.2, "kappa_curve": ((0.0, 0.3), (1.0, 1.0))}
    masked = {"extra_args": {"denoise_mask": torch.ones_like(x)}} | options
    masked["model"] = lambda x, sigma, denoise_mask: problem.denoise(x, sigma)
    torch.testing.assert_close(run(x, sigmas, **options), run(x, sigmas, **masked), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("scheme", "mode"),
    [("auto", "adaptive")]
    + [(scheme, mode) for scheme in ("ddim", "dpmsolver++") for mode in ("adaptive", "relative", "absolute")],
)
@pytest.mark.parametrize("kappa", [5e-324, 3.4e-50, 1e-38, 1e-30])
def test_hardly_any_kappa_is_none(scheme: str, mode: str, kappa: float) -> None:
    x, sigmas = noise(4, 8).float() * 8, SIGMAS.float()
    options = {"scheme": scheme, "damping_mode": mode, "kappa_curve": ((0.0, 0.5),)}
    plain = run(x, sigmas, kappa=0.0, **options)
    torch.testing.assert_close(run(x, sigmas, kappa=kappa, **options), plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scheme", ["ddim", "dpmsolver++"])
@pytest.mark.parametrize("mode", ["adaptive", "relative"])
def test_lambda_leads_steadily_to_the_plain_scheme(scheme: str, mode: str) -> None:
    """From full trust at 0, where nothing explodes, by small changes for small changes, at kappa near 0 as well."""
    x, options = noise(4, 8) * 8, {"scheme": scheme, "damping_mode": mode}
    plain = run(x, kappa=0.0, **options)
    apart = [(run(x, damping=value, **options) - plain).norm().item() for value in (0.0, 0.5, 1.0, 3.0, 30.0, 1e4)]
    assert apart == sorted(apart, reverse=True) and apart[0] < plain.norm() and apart[-1] < 1e-2 * apart[0]
    torch.testing.assert_close(run(x, damping=1e-6, **options), run(x, damping=0.0, **options), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(run(x, damping=0.0, kappa=1e-6, **options), plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kappa", [5e-324, 1e-30, 1e-5, 1.0])
def test_lambda_zero_is_defined_in_every_mode(dtype: torch.dtype, kappa: float) -> None:
    x, sigmas = noise(4, 8).to(dtype) * 8, SIGMAS.to(dtype)
    options = {"scheme": "ddim", "damping_mode": "absolute", "damping": 0.0, "kappa": kappa}
    assert run(x, sigmas, **options).isfinite().all()
    still = run(x, sigmas, model=lambda x, sigma: torch.zeros_like(x), **options)  # the direction never turns
    torch.testing.assert_close(still, torch.zeros_like(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("scheme", "mode"), [("auto", "adaptive"), ("ddim", "adaptive"), ("ddim", "relative")])
def test_unit_free_damping_does_not_see_the_size_of_the_latent(scheme: str, mode: str) -> None:
    """The same picture tiled four times is corrected like one tile; the absolute lambda is not."""

    def tiled(x: Tensor, sigma: Tensor) -> Tensor:
        return torch.cat([DENOISE(part, sigma) for part in x.chunk(4, dim=1)], dim=1)

    x = noise(3, 8) * SIGMAS[0]
    options = {"scheme": scheme, "damping_mode": mode}
    torch.testing.assert_close(run(x.repeat(1, 4), model=tiled, **options), run(x, **options).repeat(1, 4))
    absolute = {"scheme": "ddim", "damping_mode": "absolute", "damping": 5.0}
    assert not torch.allclose(run(x.repeat(1, 4), model=tiled, **absolute), run(x, **absolute).repeat(1, 4))


def test_the_model_and_the_callback_are_called_once_a_step() -> None:
    calls, seen = [], []

    def model(x: Tensor, sigma: Tensor, **extra: Any) -> Tensor:
        calls.append((sigma.clone(), extra))
        return DENOISE(x, sigma)

    run(noise(2, 8), model=model, extra_args={"seed": 3, "model_options": {}}, callback=seen.append)
    assert [sigma.tolist() for sigma, _ in calls] == [[sigma, sigma] for sigma in SIGMAS[:-1].tolist()]
    assert all(extra == {"seed": 3, "model_options": {}} for _, extra in calls)
    assert [entry["i"] for entry in seen] == list(range(6))
    assert all({"x", "denoised", "sigma", "sigma_hat"} <= entry.keys() for entry in seen)


@pytest.mark.parametrize("sigmas", [[], [3.0]])
def test_a_schedule_without_steps_returns_the_input(sigmas: list[float]) -> None:
    x = noise(2, 8)
    assert run(x, torch.tensor(sigmas), model=never_called) is x


@pytest.mark.parametrize("parametrization", ["ve", "flow"])
def test_ancestral_noise_keeps_the_noise_level(parametrization: str) -> None:
    """For data at one point every state is alpha * x0 + sigma * noise, so the spread of the result is known."""
    sigmas = torch.tensor([0.9, 0.6, 0.3], dtype=torch.float64)
    x = 0.9 * noise(4000, 8)
    options: dict[str, Any] = {"parametrization": parametrization, "kappa": 0.0, "extra_args": {"seed": 1}}

    def model(x: Tensor, sigma: Tensor, seed: int) -> Tensor:
        return torch.zeros_like(x)

    result = run(x, sigmas, model=model, eta=1.0, **options)
    assert result.std().item() == pytest.approx(0.3, rel=0.02)
    assert torch.equal(result, run(x, sigmas, model=model, eta=1.0, **options))
    assert not torch.equal(result, run(x, sigmas, model=model, eta=1.0, **(options | {"extra_args": {"seed": 2}})))
    assert torch.equal(run(x, sigmas, model=model, **options), run(x, sigmas, model=model, s_noise=0.0, **options))


def test_noise_comes_from_the_caller_and_not_from_the_global_generator() -> None:
    state = torch.random.get_rng_state()
    asked = []

    def noise_sampler(sigma: Tensor, sigma_next: Tensor) -> Tensor:
        asked.append((sigma.item(), sigma_next.item()))
        return torch.zeros(2, 8, dtype=torch.float64)

    run(noise(2, 8), eta=0.5, noise_sampler=noise_sampler)
    assert asked == list(zip(SIGMAS[:-2].tolist(), SIGMAS[1:-1].tolist(), strict=True))
    run(noise(2, 8), eta=0.5, extra_args={"seed": 0}, model=lambda x, sigma, seed: x * 0)
    assert torch.equal(state, torch.random.get_rng_state())


# --- A run leaves nothing behind, and waits for nothing

SETTINGS = [
    LMLSettings(),
    LMLSettings(scheme="ddim", kappa=0.7),
    LMLSettings(scheme="dpmsolver++", order=3),
    LMLSettings(scheme="dpmsolver", order=2, target="increment"),
    LMLSettings(eta=0.7),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_two_threads_step_by_step(settings: LMLSettings) -> None:
    """Their steps alternate, because they wait for each other at every model call; then each runs alone."""
    states = [noise(3, 8, seed=seed).float() * 8 for seed in (1, 2)]
    before, barrier = [x.clone() for x in states], threading.Barrier(2, timeout=30)

    def alone(x: Tensor, model: Any = lambda x, sigma, seed: DENOISE(x, sigma)) -> Tensor:
        return run(x, SIGMAS.float(), model, settings=settings, extra_args={"seed": 1})

    def in_turn(x: Tensor, sigma: Tensor, seed: int) -> Tensor:
        barrier.wait()
        return DENOISE(x, sigma)

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda x: alone(x, in_turn), states))
    assert all(torch.equal(result, alone(x)) for result, x in zip(together, states, strict=True))
    assert all(torch.equal(x, kept) for x, kept in zip(states, before, strict=True))


@pytest.mark.parametrize("settings", [*SETTINGS, LMLSettings(scheme="ddim", target="direction")], ids=str)
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("recorded", [False, True], ids=["", "recorded"])
@pytest.mark.parametrize("device", ["meta", "cuda"] if torch.cuda.is_available() else ["meta"])
def test_nothing_is_read_from_the_device_before_the_end(
    settings: LMLSettings, masked: bool, recorded: bool, device: str
) -> None:
    """Tensors on `meta` have no values to read; on a GPU the driver watches. Only the last look at the run may read."""
    x = torch.empty(2, 4, 8, 8, device=device)
    calls = 0

    def model(x: Tensor, sigma: Tensor, **extra_args: object) -> Tensor:
        nonlocal calls
        calls += 1
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("error")
        return x * 0.5

    options: dict[str, Any] = {"settings": settings, "noise_sampler": lambda *_: torch.empty_like(x)}
    if recorded:
        options |= {"recorder": Recorder(), "cond_denoised": lambda: torch.empty_like(x)}
    if masked:
        options["extra_args"] = {"denoise_mask": torch.ones_like(x)}
    try:
        with pytest.raises(RuntimeError) as reading:
            run(x, SIGMAS.float(), model, **options)
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    assert calls == len(SIGMAS) - 1
    assert any(entry.name == "finish" for entry in reading.traceback)
