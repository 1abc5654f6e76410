"""Units on a Ray cluster: one actor a GPU, each with a ComfyUI of its own. Only the driver writes files.

Ray starts a dead actor again, on another machine if its own is gone, but never one whose constructor raised: workers
start what they need in their methods. How often a unit may kill its actor is counted by the `Board`: Ray itself would
try for ever.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from .board import Board
from .engines import PATIENCE, PAUSE, agreed, check_alike
from .errors import EvaluationError, Lost, Refused, Unreached
from .store import About, different
from .units import Unit
from .worker_protocol import Worker

ABOUT_SECONDS = 900.0
BENCHMARKS = Path(__file__).parents[1]
OBJECT_STORE = 200 * 2**20

MakeWorker = Callable[[int], Worker]
"""Makes the worker of a number, in the process of its actor."""


class Actor:
    """Holds one worker."""

    def __init__(self, make: MakeWorker, number: int) -> None:
        self._make, self._number = make, number
        self._worker: Worker | None = None

    def about(self) -> About:
        return self._started().about()

    def make(self, unit: Unit) -> tuple[str, Any]:
        """("done", (archive, seconds)), or how it failed and why."""
        started = time.perf_counter()
        try:
            content = self._started().make(unit)
        except Refused as error:
            return "refused", str(error)
        except Unreached as error:
            return "unreached", str(error)
        except Lost as error:
            return "lost", str(error)
        return "done", (content, time.perf_counter() - started)

    def _started(self) -> Worker:
        if self._worker is None:
            self._worker = self._make(self._number)
        return self._worker


@contextmanager
def cluster(address: str | None, cpus: int | None = None) -> Iterator[None]:
    """Be connected to a cluster for the length of a `with`; without an address to one on this machine alone."""
    path = os.pathsep.join([str(BENCHMARKS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    options: dict[str, Any] = {"runtime_env": {"env_vars": {"PYTHONPATH": path}}, "log_to_driver": False}
    if address is None:
        options |= {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": OBJECT_STORE}
    ray.init(address=address, logging_level="ERROR", **options)
    try:
        yield
    finally:
        ray.shutdown()


def gpus() -> int:
    """GPUs of the cluster."""
    return int(ray.cluster_resources().get("GPU", 0))


def make_actors(make: MakeWorker, count: int, on_gpus: bool) -> dict[str, Any]:
    """The actors by name."""
    remote = ray.remote(num_gpus=1 if on_gpus else 0, num_cpus=1, max_restarts=-1, max_task_retries=0)(Actor)
    return {f"actor {number}": remote.remote(make, number) for number in range(count)}


def ask_actors(actors: dict[str, Any]) -> About:
    """What all actors make pictures with.

    Raises:
        EvaluationError: one cannot be used, or is another than the first.
    """
    waiting = {name: actor.about.remote() for name, actor in actors.items()}
    answers = {}
    for name, answer in waiting.items():
        try:
            answers[name] = ray.get(answer, timeout=ABOUT_SECONDS)
        except RayTaskError as error:
            raise EvaluationError(f"{name}: {error.cause}") from error
        except (RayActorError, GetTimeoutError) as error:
            raise EvaluationError(f"{name} cannot be used: {error}") from error
    return agreed(answers)


def compare_actors(actors: dict[str, Any], unit: Unit, kept: bytes | None) -> None:
    """See `compare_workers`."""
    waiting = {name: actor.make.remote(unit) for name, actor in actors.items()}
    contents = {} if kept is None else {"of before": kept}
    for name, answer in waiting.items():
        try:
            kind, what = ray.get(answer)
        except (RayActorError, RayTaskError):
            continue
        if kind == "done":
            contents[name] = what[0]
    if contents:
        check_alike(contents)


def make_on_ray(board: Board, actors: dict[str, Any], patience: float = PATIENCE) -> None:
    """Make the units of a board.

    Raises:
        EvaluationError: an actor came back as another, or none has answered for `patience` seconds after dying.
    """
    idle, busy = list(actors), {}
    heard = time.monotonic()
    while not board.is_over:
        while idle and (unit := board.take(wait=False)) is not None:
            name = idle.pop(0)
            busy[actors[name].make.remote(unit)] = (name, unit)
        ready, _ = ray.wait(list(busy), timeout=1.0) if busy else ([], [])
        for answer in ready:
            name, unit = busy.pop(answer)
            if _heard(board, name, unit, answer):
                idle.append(name)
                heard = time.monotonic()
            else:  # ask until it is back: a unit given to an actor that is starting would be blamed for its death
                busy[actors[name].about.remote()] = (name, None)
        if all(unit is None for _, unit in busy.values()) and not idle and time.monotonic() - heard > patience:
            raise EvaluationError(
                "No actor comes back: look at `ray status` and run the same command, nothing is lost."
            )


def _heard(board: Board, name: str, unit: Unit | None, answer: Any) -> bool:
    """Take an answer; whether its actor can have the next unit."""
    assert board.store.about is not None
    try:
        found = ray.get(answer)
    except RayTaskError as error:
        board.stop(EvaluationError(f"{name}: {error.cause}"))
        return True
    except RayActorError as error:
        if unit is not None:
            board.lost(unit, f"{name} died: {str(error).splitlines()[0]}")
        else:
            time.sleep(PAUSE)
        return False
    if unit is None:
        difference = different(board.store.about, found)
        if difference:
            board.stop(EvaluationError(f"{name} came back with another {difference}."))
        return True
    kind, what = found
    if kind == "done":
        board.done(unit, what[0], name, what[1])
    elif kind == "refused":
        board.refused(unit, what)
    elif kind == "lost":
        board.lost(unit, what)
    else:
        board.put_back(unit)
    return kind in ("done", "refused")
