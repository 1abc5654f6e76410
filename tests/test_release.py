"""What a release promises: node definitions that saved workflows can rely on, valid metadata, an archive that works."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests
import yaml
from comfy_host.server import PACK, comfyui
from demo import cell_prompt
from node_definitions import SNAPSHOT, Definitions, allowed_by, breaking_changes, definitions, is_released, version
from release_notes import release_notes

ROOT = Path(__file__).parents[1]
COMFY = Path(sys.executable).with_name("comfy")
SHIPPED = {"__init__.py", "pyproject.toml", "LICENSE", "README.md", "CHANGELOG.md", "lml_sampler", "nodes", "workflows"}
SHIPPED_IF_THERE = {"locales", "subgraphs"}


def test_saved_workflows_keep_working(pack: ModuleType) -> None:
    old, new = json.loads(SNAPSHOT.read_text()), definitions(pack)
    if not allowed_by(old["version"], version()):
        broken = breaking_changes(old["nodes"], new)
        assert not broken, "\n".join([*broken, "Before the first release: run make node-definitions."])
    if is_released(version()):
        assert old == {"version": version(), "nodes": new}, "run make node-definitions"


def test_what_workflows_depend_on_is_recorded(pack: ModuleType) -> None:
    recorded = {key for entry in definitions(pack)["LMLSampler"]["inputs"] for key in entry}
    assert recorded == {"name", "type", "optional", "default", "min", "max", "options"}


SCHEME = {"name": "scheme", "type": "COMBO", "optional": False, "options": ["one", "two"]}
DAMPING = {"name": "damping", "type": "FLOAT", "optional": False, "default": 0.5, "min": 0.0, "max": 1.0}
NOTE = {"name": "note", "type": "STRING", "optional": True}
NEW = NOTE | {"name": "new"}


def nodes(*inputs: dict[str, Any], outputs: tuple[str, ...] = ("SAMPLER", "IMAGE"), name: str = "Node") -> Definitions:
    return {name: {"inputs": list(inputs), "outputs": list(outputs)}}


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ({}, ["Node is gone"]),
        (nodes(SCHEME, DAMPING, NOTE, outputs=("SAMPLER",)), ["Node: the outputs were ['SAMPLER', 'IMAGE'], now"]),
        (nodes(SCHEME, DAMPING), ["Node: the inputs were ['scheme', 'damping', 'note'], now"]),
        (nodes(SCHEME, DAMPING | {"name": "other"}, NOTE), ["Node: the inputs were"]),
        (nodes(DAMPING, SCHEME, NOTE), ["Node: the inputs were"]),
        (nodes(SCHEME, NEW, DAMPING, NOTE), ["Node: the inputs were"]),
        (nodes(SCHEME, DAMPING, NOTE, NEW | {"optional": False}), ["Node.new is new and not optional"]),
        (nodes(SCHEME, DAMPING, NOTE | {"optional": False}), ["Node.note: it was optional"]),
        (nodes(SCHEME, DAMPING | {"type": "INT"}, NOTE), ["Node.damping: the type was FLOAT, now it is INT"]),
        (nodes(SCHEME, DAMPING | {"min": 0.1}, NOTE), ["Node.damping: min was 0.0, now it is 0.1"]),
        (nodes(SCHEME, DAMPING | {"max": 0.9}, NOTE), ["Node.damping: max was 1.0, now it is 0.9"]),
        (nodes(SCHEME | {"options": ["one"]}, DAMPING, NOTE), ["Node.scheme: the options ['two'] are gone"]),
        (nodes(SCHEME, DAMPING, NOTE) | nodes(name="Another"), []),
        (nodes(SCHEME, DAMPING, NOTE, outputs=("SAMPLER", "IMAGE", "STRING")), []),
        (nodes(SCHEME, DAMPING, NOTE, NEW), []),
        (nodes(SCHEME, DAMPING | {"default": 0.7, "min": -1.0, "max": 2.0}, NOTE), []),
        (nodes(SCHEME | {"options": ["three", "one", "two"]}, DAMPING, NOTE), []),
    ],
)
def test_what_breaks_a_workflow_and_what_does_not(new: Definitions, said: list[str]) -> None:
    found = breaking_changes(nodes(SCHEME, DAMPING, NOTE), new)
    assert len(found) == len(said) and all(one.startswith(other) for one, other in zip(found, said, strict=True)), found


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        ("0.1.0", "0.1.0", False),
        ("0.1.0", "0.1.9", False),
        ("0.1.0", "0.2.0", True),
        ("0.9.0", "1.0.0", True),
        ("1.0.0", "1.5.0", False),
        ("1.5.0", "2.0.0", True),
        ("1.5.0", "0.6.0", False),
    ],
)
def test_which_versions_may_break(old: str, new: str, allowed: bool) -> None:
    assert allowed_by(old, new) == allowed


def test_the_metadata_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == version() and re.fullmatch(r"\d+\.\d+\.\d+", version())
    assert re.search(rf"^## {re.escape(version())} \(", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    for image in re.findall(r'^(?:Icon|Banner) = ".*/main/(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE):
        assert (ROOT / image).is_file()


def test_a_tag_publishes_after_the_tests() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "publish.yml").read_text())
    assert workflow[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1 reads the key `on` as true
    commands = [step.get("run", "") for step in workflow["jobs"]["publish"]["steps"]]
    order = [
        next(place for place, command in enumerate(commands) if part in command)
        for part in (".ci/run", "release_notes.py", "node validate", "node publish")
    ]
    assert order == sorted(order)


def test_release_notes_are_the_section_of_the_version(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path)
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(f"# Changelog\n\n## {version()} (2030-01-02)\n\n- New.\n\n## 0.0.1 (2029-01-02)\n\n- Old.\n")
    assert release_notes(tmp_path, version()) == "- New."
    changelog.write_text(f"# Changelog\n\n## {version()} (unreleased)\n\n- New.\n")
    with pytest.raises(ValueError, match="no dated section"):
        release_notes(tmp_path, version())
    with pytest.raises(ValueError, match=r"pyproject.toml says version .*, the tag says 9.9.9"):
        release_notes(tmp_path, "9.9.9")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the registry's own tool packs of this working tree."""
    tree = tmp_path_factory.mktemp("tree")
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines():
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
    subprocess.run(["git", "init", "--quiet"], cwd=tree, check=True)
    subprocess.run(["git", "add", "--all"], cwd=tree, check=True)
    validated = subprocess.run([COMFY, "--skip-prompt", "node", "validate"], cwd=tree, capture_output=True, text=True)
    text = validated.stdout + validated.stderr
    assert validated.returncode == 0 and "All validation checks passed" in text and "arning" not in text, text
    subprocess.run([COMFY, "--skip-prompt", "node", "pack"], cwd=tree, check=True, capture_output=True)
    return tree / "node.zip"


