"""What the cells say: LML auto against the best peer of each cell, against single peers, and tables per condition."""

import math
from collections import defaultdict
from collections.abc import Iterable
from statistics import fmean
from typing import NamedTuple

from pages import markdown

from .grid import AUTO, Condition
from .store import Record

SINGLE = ("euler", "dpmpp_2m", "uni_pc")
HARM = 1.1
"""Above it, as a ratio to euler's RMS, a sampler has done harm."""
FLOOR = 1e-9
"""Below it a Fréchet distance is rounding."""

Block = dict[str, Record]
"""The cells of one condition and one number of calls, by sampler."""


Cells = dict[tuple[Condition, int], Block]
"""All of them, by condition and number of calls."""

FAMILIES = {"exact": "exact problems", "demo": "demo networks", "zoo": "zoo, reported half"}


class Group(NamedTuple):
    """Cells whose ratio to the best peer is averaged, and what it is to be."""

    name: str
    measure: str
    goal: float
    blocks: list[Block]


def groups(cells: Cells) -> list[Group]:
    """All that there are cells of."""
    found = []

    def add(name: str, measure: str, goal: float, family: str, guidance: str | None, low: int, high: int) -> None:
        mine = [
            block
            for (condition, calls), block in cells.items()
            if condition.family == family and guidance in (None, condition.guidance) and low <= calls <= high
        ]
        if mine:
            found.append(Group(f"{name}, {low} to {high} calls", measure, goal, mine))

    for measure, name in (("rms", "RMS"), ("median", "median sample")):
        for family, title in FAMILIES.items():
            for guidance, few in (("guided", 0.95 if family == "zoo" else 0.9), ("no guidance", 1.0)):
                for low, high, goal in ((5, 12, few), (15, 50, 1.0)):
                    add(f"{name}, {title}, {guidance}", measure, goal, family, guidance, low, high)
    for low, high, goal in ((5, 6, 0.6), (8, 10, 0.8), (12, 50, 1.0)):
        add(f"Fréchet to converged, {FAMILIES['exact']}", "frechet_converged", goal, "exact", None, low, high)
    return found


def condition_of(record: Record) -> Condition:
    return Condition(**record["condition"])


def blocks(records: Iterable[Record]) -> Cells:
    """The cells by condition and calls, in the order of the grid."""
    result: Cells = defaultdict(dict)
    for record in records:
        result[condition_of(record), record["calls"]][record["entry"]] = record
    return dict(result)


def value(record: Record | None, measure: str) -> float:
    """A figure of a cell; infinity where the sampler gave none."""
    found = None if record is None else record[measure]
    return math.inf if found is None else max(found, FLOOR)


def samplers_in(chosen: Iterable[Block]) -> list[str]:
    """Every sampler that has a cell in some block, in the order of the grid."""
    return list(dict.fromkeys(name for block in chosen for name in block))


def ratios_to(cells: Cells, entry: str, peer: str) -> dict[tuple[Condition, int], float]:
    """The RMS of a sampler over that of another one, where that one has figures."""
    return {
        key: value(block.get(entry), "rms") / value(block[peer], "rms")
        for key, block in cells.items()
        if value(block.get(peer), "rms") < math.inf
    }


def best_peer(block: Block, measure: str) -> Record:
    """The best sampler that is not of this pack in a block, chosen after the fact."""
    return min((record for record in block.values() if record["kind"] == "peer"), key=lambda r: value(r, measure))


def geometric_mean(values: Iterable[float]) -> float:
    """NaN for no values; infinity if one is."""
    logs = [math.log(entry) for entry in values]
    return math.exp(fmean(logs)) if logs else math.nan


def ratio_to_best(block: Block, entry: str, measure: str) -> float:
    return value(block.get(entry), measure) / value(best_peer(block, measure), measure)


