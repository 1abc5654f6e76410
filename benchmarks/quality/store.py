"""What is kept between runs: finished cells as JSON lines, converged solutions as arrays."""

import ast
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from comfy_host.install import ROOT
from numpy.typing import NDArray

Record = dict[str, Any]

FOLDER = ROOT / ".quality"


def key_of(identity: Record) -> str:
    """A short hash of all that defines a result."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]


def hash_of(paths: Iterable[Path]) -> str:
    """A hash of files, whatever folder they are in; of Python files without comments and docstrings."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(path.name.encode() + b"\0" + (_code(path) if path.suffix == ".py" else path.read_bytes()))
    return total.hexdigest()[:20]


def _code(path: Path) -> bytes:
    return ast.dump(_WithoutProse().visit(ast.parse(path.read_bytes()))).encode()


class _WithoutProse(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        prose = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if prose else node


class Cells:
    """Finished cells by key; every new one is on the disk before the next is made."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.found: dict[str, Record] = {}
        lines = path.read_text().splitlines() if path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                if number < len(lines):
                    raise
                # The run was ended while it wrote this line.
                path.write_text("".join(f"{line}\n" for line in lines[:-1]))
            else:
                self.found[record["key"]] = record

    def add(self, record: Record) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        self.found[record["key"]] = record


def kept_array(path: Path, make: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
    """The array in a file, made and written first if it is not there; whole or not at all."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.npy")
        np.save(partial, make())
        partial.replace(path)
    return np.load(path)
