"""A long queue from two people at once: no cross-talk, no growing memory, no file left open."""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from comfy_host.client import Client
from comfy_host.prompts import Info, Prompt, around
from comfy_host.server import comfyui
from conftest import FULL
from node_definitions import node_ids
from small_workflows import taken
from torch import Tensor

ROUNDS = 4
PROMPTS = 60 if FULL else 8
"""In each of the rounds."""
CASES = 8
GROWTH = 0.01

NODES = [name for name in node_ids() if name not in ("LMLSavePreset", "LMLTune", "LMLLoadDiffusersModel")]
"""All but those that keep what they made, and so do something else the second time, and one that wants a file."""

log = logging.getLogger(__name__)

Case = tuple[str, int]


def prompt_of(info: Info, case: Case) -> Prompt:
    """Nodes, sizes, batches and models mixed; a number is always the same workflow."""
    node, number = case
    chosen = {"steps": 3 + number % 3, "seed": number, "noise_seed": number, "cfg": 1.0 + number % 4}
    chosen["batch_size"] = 1 + number % 2
    prompt = around(info, node, taken(info, node, chosen))
    for other in prompt.values():
        if other["class_type"] == "LMLDemoModel":
            other["inputs"] |= {"variant": ("eps", "flow")[number % 2], "batch_size": 1 + number % 3}
        elif other["class_type"] == "BasicScheduler":
            other["inputs"]["steps"] = 3 + number % 3
        elif other["class_type"] == "SamplerCustom":
            other["inputs"]["noise_seed"] = number
    width = 32 + 16 * (number % 3)  # of the demo model's pixels
    prompt["size"] = {"class_type": "EmptyLatentImage", "inputs": {"width": width, "height": 32, "batch_size": 1}}
    for other in prompt.values():
        if other["inputs"].get("latent_image") == ["LMLDemoModel", 3]:
            other["inputs"]["latent_image"] = ["size", 0]
    return prompt


def result_of(client: Client, info: Info, case: Case) -> list[Tensor]:
    return list(client.run(prompt_of(info, case)).latents.values())


def resident_kilobytes(client: Client) -> int:
    """Memory of the server without what it only shares, and without what ComfyUI keeps of past prompts."""
    client.forget()
    lines = Path(f"/proc/{client.pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Private_Dirty")).split()[1])


def open_files(pid: int) -> list[str]:
    """Regular files that the server has open."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(link))
        except FileNotFoundError:  # closed meanwhile
            continue
    return sorted(target for target in found if target.startswith("/") and not target.startswith("/dev/"))


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server that answers no prompt from its cache."""
    with comfyui(tmp_path_factory.mktemp("busy"), ["--cache-none"]) as client:
        yield client


def test_two_clients_and_a_long_queue_leave_nothing_behind(busy: Client) -> None:
    assert busy.pid is not None
    info = busy.object_info()
    cases = [(node, number) for number in range(CASES) for node in NODES][: max(CASES, len(NODES))]
    alone = {case: result_of(busy, info, case) for case in cases}
    assert any(alone.values())
    queue = [cases[k % len(cases)] for k in range(ROUNDS * PROMPTS)]

    def work(own: list[Case]) -> None:
        client = Client(busy.address)
        for case in own:
            results = zip(result_of(client, info, case), alone[case], strict=True)
            assert all(torch.equal(result, expected) for result, expected in results), f"{case} differs from it alone"

    # The allocator gives and takes a few percent; what leaks is still there after each of the later rounds.
    memory, files = [], []
    for k in range(ROUNDS):
        own = queue[k * PROMPTS : (k + 1) * PROMPTS]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, (own[::2], own[1::2])))
        memory.append(resident_kilobytes(busy))
        files.append(open_files(busy.pid))
    grown = min(memory[-2:]) / max(memory[:2]) - 1
    log.info("kB after each %d prompts: %s; open files: %s", PROMPTS, memory, files[-1])
    assert all(now == files[0] for now in files)
    assert grown < GROWTH
