"""What the loop hands to a scheme at each step."""

from typing import NamedTuple

from torch import Tensor

from .diagnostics import Recorder
from .parametrization import Level, Parametrization


class Step(NamedTuple):
    """What a step is given beside the state and the model's output."""

    here: Level
    target: Level
    order: int
    corrected: bool
    weight: Tensor | None
    parametrization: Parametrization
    rotates_little: bool
    """Whether the slope of the rotation stays below 10 all through the run: its turns may be measured by products."""
    recorder: Recorder | None = None
    cond_denoised: Tensor | None = None
    """The model's output without guidance, `[B, ...]`, if the output is guided and that is known."""
