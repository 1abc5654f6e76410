"""Tables of scores, as Markdown and CSV: a head that says what they are, all repeats, half-widths, what is left out."""

import csv
import io
import math
from typing import Any

import numpy as np
import table

from .errors import EvaluationError
from .features import FID_EXTRACTOR
from .measures import Score
from .scoring import Scores

HEADS = {
    "fid": "Fréchet distance to the real pictures (lower is better)",
    "kid": "KID x 1000 (lower is better; unbiased in the number of pictures)",
    "precision": "Precision (higher is better)",
    "recall": "Recall (higher is better)",
    "clip_score": "CLIPScore (higher is better)",
    "cmmd": "CMMD (lower is better)",
    "seconds": "Seconds a picture, of sampling alone (median)",
}
SAME = ("kind", "n", "extractor", "reference", "columns")
"""What the scores of one table have in common."""
Cells = dict[tuple[str, str], list[dict[str, Any]]]


def merged(parts: list[Scores]) -> Scores:
    """Scores of several folders as one: of two versions of a sampler, say.

    Raises:
        EvaluationError: they cannot be compared, or have cells of the same name.
    """
    first, *others = parts
    cells = list(first["cells"])
    names = {_name(cell) for cell in cells}
    for other in others:
        for what in SAME:
            if first.get(what) != other.get(what):
                raise EvaluationError(
                    f"The {what} of the scores differ ({first.get(what)}, {other.get(what)}): not comparable."
                )
        for cell in other["cells"]:
            if _name(cell) in names:
                raise EvaluationError(f"Two cells have the name {_name(cell)}: rename a sampler in one of the suites.")
            names.add(_name(cell))
            cells.append(cell)
    return first | {"cells": cells, "missing": {k: v for part in parts for k, v in part["missing"].items()}}


def markdown(scores: Scores) -> str:
    """All tables of the scores."""
    cells = _by_place(scores)
    samplers = list(dict.fromkeys(sampler for sampler, _ in cells))
    points = list(dict.fromkeys(point for _, point in cells))
    parts = [_head(scores)]
    for metric in HEADS:
        if any(metric in cell["scores"] for each in cells.values() for cell in each):
            parts.append(_of_metric(scores, cells, samplers, points, metric))
            if scores["baseline"] and any(_has_spread(cell, metric) for each in cells.values() for cell in each):
                parts.append(_differences(scores, cells, samplers, points, metric))
    called = _grid(samplers, points, lambda sampler, point: _calls(cells.get((sampler, point), [])))
    parts.append(f"## Calls of the model, counted\n\n{called}")
    parts.append(_end(scores))
    return "\n\n".join(parts) + "\n"


