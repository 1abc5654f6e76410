"""ComfyUI inside this process, without its server: for fast tests and for training the demo model."""

import asyncio
import functools
import sys
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
