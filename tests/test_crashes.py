"""A killed ComfyUI and a full disk: nothing saved is lost or half-written, and the next run goes on."""

import json
import os
import re
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from comfy_host.client import Client, PromptError
from comfy_host.server import comfyui
from demo_runs import model_calls
from safetensors.torch import load_file

FILES = Path("user", "default", "lml_sampler")
LINKED = {"model": ["model", 0], "positive": ["model", 1], "negative": ["model", 2], "latent_image": ["model", 3]}
STEPS, REFERENCE, SEEDS = 2, 10, 2
PEERS = 6
"""Samplers of ComfyUI that a search measures beside settings of LML; the references come on top."""


def around(client: Client, node: str, output: int, batch_size: int = 1, **inputs: Any) -> dict[str, Any]:
    """A workflow that shows one output of a node as text."""
    model = {"class_type": "LMLDemoModel", "inputs": {"batch_size": batch_size}}
    shown = {"class_type": "PreviewAny", "inputs": {"source": ["subject", output]}}
    return client.filled({"model": model, "subject": {"class_type": node, "inputs": LINKED | inputs}, "shown": shown})


def tune(client: Client, **inputs: Any) -> dict[str, Any]:
    options = {"steps": STEPS, "seeds": SEEDS, "reference_steps": REFERENCE, "evaluations": 12}
    return around(client, "LMLTune", 3, **options | inputs)


def save_preset(client: Client, note: str) -> dict[str, Any]:
    preset = {"class_type": "LMLPreset", "inputs": {"preset": "auto", "kappa": 0.42}}
    inputs = {"settings": ["preset", 1], "name": "mine", "note": note, "replace": True}
    return client.filled({"preset": preset, "subject": {"class_type": "LMLSavePreset", "inputs": inputs}})


def text_of(client: Client, prompt: dict[str, Any]) -> str:
    return client.run(prompt).outputs["subject"]["text"][0]


def runs(report: str) -> int:
    """Runs of a search that has ended: it tries no more settings than asked for, and stops at the end of a range."""
    return SEEDS * (PEERS + int(re.findall(r"(\d+) settings tried", report)[0]))


def measured(folder: Path) -> int:
    """Runs whose errors are on disk."""
    return sum(len(seeds) for path in folder.glob("*.json") for seeds in json.loads(path.read_text()).values())


@contextmanager
def full_disk(client: Client, room: int) -> Iterator[None]:
    """The system refuses to let any file of the server grow beyond `room` bytes."""
    assert client.pid is not None
    before = resource.prlimit(client.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(client.pid, resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.prlimit(client.pid, resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base folder of a ComfyUI that was killed in the middle of a search."""
    folder = tmp_path_factory.mktemp("killed")
    with comfyui(folder) as client:
        prompt = tune(client)

        def run() -> None:
            with suppress(Exception):  # the connection breaks
                client.run(prompt)

        runner = threading.Thread(target=run)
        runner.start()
        deadline = time.monotonic() + 120
        while measured(folder / FILES / "tune") < 10:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert client.pid is not None
        os.kill(client.pid, signal.SIGKILL)
        runner.join()
    return folder


@pytest.fixture(scope="module")
def revived(killed: Path) -> Iterator[Client]:
    """The same ComfyUI, started again."""
    with comfyui(killed) as client:
        yield client


def test_a_killed_search_goes_on(killed: Path, revived: Client) -> None:
    folder = killed / FILES / "tune"
    known = measured(folder)
    references = list(folder.glob("*.safetensors"))
    assert known >= 10 and len(references) == SEEDS
    assert all(load_file(path)["latent"].isfinite().all() for path in references)
    result = revived.run(tune(revived))
    report = result.outputs["subject"]["text"][0]
    assert f"{known} runs were measured by an earlier search." in report
    assert f"{known} runs were measured by an earlier search." in result.texts[0][1]
    assert 0 < model_calls(report) == STEPS * (runs(report) - known)

    folder.rename(killed / "aside")
    revived.forget()
    undisturbed = text_of(revived, tune(revived))
    assert model_calls(undisturbed) == SEEDS * REFERENCE + STEPS * runs(report)
    assert undisturbed.splitlines()[:-1] == report.splitlines()[:-1]


def test_on_a_full_disk_a_saved_preset_stays_as_it_was(killed: Path, revived: Client) -> None:
    path = killed / FILES / "presets" / "mine.json"
    text_of(revived, save_preset(revived, "short"))
    before = path.read_bytes()
    with full_disk(revived, 64_000):
        message = r"OSError: .*mine\.json could not be written: File too large\. What was there before is unchanged\."
        with pytest.raises(PromptError, match=message):
            revived.run(save_preset(revived, "x" * 90_000))
        assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]
    assert text_of(revived, save_preset(revived, "x" * 90_000)).startswith("Saved: ")
    assert len(path.read_bytes()) > 90_000


def test_on_a_full_disk_a_search_ends_well(killed: Path, revived: Client) -> None:
    """The search ends well, and says that not everything of it is kept."""
    folder = killed / FILES / "tune"
    before = {path.name for path in folder.iterdir()}
    prompt = tune(revived, seed=50, seeds=1, evaluations=8, batch_size=8)
    with full_disk(revived, 64_000):
        report = text_of(revived, prompt)
    assert "LML tuned: " in report and "Not everything is kept for the next run: " in report
    assert "File too large. What was there before is unchanged. Make room on the disk" in report
    assert {path.suffix for path in folder.iterdir() if path.name not in before} == {".json"}
    revived.forget()
    again = text_of(revived, prompt)
    assert model_calls(again) == REFERENCE and "Not everything" not in again  # the reference alone


def test_on_a_full_disk_a_report_hands_on_its_picture(killed: Path, revived: Client) -> None:
    """The picture is made and handed on, even if the plot, of 20 kB, cannot be shown; ComfyUI's log still fits."""
    prompt = around(revived, "LMLReport", 0, batch_size=4, steps=10)
    (killed / "comfyui.log").write_text("")  # on a slow machine its progress lines are more than the plot
    with full_disk(revived, 8_000):
        result = revived.run(prompt)
    assert "The plot cannot be shown here: [Errno 27] File too large" in result.outputs["subject"]["text"][0]
    assert "samples" in result.outputs["shown"]["text"][0] and not result.images["subject"]
    prompt["subject"]["inputs"]["seed"] = 1
    result = revived.run(prompt)
    assert "cannot be shown" not in result.outputs["subject"]["text"][0] and len(result.images["subject"]) == 1
