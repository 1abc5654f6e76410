"""Pictures in the folders that other benchmarks read."""

from collections import Counter
from pathlib import Path

from PIL import Image

from .errors import EvaluationError
from .pictures import made
from .store import Store
from .suite import Suite

LONGEST = 200
"""Bytes of a prompt in a file's name; file systems take 255."""


def t2i_compbench(suite: Suite, store: Store, target: Path, model: str, category: str) -> int:
    """Write what T2I-CompBench (arXiv 2307.06350) scores, and say how many pictures that are.

    `TARGET/MODEL/CATEGORY/SAMPLER/samples/PROMPT_000000.png`, one folder a cell; the number counts the pictures of a
    prompt.

    Raises:
        EvaluationError: the suite has no prompts, or a cell is not whole.
    """
    if suite.prompts is None or "prompt" not in suite.prompts.columns:
        raise EvaluationError("T2I-CompBench scores pictures by their prompts; this suite has no column prompt.")
    written = 0
    for cell in made(suite, store):
        if cell.missing:
            raise EvaluationError(
                f"{cell.cell.name} is not complete ({cell.missing} units are missing): run `make` again."
            )
        folder = target / model / category / _safe(cell.cell.name) / "samples"
        folder.mkdir(parents=True, exist_ok=True)
        counts: Counter[str] = Counter()
        for picture, prompt in cell.pictures():
            text = _safe(prompt["prompt"])
            Image.fromarray(picture).save(folder / f"{text}_{counts[text]:06d}.png")
            counts[text] += 1
        written += counts.total()
    return written


def _safe(text: str) -> str:
    """A text as the name of a file: what T2I-CompBench reads back is the part before the last underscore."""
    kept = "".join(each for each in text.rstrip(".") if each not in '/\\\0:*?"<>|')
    return kept.encode()[:LONGEST].decode(errors="ignore")
