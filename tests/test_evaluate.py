"""The units of an evaluation are never lost and never made twice."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from evaluate import board as boards
from evaluate import engines, ray_engine, simulate, units
from evaluate.errors import EvaluationError, Unreached
from evaluate.store import About, Store
from evaluate.stub import ABOUT, Stub, StubInPlace, StubProcess, stub_units
from evaluations import make_all

ROOT = Path(__file__).parents[1]


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
    line = [sys.executable, str(ROOT / "benchmarks" / "eval.py"), *map(str, arguments)]
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
    """A file may grow to 40 bytes: not even the record of the versions fits, then no unit does."""
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
    with ray_engine.cluster(None, cpus=2):
        workers = [ray_engine.RayWorker(lambda _: StubInPlace("stub", stub), number, False) for number in range(2)]
        board = make_all(store, todo, workers)
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
