"""The forms that are measured beside LML: the Hessian of rank r against its definition, the noise against its law."""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import mpmath
import numpy as np
import pytest
import torch
from beyond.noise import Hessian, sample_sde
from beyond.rank import correct_by_history, sample_rank
from problems import mixture
from scipy.linalg import solve_discrete_lyapunov
from torch import Tensor

from lml_sampler import LMLSettings, correct, sample_lml
from lml_sampler.parametrization import Parametrization

AXES = 12


def near(rank: int, turn: float, spread: float) -> list[Tensor]:
    """u and `rank` float32 vectors at a distance of `turn` from it, which differ by `spread` of that."""
    generator = torch.Generator().manual_seed(rank)
    u, way, *rest = torch.randn(rank + 2, 1, AXES, generator=generator, dtype=torch.float64)
    return [u.float(), *((u + turn * (way + spread * each)).float() for each in rest)]


def definition(vectors: list[Tensor], damping: float, kappa: float) -> Tensor:
    """The paper's formula by solving the linear system with 60 digits."""
    with mpmath.workdps(60):
        u, *older = (mpmath.matrix([mpmath.mpf(value) for value in v[0].tolist()]) for v in vectors)
        length = mpmath.norm(u)
        system = damping * length**2 * mpmath.eye(AXES)
        for p in older:
            q = (1 - mpmath.mpf(kappa)) * u + kappa * p
            system += q * q.T
        solved = mpmath.lu_solve(system, u)
        solved *= length / mpmath.norm(solved)
        return torch.tensor([[float(value) for value in solved]], dtype=torch.float64)


@pytest.mark.parametrize(("turn", "spread", "tolerance"), [(1, 1, 2e-6), (0.1, 0.01, 1e-4), (1e-3, 0.1, 5e-6)])
@pytest.mark.parametrize("rank", [1, 2, 4])
def test_rank_r_equals_its_definition_in_float32(rank: int, turn: float, spread: float, tolerance: float) -> None:
    """Nearly parallel predictions lose what their own rounding costs, 1 / spread, and not its square."""
    vectors = near(rank, turn, spread)
    for kappa in (1e-6, 0.01, 1.0):
        for damping in (1e-8, 1e-3, 1.0, 1e6):
            exact = definition(vectors, damping, kappa)
            single = correct_by_history(vectors[0], vectors[1:], damping, kappa).double()
            assert (single - exact).norm() < tolerance * exact.norm(), (kappa, damping)
            double = correct_by_history(vectors[0].double(), [v.double() for v in vectors[1:]], damping, kappa)
            assert (double - exact).norm() < 1e-7 * tolerance * exact.norm(), (kappa, damping)


def test_rank_r_has_its_limits() -> None:
    u, *older = near(4, 1, 1)
    assert torch.equal(correct_by_history(u, older, 0.1, 0), u)
    assert torch.equal(correct_by_history(u, older, 1e30, 1), u)
    assert torch.equal(correct_by_history(u * 0, older, 1, 1), u * 0)
    energy = u.square().sum().item()
    single = correct(u, older[0], 0.3 * energy, 0.7)
    for variant in ("plain", "aged", "orthogonal", "differences"):
        torch.testing.assert_close(correct_by_history(u, older[:1], 0.3, 0.7, variant=variant), single)


@pytest.mark.parametrize("path", ["ve", "flow"])
@pytest.mark.parametrize(("scheme", "order"), [("ddim", 1), ("dpmsolver++", 3)])
def test_a_run_of_rank_one_is_lml(path: Parametrization, scheme: str, order: int) -> None:
    model, x, sigmas = mixture(path).denoise, start(path), schedule(path)
    settings = LMLSettings(scheme=scheme, order=order, damping_mode="relative", damping=2.0, kappa=0.5)
    expected = sample_lml(model, x, sigmas, settings=settings, parametrization=path, disable=True)
    options = {"path": path, "scheme": scheme, "order": order, "disable": True}
    result = sample_rank(model, x, sigmas, rank=1, damping=2.0, kappa=0.5, **options)
    torch.testing.assert_close(result, expected)
    assert not torch.allclose(result, sample_rank(model, x, sigmas, rank=2, damping=2.0, kappa=0.5, **options))


