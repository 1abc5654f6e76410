"""What an engine asks of a worker."""

from typing import Protocol

from .store import About
from .units import Unit


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
