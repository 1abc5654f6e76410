"""Evaluations: suites that are not right, units that are never lost or made twice, figures that are the libraries'."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comfy_host.client import Client
from evaluate import board as boards
from evaluate import commands, engines, export, measures, pictures, ray_engine, scoring, simulate, suite, tables, units
from evaluate.errors import EvaluationError, Unreached
from evaluate.features import LITE, Extractor, load, save
from evaluate.store import About, Store
from evaluate.stub import ABOUT, Stub, StubInPlace, StubProcess, stub_units
from evaluate.worker import ComfyWorker, OwnComfyWorker
from PIL import Image

ROOT = Path(__file__).parents[1]
FULL = os.environ.get("LML_TESTS") == "full"
SUITES = sorted(path.stem for path in suite.HERE.glob("*.toml"))
DEMO = (suite.HERE / "demo.toml").read_text().replace('"workflows/', f'"{suite.HERE}/workflows/')
DEMO = DEMO.replace('"prompts/', f'"{suite.HERE}/prompts/')
SMALL = (
    ("pictures = 96", "pictures = 8"),
    ("batch = 8", "batch = 2"),
    ("runs = 6", "runs = 2"),
    ("[4, 8, 12]", "[2, 3]"),
)
SMALL_UNITS = 2 * 2 * 2
"""Samplers, columns, units of a cell."""


def written(folder: Path, *changes: tuple[str, str], text: str = DEMO) -> str:
    """A suite in a file: the demo's, changed."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "suite.toml"
    path.write_text(text)
    return str(path)


@pytest.fixture
def small(tmp_path: Path) -> str:
    """The demo with two samplers, 2 and 3 steps, 8 pictures a cell."""
    head = DEMO[: DEMO.index('[[samplers]]\nname = "dpmpp_2m"')]
    return written(tmp_path, *SMALL, text=head)


# --- Suites


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_that_ships_fits_the_nodes(info: dict[str, Any], name: str) -> None:
    chosen = suite.load(name)
    for cell in units.cells(chosen)[:: len(chosen.grid["steps"])]:
        for node in units.cell_workflow(chosen, cell, chosen.template).values():
            if node["class_type"] in ("SamplerEvaluationCount", "SamplerEvaluationKeep"):
                continue
            inputs = info[node["class_type"]]["input"]
            known = {**inputs["required"], **inputs.get("optional", {})}
            assert not {key.split(".")[0] for key in node["inputs"]} - known.keys(), node
            for key, (kind, *options) in inputs["required"].items():
                has_default = isinstance(kind, list) or (
                    options and ("default" in options[0] or "options" in options[0])
                )
                assert key in node["inputs"] or has_default, (node["class_type"], key)
    kept = {
        file.path.split("/", 1)[1]
        for file in chosen.files
        if file.path.startswith(("checkpoints", "diffusion_", "diff"))
    }
    values = json.dumps(units.cell_workflow(chosen, units.cells(chosen)[0], chosen.template))
    assert all(name in values for name in kept), "the workflow loads other files than the suite names"
    assert all(file.source for file in chosen.files)


