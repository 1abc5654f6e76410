"""Run the core on functions that stand for models, without a progress bar."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from lml_sampler import LMLSettings, sample_lml

SIGMAS = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5, 0.2, 0.0], dtype=torch.float64)
PLAIN = {"kappa": 0.0}
SECOND: dict[str, Any] = {"scheme": "dpmsolver++", "order": 2, **PLAIN}
"""Settings of the plain scheme, and of the second-order one that stands for exact in many steps."""
LASTING: dict[str, Any] = {"scheme": "ddim", "damping_mode": "relative", "damping": 0.0, "kappa": 0.3}
"""A damping of just |u|^2: a gain of 0.3."""


def run(model: Any, x: Tensor, sigmas: Tensor = SIGMAS, **options: Any) -> Tensor:
    """The end of a run; options that are fields of `LMLSettings` make the settings."""
    fields = {name: options.pop(name) for name in options.keys() & LMLSettings.__dataclass_fields__.keys()}
    return sample_lml(model, x, sigmas, disable=True, **({"settings": LMLSettings(**fields)} | options))


def never_called(x: Tensor, sigma: Tensor) -> Tensor:
    """A model for what ends before the first step."""
    raise AssertionError("the model was called")


def euler(model: Any, x: Tensor, sigmas: Any, extra_args: Any = None, **_: Any) -> Tensor:
    """The plain sampler, by hand; takes what samplers of k-diffusion take."""
    for here, target in pairwise(sigmas):
        sigma = torch.as_tensor(here, dtype=x.dtype).expand(len(x))
        x = x + (x - model(x, sigma, **(extra_args or {}))) / here * (target - here)
    return x


def karras(steps: int) -> Tensor:
    """`steps` levels of Stable Diffusion, and 0."""
    ramp = torch.linspace(14.6 ** (1 / 7), 0.03 ** (1 / 7), steps, dtype=torch.float64) ** 7
    return torch.cat([ramp, torch.zeros(1, dtype=torch.float64)])


def flow_shift_3(steps: int) -> Tensor:
    """`steps` even steps of a flow model with shift 3, from pure noise to 0."""
    even = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return 3 * even / (1 + 2 * even)


def rms(difference: Tensor) -> float:
    return difference.square().mean().sqrt().item()


def relative_error(value: Tensor, exact: Tensor) -> float:
    return ((value.double() - exact).norm() / exact.norm()).item()
