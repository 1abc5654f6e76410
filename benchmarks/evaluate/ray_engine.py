"""Workers on a Ray cluster: one actor a GPU, each with a ComfyUI of its own. Only the driver writes files.

Ray starts a dead actor again, on another machine if its own is gone, but never one whose constructor raised: workers
start what they need in their methods. How often a unit may kill its actor is counted by the `Board`: Ray itself would
try for ever.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from .engines import Worker
from .errors import Lost
from .store import About
from .units import Unit

ABOUT_SECONDS = 900.0
BENCHMARKS = Path(__file__).parents[1]
OBJECT_STORE = 200 * 2**20

MakeWorker = Callable[[int], Worker]
"""Makes the worker of a number, in the process of its actor."""


class Actor:
    """Holds one worker."""

    def __init__(self, make: MakeWorker, number: int) -> None:
        self._make, self._number = make, number

    @cached_property
    def _worker(self) -> Worker:
        return self._make(self._number)

    def about(self) -> About:
        return self._worker.about()

    def make(self, unit: Unit) -> bytes:
        return self._worker.make(unit)


class RayWorker:
    """The worker of an actor, as an engine sees it."""

    def __init__(self, make: MakeWorker, number: int, on_gpu: bool) -> None:
        self.name = f"actor {number}"
        options = {"num_gpus": int(on_gpu), "num_cpus": 1, "max_restarts": -1, "max_task_retries": 0}
        self._actor = ray.remote(**options)(Actor).remote(make, number)

    def about(self) -> About:
        return self._answer(self._actor.about.remote(), ABOUT_SECONDS)

    def make(self, unit: Unit) -> bytes:
        return self._answer(self._actor.make.remote(unit))

    def close(self) -> None:
        ray.kill(self._actor)

    def _answer(self, asked: Any, timeout: float | None = None) -> Any:
        try:
            return ray.get(asked, timeout=timeout)
        except RayTaskError as error:
            raise error.cause from error
        except (RayActorError, GetTimeoutError) as error:
            raise Lost(f"{self.name}: {str(error).splitlines()[0]}") from error


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
