"""What a search has measured, on disk: a cancelled search goes on where it was, a finished one is not repeated."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from .. import host

KEPT_SEARCHES = 200
KEPT_REFERENCES = 32
LATENT = "latent"


class Cache:
    """The errors and the references of one search. Written after every run, whole or not at all.

    A file that is missing or damaged counts as empty: what it held is measured again. What cannot be written, on a
    full disk say, stays in memory: the search is worth more than its files.

    Args:
        folder: where the files are; None keeps everything in memory.
        key: hash of all that decides the errors.
        reference_key: hash of all that decides the references.

    Attributes:
        found: runs whose errors were on disk.
        problem: why something is not kept for the next search, if so.
    """

    def __init__(self, folder: Path | None, key: str, reference_key: str) -> None:
        self._folder, self._reference_key = folder, reference_key
        self._path = folder / f"{key}.json" if folder else None
        self._references: dict[int, Tensor] = {}
        self._errors: dict[str, dict[str, float | None]] = _read(self._path)
        self.found = sum(map(len, self._errors.values()))
        self.problem = ""

    def error(self, run: str, seed: int) -> float | None:
        """What a run measured with a seed; None if it has not run."""
        found = self._errors.get(run, {})
        if str(seed) not in found:
            return None
        value = found[str(seed)]
        return float("inf") if value is None else float(value)

    def keep_error(self, run: str, seed: int, error: float) -> None:
        """Keep an error; one that is not finite too."""
        self._errors.setdefault(run, {})[str(seed)] = error if error < float("inf") else None
        if self._path is not None:
            self._write(self._path, json.dumps(self._errors, allow_nan=False).encode(), KEPT_SEARCHES)

    def reference(self, seed: int) -> Tensor | None:
        """The reference latent of a seed; None if it has not been made."""
        if seed not in self._references and self._folder is not None:
            try:
                self._references[seed] = load_file(self._reference_path(seed))[LATENT]
            except (OSError, SafetensorError, KeyError):
                return None
        return self._references.get(seed)

    def keep_reference(self, seed: int, latent: Tensor) -> None:
        """Keep a reference, `[B, N]` on the CPU."""
        self._references[seed] = latent
        if self._folder is not None:
            self._write(self._reference_path(seed), save({LATENT: latent.contiguous()}), KEPT_REFERENCES)

    def _write(self, path: Path, content: bytes, kept: int) -> None:
        try:
            host.files.write(path, content)
            _prune(path.parent, f"*{path.suffix}", kept)
        except OSError as error:
            self.problem = f"Not everything is kept for the next run: {error}"

    def _reference_path(self, seed: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{self._reference_key}_{seed}.safetensors"


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        data = json.loads(path.read_text("utf-8"))
        return {
            run: {seed: value for seed, value in seeds.items() if value is None or isinstance(value, float | int)}
            for run, seeds in data.items()
        }
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def _prune(folder: Path, pattern: str, kept: int) -> None:
    """Delete the oldest files of a kind."""
    files = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[kept:]:
        path.unlink(missing_ok=True)
