"""Tables of scores, as Markdown and CSV: a head that says what they are, all repeats, half-widths, what is left out."""

import csv
import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pages

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
    parts = [_head(scores)]
    for metric in HEADS:
        found = [cell["scores"][metric] for cell in scores["cells"] if metric in cell["scores"]]
        if found:
            parts.append(_of_metric(scores, cells, metric))
            if scores["baseline"] and any(len(score["resampled"]) > 1 for score in found):
                parts.append(_differences(cells, scores["baseline"], metric))

    def calls(sampler: str, point: str) -> str:
        return " / ".join(dict.fromkeys(str(cell["calls"]) for cell in cells.get((sampler, point), ())))

    parts.append(f"## Calls of the model, counted\n\n{_grid(cells, calls)}")
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


def _of_metric(scores: Scores, cells: Cells, metric: str) -> str:
    title = HEADS[metric]
    if metric in ("fid", "kid") and not _is_fid(scores):
        title += f": of {scores['extractor'].split(',')[0]} features, this is not {metric.upper()}"

    def shown(sampler: str, point: str) -> str:
        return " / ".join(map(_with_width, _scores(cells, sampler, point, metric)))

    return f"## {title}\n\n{_grid(cells, shown)}"


def _differences(cells: Cells, base: str, metric: str) -> str:
    def shown(sampler: str, point: str) -> str:
        pairs = zip(_scores(cells, sampler, point, metric), _scores(cells, base, point, metric), strict=False)
        return " / ".join(_difference(score.minus(other)) for score, other in pairs)

    grid = _grid({place: found for place, found in cells.items() if place[0] != base}, shown)
    return f"Difference to {base}; bold where the interval leaves out 0:\n\n{grid}"


def _grid(cells: Cells, shown: Callable[[str, str], str]) -> str:
    """A row for each sampler, a column for each point of the grid."""
    samplers, points = (list(dict.fromkeys(names)) for names in zip(*cells, strict=True))
    rows = ([sampler, *(shown(sampler, point) or "–" for point in points)] for sampler in samplers)
    return pages.markdown([["", *points], *rows])


def _difference(score: Score) -> str:
    text, width = _with_width(score, sign="+"), score.half_width
    return f"**{text}**" if width is not None and abs(score.value) > width else text


def _with_width(score: Score, sign: str = "") -> str:
    """A figure to the second digit of its half-width, or to four digits."""
    width = score.half_width
    if not width:
        return f"{score.value:{sign}.4g}"
    digits = max(0, 1 - math.floor(math.log10(width)))
    return f"{score.value:{sign}.{digits}f} ± {width:.{digits}f}"


def _by_place(scores: Scores) -> Cells:
    found: Cells = {}
    for cell in scores["cells"]:
        point = ", ".join(f"{axis} {value}" for axis, value in cell["point"].items())
        found.setdefault((cell["sampler"], point), []).append(cell)
    return found


def _scores(cells: Cells, sampler: str, point: str, metric: str) -> list[Score]:
    """Of all repeats of a cell."""
    return [_score(cell["scores"][metric]) for cell in cells.get((sampler, point), ()) if metric in cell["scores"]]


def _score(found: dict[str, Any]) -> Score:
    return Score(found["value"], np.array(found["resampled"]))


def _is_fid(scores: Scores) -> bool:
    return scores.get("extractor", "").startswith(FID_EXTRACTOR)


def _name(cell: dict[str, Any]) -> str:
    return f"{cell['sampler']} {cell['point']} {cell['repeat']}"
