"""What a sweep varies: the lists that people type, checked before the first model call."""

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any, get_args

from ...lml_sampler import LMLSettings
from ...lml_sampler.settings import Scheme
from .. import host, inputs
from ..inputs.choice import scheme_name
from ..pictures.runs import Run

NONE = "none"
AXES = ("λ", "κ", "steps", "scheme", "sampler", "CFG")
FIELDS = {"λ": "damping", "κ": "kappa"}
MAX_CELLS = 400
EXAMPLES = {
    "λ": "0, 1, 10",
    "κ": "0, 0.5, 1 or 0:1:5",
    "steps": "5, 8, 12",
    "scheme": "ddim, dpmsolver++ 2",
    "sampler": "lml, euler, dpmpp_2m",
    "CFG": "1, 4, 7",
}
RANGES = {"λ": (0, inputs.MAX_DAMPING), "κ": (0, 1), "steps": (1, inputs.MAX_STEPS), "CFG": (0, inputs.MAX_CFG)}


def parse_grid(
    columns: str, column_values: str, rows: str, row_values: str, samplers: Sequence[str]
) -> tuple[list[Any], list[Any]]:
    """The values of both axes.

    Raises:
        ValueError: there is no such axis, both are the same, they make too many cells, or see `parse`.
    """
    # ComfyUI leaves the check of the lists to a node that validates.
    for name, axis, allowed in (("columns", columns, AXES), ("rows", rows, (NONE, *AXES))):
        if axis not in allowed:
            raise ValueError(f"{name} is {axis!r}; choose one of {', '.join(allowed)}.")
    if columns == rows:
        raise ValueError(f"columns and rows are both {rows!r}. Choose two things, or none for rows.")
    across = parse("column_values", columns, column_values, samplers)
    down = parse("row_values", rows, row_values, samplers)
    if len(across) * len(down) > MAX_CELLS:
        raise ValueError(
            f"column_values and row_values make {len(across) * len(down)} cells; {MAX_CELLS} is the most. "
            "Name fewer values."
        )
    return across, down


def parse(name: str, axis: str, text: str, samplers: Sequence[str]) -> list[Any]:
    """The values of an axis in the text of the input `name`; the axis none has one value, None.

    Entries stand between commas or line ends; `low:high:count` is a range of numbers.

    Raises:
        ValueError: names the input, the entry, what is allowed and an example.
    """
    if axis == NONE:
        return [None]
    values: list[Any] = []
    for entry in filter(None, (part.strip() for part in re.split(r"[,\n]", text))):
        try:
            values += _entry(axis, entry, samplers)
        except ValueError as error:
            raise ValueError(f"{name}: {entry!r} {error}. Write {axis} like this: {EXAMPLES[axis]}.") from error
    if not values:
        raise ValueError(f"{name} is empty. Write {axis} like this: {EXAMPLES[axis]}.")
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"{name} has {label(axis, twice)} twice. Name each value once.")
    return values


def _entry(axis: str, entry: str, samplers: Sequence[str]) -> list[Any]:
    if axis == "sampler":
        if entry not in (host.LML, *samplers):
            raise ValueError(f"is not one of ComfyUI's samplers ({', '.join(samplers)})")
        return [entry]
    if axis == "scheme":
        scheme, _, order = entry.partition(" ")
        if scheme not in get_args(Scheme) or order.strip() not in ("", "1", "2", "3"):
            raise ValueError(f"is not one of {', '.join(get_args(Scheme))}, with an order of 1 to 3 after a space")
        try:
            return [LMLSettings(scheme=scheme, order=int(order or 1))]
        except ValueError as error:
            raise ValueError(f"cannot be: {str(error).rstrip('.')}") from error
    return [_number(axis, value) for value in _numbers(entry)]


def _numbers(entry: str) -> list[float]:
    try:
        if ":" not in entry:
            return [float(entry)]
        low, high, count = entry.split(":")
        first, last, number = float(low), float(high), int(count)
    except ValueError:
        raise ValueError("is neither a number nor a range low:high:count") from None
    if not 2 <= number <= MAX_CELLS:
        raise ValueError(f"has a count of {number}, which must be 2 to {MAX_CELLS}")
    return [float(f"{first + (last - first) * k / (number - 1):.10g}") for k in range(number)]


def _number(axis: str, value: float) -> float:
    low, high = RANGES[axis]
    if not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"gives {value:g}, which is not within {low:g} to {high:g}")
    if axis == "steps":
        if value != int(value):
            raise ValueError(f"gives {value:g}, which is not a whole number")
        return int(value)
    return value


def label(axis: str, value: Any) -> str:
    """A value as the sheet shows it."""
    if axis == NONE:
        return ""
    if axis == "scheme":
        return scheme_name(value)
    return f"{axis} {value:g}" if isinstance(value, float | int) else str(value)


def run_of(chosen: dict[str, Any], steps: int, cfg: float, base: LMLSettings) -> Run | str:
    """The run of one cell with values by axis; what is not varied is as the node has it.

    Where a scheme does not go with the other settings there can be no run: then the reason, in the words of
    `LMLSettings`.
    """
    steps, cfg, sampler = chosen.get("steps", steps), chosen.get("CFG", cfg), chosen.get("sampler", host.LML)
    if sampler != host.LML:
        return Run(sampler, None, steps, cfg)
    try:
        for axis, value in chosen.items():
            base = vary(base, axis, value)
    except ValueError as error:
        return str(error)
    return Run(host.LML, base, steps, cfg)


def vary(settings: LMLSettings, axis: str, value: Any) -> LMLSettings:
    """Settings with another value on an axis; values of λ and κ are factors, as on the nodes.

    Raises:
        ValueError: the settings do not go together; see `LMLSettings`.
    """
    if axis == "scheme":
        return dataclasses.replace(settings, scheme=value.scheme, order=value.order)
    if axis not in FIELDS:
        return settings
    return dataclasses.replace(settings, **{FIELDS[axis]: getattr(settings, FIELDS[axis]) * value})
