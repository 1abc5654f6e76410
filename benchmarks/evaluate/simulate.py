"""What an engine makes of many units and dying workers, with stub units: counts, not pictures."""

import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from . import engines
from .board import Board
from .store import Store
from .stub import ABOUT, Stub, StubInPlace, StubProcess, stub_units

CELLS = 96


@dataclass(frozen=True)
class Outcome:
    """What a simulation ended with."""

    units: int
    files: int
    twice: int
    """Units whose result was kept more than once."""
    missing: int
    """Units without a file that are not reported either."""
    half_written: int
    reported: int
    deaths: int
    """Times that a worker died over a unit in this call."""
    seconds: float


def simulate(folder: Path, count: int, engine: str, workers: int, stub: Stub) -> Outcome:
    """Make stub units in a folder; what is there already counts as made.

    Args:
        engine: "local" or "ray".
        workers: processes or actors.
        stub: how the units behave.
    """
    store, units = Store(folder), stub_units(count, CELLS)
    started = time.monotonic()
    with store.owned(), ExitStack() as stack:
        if engine == "ray":
            from . import ray_engine

            stack.enter_context(ray_engine.cluster(None, cpus=workers))
            made = [
                ray_engine.RayWorker(lambda number: StubInPlace(f"stub {number}", stub), each, on_gpu=False)
                for each in range(workers)
            ]
        else:
            made = [StubProcess(f"stub {number}", stub) for number in range(workers)]
        for worker in made:
            stack.callback(worker.close)
        store.hold_to(ABOUT)
        board = Board(store, units)
        engines.make_in_threads(board, made)
    if board.error:
        raise board.error
    return outcome(store, board, count, time.monotonic() - started)


def outcome(store: Store, board: Board, count: int, seconds: float) -> Outcome:
    """Count what is in the folder."""
    units = stub_units(count, CELLS)
    kept = Counter(line["unit"] for line in store.log())
    files = {path.stem for path in store.folder.glob("units/*/*.zip")}
    missing = [unit for unit in units if not store.is_done(unit) and store.failure(unit) is None]
    return Outcome(
        units=count,
        files=len(files),
        twice=sum(number > 1 for number in kept.values()),
        missing=len(missing),
        half_written=len(list(store.folder.glob("units/*/*.part"))),
        reported=len(board.counts.failed),
        deaths=board.counts.lost,
        seconds=round(seconds, 1),
    )


def said(outcome: Outcome) -> str:
    """In one line."""
    return ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in asdict(outcome).items())
