"""The benchmark: its distances, its counting of calls, its choice of cells, one cell from end to end."""

import itertools
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quality import grid, measures, store, summary
from quality.grid import Condition, Names, Task, tasks
from quality.store import Cells, key_of
from safetensors.torch import save_file
from zoo.problems import fresh, weights_file

# ComfyUI's deis and dpm_fast and torchsde warn.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
CONDITION = Condition("digits", "ve", None, 4.0, "normal")


@pytest.fixture(scope="module")
def work(pack: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The worker's module, keeping what it keeps in a folder of its own."""
    from quality import work

    work.FOLDER = tmp_path_factory.mktemp("quality")
    return work


def whitened(generator: np.random.Generator, count: int, axes: int) -> np.ndarray:
    """Samples whose mean is exactly 0 and whose covariance is exactly the identity."""
    samples = generator.standard_normal((count, axes))
    samples -= samples.mean(0)
    return samples @ np.linalg.inv(np.linalg.cholesky(np.cov(samples.T))).T


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32), axes=st.integers(2, 6))
def test_the_frechet_distance_of_gaussians_is_the_closed_one(seed: int, axes: int) -> None:
    """Commuting covariances: |m_a - m_b|^2 + sum (s_a - s_b)^2 over the axes."""
    generator = np.random.default_rng(seed)
    turn = np.linalg.qr(generator.standard_normal((axes, axes)))[0]
    (mean_a, mean_b), (std_a, std_b) = generator.standard_normal((2, axes)), generator.uniform(0.1, 3, (2, axes))
    a = (mean_a + whitened(generator, 50, axes) * std_a) @ turn
    b = (mean_b + whitened(generator, 70, axes) * std_b) @ turn
    exact = ((mean_a - mean_b) ** 2).sum() + ((std_a - std_b) ** 2).sum()
    assert measures.Frechet(a)(b) == pytest.approx(exact, rel=1e-4, abs=1e-5)
    assert measures.Frechet(a)(a) == pytest.approx(0, abs=1e-9)


def test_the_bootstrap_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        low, high = measures.rms_interval(generator.exponential(2.0, 100), seed=0)
        hits += low <= np.sqrt(2) <= high
    assert 0.90 < hits / 1000 < 0.97


def test_all_samplers_are_resampled_alike() -> None:
    squares = np.random.default_rng(1).exponential(2.0, 100)
    other = measures.rms_interval(squares * 4, seed=0)
    assert other == pytest.approx([2 * end for end in measures.rms_interval(squares, seed=0)])


@pytest.mark.parametrize(
    ("name", "budget", "steps", "calls"),
    [
        ("euler", 8, 8, 8),
        ("uni_pc", 8, 8, 8),
        ("heun", 8, 4, 7),
        ("GHVB 1.8", 8, 8, 8),
        ("PFDiff 1", 8, 14, 8),
        ("FireFlow", 8, 7, 8),
        ("dpmpp_2s_ancestral", 5, 3, 5),
        ("seeds_3", 8, 3, 7),
        ("LML auto", 8, 8, 8),
    ],
)
def test_calls_are_counted(work: ModuleType, name: str, budget: int, steps: int, calls: int) -> None:
    from quality import probing

    assert probing.steps_within(name, budget) == steps
    assert probing.calls_of(name, steps) == calls


@pytest.mark.parametrize(("name", "shift"), [("shapes_flow", 5.0), ("digits_x0", None)])
def test_a_network_of_the_zoo_comes_closer_with_more_calls(
    work: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, shift: float | None
) -> None:
    """Of one with random weights, which is a smooth denoiser all the same; guided calls count once."""
    from quality import entries, probing
    from quality.zoo_problem import ZooProblem

    monkeypatch.setenv("LML_ZOO", str(tmp_path))
    torch.manual_seed(0)
    weights = {key: value + 0.02 * torch.randn_like(value) for key, value in fresh(name).module.state_dict().items()}
    save_file(weights, weights_file(name))
    problem = ZooProblem(name, shift, cfg=3.0, samples=2, seed=0)
    euler = entries.entries()["euler"]

    def off(calls: int) -> float:
        sampler = euler.build(problem.model_patcher, shift is not None, calls)
        samples = problem.run(sampler, probing.sigmas(problem.model_patcher, euler, "simple", calls))
        assert problem.calls == calls
        return (samples - exact).square().mean().sqrt().item()

    exact = problem.converged()
    assert off(40) < 0.5 * off(8)


