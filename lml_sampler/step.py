"""What the loop hands to a scheme at each step."""

from typing import NamedTuple

from torch import Tensor

from .diagnostics import Recorder
from .parametrization import Level, Parametrization, noise_ratio


class Step(NamedTuple):
    """What a step is given beside the state and the model's output."""

    here: Level
    target: Level
    floor: Level
    """The smallest level that the model knows."""
    order: int
    corrected: bool
    weight: Tensor | None
    parametrization: Parametrization
    rotates_little: bool
    """Whether the slope of the rotation stays below 10 all through the run: its turns may be measured by products."""
    recorder: Recorder | None = None
    cond_denoised: Tensor | None = None
    """The model's output without guidance, `[B, ...]`, if the output is guided and that is known."""

    @property
    def end(self) -> Level:
        """Where the path of the model ends on this step: at the target, or on the way to 0 at the floor."""
        return self.target if self.target.sigma > 0 else min(self.floor, self.here)

    @property
    def rest(self) -> float:
        """The share of the step, in VE scale, that lies below `end`."""
        return 0.0 if self.target.sigma > 0 else noise_ratio(self.end, self.here)
