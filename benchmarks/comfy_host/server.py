"""Start and stop a real ComfyUI with this pack in its custom nodes."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

from .client import Client
from .install import ROOT, comfyui_path
from .prompts import Info

START_SECONDS = 600
PACK = "lml-sampler"
FAILURES = ("IMPORT FAILED", "Error while calling comfy_entrypoint", "Cannot import")


class ServerError(Exception):
    """ComfyUI did not start, or did not load the pack; the message ends with its log."""


@contextmanager
def comfyui(
    folder: Path,
    arguments: Sequence[str] = (),
    environment: dict[str, str] | None = None,
    packs: Sequence[Path] = (),
    device: Sequence[str] = ("--cpu",),
) -> Iterator[Client]:
    """Run ComfyUI on a free port, and on the CPU unless told otherwise, for the length of a `with`; give a client.

    Args:
        folder: ComfyUI's base folder (inputs, outputs, custom nodes); the pack is linked into it, `comfyui.log` is
            written to it.
        arguments: further command line arguments.
        environment: further environment variables.
        packs: further custom nodes to link beside it.
        device: the arguments that choose the device.

    Raises:
        ServerError: see there.
    """
    _furnish(folder, packs)
    port = _free_port()
    command = [sys.executable, "main.py", *device, "--listen", "127.0.0.1", "--port", str(port)]
    command += ["--base-directory", str(folder), "--disable-api-nodes", *arguments]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"} | (environment or {})
    log = folder / "comfyui.log"
    log.unlink(missing_ok=True)
    with log.open("a") as output:  # at its end, wherever that is: a test may empty it
        streams = {"stdout": output, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, cwd=comfyui_path(), env=environment, **streams)
    try:
        address = f"127.0.0.1:{port}"
        _wait(process, address, log)
        yield Client(address, process.pid, folder)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def definitions() -> Info:
    """The definitions of all nodes, of a ComfyUI that is started for this."""
    with tempfile.TemporaryDirectory() as folder, comfyui(Path(folder)) as client:
        return client.object_info()


def _furnish(folder: Path, packs: Sequence[Path]) -> None:
    for name in ("custom_nodes", "input", "output", "temp", "user"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, source in {PACK: ROOT, **{path.name: path for path in packs}}.items():
        if not (folder / "custom_nodes" / name).exists():
            (folder / "custom_nodes" / name).symlink_to(source, target_is_directory=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            requests.get(f"http://{address}/system_stats", timeout=5)
            break
        except requests.RequestException:
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(f"ComfyUI did not start:\n{log.read_text()[-4000:]}") from None
            time.sleep(0.2)
    text = log.read_text()
    if any(PACK in line and any(failure in line for failure in FAILURES) for line in text.splitlines()):
        raise ServerError(f"ComfyUI did not load the pack:\n{text[-4000:]}")
