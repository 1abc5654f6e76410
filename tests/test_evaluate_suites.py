"""Suites of evaluations: what is not right is named; what is planned is what is asked for."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from comfy_host.client import Client
from comfy_host.prompts import all_inputs_of
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from evaluate import commands, suite, units
from evaluate.errors import EvaluationError
from evaluate.store import Store
from evaluate.worker import ComfyWorker
from evaluations import SMALL, SMALL_UNITS, make_all, small_suite, written

SUITES = sorted(path.stem for path in suite.HERE.glob("*.toml"))


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_that_ships_fits_the_nodes(info: dict[str, Any], name: str) -> None:
    chosen = suite.load(name)
    for cell in units.cells(chosen)[:: len(chosen.grid["steps"])]:
        for node in units.cell_workflow(chosen, cell, chosen.template).values():
            known = all_inputs_of(info, node["class_type"])
            assert not node["inputs"].keys() - known.keys(), node
            for key, (_, options, optional) in known.items():
                assert key in node["inputs"] or optional or {"default", "options"} & options.keys(), (node, key)
    kept = {
        file.path.split("/", 1)[1]
        for file in chosen.files
        if file.path.startswith(("checkpoints", "diffusion_", "diff"))
    }
    values = json.dumps(units.cell_workflow(chosen, units.cells(chosen)[0], chosen.template))
    assert all(name in values for name in kept), "the workflow loads other files than the suite names"
    assert all(file.source for file in chosen.files)


BAD = {
    "unknown field": (("runs = 6", "rums = 6"), "rums is an unknown field"),
    "unknown field of a part": (('format = "tsv"', 'formt = "tsv"'), "prompts.formt is an unknown field"),
    "field that is missing": (("title =", "# title ="), "title: Field required"),
    "no such input": (('"sigmas.steps"', '"sigmas.stops"'), r"workflows/demo.json' has no input 'sigmas.stops'"),
    "no such node": (('pictures = "decode"', 'pictures = "dicode"'), r"has no node 'dicode'"),
    "no such workflow": (("demo.json", "other.json"), r"workflow is '.*other.json', which is not there"),
    "two of a name": (('name = "euler"', 'name = "LML"'), r"two samplers have the name 'LML'"),
    "a value twice": (("[4, 8, 12]", "[4, 8, 8]"), r"grid.steps is \[4, 8, 8\]; it needs values, each once"),
    "a batch that does not fit": (("batch = 8", "batch = 7"), r"pictures is 96; it must be a multiple of batch, 7"),
    "a kind": (('kind = "equal"', 'kind = "fair"'), "kind: Input should be 'equal' or 'as published'"),
    "a metric": (('"prc"', '"is"'), r"metrics\[\d\]: Input should be 'fid', 'kid'"),
    "a baseline": (('baseline = "euler"', 'baseline = "heun"'), r"baseline is 'heun', which is no sampler"),
    "not heard": (('shape = "model.shape"\n', ""), r"inputs lacks 'shape': the workflow would not hear it"),
    "not TOML": (("title =", "title"), r"suite.toml is not TOML"),
    "no such suite to be like": (("title =", 'like = "none"\ntitle ='), r"There is no suite .*none.toml"),
    "prompts": (("demo.tsv", "mine.tsv"), r"mine.tsv is missing: get it from its authors"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_suite_that_is_not_right_is_named(tmp_path: Path, name: str) -> None:
    change, message = BAD[name]
    with pytest.raises(EvaluationError, match=message) as refused:
        units.units(suite.load(written(tmp_path, change)))
    assert "\n" not in str(refused.value)


def test_the_same_noise_and_prompts_in_every_cell(tmp_path: Path) -> None:
    todo = units.units(suite.load(small_suite(tmp_path)))
    assert len(todo) == SMALL_UNITS and len({unit.key for unit in todo}) == SMALL_UNITS
    runs = {}
    for unit in todo:
        runs.setdefault(unit.cell, []).extend((run.seed, tuple(run.values.items())) for run in unit.runs)
    assert len(runs) == 4 and len({tuple(each) for each in runs.values()}) == 1
    assert len({seed for seed, _ in runs["euler, steps 2"]}) == 4


def test_a_sampler_can_be_told_the_steps(server: Client, tmp_path: Path) -> None:
    """The published settings depend on them: the row as the suites of the paper have it, and in ComfyUI."""
    published = next(each for each in suite.load("cfg_sd15").samplers if each.name == "LML as published")
    chosen = suite.load(written(tmp_path, *SMALL))
    chosen = dataclasses.replace(chosen, samplers=(published,))
    steps = [units.sampler_node(chosen, cell)["inputs"]["scheme.steps"] for cell in units.cells(chosen)]
    assert steps == [2, 3]
    board = make_all(Store(tmp_path / "out"), units.units(chosen)[:1], [ComfyWorker(server.address)])
    assert (board.counts.made, board.counts.failed) == (1, [])


def test_planning_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = commands.Namespace(suite=small_suite(tmp_path), out=tmp_path / "out", seconds_a_call=0.5, workers=2)
    commands.plan(options)
    said = capsys.readouterr().out
    assert "4 cells, 8 units (0 made), 32 pictures, 80 calls" in said and "about 0.00556 hours on 2 workers" in said
    assert not (tmp_path / "out").exists()


# --- Timesteps and sigmas are those of diffusers


@pytest.mark.parametrize(
    ("spacing", "kind"),
    [
        ("leading", DDIMScheduler),
        ("linspace", DPMSolverMultistepScheduler),  # DDIM's takes the last timestep too, and steps by another width
    ],
)
@pytest.mark.parametrize("steps", [5, 7, 10, 20])
@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_timesteps_are_those_of_diffusers(spacing: str, kind: Any, steps: int) -> None:
    scheduler = kind(timestep_spacing=spacing)
    scheduler.set_timesteps(steps)
    assert units.timesteps_of(spacing, steps) == scheduler.timesteps.tolist()


@pytest.mark.parametrize(("start", "end", "schedule"), [(1e-4, 0.02, "linear"), (0.00085, 0.012, "scaled_linear")])
def test_sigmas_are_those_of_the_schedule(start: float, end: float, schedule: Any) -> None:
    kept = DDIMScheduler(beta_start=start, beta_end=end, beta_schedule=schedule).alphas_cumprod[[800, 600, 400, 200, 0]]
    found = units.sigmas_of(suite.Betas(schedule, start, end), "leading", 5)
    expected = ((1 - kept) / kept).sqrt().tolist()
    assert found == pytest.approx([*expected, 0.0], rel=1e-4)
