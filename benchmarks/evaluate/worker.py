"""A ComfyUI that makes units: one that runs somewhere, or one of our own."""

import json
import os
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import requests
import websocket
from comfy_host.client import Client, PromptError
from comfy_host.prompts import with_defaults
from comfy_host.server import ServerError, comfyui

from .errors import EvaluationError, Lost, Refused, Unreached
from .store import About
from .suite import ModelFile
from .units import KEEP, Unit, Workflow

API = 1
NODES = Path(__file__).parent / "comfy_nodes"
RUN_SECONDS = 3600.0
"""The longest that one run may take."""
DEAD = (requests.RequestException, websocket.WebSocketException, ConnectionError, TimeoutError)


class ComfyWorker:
    """A ComfyUI that is running. It is reached once more each time, so it may have been started again."""

    def __init__(self, address: str, files: Sequence[ModelFile] = (), template: Workflow | None = None) -> None:
        self.name = address.removeprefix("http://").rstrip("/")
        self._client = Client(self.name)
        self._files, self._template = files, template
        self._info: dict[str, Any] | None = None
        self._device = ""

    def about(self) -> About:
        try:
            answer = requests.get(f"{self._client.url}/lml_evaluate/about", timeout=30)
            if not answer.ok or "json" not in answer.headers["Content-Type"] or answer.json()["api"] != API:
                raise EvaluationError(
                    f"The server {self.name} has no LML evaluation nodes of version {API}: link {NODES} into its "
                    "custom_nodes and start it again."
                )
            said = answer.json()
            self._device = said["device"]
            info = self._client.object_info()
            for node in (self._template or {}).values():
                if node["class_type"] not in info:
                    raise EvaluationError(
                        f"The server {self.name} has no node {node['class_type']}, which the workflow needs."
                    )
            names = [file.path for file in self._files]
            hashes = requests.post(f"{self._client.url}/lml_evaluate/files", json={"files": names}, timeout=3600).json()
        except DEAD as error:
            raise Lost(f"the server {self.name} does not answer: {error}") from error
        for file in self._files:
            if hashes[file.path] is None:
                raise EvaluationError(
                    f"The server {self.name} has no {file.path} in its models: get it from {file.source}."
                )
            if file.sha256 and file.sha256 != hashes[file.path]:
                raise EvaluationError(f"{file.path} of the server {self.name} is another file than the suite names.")
        return About(said["versions"], hashes)

    def make(self, unit: Unit) -> bytes:
        with ExitStack() as connection:
            try:
                if self._info is None:
                    self._info = self._client.object_info()
                connection.enter_context(self._client.connected())
            except DEAD as error:
                raise Unreached(f"{self.name}: {type(error).__name__}: {error}") from error
            try:
                content, pictures = self._archive(unit)
            except DEAD as error:
                raise Lost(f"{self.name}: {type(error).__name__}: {error}") from error
            except PromptError as error:
                if str(error) == "interrupted":
                    raise Lost(f"{self.name}: interrupted") from error
                raise Refused(str(error)) from error
        if pictures != unit.pictures:
            raise Refused(f"it made {pictures} pictures; the suite expects {unit.pictures}")
        return content

    def close(self) -> None:
        pass

    def _archive(self, unit: Unit) -> tuple[bytes, int]:
        """The zip archive of a unit, and how many pictures are in it."""
        content, runs = BytesIO(), []
        with zipfile.ZipFile(content, "w") as archive:
            for run, workflow in zip(unit.runs, unit.workflows(), strict=True):
                pictures, about = self._run(workflow)
                about |= {"prompt": run.values, "seed": run.seed, "first": run.first, "pictures": len(pictures)}
                runs.append(about)
                for place, picture in enumerate(pictures):
                    archive.writestr(f"{run.first + place:06d}.png", picture)
            said = {"cell": unit.cell, "worker": self.name, "device": self._device, "runs": runs}
            archive.writestr("unit.json", json.dumps(said))
        return content.getvalue(), sum(run["pictures"] for run in runs)

    def _run(self, workflow: Workflow) -> tuple[list[bytes], dict[str, Any]]:
        assert self._info is not None
        result = self._client.run(with_defaults(workflow, self._info), timeout=RUN_SECONDS, fetch=False)
        token = result.outputs[KEEP]["lml_evaluate"][0]
        answer = requests.get(f"{self._client.url}/lml_evaluate/take/{token}", timeout=300)
        if not answer.ok:
            raise Lost(f"{self.name} has lost its pictures")
        with zipfile.ZipFile(BytesIO(answer.content)) as archive:
            pictures = [archive.read(name) for name in sorted(archive.namelist()) if name.endswith(".png")]
            return pictures, json.loads(archive.read("run.json"))


class OwnComfyWorker:
    """A ComfyUI that is started when it is needed, and again when it has died; it ends with this process."""

    def __init__(
        self,
        name: str,
        files: Sequence[ModelFile] = (),
        template: Workflow | None = None,
        models: Path | None = None,
        device: Sequence[str] = ("--cpu",),
    ) -> None:
        self.name = name
        self._files, self._template, self._models, self._device = files, template, models, device
        self._running = ExitStack()
        self._worker: ComfyWorker | None = None
        self.pid: int | None = None
        """Of the ComfyUI that runs."""

    def about(self) -> About:
        return self._started().about()

    def make(self, unit: Unit) -> bytes:
        try:
            return self._started().make(unit)
        except Lost:
            self.close()
            raise

    def close(self) -> None:
        self._worker = None
        self._running.close()

    def _started(self) -> ComfyWorker:
        if self._worker is None:
            folder = Path(self._running.enter_context(tempfile.TemporaryDirectory(prefix="lml-evaluate-")))
            if self._models is not None:
                (folder / "models").symlink_to(self._models.resolve(), target_is_directory=True)
            environment = {"LML_EVALUATE_PARENT": str(os.getpid())}
            try:
                client = self._running.enter_context(
                    comfyui(folder, environment=environment, packs=[NODES], device=self._device)
                )
            except ServerError as error:
                raise Unreached(f"ComfyUI could not be started: {error}") from error
            self.pid = client.pid
            self._worker = ComfyWorker(client.address, self._files, self._template)
            self._worker.about()
        return self._worker
