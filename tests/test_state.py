"""A run leaves nothing behind: the same bits in any order, in two threads, after a cancelled run, at any size."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import core_runs
import pytest
import torch
from problems import Denoiser, mixture
from torch import Tensor

from lml_sampler import LMLSettings

SIGMAS = torch.tensor([9.0, 4.0, 2.0, 1.0, 0.5, 0.2, 0.0])
SETTINGS = [
    LMLSettings(),
    LMLSettings(scheme="ddim", kappa=0.7),
    LMLSettings(scheme="dpmsolver++", order=3),
    LMLSettings(scheme="dpmsolver", order=2, target="increment"),
    LMLSettings(eta=0.7),
]
DENOISE = mixture().denoise


class Cancelled(Exception):
    pass


def run(settings: LMLSettings, seed: int = 1, batch: int = 3, model: Denoiser = DENOISE) -> Tensor:
    x = torch.randn(batch, 8, generator=torch.Generator().manual_seed(seed)) * 9
    before = x.clone()
    result = core_runs.run(model, x, SIGMAS, extra_args={"seed": seed}, settings=settings)
    assert torch.equal(x, before)
    return result


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_other_runs_do_not_matter(settings: LMLSettings) -> None:
    expected = run(settings)
    run(settings, seed=2, batch=5)
    for other in SETTINGS:
        run(other, seed=4, batch=1)
    assert torch.equal(run(settings), expected)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("step", [0, 1, 4])
def test_a_cancelled_run_does_not_matter(settings: LMLSettings, step: int) -> None:
    expected, calls = run(settings), 0

    def cancelled(x: Tensor, sigma: Tensor, seed: int) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > step:
            raise Cancelled
        return DENOISE(x, sigma)

    with pytest.raises(Cancelled):
        run(settings, model=cancelled)
    assert torch.equal(run(settings), expected)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_two_threads_step_by_step(settings: LMLSettings) -> None:
    """The threads wait for each other at every model call, so that their steps alternate."""
    seeds, barrier = (1, 2), threading.Barrier(2, timeout=30)

    def in_turn(x: Tensor, sigma: Tensor, seed: int) -> Tensor:
        barrier.wait()
        return DENOISE(x, sigma)

    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda seed: run(settings, seed=seed, model=in_turn), seeds)
    assert all(torch.equal(result, run(settings, seed=seed)) for result, seed in zip(results, seeds, strict=True))


@pytest.mark.parametrize("settings", [*SETTINGS, LMLSettings(scheme="ddim", target="direction")], ids=str)
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("device", ["meta", "cuda"] if torch.cuda.is_available() else ["meta"])
def test_nothing_is_read_from_the_device_before_the_end(settings: LMLSettings, masked: bool, device: str) -> None:
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
    if masked:
        options["extra_args"] = {"denoise_mask": torch.ones_like(x)}
    try:
        with pytest.raises(RuntimeError) as reading:
            core_runs.run(model, x, SIGMAS, **options)
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    assert calls == len(SIGMAS) - 1
    assert any(entry.name == "finish" for entry in reading.traceback)
