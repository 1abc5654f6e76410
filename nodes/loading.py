"""What happens when ComfyUI imports the pack: check that it can work here, register, or say why not."""

import re
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

OLDEST_COMFYUI = (0, 16, 0)
ISSUES = "https://github.com/comfyui-lml/ComfyUI-LML/issues"
FOLDER = Path(__file__).resolve().parents[1]


class NotLoaded(Exception):
    """The pack cannot work here; the message says why and what to do."""


def load() -> Callable[[], Awaitable[Any]]:
    """Add `lml` to the lists of KSampler and give the entry point that names the nodes.

    Raises:
        NotLoaded: ComfyUI is too old, lacks something the nodes are made of, or has loaded the pack from elsewhere.
    """
    version = comfyui_version()
    if is_too_old(version):
        oldest = ".".join(str(part) for part in OLDEST_COMFYUI)
        raise NotLoaded(f"it needs ComfyUI {oldest} or newer and this is {version}. Update ComfyUI.")
    try:
        from . import extension, host, registration
    except (ImportError, AttributeError) as error:
        raise NotLoaded(
            f"it does not fit ComfyUI {version}: {error}. Update LML Sampler and ComfyUI; if both are the newest, "
            f"tell {ISSUES}"
        ) from error
    twin = host.folder_of_node("LMLSampler")
    if twin is not None and twin != FOLDER:
        raise NotLoaded(f"it is installed twice and was loaded from {twin} already. Remove one of the two folders.")
    registration.register()
    return extension.comfy_entrypoint


def comfyui_version() -> str:
    """ComfyUI's version as it states it; "without a version" for one that is too old to state it."""
    try:
        return str(import_module("comfyui_version").__version__)
    except ImportError:
        return "without a version"


def is_too_old(version: str) -> bool:
    """Whether a version is below the oldest that works: none at all is, one that is no number is taken to be new."""
    parts = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    if parts is None:
        return version == "without a version"
    return tuple(int(part or 0) for part in parts.groups()) < OLDEST_COMFYUI
