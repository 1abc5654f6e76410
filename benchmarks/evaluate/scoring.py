"""Scores of all whole cells, kept as `scores.json`: what a table is made of."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import measures
from .clip import Clip, cmmd
from .errors import EvaluationError
from .features import Extractor, Features, load, reference, save
from .measures import Frechet, Score
from .pictures import Made, check_equal, counted, in_folder, made
from .store import Store
from .suite import Suite

RESAMPLES = 100
NEEDS_FEATURES = ("fid", "kid", "prc")
Scores = dict[str, Any]


def score(
    suite: Suite, store: Store, real: str | None = None, weights: Path | None = None, clip: Path | None = None
) -> Scores:
    """Score the whole cells of a suite and keep the result.

    Args:
        suite, store: what was made.
        real: the real pictures, in place of the suite's `reference`: a folder, a data set of torch-fidelity, an .npz
            file.
        weights: file of the weights of the feature network.
        clip: folder of a CLIP model.

    Raises:
        EvaluationError: something is missing, or cells that are to be compared are not of one kind.
    """
    everything = made(suite, store)
    whole = _whole(everything, store)
    about = {cell.cell.name: counted(cell) for cell in whole}
    check_equal(suite, about)
    real = real or suite.reference
    scores = _head(suite, store)
    found: list[Iterable[dict[str, Score]]] = []
    if any(metric in suite.metrics for metric in NEEDS_FEATURES):
        extractor = Extractor(suite.extractor, weights)
        scores |= {"extractor": extractor.identity, "reference": real}
        found.append(_of_features(suite, store, whole, extractor, real))
    if "clip_score" in suite.metrics or "cmmd" in suite.metrics:
        found.append(_of_clip(suite, whole, clip, real))
    if "seconds" in suite.metrics:
        found.append({"seconds": Score(said["seconds"], np.empty(0))} for said in about.values())
    scores["missing"] = {cell.cell.name: cell.missing for cell in everything if cell.missing}
    scores["cells"] = [_entry(cell, about[cell.cell.name], parts) for cell, *parts in zip(whole, *found, strict=True)]
    store.write(store.folder / "scores.json", json.dumps(scores, indent=1).encode())
    return scores


def _whole(cells: list[Made], store: Store) -> list[Made]:
    if store.about is None:
        raise EvaluationError(f"Nothing has been made in {store.folder} yet.")
    whole = [cell for cell in cells if not cell.missing]
    if not whole:
        raise EvaluationError(f"No cell in {store.folder} is whole yet: run `make` again.")
    return whole


def _head(suite: Suite, store: Store) -> Scores:
    assert store.about is not None
    return {
        "title": suite.title,
        "kind": suite.kind,
        "n": suite.pictures,
        "baseline": suite.baseline,
        "columns": list(suite.grid),
        "unknown": list(suite.unknown),
        "versions": store.about.versions,
        "files": store.about.files,
    }


def _entry(cell: Made, about: dict[str, Any], parts: list[dict[str, Score]]) -> dict[str, Any]:
    kept = {key: value for key, value in about.items() if key != "column"}
    scores = (item for part in parts for item in part.items())
    found = {name: {"value": each.value, "resampled": each.resampled.tolist()} for name, each in scores}
    name, point = cell.cell.sampler.name, cell.cell.point
    return {"sampler": name, "point": point, "repeat": cell.cell.repeat, **kept, "scores": found}


def _of_features(
    suite: Suite, store: Store, whole: list[Made], extractor: Extractor, real_name: str
) -> Iterator[dict[str, Score]]:
    """The scores of each cell."""
    if not real_name:
        raise EvaluationError("The suite names no reference: give the real pictures with --reference.")

    def kept(kind: str, what: str, take: Callable[[], Features]) -> Features:
        """Features, taken once."""
        path = store.folder / "features" / f"{kind}{_short(what, extractor.identity)}.npz"
        if not path.exists():
            save(path, take(), extractor.identity)
        return load(path, extractor.identity)

    changed = Path(real_name).stat().st_mtime_ns if Path(real_name).exists() else ""
    real = kept("real-", f"{real_name} {changed}", partial(reference, real_name, extractor))
    frechet = Frechet(real) if "fid" in suite.metrics else None
    resampled = measures.picks(suite.pictures, RESAMPLES)
    for cell in whole:
        units = " ".join(path.stem for path in cell.paths)
        features = kept("", units, lambda cell=cell: extractor(picture for picture, _ in cell.pictures()))
        if len(features) != suite.pictures:
            raise EvaluationError(
                f"{cell.cell.name} has {len(features)} pictures, others {suite.pictures}: not comparable."
            )
        scores = {}
        if frechet is not None:
            scores["fid"] = frechet.score(features, resampled)
        if "kid" in suite.metrics:
            scores["kid"] = measures.kid(features, real, resampled)
        if "prc" in suite.metrics:
            scores |= measures.precision_recall(features, real)
        yield scores


def _of_clip(suite: Suite, whole: list[Made], folder: Path | None, real_name: str) -> Iterator[dict[str, Score]]:
    """The scores of each cell."""
    if folder is None:
        raise EvaluationError("clip_score and cmmd need a CLIP model: give its folder with --clip.")
    clip, real = Clip(folder), None
    if "cmmd" in suite.metrics:
        if not real_name or not Path(real_name).is_dir():
            raise EvaluationError("cmmd needs a folder of real pictures: give it with --reference.")
        real = clip.pictures(in_folder(Path(real_name)))
    resampled = measures.picks(suite.pictures, RESAMPLES)
    for cell in whole:
        scores = {}
        if "clip_score" in suite.metrics:
            pairs = ((picture, prompt["prompt"]) for picture, prompt in cell.pictures())
            scores["clip_score"] = measures.mean(clip.scores(pairs), resampled)
        if real is not None:
            scores["cmmd"] = cmmd(clip.pictures(picture for picture, _ in cell.pictures()), real)
        yield scores


def _short(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
