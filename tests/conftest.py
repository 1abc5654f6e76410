"""Shared set-up: the pack inside ComfyUI in this process, and a ComfyUI server that is started once."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from comfy_host.client import Client
from comfy_host.inprocess import load_pack
from comfy_host.server import PACK, comfyui
from demo_runs import Linked, demo_inputs
from hypothesis import settings
from PIL import Image
from tiny_models import diffusers_folders, standard_files

TESTS = Path(__file__).parent
FULL = os.environ.get("LML_TESTS") == "full"
"""Whether the tests run at their full length."""
PRESETS = Path("user", "default", "lml_sampler", "presets")
BROKEN = '{"format": "lml-sampler preset", "version": 1, "settings": {"kapa": 1}}'

# Property tests try the same examples in every run, and new ones in the full tier; neither has a time limit.
settings.register_profile("quick", deadline=None, derandomize=True, database=None)
settings.register_profile("full", deadline=None)
settings.load_profile("full" if FULL else "quick")


def audit(folder: Path, pack: Path) -> dict[str, str]:
    """The environment in which Python writes what the code in `pack` must not do into `folder`/audit.log."""
    return {
        "PYTHONPATH": str(TESTS / "audit"),
        "LML_AUDIT_PACK": str(pack) + os.sep,
        "LML_AUDIT_WRITABLE": os.pathsep.join(str(folder / name) for name in ("output", "temp", "user")),
        "LML_AUDIT_LOG": str(folder / "audit.log"),
    }


@pytest.fixture(scope="session")
def pack() -> ModuleType:
    """The pack as ComfyUI loads it, in this process."""
    return load_pack()


@pytest.fixture(scope="module", params=["eps", "flow"])
def demo(request: pytest.FixtureRequest, pack: ModuleType) -> Linked:
    """Each demo model with two empty latents."""
    return demo_inputs(pack, request.param, batch=2)


@pytest.fixture(scope="module")
def settled(pack: ModuleType) -> Iterator[None]:
    """ComfyUI collects garbage before most runs, and would look through all that was imported each time: not here."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def toys(settled: None) -> ModuleType:
    """The small exact models."""
    from comfy_host import toy

    return toy


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a running ComfyUI with the pack and a broken preset, watched for what the pack must not do."""
    folder = tmp_path_factory.mktemp("comfyui")
    (folder / PRESETS).mkdir(parents=True)
    (folder / PRESETS / "broken.json").write_text(BROKEN)
    diffusers_folders.write(folder / "models")
    watched = audit(folder, folder / "custom_nodes" / PACK)
    packs = [TESTS / "packs" / name for name in ("test_faults", "test_tiny_model")]
    packs.append(TESTS.parent / "benchmarks" / "evaluate" / "comfy_nodes")
    with comfyui(folder, ["--preview-method", "latent2rgb"], watched, packs) as client:
        yield client
    findings = (folder / "audit.log").read_text()
    assert not findings, f"in this run the pack did what it must not do:\n{findings}"


@pytest.fixture(scope="module")
def stocked(server: Client, pack: ModuleType) -> Iterator[Client]:
    """The server, with the tiny checkpoints in its folder of models and a picture among its inputs."""
    assert server.folder
    standard_files.write(server.folder / "models")
    y, x = np.mgrid[:96, :96] / 96
    picture = np.stack([x, y, 1 - x], axis=-1) * (np.hypot(x - 0.5, y - 0.5) < 0.35)[..., None]
    server.upload("example.png", Image.fromarray((picture * 255).astype(np.uint8)))
    yield server
    server.forget()


@pytest.fixture(scope="session")
def info(server: Client) -> dict[str, Any]:
    """The definitions of all nodes of the server."""
    return server.object_info()


@pytest.fixture
def user_folder(pack: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ComfyUI in this process with a user folder of its own."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "user_directory", str(tmp_path))
    return tmp_path


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: ModuleType) -> Path:
    """ComfyUI's folder of diffusers models in this process: with the two tiny ones."""
    import folder_paths

    diffusers_folders.write(tmp_path)
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "diffusers", ([str(tmp_path / "diffusers")], {"folder"}))
    return tmp_path / "diffusers"
