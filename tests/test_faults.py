"""Faults during a run, as a person meets them: the message says what happened, and the next run is clean."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from comfy_host.client import Client, PromptError
from comfy_host.prompts import Info, Prompt, around
from small_workflows import taken
from torch import Tensor

pytestmark = pytest.mark.every_host

STEPS = 4
SAMPLERS = ("LMLKSampler", "LMLKSamplerAdvanced", "LMLSampler")


def workflow(info: Info, node: str, fault: str = "", step: int = 1, where: str = "model") -> Prompt:
    """A sampler node with a model that fails as told, or does not."""
    prompt = around(info, node, taken(info, node, {"steps": STEPS, "seed": 3, "noise_seed": 3}))
    model = ["LMLDemoModel", 0]
    if fault:
        inputs = {"model": model, "fault": fault, "step": step, "where": where}
        prompt["faulty"] = {"class_type": "TestFaultyModel", "inputs": inputs}
    for other in prompt.values():
        if other["class_type"] == "BasicScheduler":
            other["inputs"]["steps"] = STEPS
        elif fault and other["class_type"] != "TestFaultyModel" and other["inputs"].get("model") == model:
            other["inputs"]["model"] = ["faulty", 0]
        if other["class_type"] == "LMLDemoModel":
            other["inputs"]["batch_size"] = 2
    return prompt


def only_latent(server: Client, prompt: Prompt) -> Tensor:
    (latent,) = server.run(prompt).latents.values()
    return latent


@pytest.fixture(scope="module", params=SAMPLERS)
def healthy(request: pytest.FixtureRequest, server: Client, info: Info) -> tuple[str, Tensor]:
    """A sampler node, and what it makes of a healthy model."""
    latent = only_latent(server, workflow(info, request.param))
    assert latent.isfinite().all()
    return request.param, latent


@pytest.fixture
def check(server: Client, info: Info, healthy: tuple[str, Tensor]) -> Callable[..., None]:
    """Looks at the message of a run with a fault, and at the next run without one."""
    node, expected = healthy

    def look(message: str, **fault: Any) -> None:
        with pytest.raises(PromptError, match=message):
            server.run(workflow(info, node, **fault))
        assert torch.equal(only_latent(server, workflow(info, node)), expected)

    return look


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_run_can_be_cancelled_at_any_step(check: Callable[..., None], step: int) -> None:
    check("^interrupted$", fault="cancel", step=step)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise", "RuntimeError: the model broke"),
        ("out of memory", "can't allocate memory: you tried to allocate"),
        ("out of device memory", "This error means you ran out of memory on your GPU"),
        ("half the size", r"The size of tensor a \(32\) must match the size of tensor b \(64\)"),
        ("one rank less", "The size of tensor a .* must match the size of tensor b"),
        ("no tensor", "'NoneType' object has no attribute 'chunk'"),
    ],
)
def test_a_model_that_fails_says_so_in_its_own_words(check: Callable[..., None], fault: str, message: str) -> None:
    """The host's own words for its own and the model's errors."""
    check(message, fault=fault, step=2)


def test_the_node_shows_why_it_failed(server: Client, info: Info) -> None:
    """ComfyUI's toast says of every node only that it failed."""
    prompt = workflow(info, "LMLKSampler", "raise", step=2)
    with pytest.raises(PromptError) as caught:
        server.run(prompt)
    node, text = caught.value.texts[-1]
    assert prompt[node]["class_type"] == "LMLKSampler" and text == "the model broke"


@pytest.mark.parametrize(
    ("fault", "step", "where"), [("nan", 1, "model"), ("inf", 3, "model"), ("nan", STEPS, "guidance")]
)
def test_a_number_that_is_none_is_reported_with_step_and_sigma(
    check: Callable[..., None], fault: str, step: int, where: str
) -> None:
    message = rf"FloatingPointError: .*step {step} of {STEPS}.*sigma [\d.]+"
    check(message, fault=fault, step=step, where=where)


@pytest.mark.parametrize("fault", ["one picture of the batch", "one channel", "half the size"])
def test_a_wrong_shape_is_reported_with_the_step(check: Callable[..., None], fault: str) -> None:
    """A patch of the guidance may hand over what torch would broadcast in silence."""
    check(rf"ValueError: .*step 2 of {STEPS}.*shape", fault=fault, step=2, where="guidance")


@pytest.mark.parametrize("fault", ["float64", "float16"])
def test_another_dtype_is_taken_as_it_is(server: Client, info: Info, healthy: tuple[str, Tensor], fault: str) -> None:
    node, expected = healthy
    latent = only_latent(server, workflow(info, node, fault, step=2, where="guidance"))
    assert latent.dtype == expected.dtype
    torch.testing.assert_close(latent, expected, atol=5e-3, rtol=0)
