"""Any input of any node gives finite pictures or a clear error: never a crash, a hang, a NaN."""

import os
import re
from typing import Any

import pytest
from comfy_host.client import Client, PromptError
from comfy_host.prompts import WIDGETS, Info, Inputs, around, default, inputs_of
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from node_definitions import offered_ids

FULL = os.environ.get("LML_TESTS") == "full"
EXAMPLES = int(os.environ.get("LML_FUZZ_EXAMPLES") or (10_000 if FULL else 25))
SECONDS = 120
QUICK = {"LMLTune": {"steps": 4, "evaluations": 8, "seeds": 1, "reference_steps": 10}}
"""Usual values in place of defaults that would take minutes."""
CLEAR_ERRORS = ("ValueError", "FloatingPointError")
WRONG_TYPES = [None, "", "nan", "inf", "-inf", "1e400", "seven", True, [], {}, ["nowhere", 0], "0x10"]
PATHS = [
    "../../x",
    "/etc/x",
    "..",
    ".",
    "~/x",
    "C:\\x",
    "\\\\host\\x",
    "a/../../../x",
    "con",
    "x\0y",
    "x" * 300,
    "%2e%2e/x",
]


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
        any_value = st.sampled_from(PATHS) | st.text(max_size=40)
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
        chosen[name] = draw(wrong(widgets[name][1]))
    return chosen


def test_all_nodes_are_fuzzed(info: Info) -> None:
    assert offered_ids() == sorted(name for name in info if name.startswith("LML"))


@pytest.mark.parametrize("node", offered_ids())
def test_any_input_gives_a_picture_or_a_clear_error(server: Client, info: Info, node: str) -> None:
    widgets = {name: entry for name, entry in inputs_of(info, node).items() if entry[0] in (*WIDGETS, "CURVE")}
    for name, value in QUICK.get(node, {}).items():
        widgets[name][1]["default"] = value
    made = 0

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],  # a shorter example is not worth minutes of running workflows
        suppress_health_check=list(HealthCheck),
    )
    @given(chosen=inputs(widgets), variant=st.sampled_from(["eps", "flow"]))
    def check(chosen: dict[str, Any], variant: str) -> None:
        prompt = around(info, node, chosen)
        for key, other in prompt.items():
            if key != "subject" and other["class_type"] == "LMLDemoModel":
                other["inputs"] |= {"variant": variant, "batch_size": 2}
            if other["class_type"] == "BasicScheduler":
                other["inputs"]["steps"] = 4
        nonlocal made
        try:
            result = server.run(prompt, timeout=SECONDS)
        except PromptError as error:
            refused = re.match(r"400: |\{", str(error))  # by the host, for the whole workflow or a part of it
            failed = re.match(r"node \S+ \(.*?\): (\w+): (.+)", str(error))
            assert refused or (failed and failed[1] in CLEAR_ERRORS and len(failed[2]) > 20), str(error)
            return
        assert result.outputs
        for latent in result.latents.values():
            assert latent.isfinite().all()
        made += 1

    check()
    assert made > EXAMPLES / 10 or not widgets  # a fuzzer that is refused each time would prove nothing
