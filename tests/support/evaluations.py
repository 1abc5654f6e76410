"""Evaluations in small: the suite of the demo model, changed, and all its units made in threads."""

from pathlib import Path
from typing import Any

from evaluate import board as boards
from evaluate import engines, suite, units
from evaluate.store import Store

DEMO = (suite.HERE / "demo.toml").read_text().replace('"workflows/', f'"{suite.HERE}/workflows/')
DEMO = DEMO.replace('"prompts/', f'"{suite.HERE}/prompts/')
SMALL = (
    ("pictures = 96", "pictures = 8"),
    ("batch = 8", "batch = 2"),
    ("runs = 6", "runs = 2"),
    ("[4, 8, 12]", "[2, 3]"),
)
TWO = tuple((f'    {{ name = "{name}" }},\n', "") for name in ("dpmpp_2m", "uni_pc", "deis", "res_multistep"))
"""All samplers but two."""
SMALL_UNITS = 2 * 2 * 2
"""Samplers, columns, units of a cell."""


def written(folder: Path, *changes: tuple[str, str]) -> str:
    """A suite in a file: the demo's, changed."""
    text = DEMO
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "suite.toml"
    path.write_text(text)
    return str(path)


def small_suite(folder: Path) -> str:
    """The demo with two samplers, 2 and 3 steps, 8 pictures a cell."""
    return written(folder, *SMALL, *TWO)


def make_all(store: Store, todo: list[units.Unit], workers: list[Any], patience: float = 120) -> boards.Board:
    """Make units with some workers, and close these."""
    with store.owned():
        store.hold_to(engines.ask_all(workers))
        board = boards.Board(store, todo)
        engines.make_in_threads(board, workers, patience)
    for worker in workers:
        worker.close()
    return board
