"""What is wrong is said by the node: before anything is loaded if the widgets show it, else before the first step."""

import asyncio
import math
import re
from operator import attrgetter
from types import ModuleType
from typing import Any

import pytest
import torch
from demo_runs import latent, lml, never_called, run, tiny_inputs
from node_definitions import node_list

DEMO = {"class_type": "LMLDemoModel", "inputs": {"variant": "eps", "shape": "star", "color": "blue", "batch_size": 1}}
LINKS = {"MODEL": 0, "CONDITIONING": 1, "LATENT": 3, "VAE": 4}
NODES = ["LMLKSampler", "LMLKSamplerAdvanced", "LMLSweep", "LMLTune", "LMLCompare", "LMLPreset", "LMLSampler"]


def complaints(node_id: str, **values: Any) -> str:
    """What ComfyUI says about a node that has these values and else its defaults."""
    import execution
    import nodes

    inputs: dict[str, Any] = {}
    schema = nodes.NODE_CLASS_MAPPINGS[node_id].define_schema()
    for entry in schema.inputs:
        if entry.get_io_type() in LINKS and not entry.optional:
            inputs[entry.id] = ["demo", LINKS[entry.get_io_type()]]
        elif getattr(entry, "default", None) is not None:
            inputs[entry.id] = entry.default
    if node_id == "LMLSampler":
        inputs["scheme"] = "auto"
    prompt = {"demo": DEMO, "node": {"class_type": node_id, "inputs": inputs | values}}
    try:
        valid, errors, _ = asyncio.run(execution.validate_inputs("test", prompt, "node", {}))
    except ValueError as error:
        return str(error)
    assert valid == (not errors)
    return "\n".join(f"{error['message']}: {error['details']}" for error in errors)


@pytest.mark.parametrize("node_id", NODES)
def test_factors_out_of_range_are_named(pack: ModuleType, node_id: str) -> None:
    given = {"model": ["demo", 0]}
    assert complaints(node_id, **given) == ""
    for name, value in (("damping", -1), ("damping", 101), ("damping", math.nan), ("kappa", 1.5), ("kappa", math.nan)):
        said = complaints(node_id, **given, **{name: value})
        assert f"{name} (" in said and f"is {float(value)}; it must be from 0 to" in said


def test_a_preset_that_cannot_be_used_is_named(pack: ModuleType) -> None:
    assert "depends on the model, but no model is connected" in complaints("LMLPreset", preset="paper")
    assert complaints("LMLPreset", preset="paper", model=["demo", 0]) == ""
    assert "nobody's" in complaints("LMLPreset", preset="nobody's")


@pytest.mark.every_host
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"damping": -1.0}, r"damping \(λ\) is -1.0; it must be from 0 to 100"),
        ({"damping": 101.0}, r"damping \(λ\) is 101.0"),
        ({"damping": float("nan")}, r"damping \(λ\) is nan"),
        ({"kappa": 2.0}, r"kappa \(κ\) is 2.0; it must be from 0 to 1"),
        ({"steps": 0}, "steps is 0; it must be 1 or more"),
        ({"cfg": float("nan")}, "cfg is nan; it must be a number"),
        ({"denoise": float("nan")}, "denoise is nan; it must be a number"),
    ],
)
def test_what_comes_by_a_link_is_looked_at_before_the_model_is_called(
    pack: ModuleType, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        lml(pack, never_called(tiny_inputs()), **options)


@pytest.mark.every_host
@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (1, 3, 0, 8)])
@pytest.mark.parametrize("node", ["compare.LMLCompare", "sweep.LMLSweep", "tune.LMLTune", "report.LMLReport"])
def test_of_an_empty_latent_there_is_nothing_to_show(pack: ModuleType, node: str, shape: tuple[int, ...]) -> None:
    linked = never_called(tiny_inputs()) | latent(torch.zeros(shape))
    with pytest.raises(ValueError, match=rf"latent_image has shape {re.escape(str([*shape]))}.*a batch of 1 or more"):
        run(attrgetter(node)(pack.nodes), linked)


def test_every_node_shows_why_it_failed(pack: ModuleType) -> None:
    """`says_why` leaves its mark; what it does is seen in `test_faults.py`."""
    assert [node.__name__ for node in node_list(pack) if not hasattr(node.execute, "__wrapped__")] == []
