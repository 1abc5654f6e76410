"""Pairs of a sampler and a schedule, where people are: flow models of shift 3 to 8, CFG 1 to 6, 4 to 50 calls.

Our pair is one for all cells. The best pair of others is chosen in each cell, afterwards, among every sampler without
noise and every schedule of the list but our own.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean

from pages import markdown

from .grid import AUTO, Condition, Names, Path, Problem, Task
from .store import Record
from .summary import condition_of, geometric_mean, value

CALLS = (4, 8, 12, 20, 30, 50)
NETWORK_CALLS = (4, 8, 12, 20)
PROBLEMS: tuple[tuple[Problem, tuple[tuple[Path, float | None], ...], tuple[float, ...]], ...] = (
    ("digits", (("flow", 3.0), ("flow", 5.0), ("flow", 8.0)), (1.0, 2.5, 4.0, 6.0)),
    ("patches", (("flow", 5.0),), (1.0, 4.0)),
    ("digits", (("ve", None),), (1.0, 4.0)),
    ("shapes_flow", (("flow", 3.0), ("flow", 8.0)), (1.0, 4.0)),
    ("digits_x0", (("ve", None),), (1.0, 4.0)),
)
ZOO = ("shapes_flow", "digits_x0")
OWN_SCHEDULER = "lml"
COMMON = ("euler", "simple")
"""What most people run."""
GROUPS = [
    f"{family}, {guidance}, {calls} calls"
    for family in ("exact", "zoo")
    for guidance in ("guided", "no guidance")
    for calls in ("4 to 12", "20 to 50")
]

Pair = tuple[str, str]
"""Sampler and scheduler."""
Cell = dict[Pair, Record]
Cells = dict[tuple[Condition, int], Cell]
"""By setting and number of calls."""


def settings() -> list[Condition]:
    """What a user has before choosing a pair; `scheduler` is empty."""
    return [
        Condition(problem, path, shift, cfg, "")
        for problem, paths, cfgs in PROBLEMS
        for (path, shift), cfg in itertools.product(paths, cfgs)
    ]


def tasks(names: Names, schedulers: Sequence[str], zoo: bool) -> Iterator[Task]:
    """All cells; without the samplers that end elsewhere by design."""
    for setting in settings():
        if zoo or setting.family != "zoo":
            calls = CALLS if setting.exact else NETWORK_CALLS
            for scheduler, name in itertools.product(schedulers, names.converging):
                yield Task(setting._replace(scheduler=scheduler), name, calls)


def cells(records: Iterable[Record]) -> Cells:
    """The pairs by setting and calls."""
    result: Cells = defaultdict(dict)
    for record in records:
        condition = condition_of(record)
        key = condition._replace(scheduler=""), record["calls"]
        result[key][record["entry"], condition.scheduler] = record
    return dict(result)


def best(cell: Cell, measure: str) -> Pair:
    """The best pair of others in a cell."""
    others = [pair for pair in cell if pair[0] != AUTO and pair[1] != OWN_SCHEDULER]
    return min(others, key=lambda pair: value(cell[pair], measure))


def group_of(setting: Condition, calls: int) -> str:
    """The group of cells that a cell is averaged with."""
    return f"{setting.family}, {setting.guidance}, {'4 to 12' if calls <= 12 else '20 to 50'} calls"


def pair_table(found: Cells, measure: str, schedulers: Sequence[str]) -> str:
    """Markdown: LML with each schedule against the best pair of each cell, and `euler` with `simple`."""
    ours = [(AUTO, scheduler) for scheduler in schedulers]
    rows = [["group", "cells", *(f"LML + {scheduler}" for _, scheduler in ours), " + ".join(COMMON)]]
    for group in GROUPS:
        chosen = [cell for key, cell in found.items() if group_of(*key) == group]
        if chosen:
            ratios = [
                geometric_mean(
                    value(cell[pair], measure) / value(cell[best(cell, measure)], measure) for cell in chosen
                )
                for pair in (*ours, COMMON)
            ]
            rows.append([group, str(len(chosen)), *(f"{ratio:.2f}" for ratio in ratios)])
    return markdown(rows)


def common_table(found: Cells, ours: Pair) -> str:
    """Markdown: our pair against `euler` with `simple` on flow models, by number of calls."""
    rows = [["calls", "RMS, exact", "RMS, zoo", "median sample, exact", "median sample, zoo", "worst RMS"]]
    flow = {key: cell for key, cell in found.items() if key[0].path == "flow"}
    for count in sorted({count for _, count in flow}):
        row, worst = [str(count)], 0.0
        for measure, exact in itertools.product(("rms", "median"), (True, False)):
            mine = [cell for (c, n), cell in flow.items() if n == count and c.exact == exact]
            ratios = [value(cell[ours], measure) / value(cell[COMMON], measure) for cell in mine]
            row.append(f"{geometric_mean(ratios):.2f}" if ratios else "-")
            worst = max([worst, *ratios]) if measure == "rms" else worst
        rows.append([*row, f"{worst:.2f}"])
    return markdown(rows)


def as_close(found: Cells, ours: Pair, calls: int = 8, theirs: int = 20) -> float:
    """The share of the flow models where our pair with few calls is as close as `euler` with `simple` with more."""
    flow = [condition for condition, count in found if condition.path == "flow" and count == calls]
    return fmean(
        value(found[setting, calls][ours], "rms") <= value(found[setting, theirs][COMMON], "rms") for setting in flow
    )


def winners_table(found: Cells, count: int = 8) -> str:
    """Markdown: the pairs that are the best of a cell most often."""
    counted = Counter(best(cell, "rms") for cell in found.values())
    return markdown(
        [["best pair", "cells"], *([" + ".join(pair), str(times)] for pair, times in counted.most_common(count))]
    )