def start(path: Parametrization) -> Tensor:
    noise = torch.randn(4, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return noise * schedule(path)[0]


def schedule(path: Parametrization) -> Tensor:
    return torch.linspace(1, 0, 7, dtype=torch.float64) * (10 if path == "ve" else 1)


@pytest.mark.parametrize("path", ["ve", "flow"])
def test_without_noise_the_sde_is_the_ode(path: Parametrization) -> None:
    problem = mixture(path)

    def model(x: Tensor, sigma: Tensor, seed: int) -> Tensor:
        return problem.denoise(x, sigma)

    run = {"model": model, "x": start(path), "sigmas": schedule(path), "extra_args": {"seed": 0}, "disable": True}
    settings = LMLSettings(scheme="ddim", damping=0.5, kappa=0.3)
    expected = sample_lml(**run, settings=settings, parametrization=path)
    run |= {"path": path, "damping": 0.5, "kappa": 0.3, "form": "matched"}
    torch.testing.assert_close(sample_sde(**run, eta=0.0, s_noise=3.0), expected)
    assert not torch.allclose(sample_sde(**run, eta=1.0), sample_sde(**run, eta=1.0, s_noise=0.0))


def matrices(kappa: float, damping: float) -> tuple[np.ndarray, np.ndarray, float]:
    """P^1/2, as the code applies it, and P by its definition, of one u and p; and s."""
    u, p = torch.randn(2, 1, AXES, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    hessian = Hessian(u.expand(AXES, -1), p.expand(AXES, -1), damping, kappa)
    q = (1 - kappa) * u + kappa * p
    inverse = torch.eye(AXES, dtype=u.dtype) + q.mT @ q / (damping * u.square().sum())
    return hessian.root(torch.eye(AXES, dtype=u.dtype)).numpy(), inverse.inverse().numpy(), hessian.stretch()[0].item()


@pytest.mark.parametrize("kappa", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("damping", [0.01, 1.0, 10.0])
def test_a_fixed_preconditioner_leaves_a_gaussian_where_it_is(damping: float, kappa: float) -> None:
    """Langevin steps down to r sigma and back up, N(0, sigma^2): the covariance solves C = A C A^T + Q Q^T.

    Preconditioned drift with its own noise keeps sigma^2 up to the size of the step, with isotropic noise it does not.
    """
    sigma = 3.0
    root, inverse, stretch = matrices(kappa, damping)
    np.testing.assert_allclose(root @ root, inverse, atol=1e-12)
    errors = []
    for distance in (1e-3, 5e-4):
        ratio = 1 - distance / stretch
        drift = np.eye(AXES) - (1 - ratio) * stretch * inverse
        loudness = sigma * math.sqrt((1 - ratio**2) * stretch)
        errors.append(departure(drift, loudness * root, sigma))
    assert errors[0] < 1e-3
    assert errors[1] < 0.51 * errors[0]
    assert departure(drift, loudness * np.eye(AXES), sigma) > 0.05


def departure(drift: np.ndarray, noise: np.ndarray, sigma: float) -> float:
    """How far the stationary covariance of x <- drift x + noise z is from sigma^2 I, relative."""
    covariance = solve_discrete_lyapunov(drift, noise @ noise.T)
    return float(np.linalg.norm(covariance / sigma**2 - np.eye(AXES), 2))


@pytest.fixture
def cells(pack: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """The module `beyond.cells` with few samples."""
    from beyond import cells
    from quality import work

    monkeypatch.setattr(work, "FOLDER", tmp_path)
    monkeypatch.setattr(work, "CONVERGED_STEPS", {True: 40})
    monkeypatch.setattr(work, "SAMPLES", {"digits": 70})
    for kept in (work.problem_of, work.yardstick):
        kept.cache_clear()
    yield cells
    for kept in (work.problem_of, work.yardstick):
        kept.cache_clear()


def test_the_tables_are_of_what_was_run(cells: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one small cell: rank 0 is euler, each row is at its best gain, isotropic noise is the pack's `eta`."""
    import bench_beyond

    cell = (cells.CONDITIONS[1], 5)
    options = {"path": "ve", "scheme": "ddim", "order": 1}
    assert cells.run(cell, partial(sample_rank, rank=0, **options)) == cells.run_entry(cell, "euler")
    found = {
        gain: cells.run(cell, partial(sample_rank, rank=1, damping=1 / gain, kappa=1.0, **options))
        for gain in (0.1, 0.4, 30.0)
    }
    best = min(found, key=lambda gain: found[gain]["rms"])
    row, plain = bench_beyond.Row("ddim", 1, 1), bench_beyond.Row("ddim", 1, 0)
    figures = {(row, (gain, "relative")): {cell: figure} for gain, figure in found.items()}
    figures[plain, (0.1, "relative")] = {cell: cells.run_entry(cell, "euler")}
    figures[bench_beyond.AUTO, None] = {cell: cells.run_entry(cell, "LML auto")}
    monkeypatch.setattr(cells, "CELLS", (cell,))
    monkeypatch.setattr(bench_beyond, "rank_rows", lambda: [plain, row])
    lines = bench_beyond.rank_table(figures).splitlines()
    ratio = cells.run_entry(cell, "euler")["rms"] / found[best]["rms"]
    assert lines[2].startswith(f"| ddim 1 | 0 |  |  | {ratio:.2f} ")
    assert lines[3].startswith(f"| ddim 1 | 1 | {best:g} | relative | 1.00 ")
    ours = partial(sample_lml, settings=LMLSettings(scheme="ddim", eta=1.0, damping=1.0, kappa=1.0))
    isotropic = partial(sample_sde, path="ve", eta=1.0, form="isotropic", damping=1.0, kappa=1.0)
    assert cells.run(cell, isotropic)["rms"] == pytest.approx(cells.run(cell, ours)["rms"], rel=1e-3)