def comma_separated(scores: Scores) -> str:
    """A line for every cell, repeat and metric."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    axes = scores["columns"]
    writer.writerow(["sampler", *axes, "repeat", "metric", "value", "half_width", "n", "calls", "seconds_a_picture"])
    for cell in scores["cells"]:
        for metric, found in cell["scores"].items():
            score = _score(found)
            point = [cell["point"][axis] for axis in axes]
            width = "" if score.half_width is None else score.half_width
            ends = [scores["n"], cell["calls"], cell["seconds"]]
            writer.writerow([cell["sampler"], *point, cell["repeat"] + 1, metric, score.value, width, *ends])
    return file.getvalue()


def _head(scores: Scores) -> str:
    devices = sorted({device for cell in scores["cells"] for device in cell["devices"]})
    dtypes = sorted({dtype for cell in scores["cells"] for dtype in cell["dtypes"]})
    versions = ", ".join(f"{name} {version}" for name, version in scores["versions"].items())
    lines = [f"# {scores['title']}", ""]
    if "extractor" in scores and not _is_fid(scores):
        lines += [
            f"**This is not FID.** The features are those of {scores['extractor'].split(',')[0]}, not of the Inception "
            "network. Compare the figures with each other, and with no published ones.",
            "",
        ]
    kinds = {
        "equal": "equal: same noise, same sigmas and as many calls of the model in every row of a column",
        "as published": "as published: each sampler on its own timesteps, as in the paper's scripts; not equal terms",
    }
    lines += [f"- Kind: {kinds[scores['kind']]}.", f"- Pictures of each cell: {scores['n']}."]
    if "reference" in scores:
        lines.append(f"- Real pictures: {scores['reference']}; features: {scores['extractor']}.")
    lines += [f"- Made with {versions}; {', '.join(dtypes)}; {'; '.join(devices)}."]
    lines += [f"- {path}: sha256 {value}" for path, value in scores["files"].items()]
    lines.append(
        "- ±: half of the 95 % interval, from resampling the pictures; the same pictures in every cell, so differences "
        "are surer than the figures. Several figures in a cell: all repeats."
    )
    return "\n".join(lines)


def _end(scores: Scores) -> str:
    lines = []
    if scores["missing"]:
        named = "; ".join(f"{name} ({count} units)" for name, count in scores["missing"].items())
        lines.append(f"Left out, because they are not complete: {named}.")
    if scores["unknown"]:
        lines += ["What cannot be known or done as in the paper:", "", *(f"- {each}" for each in scores["unknown"])]
    return "\n".join(lines)


def _of_metric(scores: Scores, cells: Cells, samplers: list[str], points: list[str], metric: str) -> str:
    title = HEADS[metric]
    if metric in ("fid", "kid") and not _is_fid(scores):
        title += f": of {scores['extractor'].split(',')[0]} features, this is not {metric.upper()}"
    shown = _grid(samplers, points, lambda sampler, point: _shown(cells.get((sampler, point), []), metric))
    return f"## {title}\n\n{shown}"


def _differences(scores: Scores, cells: Cells, samplers: list[str], points: list[str], metric: str) -> str:
    base = scores["baseline"]

    def shown(sampler: str, point: str) -> str:
        pairs = zip(cells.get((sampler, point), []), cells.get((base, point), []), strict=False)
        texts = []
        for cell, other in pairs:
            if metric not in cell["scores"] or metric not in other["scores"]:
                continue
            difference = _score(cell["scores"][metric]).minus(_score(other["scores"][metric]))
            width = difference.half_width
            text = _with_width(difference, sign="+")
            texts.append(f"**{text}**" if width is not None and abs(difference.value) > width else text)
        return " / ".join(texts) or "–"

    others = [sampler for sampler in samplers if sampler != base]
    return f"Difference to {base}; bold where the interval leaves out 0:\n\n{_grid(others, points, shown)}"


def _grid(rows: list[str], columns: list[str], shown: Any) -> str:
    return table.markdown([["", *columns], *([row, *(shown(row, column) for column in columns)] for row in rows)])


def _shown(cells: list[dict[str, Any]], metric: str) -> str:
    found = [_score(cell["scores"][metric]) for cell in cells if metric in cell["scores"]]
    return " / ".join(_with_width(score) for score in found) or "–"


def _with_width(score: Score, sign: str = "") -> str:
    """A figure to the second digit of its half-width, or to four digits."""
    width = score.half_width
    if not width:
        return f"{score.value:{sign}.4g}"
    digits = max(0, 1 - math.floor(math.log10(width)))
    return f"{score.value:{sign}.{digits}f} ± {width:.{digits}f}"


def _calls(cells: list[dict[str, Any]]) -> str:
    return " / ".join(dict.fromkeys(str(cell["calls"]) for cell in cells)) or "–"


def _by_place(scores: Scores) -> Cells:
    found: Cells = {}
    for cell in scores["cells"]:
        point = ", ".join(f"{axis} {value}" for axis, value in cell["point"].items())
        found.setdefault((cell["sampler"], point), []).append(cell)
    return found


def _has_spread(cell: dict[str, Any], metric: str) -> bool:
    return metric in cell["scores"] and len(cell["scores"][metric]["resampled"]) > 1


def _score(found: dict[str, Any]) -> Score:
    return Score(found["value"], np.array(found["resampled"]))


def _is_fid(scores: Scores) -> bool:
    return scores.get("extractor", "").startswith(FID_EXTRACTOR)


def _name(cell: dict[str, Any]) -> str:
    return f"{cell['sampler']} {cell['point']} {cell['repeat']}"
