"""A small client of ComfyUI's HTTP and websocket API, used as it is."""

import io
import json
import struct
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import requests
import websocket
from comfy_cli.workflow_to_api import convert_ui_to_api
from PIL import Image
from safetensors.torch import load
from torch import Tensor

from .prompts import with_defaults

ANY_PROMPT = {
    "image": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
    "shown": {"class_type": "PreviewImage", "inputs": {"images": ["image", 0]}},
}
PREVIEW_EVENTS = (1, 4)  # a preview image, without and with metadata
TEXT_EVENT = 3  # a text of a node


class PromptError(Exception):
    """ComfyUI refused a workflow or a node of it failed; the message is ComfyUI's own.

    Attributes:
        texts: (node id, text) that nodes showed before it.
    """

    def __init__(self, message: str, texts: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.texts = texts


@dataclass
class Result:
    """What came of one workflow."""

    outputs: dict[str, Any]
    """What nodes show and save, by node id."""
    images: dict[str, list[Image.Image]]
    """Saved or previewed images by node id, and the frames of videos."""
    latents: dict[str, Tensor] = field(default_factory=dict)
    """Saved latents by node id."""
    progress: list[tuple[str, int, int]] = field(default_factory=list)
    """(node id, step, of steps) as received; ComfyUI leaves some out."""
    previews: list[bytes] = field(default_factory=list)
    """Live preview messages."""
    texts: list[tuple[str, str]] = field(default_factory=list)
    """(node id, text) that nodes showed while they ran."""


class Client:
    """Talks to one server."""

    def __init__(self, address: str, pid: int | None = None, folder: Path | None = None) -> None:
        self.address = address
        self.pid = pid
        """Process id of the server, if it is one of ours."""
        self.folder = folder
        """Base folder of the server, if it is one of ours."""
        self.url = f"http://{address}"
        self.id = uuid.uuid4().hex
        self._session: requests.Session | None = None
        self._socket: websocket.WebSocket | None = None

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Keep the connections open for the length of a `with`: new ones take longer than a short workflow."""
        with requests.Session() as self._session, closing(self._listen()) as self._socket:
            try:
                yield
            finally:
                self._session, self._socket = None, None

    def object_info(self) -> dict[str, Any]:
        """The definitions of all nodes."""
        return self._get("/object_info").json()

    def to_api(self, workflow: dict[str, Any]) -> dict[str, Any]:
        """The API form of a workflow in the form that the page saves."""
        return convert_ui_to_api(workflow, self.object_info())

    def filled(self, prompt: dict[str, Any]) -> dict[str, Any]:
        """A workflow in API form with the defaults of all widgets that it leaves out."""
        return with_defaults(prompt, self.object_info())

    def upload(self, name: str, image: Image.Image) -> None:
        """Put an image into ComfyUI's input folder."""
        data = io.BytesIO()
        image.save(data, "PNG")
        self._post("/upload/image", files={"image": (name, data.getvalue(), "image/png")})

    def interrupt(self) -> None:
        """Cancel what runs."""
        self._post("/interrupt")

    def forget(self) -> None:
        """Have models, cached results and the list of past workflows dropped, so that the next run makes everything."""
        self._post("/history", json={"clear": True})
        self._post("/free", json={"free_memory": True, "unload_models": True})
        self.run(ANY_PROMPT)  # ComfyUI drops them just before or just after the next workflow

    def run(
        self,
        prompt: dict[str, Any],
        timeout: float = 300,
        cancel: bool = False,
        previews: str | None = None,
        fetch: bool = True,
    ) -> Result:
        """Queue a workflow in API form and wait for its images; or cancel it at its first step.

        Args:
            prompt: the workflow.
            timeout: in seconds.
            cancel: whether to cancel it.
            previews: method of the live previews of this run, in place of the server's; older ComfyUI ignores it.
            fetch: whether to get the images and latents that were saved.

        Raises:
            PromptError: it was refused, failed or was interrupted.
            TimeoutError: no end after `timeout` seconds.
        """
        result = Result({}, {})
        socket = self._socket or self._listen()
        socket.settimeout(timeout)
        extra = {} if previews is None else {"preview_method": previews}
        try:
            answer = self._post("/prompt", json={"prompt": prompt, "client_id": self.id, "extra_data": extra}).json()
            if answer.get("node_errors"):  # ComfyUI runs the rest of a workflow that is wrong in part
                raise PromptError(json.dumps(answer["node_errors"], ensure_ascii=False))
            prompt_id = answer["prompt_id"]
            self._follow(socket, prompt_id, result, time.monotonic() + timeout, cancel)
        except websocket.WebSocketTimeoutException:
            raise TimeoutError(f"the workflow did not end within {timeout} s") from None
        finally:
            if socket is not self._socket:
                socket.close()
        if fetch:
            self._fetch(result)
        return result

    def _listen(self) -> websocket.WebSocket:
        return websocket.create_connection(f"ws://{self.address}/ws?clientId={self.id}", timeout=60)

    def _follow(
        self, socket: websocket.WebSocket, prompt_id: str, result: Result, deadline: float, cancel: bool
    ) -> None:
        while time.monotonic() < deadline:
            message = socket.recv()
            if isinstance(message, bytes):
                kind, length = struct.unpack(">II", message[:8])
                if kind in PREVIEW_EVENTS:
                    result.previews.append(message)
                elif kind == TEXT_EVENT:
                    result.texts.append((message[8 : 8 + length].decode(), message[8 + length :].decode()))
                continue
            event = json.loads(message)
            data = event["data"]
            if data.get("prompt_id") != prompt_id:
                continue
            if event["type"] == "progress":
                if cancel and not result.progress:
                    self.interrupt()
                result.progress.append((data["node"], data["value"], data["max"]))
            elif event["type"] == "executed":
                result.outputs[data["node"]] = data["output"]
            elif event["type"] == "executing" and data["node"] is None:  # the end, after the history has the entry
                return
            elif event["type"] == "execution_error":
                where = f"node {data['node_id']} ({data['node_type']})"
                said = f"{where}: {data['exception_type']}: {data['exception_message']}"
                raise PromptError(said, result.texts)
            elif event["type"] == "execution_interrupted":
                raise PromptError("interrupted")
        raise TimeoutError("the workflow did not end in time")

    def _fetch(self, result: Result) -> None:
        for node, output in result.outputs.items():
            result.images[node] = [image for entry in output.get("images", ()) for image in self._images(entry)]
            for entry in output.get("latents", ()):
                result.latents[node] = load(self._get("/view", params=entry).content)["latent_tensor"]

    def _images(self, entry: dict[str, str]) -> list[Image.Image]:
        data = io.BytesIO(self._get("/view", params=entry).content)
        if entry["filename"].endswith(".mp4"):
            with av.open(data) as video:
                return [frame.to_image() for frame in video.decode(video=0)]
        return [Image.open(data).convert("RGB")]

    def _get(self, path: str, **options: Any) -> requests.Response:
        return self._checked((self._session or requests).get(self.url + path, timeout=60, **options))

    def _post(self, path: str, **options: Any) -> requests.Response:
        return self._checked((self._session or requests).post(self.url + path, timeout=60, **options))

    @staticmethod
    def _checked(response: requests.Response) -> requests.Response:
        if not response.ok:
            raise PromptError(f"{response.status_code}: {response.text}")
        return response
