"""How the units are made: each worker has a thread of this process, wherever it works itself.

The threads take units from a `Board` and give it what came of them. A worker that dies costs the unit that it was
making.
"""

import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any, Protocol

import numpy as np
from PIL import Image

from .board import Board
from .errors import EvaluationError, Lost, Refused, Unreached
from .store import About, different
from .units import Unit

PATIENCE = 600.0
"""Seconds to wait for a worker that is out of reach before it is given up."""
PAUSE = 1.0
"""Seconds between two looks at one."""
ALIKE = 2.0
"""Levels of 255 that the pictures of two workers may differ by on average: cards round differently."""


class Worker(Protocol):
    """Makes units."""

    name: str

    def about(self) -> About:
        """What it makes pictures with.

        Raises:
            EvaluationError: it cannot make those of the suite; the message says what it lacks.
            Lost: it is out of reach.
        """
        ...

    def make(self, unit: Unit) -> bytes:
        """The zip archive of a unit.

        Raises:
            Refused, Lost: see there.
        """
        ...

    def close(self) -> None:
        """End what it has started."""
        ...


def check_alike(contents: dict[str, bytes]) -> None:
    """See that workers make the same pictures of one unit.

    Raises:
        EvaluationError: they do not.
    """
    (first, expected), *others = ((name, _pictures(content)) for name, content in contents.items())
    for name, found in others:
        difference = max(
            (float(np.abs(one - other).mean()) for one, other in zip(expected, found, strict=True)), default=0
        )
        if difference > ALIKE:
            raise EvaluationError(
                f"The workers {first} and {name} make other pictures of the same noise ({difference:.1f} of 255 on "
                "average): something differs that the versions do not tell, such as a launch option of ComfyUI."
            )


def _pictures(content: bytes) -> list[Any]:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        return [np.asarray(Image.open(BytesIO(archive.read(name))), dtype=np.float32) for name in names]


def ask_all(workers: Sequence[Worker]) -> About:
    """What all workers make pictures with, asked at the same time: a ComfyUI takes half a minute to start.

    Raises:
        EvaluationError: a worker cannot be used or is another than the first; the message says in what they differ.
    """
    answers: dict[str, Any] = {}

    def ask(worker: Worker) -> None:
        try:
            answers[worker.name] = worker.about()
        except Lost as error:
            answers[worker.name] = EvaluationError(f"{error}. Start it, or leave it out.")
        except Exception as error:
            answers[worker.name] = error

    _in_threads(ask, workers)
    for answer in answers.values():
        if isinstance(answer, Exception):
            raise answer
    first, *others = (worker.name for worker in workers)
    for name in others:
        difference = different(answers[first], answers[name])
        if difference:
            raise EvaluationError(f"The workers {first} and {name} differ in the {difference}: make them the same.")
    return answers[first]


def compare_workers(workers: Sequence[Worker], unit: Unit, kept: bytes | None) -> None:
    """Have every worker make one unit, and see that all make the same; `kept` is what was made before.

    Raises:
        EvaluationError: see `check_alike`.
    """
    contents = {} if kept is None else {"of before": kept}

    def make(worker: Worker) -> None:
        try:
            contents[worker.name] = worker.make(unit)
        except (Lost, Refused):
            pass  # the board will hear of it when it is made in earnest

    if len(workers) + len(contents) > 1:
        _in_threads(make, workers)
    if contents:
        check_alike(contents)


def make_in_threads(board: Board, workers: Sequence[Worker], patience: float = PATIENCE) -> None:
    """Make the units of a board, each worker in a thread.

    Raises:
        EvaluationError: all workers are out of reach.
    """
    try:
        _in_threads(lambda worker: _work(board, worker, patience), workers)
    except KeyboardInterrupt as error:  # the threads are to ask for nothing more, of a Ray that is gone for example
        board.stop(error)
        raise
    finally:
        board.progress.close()
    if not board.is_over:
        raise EvaluationError("All workers are out of reach: start them and run the same command, nothing is lost.")


def _work(board: Board, worker: Worker, patience: float) -> None:
    try:
        while (unit := board.take()) is not None:
            started = time.perf_counter()
            try:
                content = worker.make(unit)
            except Refused as error:
                board.refused(unit, str(error))
            except Lost as error:
                if isinstance(error, Unreached):
                    board.put_back(unit)
                else:
                    board.lost(unit, str(error))
                if not _is_back(board, worker, patience):
                    return
            else:
                board.done(unit, content, worker.name, time.perf_counter() - started)
    except Exception as error:  # a full disk, another version: nobody else can go on either
        board.stop(error)


def _is_back(board: Board, worker: Worker, patience: float) -> bool:
    """Wait until a worker can be reached again; False if it does not come back.

    Raises:
        EvaluationError: it came back with other versions or files.
    """
    assert board.store.about is not None
    deadline = time.monotonic() + patience
    while not board.is_over and time.monotonic() < deadline:
        try:
            difference = different(board.store.about, worker.about())
        except Lost:
            time.sleep(PAUSE)
            continue
        if difference:
            raise EvaluationError(f"The worker {worker.name} came back with another {difference}.")
        return True
    return board.is_over


def _in_threads(work: Callable[[Worker], None], workers: Sequence[Worker]) -> None:
    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # a join without a limit would not hear Ctrl-C
            thread.join(0.5)