BAD = {
    "unknown field": (("runs = 6", "rums = 6"), r"the suite has an unknown field 'rums'; known are title, .*runs"),
    "unknown field of a part": (('format = "tsv"', 'formt = "tsv"'), r"\[prompts\] has an unknown field 'formt'"),
    "field that is missing": (("title =", "# title ="), r"the suite lacks the field 'title'"),
    "no such input": (('"sigmas.steps"', '"sigmas.stops"'), r"workflows/demo.json' has no input 'sigmas.stops'"),
    "no such node": (('pictures = "decode"', 'pictures = "dicode"'), r"has no node 'dicode'"),
    "no such workflow": (("demo.json", "other.json"), r"workflow is '.*other.json', which is not there"),
    "two of a name": (('name = "euler"', 'name = "LML"'), r"two samplers have the name 'LML'"),
    "a value twice": (("[4, 8, 12]", "[4, 8, 8]"), r"grid.steps is \[4, 8, 8\]; it needs values, each once"),
    "a batch that does not fit": (("batch = 8", "batch = 7"), r"pictures is 96; it must be a multiple of batch, 7"),
    "a kind": (('kind = "equal"', 'kind = "fair"'), r"kind is 'fair'; it must be 'equal' or 'as published'"),
    "a metric": (('"prc"', '"is"'), r"metrics has 'is'; known are fid"),
    "a baseline": (('baseline = "euler"', 'baseline = "heun"'), r"baseline is 'heun', which is no sampler"),
    "not heard": (('shape = "model.shape"\n', ""), r"inputs lacks 'shape': the workflow would not hear it"),
    "not TOML": (("title =", "title"), r"suite.toml is not TOML"),
    "prompts": (("demo.tsv", "mine.tsv"), r"mine.tsv is missing: get it from its authors"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_suite_that_is_not_right_is_named(tmp_path: Path, name: str) -> None:
    change, message = BAD[name]
    with pytest.raises(EvaluationError, match=message) as refused:
        units.units(suite.load(written(tmp_path, change)))
    assert "\n" not in str(refused.value)


def test_the_same_noise_and_prompts_in_every_cell(small: str) -> None:
    todo = units.units(suite.load(small))
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
    steps = [units.sampler_node(cell)["inputs"]["scheme.steps"] for cell in units.cells(chosen)]
    assert steps == [2, 3]
    board = make_all(Store(tmp_path / "out"), units.units(chosen)[:1], [ComfyWorker(server.address)])
    assert (board.counts.made, board.counts.failed) == (1, [])


def test_planning_runs_nothing(small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = commands.Namespace(suite=small, out=tmp_path / "out", seconds_a_call=0.5, workers=2)
    commands.plan(options)
    said = capsys.readouterr().out
    assert "4 cells, 8 units (0 made), 32 pictures, 80 calls" in said and "about 0.00556 hours on 2 workers" in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["plan.jsonl"]
    assert len((tmp_path / "out" / "plan.jsonl").read_text().splitlines()) == SMALL_UNITS


# --- Units are never lost and never made twice


def make_all(store: Store, todo: list[units.Unit], workers: list[Any], patience: float = 20) -> boards.Board:
    with store.owned():
        store.hold_to(engines.ask_all(workers))
        board = boards.Board(store, todo)
        engines.make_in_threads(board, workers, patience)
    for worker in workers:
        worker.close()
    return board


def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    """And its process is killed from outside while it works, as a person or a full memory does."""
    store, todo = Store(tmp_path), stub_units(40)
    workers = [StubProcess(f"stub {number}", Stub(seconds=0.02)) for number in range(2)]

    def kill() -> None:
        while len(list(tmp_path.glob("units/*/*.zip"))) < 8:
            time.sleep(0.01)
        os.kill(workers[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    board = make_all(store, todo, workers)
    killer.join()
    counts = simulate.outcome(store, board, 40, 0)
    assert (counts.files, counts.twice, counts.missing, counts.half_written) == (40, 0, 0, 0)
    assert counts.deaths <= 1 and counts.reported == 0


def test_a_unit_that_kills_its_worker_is_tried_three_times_and_reported(tmp_path: Path) -> None:
    store, todo = Store(tmp_path), stub_units(8, cells=4)
    stub = Stub(poison=frozenset({"cell 1"}), wrong=frozenset({"cell 2"}))
    board = make_all(store, todo, [StubProcess("stub", stub)])
    assert board.counts.made == 4 and board.counts.lost == 2 * boards.ATTEMPTS
    failed = sorted(board.counts.failed)
    assert [cell for cell, _ in failed] == ["cell 1"] * 2 + ["cell 2"] * 2
    assert failed[0][1].startswith("its worker died 3 times") and failed[2][1] == "no node of that name in cell 2"
    again = make_all(Store(tmp_path), todo, [StubProcess("stub", Stub())])  # they are reported again, not tried
    assert again.counts.made == 0 and len(again.counts.failed) == 4
    store.forgive()
    assert make_all(Store(tmp_path), todo, [StubProcess("stub", Stub())]).counts.made == 4


def command(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
    text = [str(each) for each in arguments]
    line = [sys.executable, str(ROOT / "benchmarks" / "eval.py"), *text]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def test_a_killed_driver_goes_on_where_it_was(tmp_path: Path) -> None:
    """Its workers end with it, and the folder is free again."""
    line = ("simulate", "--engine", "local", "--out", tmp_path, "--units", 60, "--seconds", 0.03, "--dying", 0)
    driver = command(*line, start_new_session=True)
    while len(list(tmp_path.glob("units/*/*.zip"))) < 10:
        assert driver.poll() is None
        time.sleep(0.02)
    with pytest.raises(EvaluationError, match="Another process makes units"), Store(tmp_path).owned():
        pass
    driver.kill()
    driver.communicate()
    before = len(list(tmp_path.glob("units/*/*.zip")))
    second = command(*line)
    said, _ = second.communicate()
    assert second.returncode == 0 and 10 <= before < 60
    assert "60 units, 60 files, 0 twice, 0 missing, 0 half written, 0 reported, 0 deaths" in said


def test_a_full_disk_stops_cleanly(tmp_path: Path) -> None:
    """A file may grow to 10 bytes: not even the record of the versions fits, then no unit does."""
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40, resource.RLIM_INFINITY))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    line = ("simulate", "--engine", "local", "--out", tmp_path, "--units", 6, "--dying", 0)
    driver = command(*line, preexec_fn=limit)
    said, _ = driver.communicate()
    assert driver.returncode == 2 and re.search(
        r"\.zip could not be written: File too large\. What was made is safe", said
    )
    assert not list(tmp_path.glob("units/*/*"))
    again = command(*line)
    assert "6 units, 6 files, 0 twice, 0 missing, 0 half written" in again.communicate()[0]


def test_two_actors_of_ray_one_killed(tmp_path: Path) -> None:
    """With a unit that kills its actor every time, and one that is refused."""
    store, todo = Store(tmp_path), stub_units(24, cells=24)
    stub = Stub(seconds=0.01, poison=frozenset({"cell 3"}), wrong=frozenset({"cell 5"}))
    with store.owned(), ray_engine.cluster(None, cpus=2):
        actors = ray_engine.make_actors(lambda number: StubInPlace(f"stub {number}", stub), 2, on_gpus=False)
        store.hold_to(ray_engine.ask_actors(actors))
        board = boards.Board(store, todo)
        ray_engine.make_on_ray(board, actors)
    counts = simulate.outcome(store, board, 24, 0)
    assert (counts.files, counts.twice, counts.half_written) == (22, 0, 0)
    assert counts.deaths == boards.ATTEMPTS
    assert sorted(cell for cell, _ in board.counts.failed) == ["cell 3", "cell 5"]


class Other(StubInPlace):
    """A worker with another version."""

    def about(self) -> About:
        return About({"stub": "2"}, {})


class Gone(StubInPlace):
    """A worker that is out of reach until it has been asked so often."""

    def __init__(self, name: str, stub: Stub, times: int) -> None:
        super().__init__(name, stub)
        self.times = times

    def about(self) -> About:
        self._look()
        return ABOUT

    def make(self, unit: units.Unit) -> bytes:
        self._look()
        return super().make(unit)

    def _look(self) -> None:
        self.times -= 1
        if self.times >= 0:
            raise Unreached(f"{self.name} does not answer")


def test_other_versions_are_refused_before_the_first_unit(tmp_path: Path) -> None:
    one, other = StubInPlace("one", Stub()), Other("other", Stub())
    with pytest.raises(EvaluationError, match=r"workers one and other differ in the version of stub \(1, here 2\)"):
        engines.ask_all([one, other])
    store = Store(tmp_path)
    store.hold_to(one.about())
    with pytest.raises(EvaluationError, match="was begun with another version of stub"):
        Store(tmp_path).hold_to(other.about())
    with pytest.raises(EvaluationError, match=r"does not answer\. Start it, or leave it out"):
        engines.ask_all([Gone("gone", Stub(), 9)])


def test_a_network_that_is_away_costs_no_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "PAUSE", 0.01)
    store = Store(tmp_path)
    store.hold_to(ABOUT)
    board = boards.Board(store, stub_units(5))
    engines.make_in_threads(board, [Gone("gone", Stub(), 20)])
    assert board.counts.made == 5 and board.counts.lost == 0
    board = boards.Board(store, stub_units(7))
    with pytest.raises(EvaluationError, match="All workers are out of reach: start them and run the same command"):
        engines.make_in_threads(board, [Gone("gone", Stub(), 10**9)], patience=0.05)
    engines.make_in_threads(board, [StubInPlace("back", Stub())])
    assert board.counts.made == 2


# --- Through ComfyUI


@pytest.fixture(scope="module")
def evaluated(server: Client, tmp_path_factory: pytest.TempPathFactory) -> tuple[suite.Suite, Store]:
    """The small suite, made by the server."""
    folder = tmp_path_factory.mktemp("evaluated")
    chosen = suite.load(written(folder, *SMALL, text=DEMO[: DEMO.index('[[samplers]]\nname = "dpmpp_2m"')]))
    store, template = Store(folder / "out"), units.cell_workflow(chosen, units.cells(chosen)[0], chosen.template)
    board = make_all(store, units.units(chosen), [ComfyWorker(server.address, template=template)])
    assert (board.counts.made, board.counts.failed) == (SMALL_UNITS, [])
    return chosen, store


def all_pictures(chosen: suite.Suite, store: Store) -> np.ndarray:
    return np.stack([picture for cell in pictures.made(chosen, store) for picture, _ in cell.pictures()])


def test_calls_and_sigmas_are_counted(evaluated: tuple[suite.Suite, Store]) -> None:
    chosen, store = evaluated
    cells = {cell.cell.name: pictures.counted(cell) for cell in pictures.made(chosen, store)}
    assert {name: about["calls"] for name, about in cells.items()} == {
        "LML, steps 2": 2,
        "LML, steps 3": 3,
        "euler, steps 2": 2,
        "euler, steps 3": 3,
    }
    assert len(cells["euler, steps 3"]["sigmas"]) == 4 and cells["euler, steps 3"]["sigmas"][-1] == 0
    assert cells["euler, steps 2"]["dtypes"] == ["torch.float32"] and cells["euler, steps 2"]["seconds"] > 0
    pictures.check_equal(chosen, cells)
    cells["euler, steps 3"]["calls"] = 5
    with pytest.raises(EvaluationError, match="euler, steps 3 has other calls than LML, steps 3"):
        pictures.check_equal(chosen, cells)


@pytest.mark.parametrize("restarted", [False, True] if FULL else [False])
def test_a_killed_comfyui_loses_nothing(
    evaluated: tuple[suite.Suite, Store], server: Client, tmp_path: Path, restarted: bool
) -> None:
    """In the middle of a unit, by a signal; another server goes on, or the same is started again.

    The pictures are those that the server makes of the same noise.
    """
    chosen, others = evaluated
    todo, store, worker = units.units(chosen), Store(tmp_path / "out"), OwnComfyWorker("comfyui 0")

    class Killed:
        """The worker, its ComfyUI killed while it makes the third unit."""

        name, about, close = worker.name, worker.about, worker.close
        begun = 0

        def make(self, unit: units.Unit) -> bytes:
            self.begun += 1
            if self.begun == 3 and worker.pid:
                threading.Timer(0.02, os.kill, (worker.pid, signal.SIGKILL)).start()
            return worker.make(unit)

    if restarted:
        board = make_all(store, todo, [Killed()], patience=120)
        assert (board.counts.made, board.counts.lost) == (SMALL_UNITS, 1)
    else:
        with pytest.raises(EvaluationError, match="All workers are out of reach"):
            make_all(store, todo, [Killed()], patience=0)
        worker.close()
        board = make_all(store, todo, [ComfyWorker(server.address)])
        assert (board.counts.done_before, board.counts.made) == (2, SMALL_UNITS - 2)
    assert len(list(store.folder.glob("units/*/*"))) == len(store.log()) == SMALL_UNITS
    assert np.array_equal(all_pictures(chosen, store), all_pictures(chosen, others))


def test_a_unit_can_be_made_again_by_the_same_server(evaluated: tuple[suite.Suite, Store], server: Client) -> None:
    """ComfyUI keeps results: those that were fetched are not there any more."""
    unit = units.units(evaluated[0])[0]
    unit = dataclasses.replace(unit, runs=unit.runs[:1], pictures=2)
    worker = ComfyWorker(server.address)
    engines.check_alike({str(time): worker.make(unit) for time in range(3)})
    other = dataclasses.replace(unit, runs=(dataclasses.replace(unit.runs[0], seed=99),))
    with pytest.raises(
        EvaluationError, match=r"workers one and two make other pictures of the same noise \(\d+\.\d of 255"
    ):
        engines.check_alike({"one": worker.make(unit), "two": worker.make(other)})
    with pytest.raises(EvaluationError, match="workers of before and "):
        engines.compare_workers([worker], unit, worker.make(other))


def test_what_a_server_lacks_is_named(server: Client, tmp_path: Path) -> None:
    files = [suite.ModelFile("checkpoints/none.safetensors", "https://example.org")]
    with pytest.raises(EvaluationError, match=r"has no checkpoints/none.safetensors in its models: get it from https"):
        ComfyWorker(server.address, files).about()
    folder = suite.ModelFile("diffusers/ldm-celebahq-256", "x")
    found = ComfyWorker(server.address, [folder]).about().files
    assert re.fullmatch("[0-9a-f]{64}", found[folder.path])
    with pytest.raises(EvaluationError, match="is another file than the suite names"):
        ComfyWorker(server.address, [suite.ModelFile(folder.path, "x", "0" * 64)]).about()
    with pytest.raises(EvaluationError, match="has no node LMLOfTomorrow, which the workflow needs"):
        ComfyWorker(server.address, template={"1": {"class_type": "LMLOfTomorrow", "inputs": {}}}).about()


def test_a_server_of_another_kind_is_named(tmp_path: Path) -> None:
    """One that knows nothing of evaluations: a web server of files."""
    (tmp_path / "lml_evaluate").mkdir()
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as other:
        port = re.search(r"port (\d+)", other.stdout.readline())[1]
        with pytest.raises(EvaluationError, match="has no LML evaluation nodes of version 1: link"):
            ComfyWorker(f"http://127.0.0.1:{port}/").about()
        other.terminate()


def test_a_refused_workflow_is_reported_and_not_repeated(
    evaluated: tuple[suite.Suite, Store], server: Client, tmp_path: Path
) -> None:
    chosen, _ = evaluated
    unit = units.units(chosen)[0]
    wrong = dataclasses.replace(
        unit, key="f" * 64, workflow=units.filled(unit.workflow, {"steps": "sigmas.steps"}, {"steps": -1})
    )
    board = make_all(Store(tmp_path), [wrong], [ComfyWorker(server.address)])
    assert board.counts.made == board.counts.lost == 0
    assert "steps" in board.counts.failed[0][1] and "min" in board.counts.failed[0][1]


def test_scores_tables_and_folders(evaluated: tuple[suite.Suite, Store], tmp_path: Path) -> None:
    """From pictures to a table; a cell that is not whole is named under it and not in it."""
    chosen, store = evaluated
    gone = pictures.made(chosen, store)[3].paths[0]
    content = gone.read_bytes()
    gone.unlink()
    few = tmp_path / "real"
    few.mkdir()
    for number, picture in enumerate(all_pictures(chosen, store)):
        Image.fromarray(255 - picture).save(few / f"{number}.png")
    scores = scoring.score(chosen, store, real=str(few))
    text = tables.markdown(scores)
    assert (
        "**This is not FID.**" in text and "Left out, because they are not complete: euler, steps 3 (1 units)" in text
    )
    row = next(line for line in text.splitlines() if line.startswith("| euler |"))
    assert re.fullmatch(r"\| euler \| [\d.]+ ± [\d.]+ \| – \|", row)
    lines = tables.comma_separated(scores).splitlines()
    assert (
        lines[0] == "sampler,steps,repeat,metric,value,half_width,n,calls,seconds_a_picture" and len(lines) == 1 + 3 * 5
    )
    with pytest.raises(EvaluationError, match="Two cells have the name"):
        tables.merged([scores, scores])
    with pytest.raises(EvaluationError, match=r"The n of the scores differ \(8, 9\): not comparable"):
        tables.merged([scores, scores | {"n": 9}])
    with pytest.raises(EvaluationError, match="this suite has no column prompt"):
        export.t2i_compbench(chosen, store, tmp_path, "demo", "color")
    gone.write_bytes(content)


def test_the_folders_of_t2i_compbench(server: Client, tmp_path: Path) -> None:
    """Prompts of which two are the same; here a prompt is a color, which the demo model can hear."""
    (tmp_path / "colors.txt").write_text("red\nblue\nred\n")
    changes = (
        (f'file = "{suite.HERE}/prompts/demo.tsv"', f'file = "{tmp_path}/colors.txt"'),
        ('columns = ["shape", "color"]\nformat = "tsv"', 'columns = ["prompt"]'),
        ('shape = "model.shape"\ncolor = "model.color"', 'prompt = "model.color"'),
        ("[2, 3]", "[2]"),
        ("pictures = 8", "pictures = 6"),
    )
    path = written(tmp_path, *SMALL, *changes, text=DEMO[: DEMO.index('[[samplers]]\nname = "dpmpp_2m"')])
    chosen, store = suite.load(path), Store(tmp_path / "out")
    todo = units.units(chosen)
    make_all(store, todo[:-1], [ComfyWorker(server.address)])
    with pytest.raises(EvaluationError, match=r"euler, steps 2 is not complete \(1 units are missing\)"):
        export.t2i_compbench(chosen, store, tmp_path / "t2i", "demo", "color")
    make_all(store, todo, [ComfyWorker(server.address)])
    assert export.t2i_compbench(chosen, store, tmp_path / "t2i", "demo", "color") == 12
    names = sorted(path.name for path in (tmp_path / "t2i/demo/color/euler, steps 2/samples").iterdir())
    assert names == ["blue_000000.png", "blue_000001.png", *(f"red_{number:06d}.png" for number in range(4))]


# --- Figures


@pytest.fixture(scope="module")
def clouds() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    mix = generator.normal(size=(24, 24))
    real, mine = generator.normal(size=(300, 24)) @ mix, generator.normal(size=(90, 24)) @ mix * 1.1 + 0.2
    return real.astype(np.float32), mine.astype(np.float32)


def test_resampling_nothing_gives_the_figure_of_the_library(clouds: tuple[np.ndarray, np.ndarray]) -> None:
    real, mine = clouds
    for features in (mine, mine[:20]):  # more pictures than features, and fewer
        whole = [np.arange(len(features))]
        score = measures.Frechet(real).score(features, whole)
        assert score.resampled[0] == pytest.approx(score.value, rel=1e-6) and score.value > 1
        kid = measures.kid(features, real[: len(features)], whole)
        assert kid.resampled[0] == pytest.approx(kid.value, rel=1e-6)


def test_a_paired_difference_is_surer_than_its_parts(clouds: tuple[np.ndarray, np.ndarray]) -> None:
    real, mine = clouds
    picked = measures.picks(len(mine), 60)
    frechet = measures.Frechet(real)
    one, other = frechet.score(mine, picked), frechet.score(mine * 1.01, picked)
    assert one.half_width and other.minus(one).half_width < one.half_width / 4
    assert measures.mean(np.ones(5), measures.picks(5, 9)).half_width == 0


def test_features_of_another_extractor_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "x.npz", np.zeros((3, 2), np.float32), "inception-v3-compat, layer 2048, torch-fidelity 0.4.0")
    with pytest.raises(
        EvaluationError, match=r"holds features of inception-v3-compat.*; these are of efficientnet-lite0"
    ):
        load(tmp_path / "x.npz", Extractor(LITE).identity)
    with pytest.raises(EvaluationError, match=r"extractor is 'mine'; known are .*efficientnet-lite0"):
        Extractor("mine")
    with pytest.raises(EvaluationError, match=r"--weights is .*none.pth, which is not there"):
        Extractor(LITE, tmp_path / "none.pth")


def test_clip_scores_and_cmmd_by_a_local_model(tmp_path: Path) -> None:
    from evaluate.clip import Clip, cmmd
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizerFast

    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vocabulary = {
        "<|startoftext|>": 0,
        "<|endoftext|>": 1,
        **{chr(c) + end: n for n, (c, end) in enumerate([(c, end) for c in range(97, 123) for end in ("", "</w>")], 2)},
    }
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizerFast(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"), model_max_length=16)
    text = small | {"vocab_size": len(vocabulary), "max_position_embeddings": 16, "eos_token_id": 1, "bos_token_id": 0}
    config = CLIPConfig(text_config=text, vision_config=small | {"image_size": 32, "patch_size": 8}, projection_dim=8)
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(tmp_path)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(processor, tokenizer).save_pretrained(tmp_path)
    clip = Clip(tmp_path)
    generator = np.random.default_rng(0)
    some = [generator.integers(0, 256, (40, 32, 3), dtype=np.uint8) for _ in range(20)]
    embedded = clip.pictures(some)
    assert embedded.shape == (20, 8) and np.allclose((embedded**2).sum(1), 1)
    scores = clip.scores((picture, text) for picture, text in zip(some, ["a red cat", "dog"] * 10, strict=True))
    assert scores.shape == (20,) and (scores >= 0).all() and (scores <= 100).all() and scores.std() > 0
    assert cmmd(embedded, embedded).value == pytest.approx(0, abs=1e-9) and cmmd(embedded, -embedded).value > 1
    with pytest.raises(EvaluationError, match="holds no CLIP model"):
        Clip(tmp_path / "none")
