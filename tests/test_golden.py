"""Golden trajectories: every state of the released code, in float64."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from core_runs import run
from safetensors.torch import load_file
from torch import Tensor

from lml_sampler import LMLSettings

GOLDEN = Path(__file__).parent / "golden"


def golden_cases() -> list[dict[str, Any]]:
    return json.loads((GOLDEN / "index.json").read_text())


def golden_settings(case: dict[str, Any]) -> LMLSettings:
    """The settings that stand for a released run."""
    released_target = {"ddim": "direction", "flow_euler": "velocity"}
    return LMLSettings(
        scheme="ddim" if case["scheme"] == "flow_euler" else case["scheme"],
        order=case["order"],
        solver_type=case.get("solver_type", "midpoint"),
        target=released_target.get(case["scheme"], "increment"),
        damping_mode="absolute",
        damping=case["damping"],
        kappa=case["kappa"],
        start_percent=int(case.get("freeze", 0) * case["steps"]) / case["steps"],  # the released code rounds down
        lower_order_final=case.get("lower_order_final", False),
        renoise=case.get("stochastic", False),
    )


@pytest.mark.parametrize("case", golden_cases(), ids=lambda case: case["name"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-7), (torch.float32, 1e-4)])
def test_golden_trajectory(case: dict[str, Any], dtype: torch.dtype, tolerance: float) -> None:
    """Feed the recorded model outputs back and compare every state with the released float64 run."""
    record = load_file(GOLDEN / f"{case['name']}.safetensors")
    flow = case["scheme"] == "flow_euler"
    scale = torch.ones_like(record["sigma"]) if flow else 1 / record["alpha"]
    outputs = record["velocity" if flow else "eps"].to(dtype)
    drawn = iter(record.get("noise", torch.empty(0)).to(dtype))
    states = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        states.append(x)
        return x - sigma.view(-1, *[1] * (x.ndim - 1)) * outputs[len(states) - 1]

    last = run(
        model,
        (record["x"][0] * scale[0]).to(dtype),
        (record["sigma"] * scale).to(dtype),
        settings=golden_settings(case),
        parametrization="flow" if flow else "ve",
        noise_sampler=lambda sigma, sigma_next: next(drawn),
    )
    for state, expected, factor in zip([*states, last], record["x"], scale, strict=True):
        assert ((state / factor - expected).norm() / expected.norm()).item() < tolerance