def group_table(cells: Cells) -> str:
    """Markdown: the geometric mean ratio of LML auto to the best peer of each cell, by group, and its place by it."""
    rows = [["cells of the group", "cells", f"{AUTO} / best peer", "goal", "place"]]
    for group in groups(cells):
        means = {name: group_mean(group, name) for name in samplers_in(group.blocks)}
        whole = sorted(mean for mean in means.values() if mean < math.inf)
        place = f"{whole.index(means[AUTO]) + 1} of {len(whole)}"
        rows.append([group.name, str(len(group.blocks)), f"{means[AUTO]:.2f}", f"≤ {group.goal:g}", place])
    return markdown(rows)


def group_mean(group: Group, entry: str) -> float:
    """The geometric mean ratio of a sampler to the best peer of each cell; infinity where it lacks figures."""
    return geometric_mean(ratio_to_best(block, entry, group.measure) for block in group.blocks)


def ranking_table(cells: Cells) -> str:
    """Markdown: what `group_table` says, for every sampler; `-` where one has no figures in some of the cells."""
    found = groups(cells)
    rows = [["sampler", *(group.name for group in found)]]
    for name in samplers_in(cells.values()):
        means = [group_mean(group, name) for group in found]
        rows.append([name, *(f"{mean:.2f}" if mean < math.inf else "-" for mean in means)])
    return markdown(rows)


def single_table(cells: Cells) -> str:
    """Markdown: how often LML auto is better than single peers, and its worst cell."""
    rows = [["against", "better in RMS", "geometric mean", "worst ratio", "in the cell"]]
    for peer in SINGLE:
        ratios = ratios_to(cells, AUTO, peer)
        if not ratios:
            continue
        (condition, calls), worst = max(ratios.items(), key=lambda item: item[1])
        share = fmean(ratio < 1 for ratio in ratios.values())
        mean = geometric_mean(ratios.values())
        rows.append([peer, f"{share:.0%}", f"{mean:.2f}", f"{worst:.2f}", f"{condition.name}, {calls} calls"])
    return markdown(rows)


def harm_table(cells: Cells, count: int = 8) -> str:
    """Markdown: how often a sampler does harm, for those that do least; of those with figures in every cell."""
    others = [name for name in samplers_in(cells.values()) if name != "euler"]
    ratios = {name: list(ratios_to(cells, name, "euler").values()) for name in others}
    found = [
        (sum(ratio > HARM for ratio in each), sum(ratio > 1 for ratio in each), max(each), name)
        for name, each in ratios.items()
        if max(each) < math.inf
    ]
    rows = [["sampler", "worse than euler, of " + str(len(cells)), "by more than a tenth", "worst"]]
    rows += [[name, str(worse), str(much), f"{worst:.2f}"] for much, worse, worst, name in sorted(found)[:count]]
    return markdown(rows)


def loss_table(cells: Cells, count: int = 15) -> str:
    """Markdown: the cells where LML auto is furthest behind the best peer, and which that is."""
    ratios = {key: ratio_to_best(block, AUTO, "rms") for key, block in cells.items()}
    rows = [["cell", f"{AUTO} / best peer", "best peer"]]
    for key in sorted(ratios, key=lambda key: -ratios[key])[:count]:
        if ratios[key] > 1:
            condition, calls = key
            rows.append([f"{condition.name}, {calls}", f"{ratios[key]:.2f}", best_peer(cells[key], "rms")["entry"]])
    return markdown(rows)


def condition_table(records: list[Record], measure: str) -> str:
    """Markdown: samplers down, calls across, for one condition; the best in bold, `-` where there is none."""
    calls = sorted({record["calls"] for record in records})
    by_cell = {(record["entry"], record["calls"]): record for record in records}
    best = {count: min(value(record, measure) for record in records if record["calls"] == count) for count in calls}
    rows = [["sampler", *(str(count) for count in calls)]]
    for name in dict.fromkeys(record["entry"] for record in records):
        rows.append([name, *(_figure(by_cell.get((name, count)), measure, best[count]) for count in calls)])
    return markdown(rows)


def _figure(record: Record | None, measure: str, best: float) -> str:
    found = value(record, measure)
    if record is None or math.isinf(found):
        return "-"
    text = f"{found:.3g}"
    if measure == "rms":
        text += f" ({record['rms_low']:.3g}–{record['rms_high']:.3g})"
    return f"**{text}**" if found == best else text
