"""The prompts of a suite, from the file that it names."""

import json

from .errors import EvaluationError
from .suite import Suite


def rows(suite: Suite) -> list[dict[str, str]]:
    """The prompts by the names of their columns.

    Raises:
        EvaluationError: the file is not there, or has not what the suite names.
    """
    if suite.prompts is None:
        return [{}]
    prompts, path = suite.prompts, suite.path.parent / suite.prompts.file
    if not path.is_file():
        raise EvaluationError(f"{path} is missing: get it from {prompts.source or 'its authors'}.")
    content = path.read_bytes()
    found = _captions(content) if prompts.format == "coco" else content.decode("utf-8").splitlines()
    lines = [line for line in found if line.strip()]
    if prompts.take:
        if len(lines) < prompts.take:
            raise EvaluationError(f"{path} has {len(lines)} prompts; the suite takes {prompts.take}.")
        lines = lines[: prompts.take]
    result = []
    for number, line in enumerate(lines, 1):
        values = line.split("\t") if prompts.format == "tsv" else [line.strip()]
        if len(values) != len(prompts.columns):
            raise EvaluationError(
                f"{path}, line {number} has {len(values)} columns; the suite names {prompts.columns}."
            )
        result.append(dict(zip(prompts.columns, values, strict=True)))
    return result


def _captions(content: bytes) -> list[str]:
    """The first caption of every picture of MS-COCO, in the order of the pictures' ids."""
    first: dict[int, str] = {}
    for entry in sorted(json.loads(content)["annotations"], key=lambda entry: entry["id"]):
        first.setdefault(entry["image_id"], " ".join(entry["caption"].split()))
    return [first[image] for image in sorted(first)]
