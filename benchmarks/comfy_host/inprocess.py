"""ComfyUI inside this process, without its server: for fast tests and for training the demo model."""

import asyncio
import functools
import sys
from pathlib import Path
from types import ModuleType

from .install import ROOT, comfyui_path


@functools.cache
def load_pack() -> ModuleType:
    """Import ComfyUI on the CPU, let it load this pack as a custom node, and give the pack's package.

    Loads once a process.

    Raises:
        RuntimeError: ComfyUI did not load the pack.
    """
    # In front: ComfyUI's `nodes` is a module of its own, and ours must never shadow it.
    sys.path.insert(0, str(comfyui_path()))
    from comfy.cli_args import args

    args.cpu = True  # before anything else of ComfyUI is imported: without a GPU it raises otherwise
    import nodes

    if not asyncio.run(nodes.load_custom_node(str(ROOT))):
        raise RuntimeError("ComfyUI did not load the pack; its log says why")
    return sys.modules[str(ROOT).replace(".", "_x_")]


def other_packs() -> list[Path]:
    """The folders of other packs in the `custom_nodes` of this ComfyUI."""
    folders = sorted((comfyui_path() / "custom_nodes").iterdir())
    return [folder for folder in folders if (folder / "__init__.py").is_file() and folder.resolve() != ROOT]


def load_other_packs() -> None:
    """Let ComfyUI load them too, after `load_pack`.

    Raises:
        RuntimeError: it did not load one of them.
    """
    import nodes
    import server

    if other_packs():
        server.PromptServer(asyncio.new_event_loop())  # where they add their routes
    for folder in other_packs():
        if not asyncio.run(nodes.load_custom_node(str(folder))):
            raise RuntimeError(f"ComfyUI did not load {folder}; its log says why. Mend it, or take it out.")
