"""What it adds to ComfyUI: alone, beside other packs and a second copy of itself, and where it does not fit."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from node_definitions import node_ids

pytestmark = pytest.mark.every_host

ROOT = Path(__file__).parents[1]
MEDDLER = ROOT / "tests" / "packs" / "test_meddler"
LOADER = """
import asyncio, hashlib, json, logging, os, sys
from pathlib import Path
from comfy_host.install import comfyui_path
sys.path.insert(0, str(comfyui_path()))
from comfy.cli_args import args
args.cpu = True
import comfy.samplers, nodes, torch
from comfy_extras.nodes_custom_sampler import KSamplerSelect

def look():
    loaded = nodes.NODE_CLASS_MAPPINGS
    found = {
        "nodes": sorted((name, loaded[name].RELATIVE_PYTHON_MODULE) for name in loaded if name.startswith("LML")),
        "KSampler": list(nodes.KSampler.INPUT_TYPES()["required"]["sampler_name"][0]).count("lml"),
        "KSamplerSelect": list(KSamplerSelect.define_schema().inputs[0].options).count("lml"),
    }
    handlers = comfy.samplers.SCHEDULER_HANDLERS
    found["scheduler"] = {None: "none", handlers["karras"]: "another pack's"}.get(handlers.get("lml"), "ours")
    if "LMLKSampler" in loaded:
        model, positive, negative, latent, _ = loaded["LMLDemoModel"].execute("eps", "star", "blue", 1).result
        linked = {"model": model, "positive": positive, "negative": negative, "latent_image": latent}
        schema = loaded["LMLKSampler"].define_schema()
        values = {entry.id: entry.default for entry in schema.inputs if entry.id not in linked and not entry.optional}
        pictures = [loaded["LMLKSampler"].execute(**linked, **(values | {"steps": 4})).result[0]["samples"]]
        found["levels"] = len(loaded["LMLScheduler"].execute(model, 5, 1.0).result[0])
        if found["KSampler"]:
            arguments = "lml", positive, negative, latent
            pictures += [
                nodes.KSampler().sample(model, 0, 4, values["cfg"], name, *arguments)[0]["samples"]
                for name in ("lml", "euler")
            ]
        found["pictures"] = [hashlib.sha256(picture.numpy().tobytes()).hexdigest() for picture in pictures]
    return found

for name, folders in json.loads(sys.argv[1]).items():
    if os.fork() == 0:  # each has a ComfyUI of its own, for one import of it
        logging.basicConfig(filename=name + ".log", format="%(levelname)s %(message)s", level=logging.INFO, force=True)
        for folder in folders:
            assert asyncio.run(nodes.load_custom_node(folder)), folder
        Path(name + ".json").write_text(json.dumps(look()))
        os._exit(0)
    os.wait()
