"""Where a run of the scheme auto ends: at the smallest level that the model knows."""

import math
from functools import partial
from types import ModuleType
from typing import Any

import core_runs
import pytest
import torch
from demo_runs import custom, demo_inputs
from problems import Gaussian, noise
from torch import Tensor


@pytest.mark.parametrize("parametrization", ["ve", "flow"])
@pytest.mark.parametrize("last", [0.03, 0.3])
def test_the_picture_is_what_the_model_sees_at_its_smallest_level(parametrization: str, last: float) -> None:
    """Details as fine as that level: a step to 0 as the flow asks for would leave half of the noise in the picture."""
    problem = Gaussian(std=0.05, parametrization=parametrization)
    grid = torch.linspace(math.log(9.0), math.log(last), 41, dtype=torch.float64).exp()
    smallest = torch.tensor(0.03, dtype=torch.float64)
    if parametrization == "flow":
        grid, smallest = grid / (1 + grid), smallest / (1 + smallest)
    sigmas = torch.cat([grid, torch.zeros(1, dtype=torch.float64)])
    x = noise(4, 64) * sigmas[0]
    seen = problem.denoise(problem.solve(x, sigmas[0], smallest), smallest.expand(4))

    def error(**options: float) -> float:
        result = core_runs.run(problem.denoise, x, sigmas, parametrization=parametrization, **options)
        return (result - seen).norm().item()

    assert error(sigma_min=smallest.item()) < 0.1 * error()


@pytest.mark.every_host
@pytest.mark.parametrize("kind", ["eps", "flow"])
def test_comfyui_tells_the_smallest_level(pack: ModuleType, kind: str) -> None:
    import comfy.samplers

    host, linked = pack.nodes.host, demo_inputs(pack, kind)
    sigmas = host.schedule(linked["model"], "karras", 6)  # its last step begins at the smallest level

    def run(function: Any) -> Tensor:
        return custom(linked, comfy.samplers.KSAMPLER(function), sigmas)

    def told(sigma_min: float) -> Tensor:
        path = "flow" if kind == "flow" else "ve"
        return run(partial(pack.lml_sampler.sample_lml, parametrization=path, sigma_min=sigma_min))

    smallest = float(linked["model"].get_model_object("model_sampling").sigma_min)
    assert torch.equal(run(host.sample_lml), told(smallest))
    assert not torch.equal(run(host.sample_lml), told(0.0))
