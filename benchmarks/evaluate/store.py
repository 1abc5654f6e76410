"""The folder of an evaluation. What is made is a file of its own; there is no other memory of what is done.

about.json           versions and model hashes that everything in here was made with
units/ab/ab12….zip   the pictures of a unit, and unit.json
failed/ab12….json    units that could not be made, and why
log.jsonl            a line for every unit that was made: who, when, how long
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .errors import EvaluationError
from .units import Unit

PART = ".part"


@dataclass(frozen=True)
class About:
    """What decides a picture besides the workflow: the same in all workers, or they are refused."""

    versions: dict[str, str]
    files: dict[str, str]
    """SHA-256 of the model files."""

    @property
    def key(self) -> str:
        """A hash of all of it."""
        return hashlib.sha256(json.dumps([self.versions, self.files], sort_keys=True).encode()).hexdigest()


class Store:
    """What an evaluation keeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about: About | None = None
        path = folder / "about.json"
        if path.exists():
            self.about = About(**json.loads(path.read_text()))

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Nobody else makes units in this folder; a killed process gives it back by itself.

        Raises:
            EvaluationError: somebody does.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise EvaluationError(f"Another process makes units in {self.folder}: wait for it, or end it.") from None
        try:
            for path in self.folder.glob(f"units/*/*{PART}"):  # of a process that was killed
                path.unlink()
            yield
        finally:
            lock.release()

    def hold_to(self, about: About) -> None:
        """Record what the units are made with, or see that it is what it was.

        Raises:
            EvaluationError: it is not; the message names the first difference.
        """
        if self.about is None:
            self.about = about
            self.write(self.folder / "about.json", json.dumps(asdict(about)).encode())
        difference = different(self.about, about)
        if difference:
            raise EvaluationError(
                f"{self.folder} was begun with another {difference}: go on with that, or take a new folder."
            )

    def path(self, unit: Unit) -> Path:
        """Where the pictures of a unit are, once they are made."""
        assert self.about is not None
        name = hashlib.sha256(f"{unit.key} {self.about.key}".encode()).hexdigest()[:24]
        return self.folder / "units" / name[:2] / f"{name}.zip"

    def is_done(self, unit: Unit) -> bool:
        """Whether a unit is made."""
        return self.about is not None and self.path(unit).exists()

    def keep(self, unit: Unit, content: bytes, **said: Any) -> None:
        """Keep the pictures of a unit, whole or not at all, and say so in the log.

        Raises:
            EvaluationError: there is no room, or no right to write.
        """
        path = self.path(unit)
        self.write(path, content)
        line = {"unit": path.stem, "cell": unit.cell, "pictures": unit.pictures, "time": round(time.time(), 2), **said}
        with _writing(self.folder / "log.jsonl"), (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def fail(self, unit: Unit, reason: str) -> None:
        """Record that a unit cannot be made.

        Raises:
            EvaluationError: see `keep`.
        """
        self.write(self._failed(unit), json.dumps({"cell": unit.cell, "reason": reason}).encode())

    def failure(self, unit: Unit) -> str | None:
        """Why a unit could not be made."""
        path = self._failed(unit)
        return json.loads(path.read_text())["reason"] if path.exists() else None

    def forgive(self) -> None:
        """Forget the failures, so that their units are made again."""
        for path in self.folder.glob("failed/*.json"):
            path.unlink()

    def log(self) -> list[dict[str, Any]]:
        """The lines of the log; the last may have been cut by a kill."""
        path, lines = self.folder / "log.jsonl", []
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                lines.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return lines

    def write(self, path: Path, content: bytes) -> None:
        """Write a file aside and rename it.

        Raises:
            EvaluationError: see `keep`.
        """
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f"{path.name}.{os.getpid()}{PART}")
            try:
                with aside.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(aside, path)
            except BaseException:
                aside.unlink(missing_ok=True)
                raise

    def _failed(self, unit: Unit) -> Path:
        return self.folder / "failed" / f"{unit.key[:24]}.json"


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EvaluationError(
            f"{path} could not be written: {error.strerror}. What was made is safe; make room and run the same command."
        ) from error


def different(one: About, other: About) -> str | None:
    """The first thing that two workers do not have in common."""
    for kind, before, after in (("version", one.versions, other.versions), ("file", one.files, other.files)):
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                return f"{kind} of {name} ({before.get(name)}, here {after.get(name)})"
    return None