def test_a_sampler_that_chooses_its_calls_gets_no_figures_below_them(work: ModuleType) -> None:
    (record,) = work.run_task(Task(CONDITION, "dpm_adaptive", (20,)))
    assert (record["note"], record["rms"], record["steps"]) == ("needs more calls", None, None)


def test_every_sampler_is_there(work: ModuleType) -> None:
    import comfy.samplers
    from quality import probing

    names = probing.names()
    twins = {name for name in comfy.samplers.SAMPLER_NAMES if name.endswith("_gpu")}
    added = {"sa_solver, eta 0", "GHVB 1.8", "PFDiff 1", "FireFlow"}
    assert set(names.peers) == {*comfy.samplers.SAMPLER_NAMES, *added} - twins - {"ddim", "lml"}
    assert {"euler_ancestral", "dpmpp_2m_sde", "sa_solver"} <= names.stochastic
    assert not {"euler", "uni_pc", "deis", "sa_solver, eta 0"} & names.stochastic


def test_the_quick_cells_are_among_the_others(work: ModuleType) -> None:
    from quality import probing

    def cells(quick: bool) -> set[tuple[Condition, str, int]]:
        return {(t.condition, t.entry, calls) for t in tasks(probing.names(), quick) for calls in t.calls}

    assert cells(True) < cells(False)


def test_one_cell_from_end_to_end(work: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Euler comes closer with more calls; the same cell is the same again; the key tells cells apart."""
    monkeypatch.setitem(grid.SAMPLES, "digits", 24)
    monkeypatch.setitem(work.CONVERGED_STEPS, True, 60)
    work.problem_of.cache_clear()
    work.yardstick.cache_clear()
    few, many = work.run_task(Task(CONDITION, "euler", (5, 30)))
    assert 0 < many["rms"] < few["rms"] and many["rms_low"] < many["rms"] < many["rms_high"]
    assert 0 < many["frechet_converged"] < few["frechet_converged"]
    assert (few["calls_made"], few["seed"], few["note"]) == (5, 0, None)
    (again,) = work.run_task(Task(CONDITION, "euler", (5,)))
    assert again | {"seconds": 0} == few | {"seconds": 0}
    keys = {work.cell_key(CONDITION, name, calls) for name in ("euler", "LML auto") for calls in (5, 30)}
    assert len(keys) == 4 and {few["key"], many["key"]} < keys
    (auto,) = work.run_task(Task(CONDITION, "LML auto", (5,)))
    blocks = summary.blocks([few, auto])
    ratio = auto["rms"] / few["rms"]
    assert summary.ratio_to_best(blocks[CONDITION, 5], "LML auto", "rms") == ratio
    assert f"| LML auto | {ratio > 1:d} | {ratio > 1.1:d} | {ratio:.2f} |" in summary.harm_table(blocks)


def test_a_kept_figure_goes_by_what_code_does_and_not_by_its_prose(tmp_path: Path) -> None:
    def hashed(text: str) -> str:
        (tmp_path / "code.py").write_text(text)
        return store.hash_of([tmp_path / "code.py"])

    first = hashed('"""One."""\nWIDTH = 1\n"""Of what."""\n')
    assert hashed('"""Another."""\n# Why.\nWIDTH = 1\n') == first != hashed("WIDTH = 2\n")


def test_an_ended_run_goes_on_after_its_last_whole_cell(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    cells = Cells(path)
    for number in (1, 2):
        cells.add({"key": key_of({"number": number}), "number": number})
    whole = path.read_text()
    path.write_text(whole + '{"key": "3", "nu')
    assert [record["number"] for record in Cells(path).found.values()] == [1, 2]
    assert path.read_text() == whole


def test_what_is_too_dear_for_the_networks_is_left_out() -> None:
    lml = (grid.AUTO, "LML fixed")
    names = Names(("euler", "sde", "euler_cfg_pp"), lml, frozenset({"sde"}), frozenset({grid.AUTO}))
    for problem, quick in itertools.product(("network", "shapes_flow"), (False, True)):
        network = Condition(problem, "ve", None, 4.0, "normal")
        assert names.chosen(network, quick) == ["euler", grid.AUTO]
    assert names.chosen(CONDITION, quick=False) == [*names.peers, *lml]
    assert names.chosen(CONDITION, quick=True) == [*names.peers, grid.AUTO]
