"""Workers that make nothing of worth, to see what an engine does when they die: for the tests and `simulate`."""

import os
import random
import signal
import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from .errors import Lost, Refused
from .store import About
from .units import Unit

ABOUT = About({"stub": "1"}, {})


@dataclass(frozen=True)
class Stub:
    """How stub units behave."""

    seconds: float = 0.0
    """That one takes."""
    dying: float = 0.0
    """Share of the units over which the process dies, another one at each attempt."""
    poison: frozenset[str] = frozenset()
    """Cells whose units kill the process every time."""
    wrong: frozenset[str] = frozenset()
    """Cells whose workflow is refused."""

    def make(self, unit: Unit) -> bytes:
        """What stands for the pictures: the same for the same unit."""
        dies = unit.cell in self.poison or random.SystemRandom().random() < self.dying
        time.sleep(self.seconds * (0.5 if dies else 1))
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        if unit.cell in self.wrong:
            raise Refused(f"no node of that name in {unit.cell}")
        return f"stub of {unit.key}".encode()


class StubInPlace:
    """A worker in the process that calls it: in an actor of Ray."""

    def __init__(self, name: str, stub: Stub) -> None:
        self.name, self._stub = name, stub

    def about(self) -> About:
        return ABOUT

    def make(self, unit: Unit) -> bytes:
        return self._stub.make(unit)

    def close(self) -> None:
        pass


class StubProcess:
    """A worker in a process of its own, started when it is needed and again when it has died."""

    def __init__(self, name: str, stub: Stub) -> None:
        self.name, self._stub = name, stub
        self._process: Any = None
        self._pipe: Any = None

    @property
    def pid(self) -> int:
        """Of the process that works."""
        self._start()
        return self._process.pid

    def about(self) -> About:
        self._start()
        return ABOUT

    def make(self, unit: Unit) -> bytes:
        self._start()
        try:
            self._pipe.send(unit)
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            self.close()
            raise Lost(f"{self.name} died") from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _start(self) -> None:
        if self._process is None:
            context = get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(self._stub, theirs), daemon=True)
            self._process.start()
            theirs.close()


def _serve(stub: Stub, pipe: Connection) -> None:
    while True:
        try:
            unit = pipe.recv()
        except EOFError:  # whoever has started us is gone
            return
        try:
            pipe.send(stub.make(unit))
        except Refused as error:
            pipe.send(error)


def stub_units(count: int, cells: int = 1, pictures: int = 1) -> list[Unit]:
    """Units without work, spread over cells."""
    return [Unit(f"{number:064x}", f"cell {number % cells}", {}, {}, (), pictures) for number in range(count)]
