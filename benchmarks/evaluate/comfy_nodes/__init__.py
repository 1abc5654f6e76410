"""Nodes and routes that an evaluation needs in a running ComfyUI: link this folder into its `custom_nodes`.

The evaluation puts the two nodes into the workflows by itself: one counts the calls of the model, one keeps the
pictures until they are fetched. The routes say what runs here. Nothing is written to disk.
"""

import asyncio
import hashlib
import inspect
import io
import json
import os
import platform
import threading
import time
import uuid
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.patcher_extension
import comfyui_version
import folder_paths
import nodes
import numpy as np
import psutil
import torch
from aiohttp import web
from PIL import Image
from server import PromptServer

API = 1
KEY = "lml_evaluate"
KEPT = 4
"""Results that were made and not fetched: a client that is gone never comes for its own."""
PARENT = "LML_EVALUATE_PARENT"
"""Environment variable: the process without which this ComfyUI is of no use."""

results: OrderedDict[str, bytes] = OrderedDict()
hashes: dict[tuple[str, int, int], str] = {}


class Record:
    """What the last sampling run through a model did."""

    def __init__(self) -> None:
        self.sigmas: list[float] = []
        self.calls = 0
        self.seconds = 0.0

    def sampling(
        self, run: Callable[..., Any], noise: Any, latent: Any, sampler: Any, sigmas: Any, *args: Any, **kw: Any
    ) -> Any:
        """Around a whole run."""
        self.sigmas, self.calls = [float(sigma) for sigma in sigmas], 0
        started = time.perf_counter()
        result = run(noise, latent, sampler, sigmas, *args, **kw)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds = time.perf_counter() - started
        return result

    def call(self, run: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        """Around a call of the model; with guidance both prompts are one call."""
        self.calls += 1
        return run(*args, **kw)


class SamplerEvaluationCount:
    CATEGORY = "_for_testing"
    FUNCTION = "count"
    RETURN_TYPES = ("MODEL",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"model": ("MODEL",)}}

    def count(self, model: Any) -> tuple[Any]:
        counted, record = model.clone(), Record()
        kinds = comfy.patcher_extension.WrappersMP
        for kind, around in ((kinds.OUTER_SAMPLE, record.sampling), (kinds.PREDICT_NOISE, record.call)):
            comfy.patcher_extension.add_wrapper_with_key(
                kind, KEY, around, counted.model_options, is_model_options=True
            )
        counted.set_attachments(KEY, record)
        return (counted,)


class SamplerEvaluationKeep:
    CATEGORY = "_for_testing"
    FUNCTION = "keep"
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"images": ("IMAGE",), "model": ("MODEL",)}}

    @classmethod
    def IS_CHANGED(cls, **_: Any) -> float:
        return float("nan")  # never equal to itself: pictures that were fetched are not here any more

    def keep(self, images: Any, model: Any) -> dict[str, Any]:
        record: Record = model.attachments[KEY]
        about = vars(record) | {"dtype": str(model.model_dtype())}
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as file:
            for place, image in enumerate((images.cpu().numpy() * 255 + 0.5).clip(0, 255).astype(np.uint8)):
                picture = io.BytesIO()
                Image.fromarray(image).save(picture, "PNG", compress_level=1)
                file.writestr(f"{place:06d}.png", picture.getvalue())
            file.writestr("run.json", json.dumps(about))
        token = uuid.uuid4().hex
        results[token] = content.getvalue()
        while len(results) > KEPT:
            results.popitem(last=False)
        return {"ui": {KEY: [token]}}


@PromptServer.instance.routes.get("/lml_evaluate/about")
async def about(request: web.Request) -> web.Response:
    """The versions that decide what a picture looks like, and the device."""
    device = comfy.model_management.get_torch_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    versions = {"comfyui": comfyui_version.__version__, "torch": torch.__version__, "pack": pack_hash()}
    return web.json_response({"api": API, "versions": versions, "device": f"{device.type}: {name}"})


@PromptServer.instance.routes.post("/lml_evaluate/files")
async def files(request: web.Request) -> web.Response:
    """SHA-256 of model files by "kind/name", None for those that are not there; of a folder, of all that is in it."""
    loop = asyncio.get_running_loop()
    names = (await request.json())["files"]
    return web.json_response({name: await loop.run_in_executor(None, hash_of, name) for name in names})


@PromptServer.instance.routes.get("/lml_evaluate/take/{token}")
async def take(request: web.Request) -> web.Response:
    """The pictures of a run, once."""
    content = results.pop(request.match_info["token"], None)
    return web.Response(body=content) if content is not None else web.Response(status=404)


def pack_hash() -> str:
    """Of the sources of this pack as they lie here, "none" where it is not installed."""
    node = nodes.NODE_CLASS_MAPPINGS.get("LMLSampler")
    if node is None:
        return "none"
    root = next(folder for folder in Path(inspect.getfile(node)).parents if (folder / "lml_sampler").is_dir())
    total = hashlib.sha256()
    for path in sorted([*(root / "lml_sampler").rglob("*.py"), *(root / "nodes").rglob("*.py")]):
        total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]


def hash_of(name: str) -> str | None:
    """SHA-256 of a file, or of a folder's files with their names."""
    kind, _, rest = name.partition("/")
    for root in folder_paths.folder_names_and_paths.get(kind, [[]])[0]:
        path = Path(root, rest).resolve()
        if rest and path.is_relative_to(Path(root).resolve()) and path.exists():
            if path.is_file():
                return _file_hash(path)
            inner = sorted(
                each for each in path.rglob("*") if each.is_file() and each.suffix in (".json", ".safetensors")
            )
            lines = [f"{each.relative_to(path).as_posix()} {_file_hash(each)}" for each in inner]
            return hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return None


def _file_hash(path: Path) -> str:
    state = path.stat()
    key = (str(path), state.st_size, state.st_mtime_ns)
    if key not in hashes:
        total = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
        hashes[key] = total.hexdigest()
    return hashes[key]


def _end_with(parent: int) -> None:
    """End this ComfyUI when a process is gone: one that was killed cannot end it."""
    while psutil.pid_exists(parent) and psutil.Process(parent).status() != psutil.STATUS_ZOMBIE:
        time.sleep(1)
    os._exit(1)


if os.environ.get(PARENT):
    threading.Thread(target=_end_with, args=(int(os.environ[PARENT]),), daemon=True).start()

NODE_CLASS_MAPPINGS = {"SamplerEvaluationCount": SamplerEvaluationCount, "SamplerEvaluationKeep": SamplerEvaluationKeep}
