"""What was made, read back: which cells are whole, their pictures in order, what their runs said."""

import itertools
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .errors import EvaluationError
from .store import Store
from .suite import Suite
from .units import Cell, cells, units

Picture = NDArray[np.uint8]
"""`[H, W, 3]`."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
Item = TypeVar("Item")


def in_folder(folder: Path) -> Iterator[Picture]:
    """All pictures in a folder and those below it, by their paths."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            yield np.asarray(Image.open(path).convert("RGB"))


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of that size, the last one perhaps shorter."""
    rest = iter(items)
    while batch := list(itertools.islice(rest, size)):
        yield batch


@dataclass(frozen=True)
class Made:
    """A cell with its units, in the order of the pictures."""

    cell: Cell
    paths: tuple[Path, ...]
    missing: int
    """Units that are not made; of a whole cell none."""

    def pictures(self) -> Iterator[tuple[Picture, dict[str, str]]]:
        """Every picture and its prompt."""
        for path in self.paths:
            with zipfile.ZipFile(path) as archive:
                for run in json.loads(archive.read("unit.json"))["runs"]:
                    for number in range(run["first"], run["first"] + run["pictures"]):
                        picture = Image.open(BytesIO(archive.read(f"{number:06d}.png"))).convert("RGB")
                        yield np.asarray(picture), run["prompt"]

    def said(self) -> list[dict[str, Any]]:
        """What the units said of themselves."""
        result = []
        for path in self.paths:
            with zipfile.ZipFile(path) as archive:
                result.append(json.loads(archive.read("unit.json")))
        return result


def made(suite: Suite, store: Store) -> list[Made]:
    """All cells of a suite."""
    result = []
    for cell, (_, group) in zip(cells(suite), itertools.groupby(units(suite), lambda unit: unit.cell), strict=True):
        wanted = list(group)
        found = tuple(store.path(unit) for unit in wanted if store.is_done(unit))
        result.append(Made(cell, found, len(wanted) - len(found)))
    return result


def check_equal(suite: Suite, counted: dict[str, dict[str, Any]]) -> None:
    """See that the cells of a column, by name what they said, are on equal terms, if the suite says so.

    Raises:
        EvaluationError: they are not; the message names two.
    """
    if suite.kind != "equal":
        return
    first: dict[str, str] = {}
    for name, about in counted.items():
        other = first.setdefault(about["column"], name)
        for what in ("calls", "sigmas"):
            if counted[other][what] != about[what]:
                raise EvaluationError(
                    f"{name} has other {what} than {other} ({about[what]}, {counted[other][what]}), so the table is "
                    "not 'equal': leave one out, or call the suite 'as published'."
                )


def counted(cell: Made) -> dict[str, Any]:
    """Column, calls, sigmas, dtypes, devices and median seconds a picture of a cell.

    Raises:
        EvaluationError: its runs differ in calls or sigmas.
    """
    said = cell.said()
    runs = [run for unit in said for run in unit["runs"]]
    kinds = {json.dumps([run["calls"], run["sigmas"]]) for run in runs}
    if len(kinds) > 1:
        raise EvaluationError(f"The runs of {cell.cell.name} have different calls or sigmas: {sorted(kinds)[:2]}.")
    seconds = [run["seconds"] / run["pictures"] for run in runs]
    return {
        "column": json.dumps(cell.cell.point),
        "calls": runs[0]["calls"],
        "sigmas": [round(sigma, 6) for sigma in runs[0]["sigmas"]],
        "dtypes": sorted({run["dtype"] for run in runs}),
        "devices": sorted({unit["device"] for unit in said}),
        "seconds": float(np.median(seconds)),
    }
