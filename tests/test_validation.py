"""What the widgets alone show to be wrong is said by the node, before anything is loaded."""

import asyncio
import math
from types import ModuleType
from typing import Any

import pytest

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
def test_factors_out_of_range(pack: ModuleType, node_id: str) -> None:
    given = {"model": ["demo", 0]}
    assert complaints(node_id, **given) == ""
    for name, value in (("damping", -1), ("damping", 101), ("damping", math.nan), ("kappa", 1.5), ("kappa", math.nan)):
        said = complaints(node_id, **given, **{name: value})
        assert f"{name} (" in said and f"is {float(value)}; it must be from 0 to" in said


def test_a_sweep_over_what_there_is_not(pack: ModuleType) -> None:
    for name in ("auto 2", "ddim 3"):
        said = complaints("LMLSweep", columns="scheme", column_values=name)
        assert (
            f"column_values: '{name}' cannot be: order is {name[-1]}, but the scheme {name[:-2]} is of order 1" in said
        )


def test_a_preset_that_needs_the_model(pack: ModuleType) -> None:
    assert "depends on the model, but no model is connected" in complaints("LMLPreset", preset="paper")
    assert complaints("LMLPreset", preset="paper", model=["demo", 0]) == ""
    assert "nobody's" in complaints("LMLPreset", preset="nobody's")