"""

OTHERS = {
    "older": "import comfyui_version; comfyui_version.__version__ = '0.15.9'",
    "newer": "import comfy.latent_formats; del comfy.latent_formats.ChromaRadiance",
    "left out": "import os; os.environ['LML_REGISTER_KSAMPLER'] = '0'",
    "name taken": "from comfy.samplers import SCHEDULER_HANDLERS as all; all['lml'] = all['karras']",
}
"""Packs of one line, by name, that make of this ComfyUI another one."""

Loaded = dict[str, tuple[dict[str, Any], str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("neighbours")


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Loaded:
    """By case: what ComfyUI has after it loaded some packs in their order, and its log."""
    ignore = shutil.ignore_patterns(".*", "tests", "benchmarks", "__pycache__")
    copy = shutil.copytree(ROOT, folder / "another-folder", ignore=ignore)
    for name, line in OTHERS.items():
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f"{line}\nNODE_CLASS_MAPPINGS = {{}}\n")
    cases = {
        "alone": [ROOT],
        "before": [MEDDLER, ROOT],
        "after": [ROOT, MEDDLER],
        "twice": [ROOT, copy],
        "without": [MEDDLER],
        **{name: [folder / name, ROOT] for name in OTHERS},
    }
    environment = os.environ | {"PYTHONPATH": str(ROOT / "benchmarks")}
    command = [sys.executable, "-c", LOADER, json.dumps(cases, default=str)]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert process.returncode == 0 and "Traceback" not in process.stderr, process.stderr
    texts = ((name, folder / f"{name}.json", folder / f"{name}.log") for name in cases)
    return {name: (json.loads(found.read_text()), log.read_text()) for name, found, log in texts}


NOTHING = {"nodes": [], "KSampler": 0, "KSamplerSelect": 0, "scheduler": "none"}


def complaints(log: str) -> list[str]:
    return [line for line in log.splitlines() if line.startswith(("WARNING", "ERROR")) and "LML" in line]


def test_alone_it_adds_its_nodes_and_its_entries_once(loaded: Loaded) -> None:
    found, log = loaded["alone"]
    assert len(found["nodes"]) == len(node_ids()) and found["KSampler"] == found["KSamplerSelect"] == 1
    assert found["pictures"][0] == found["pictures"][1] != found["pictures"][2]
    assert found["scheduler"] == "ours" and not complaints(log)


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_pack_that_patches_the_samplers_changes_nothing(loaded: Loaded, order: str) -> None:
    found, log = loaded[order]
    assert found == loaded["alone"][0] and not complaints(log)


def test_of_two_copies_one_is_loaded(loaded: Loaded, folder: Path) -> None:
    found, log = loaded["twice"]
    assert found == loaded["alone"][0]
    (warning,) = complaints(log)
    assert f"LML Sampler in {folder / 'another-folder'} was not loaded: it is installed twice" in warning
    assert f"was loaded from {ROOT} already. Remove one of the two folders." in warning and "Traceback" not in log


def test_the_list_entries_can_be_left_out(loaded: Loaded) -> None:
    """The nodes of the pack keep their schedule, so that a saved workflow makes the same picture."""
    (found, log), alone = loaded["left out"], loaded["alone"][0]
    expected = {"nodes": alone["nodes"], "levels": 6, "pictures": alone["pictures"][:1]}
    assert found == NOTHING | expected and not complaints(log)


def test_a_scheduler_of_that_name_stays(loaded: Loaded) -> None:
    found, log = loaded["name taken"]
    assert found["scheduler"] == "another pack's" and found["levels"] == 6 and "has an entry 'lml' already" in log


def test_loading_it_again_adds_nothing(pack: ModuleType) -> None:
    import comfy.samplers
    import nodes

    samplers, schedulers = comfy.samplers.SAMPLER_NAMES, comfy.samplers.SCHEDULER_NAMES
    handler = comfy.samplers.SCHEDULER_HANDLERS["lml"]
    assert asyncio.run(nodes.load_custom_node(str(Path(pack.__file__).parent)))
    assert samplers.count("lml") == 1 and samplers[0] == "euler" and samplers[-1] == "lml"
    assert schedulers.count("lml") == 1 and schedulers[0] == "simple"
    assert comfy.samplers.KSampler.SCHEDULERS is schedulers
    assert comfy.samplers.SCHEDULER_HANDLERS["lml"] == handler


def test_without_the_pack_nothing_of_it_is_there(loaded: Loaded) -> None:
    assert loaded["without"][0] == NOTHING


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("older", "it needs ComfyUI 0.16.0 or newer and this is 0.15.9. Update ComfyUI."),
        ("newer", "'ChromaRadiance'. Update LML Sampler and ComfyUI; if both are the newest, tell https://"),
    ],
)
def test_a_comfyui_that_does_not_fit_is_named_without_a_stack_trace(loaded: Loaded, case: str, message: str) -> None:
    found, log = loaded[case]
    assert found == NOTHING
    (line,) = complaints(log)
    assert line.startswith("ERROR LML Sampler in ") and message in line and "Traceback" not in log


def test_which_versions_are_too_old(pack: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "comfyui_version", None)
    loading = pack.nodes.loading
    versions = ("0.3.48", "0.15.99", "0.16", "0.16.0", "0.30.0", "1.0.0", "v-next", loading.comfyui_version())
    too_old = [version for version in versions if loading.is_too_old(version)]
    assert too_old == ["0.3.48", "0.15.99", "without a version"]
