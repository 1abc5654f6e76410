"""Evaluations through a running ComfyUI: calls are counted, nothing is lost, what a server lacks is named."""

import dataclasses
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from comfy_host.client import Client
from conftest import FULL
from evaluate import engines, export, pictures, scoring, suite, tables, units
from evaluate.errors import EvaluationError
from evaluate.store import Store
from evaluate.worker import ComfyWorker, OwnComfyWorker
from evaluations import SMALL, SMALL_UNITS, TWO, make_all, small_suite, written
from PIL import Image

Evaluated = tuple[suite.Suite, Store]


@pytest.fixture(scope="module")
def evaluated(server: Client, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """The small suite, made by the server."""
    folder = tmp_path_factory.mktemp("evaluated")
    chosen = suite.load(small_suite(folder))
    store, template = Store(folder / "out"), units.cell_workflow(chosen, units.cells(chosen)[0], chosen.template)
    board = make_all(store, units.units(chosen), [ComfyWorker(server.address, template=template)])
    assert (board.counts.made, board.counts.failed) == (SMALL_UNITS, [])
    return chosen, store


def all_pictures(chosen: suite.Suite, store: Store) -> np.ndarray:
    return np.stack([picture for cell in pictures.made(chosen, store) for picture, _ in cell.pictures()])


def test_calls_and_sigmas_are_counted(evaluated: Evaluated) -> None:
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
def test_a_killed_comfyui_loses_nothing(evaluated: Evaluated, server: Client, tmp_path: Path, restarted: bool) -> None:
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
        board = make_all(store, todo, [Killed()])
        assert (board.counts.made, board.counts.lost) == (SMALL_UNITS, 1)
    else:
        with pytest.raises(EvaluationError, match="All workers are out of reach"):
            make_all(store, todo, [Killed()], patience=0)
        worker.close()
        board = make_all(store, todo, [ComfyWorker(server.address)])
        assert (board.counts.done_before, board.counts.made) == (2, SMALL_UNITS - 2)
    assert len(list(store.folder.glob("units/*/*"))) == len(store.log()) == SMALL_UNITS
    assert np.array_equal(all_pictures(chosen, store), all_pictures(chosen, others))


def test_a_unit_can_be_made_again_by_the_same_server(evaluated: Evaluated, server: Client) -> None:
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
    about = ComfyWorker(server.address, [folder]).about()
    assert re.fullmatch("[0-9a-f]{64}", about.files[folder.path])
    assert about.versions["pack"] != hashlib.sha256().hexdigest()[:16], "the hash of no file at all"
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


def test_a_refused_workflow_is_reported_and_not_repeated(evaluated: Evaluated, server: Client, tmp_path: Path) -> None:
    chosen, _ = evaluated
    unit = units.units(chosen)[0]
    wrong = dataclasses.replace(
        unit, key="f" * 64, workflow=units.filled(unit.workflow, {"steps": "sigmas.steps"}, {"steps": -1})
    )
    board = make_all(Store(tmp_path), [wrong], [ComfyWorker(server.address)])
    assert board.counts.made == board.counts.lost == 0
    assert "steps" in board.counts.failed[0][1] and "min" in board.counts.failed[0][1]


def test_scores_tables_and_folders(evaluated: Evaluated, tmp_path: Path) -> None:
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
    chosen, store = suite.load(written(tmp_path, *SMALL, *TWO, *changes)), Store(tmp_path / "out")
    todo = units.units(chosen)
    make_all(store, todo[:-1], [ComfyWorker(server.address)])
    with pytest.raises(EvaluationError, match=r"euler, steps 2 is not complete \(1 units are missing\)"):
        export.t2i_compbench(chosen, store, tmp_path / "t2i", "demo", "color")
    make_all(store, todo, [ComfyWorker(server.address)])
    assert export.t2i_compbench(chosen, store, tmp_path / "t2i", "demo", "color") == 12
    names = sorted(path.name for path in (tmp_path / "t2i/demo/color/euler, steps 2/samples").iterdir())
    assert names == ["blue_000000.png", "blue_000001.png", *(f"red_{number:06d}.png" for number in range(4))]
