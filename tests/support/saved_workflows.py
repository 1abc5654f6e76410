"""The shipped workflow files, and how the page reads them."""

import json
from pathlib import Path
from typing import Any

from make_workflows import SAVED_WIDGETS

ROOT = Path(__file__).parents[2]
FILES = {path.stem: path for path in sorted((ROOT / "workflows").glob("*.json"))}
VIEWS = ("IMAGECOMPARE",)
"""Types of inputs that the page alone fills."""
TITLE_HEIGHT = 30


def load(name: str) -> dict[str, Any]:
    return json.loads(FILES[name].read_text())


def sockets(definition: dict[str, Any]) -> dict[str, str]:
    """Types of the inputs that are not widgets, by name."""
    return {name: kind for name, (kind, _, _) in definition.items() if kind not in (*SAVED_WIDGETS, *VIEWS)}


def widgets(definition: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """The saved values of a node by the names of its widgets, read in their order as the page does."""
    rest = iter(values)
    result = {}
    for name, (kind, options, _) in definition.items():
        if kind in SAVED_WIDGETS:
            result[name] = next(rest)
            if options.get("control_after_generate"):
                assert next(rest) in ("fixed", "randomize", "increment", "decrement")
            if options.get("image_upload"):
                assert next(rest) == "image"
    assert not list(rest), "more values than widgets"
    return result


def check_value(value: Any, kind: str, options: dict[str, Any]) -> None:
    if kind in ("INT", "FLOAT", "FLOAT,INT"):
        assert isinstance(value, int if kind == "INT" else int | float) and not isinstance(value, bool)
        assert options.get("min", value) <= value <= options.get("max", value)
    elif kind == "STRING":
        assert isinstance(value, str)
    elif kind == "BOOLEAN":
        assert isinstance(value, bool)
    else:
        choices = options["options"]
        assert value in [choice["key"] if isinstance(choice, dict) else choice for choice in choices]


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(
        one["pos"][axis] - top < other["pos"][axis] + other["size"][axis]
        and other["pos"][axis] - top < one["pos"][axis] + one["size"][axis]
        for axis, top in ((0, 0), (1, TITLE_HEIGHT))
    )
