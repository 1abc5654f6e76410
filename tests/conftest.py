"""Fixtures: ComfyUI in this process, and a real ComfyUI server that is started once."""

from collections.abc import Iterator
from types import ModuleType

import pytest
from comfy_host.client import Client
from comfy_host.inprocess import load_pack
from comfy_host.server import comfyui


@pytest.fixture(scope="session")
def pack() -> ModuleType:
    """The pack as ComfyUI loads it, in this process."""
    return load_pack()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a running ComfyUI with the pack."""
    with comfyui(tmp_path_factory.mktemp("comfyui"), ["--preview-method", "latent2rgb"]) as client:
        yield client
