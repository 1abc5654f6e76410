"""What is to be made, who makes it, and what becomes of it."""

import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from tqdm import tqdm

from .store import Store
from .units import Unit

ATTEMPTS = 3
"""How often a unit may lose its worker before it is taken for the cause."""
SHOW_EVERY = 10.0
"""Seconds between two looks at the progress."""


@dataclass
class Counts:
    """What happened in one call of `make`."""

    made: int = 0
    done_before: int = 0
    lost: int = 0
    """Times that a worker died over a unit."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """(cell, reason) of units that will not be made."""


class Board:
    """Hands out units and takes results; to be used from several threads.

    An error that no worker can do anything about, such as a full disk, ends everything: `stop`.
    """

    def __init__(self, store: Store, units: Sequence[Unit]) -> None:
        self.store, self.counts = store, Counts()
        self.error: BaseException | None = None
        self._lock = threading.Condition()
        self._attempts: Counter[str] = Counter()
        self._out: set[str] = set()
        self._left: deque[Unit] = deque()
        for unit in units:
            failure = store.failure(unit)
            if store.is_done(unit):
                self.counts.done_before += 1
            elif failure is not None:
                self.counts.failed.append((unit.cell, failure))
            else:
                self._left.append(unit)
        left = sum(unit.pictures for unit in self._left)
        self.progress = tqdm(total=left, unit=" pictures", mininterval=SHOW_EVERY, smoothing=0, disable=not left)

    def take(self) -> Unit | None:
        """The next unit; None when there is nothing more to do."""
        with self._lock:
            while not self._left and self._out and not self.error:
                self._lock.wait(0.5)
            if self.error or not self._left:
                return None
            unit = self._left.popleft()
            self._out.add(unit.key)
            return unit

    @property
    def is_over(self) -> bool:
        """Whether nothing is left and nothing under way, or everything has been stopped."""
        with self._lock:
            return self.error is not None or not (self._left or self._out)

    def done(self, unit: Unit, content: bytes, worker: str, seconds: float) -> None:
        """A unit is made."""
        self.store.keep(unit, content, worker=worker, seconds=round(seconds, 3))
        with self._lock:
            self.counts.made += 1
            self.progress.update(unit.pictures)
            self._give_back(unit)

    def lost(self, unit: Unit, reason: str) -> None:
        """The worker of a unit died or is out of reach."""
        with self._lock:
            self.counts.lost += 1
            self._attempts[unit.key] += 1
            if self._attempts[unit.key] < ATTEMPTS:
                self._left.append(unit)
                self._give_back(unit)
                return
        self.refused(unit, f"its worker died {ATTEMPTS} times: {reason}")

    def refused(self, unit: Unit, reason: str) -> None:
        """A unit cannot be made."""
        self.store.fail(unit, reason)
        with self._lock:
            self.counts.failed.append((unit.cell, reason))
            self._give_back(unit)

    def put_back(self, unit: Unit) -> None:
        """A worker gives up before it has begun a unit."""
        with self._lock:
            self._left.appendleft(unit)
            self._give_back(unit)

    def stop(self, error: BaseException) -> None:
        """End everything; what is made is kept."""
        with self._lock:
            self.error = self.error or error
            self._lock.notify_all()

    def _give_back(self, unit: Unit) -> None:
        self._out.discard(unit.key)
        self._lock.notify_all()