def test_the_archive_holds_what_is_needed_and_nothing_else(archive: Path) -> None:
    assert archive.stat().st_size < 10_000_000
    packed = set(zipfile.ZipFile(archive).namelist())
    top = {name.split("/")[0] for name in packed}
    assert SHIPPED <= top <= SHIPPED | SHIPPED_IF_THERE
    for folder in top & {"lml_sampler", "nodes", "workflows", "locales", "subgraphs"}:
        needed = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()}
        assert packed >= {name for name in needed if "__pycache__" not in name}


def test_the_archive_works_in_a_fresh_comfyui_and_leaves_nothing_behind(archive: Path, tmp_path: Path) -> None:
    pack = tmp_path / "custom_nodes" / PACK
    zipfile.ZipFile(archive).extractall(pack)
    shipped = {path for path in pack.rglob("*") if path.is_file()}
    with comfyui(tmp_path) as client:
        before = {path for path in tmp_path.rglob("*") if path.is_file()}
        workflow = client.to_api(json.loads((pack / "workflows" / "LML_Demo.json").read_text()))
        (pictures,) = client.run(cell_prompt(workflow, ("lml", "normal", 3), ("star", "blue"))).images.values()
        assert pictures
        assert requests.get(f"{client.url}/extensions/{PACK}/docs/LMLKSampler.md", timeout=10).ok
        assert "LML_Demo" in requests.get(f"{client.url}/workflow_templates", timeout=10).json()[PACK]
    after = {path for path in tmp_path.rglob("*") if path.is_file()}
    made = {path.relative_to(tmp_path) for path in after - before if "__pycache__" not in path.parts}
    assert {path.parts[0] for path in made} <= {"output", "temp", "user"} and shipped <= after
    assert not any("lml" in path.as_posix().lower() for path in made if path.parts[0] == "user")
