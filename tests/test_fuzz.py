"""Any input of any node gives finite pictures or a clear error: never a crash, a hang, a NaN."""

import logging
import os
import re
import time
from typing import Any

import pytest
from comfy_host.client import Client, PromptError
from comfy_host.prompts import SUBJECT, WIDGETS, Info, Inputs, Prompt, all_inputs_of, around, default
from conftest import FULL
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from node_definitions import node_ids
from small_workflows import QUICK

EXAMPLES = int(os.environ.get("LML_FUZZ_EXAMPLES") or (10_000 if FULL else 25))
SECONDS = 120
PREVIEWS = ("none", "latent2rgb")
"""Live previews take longer than the steps, but without them LML Report saves its plot, which takes longer still."""
KEPT = 200
"""Runs after which the server forgets what it has made: it keeps every result as long as there is memory."""
CLEAR_ERRORS = re.compile(
    r"(ValueError|FloatingPointError): (?!there is nothing to draw).{21}|RuntimeError: All \d+ runs of the sweep failed"
)
"""Those that name what is wrong, and that of a sweep without one picture, which has the first of them. That a chart is
empty tells a person nothing."""
NOWHERE = ["nowhere", 0]
"""A link from a node that is not there."""
WRONG_TYPES = [None, "", "nan", "inf", "-inf", "1e400", "seven", True, [], {}, NOWHERE, "0x10"]
PATHS = [
    *("../../x", "/etc/x", "..", ".", "~/x", "C:\\x", "\\\\host\\x", "a/../../../x", "con", "x\0y", "x" * 300),
    "%2e%2e/x",
]
GRIDS = ["0, 1", "0:1:3", "1, 7\n4", "2, 3", "lml, euler", "ddim, dpmsolver++ 2"]
"""What the axes of a sweep take, each a part of it."""

log = logging.getLogger(__name__)


def usual(options: dict[str, Any]) -> Any:
    """The default, or a name where a text has none."""
    return "x" if default(options) == "" else default(options)


def allowed(kind: str, options: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a widget lets a person enter; the default half of the time."""
    if kind == "COMBO":
        any_value = st.sampled_from(options["options"])
    elif kind == "BOOLEAN":
        any_value = st.booleans()
    elif kind == "STRING":
        any_value = st.sampled_from(PATHS) | st.sampled_from(GRIDS) | st.text(max_size=40)
    elif kind == "CURVE":
        points = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 2)), max_size=5)
        interpolations = st.sampled_from(["linear", "monotone_cubic"])
        any_value = points | st.fixed_dictionaries({"points": points.map(sorted), "interpolation": interpolations})
    elif kind == "INT":
        low, high = options.get("min", 0), options.get("max", 2**31)
        # A count costs time or memory, a seed does not.
        any_value = st.integers(low, high if high > 1e6 else min(high, low + 5))
    else:
        low, high = options.get("min", -1e6), options.get("max", 1e6)
        any_value = st.floats(low, high) | st.sampled_from([low, high])
    return st.just(usual(options)) | any_value


def wrong(options: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What no page lets through, but any program can send."""
    values = st.sampled_from(WRONG_TYPES)
    if "min" in options:
        values |= st.sampled_from([options["min"] - 1, options["max"] + 1, 10**40, -(10**40)])
    return values


@st.composite
def inputs(draw: st.DrawFn, widgets: Inputs) -> dict[str, Any]:
    """Values for the widgets of a node: up to two are changed, or all; in one case of four one is wrong."""
    chosen = {name: usual(options) for name, (_, options, _) in widgets.items()}
    if not widgets:
        return chosen
    names = st.sampled_from(sorted(widgets))
    for name in sorted(draw(st.sets(names, max_size=2) | st.just(set(widgets)))):
        chosen[name] = draw(allowed(*widgets[name][:2]))
    if draw(st.integers(0, 3)) == 0:
        name = draw(names)
        value = draw(wrong(widgets[name][1]))
        # A choice that shows inputs, or one of these, ends ComfyUI's worker by a link to nowhere, whosever node it is.
        shows_or_shown = "." in name or any(other.startswith(f"{name}.") for other in widgets)
        if not (shows_or_shown and value == NOWHERE):
            chosen[name] = value
    return chosen


@pytest.mark.parametrize("node", node_ids())
def test_any_input_gives_a_picture_or_a_clear_error(server: Client, info: Info, node: str) -> None:
    widgets = {
        name: (kind, options | ({"default": QUICK[name]} if name in QUICK else {}), optional)
        for name, (kind, options, optional) in all_inputs_of(info, node).items()
        if kind in (*WIDGETS, "CURVE")
    }
    tried = made = 0

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],  # a shorter example is not worth minutes of running workflows
        suppress_health_check=list(HealthCheck),
    )
    @given(chosen=inputs(widgets), variant=st.sampled_from(["eps", "flow"]), previews=st.sampled_from(PREVIEWS))
    def check(chosen: dict[str, Any], variant: str, previews: str) -> None:
        nonlocal tried, made
        tried += 1
        if tried % KEPT == 0:
            clean_up(server)
        try:
            prompt = cheap(around(info, node, chosen), variant)
            result = server.run(prompt, timeout=SECONDS, previews=previews, fetch=False)
        except PromptError as error:
            refused = re.match(r"400: |\{", str(error))  # by the host, for the whole workflow or a part of it
            failed = re.match(r"node \S+ \(.*?\): (.+)", str(error))
            assert refused or (failed and CLEAR_ERRORS.match(failed[1])), str(error)
            return
        assert result.outputs
        for key, other in prompt.items():
            if other["class_type"] == "TestFinite":
                assert result.outputs[key]["finite"] == [True], key
        made += 1

    started = time.monotonic()
    with server.connected():
        check()
    log.info("%s: %d examples, %d ran to the end, %.0f s", node, tried, made, time.monotonic() - started)
    assert made > EXAMPLES / 10 or not widgets  # a fuzzer that is refused each time would prove nothing


def cheap(prompt: Prompt, variant: str) -> Prompt:
    """The same workflow around the node on a tiny model; looked at in the server, so that no file is written."""
    for key, other in prompt.items():
        links = other["inputs"]
        if key != SUBJECT and other["class_type"] == "LMLDemoModel":
            prompt[key] = {"class_type": "TestTinyModel", "inputs": {"variant": variant, "batch_size": 2}}
        elif other["class_type"] == "BasicScheduler":
            links["steps"] = QUICK["steps"]
        elif other["class_type"] in ("SaveLatent", "PreviewImage"):
            prompt[key] = {"class_type": "TestFinite", "inputs": {"value": links.get("samples") or links["images"]}}
    return prompt


def clean_up(server: Client) -> None:
    """Have the server drop results and history, and delete the files that nodes have kept: each run lists them."""
    server.forget()
    assert server.folder is not None
    for folder in ("temp", "user/default/lml_sampler"):
        for path in (server.folder / folder).rglob("*"):
            if path.is_file():
                path.unlink()
