"""The interface of a solver: what the loop hands to it at each step, and what it gives back."""

from typing import Any, NamedTuple, Protocol

from torch import Tensor

from .correction import Damping
from .parametrization import Level, Parametrization, from_denoised, noise_ratio
from .settings import LMLSettings


class Step(NamedTuple):
    """What a step is given beside the state and the model's answer. It always falls: `target` is below `here`."""

    here: Level
    target: Level
    floor: Level
    """The smallest level that the model knows."""
    order: int
    corrected: bool
    """Whether to correct; never where there is no signal (`here.alpha <= 0`)."""
    settings: LMLSettings
    """Those of this step."""
    parametrization: Parametrization
    weight: Tensor | None = None
    """What is sampled, 1, and what is not, 0; broadcastable to the state. None: all of it."""
    recorded: bool = False
    """Whether `Figures` are asked for."""

    @property
    def end(self) -> Level:
        """Where the path of the model ends on this step: at the target, or on the way to 0 at the floor."""
        return self.target if self.target.sigma > 0 else min(self.floor, self.here)

    @property
    def rest(self) -> float:
        """The share of the step, in VE scale, that lies below `end`."""
        return 0.0 if self.target.sigma > 0 else noise_ratio(self.end, self.here)


class Figures(NamedTuple):
    """What a recorded step shows of itself, before anything is measured. See `diagnostics`."""

    vector: Tensor
    """u, what is corrected, `[B, ...]`."""
    previous: Tensor | None = None
    """p, the same one step before."""
    corrected: Tensor | None = None
    """What u became; None: it was left alone."""
    damping: Damping | None = None
    """As it was used; its lambda is in units of |u|^2."""
    trust: Tensor | None = None
    """Scheme `auto`: the share of the hindsight that was applied, broadcastable to `[B, 1, ...]`."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""
    guidance: Tensor | None = None
    """What guidance adds to the noise prediction, `[B, ...]`, if that is known."""
    denoised: Tensor | None = None
    """The model's answer, `[B, ...]`, if it is to be compared with the next one."""


class Solver(Protocol):
    """Takes the steps of one run.

    It holds settings, never what happened: that is in the state which `init` makes and each `step` passes on.
    """

    def init(self, x: Tensor) -> Any:
        """What is remembered before the first step from `x`, `[B, ...]`, and where sigma has not fallen."""
        ...

    def step(self, x: Tensor, denoised: Tensor, step: Step, state: Any) -> tuple[Tensor, Any, Figures | None]:
        """Take one step from the model's answer.

        Args:
            x: `[B, ...]` in float32 or wider, not to be changed.
            denoised: the same shape and dtype, not to be changed.
            step: from where to where, and how.
            state: what the step before has passed on.

        Returns:
            The next x, `[B, ...]`; what to remember; what to show, None unless `step.recorded`.
        """
        ...


def plain_step(x: Tensor, denoised: Tensor, here: Level, target: Level) -> Tensor:
    """DDIM, or Euler for flow models, with the very operations of ComfyUI's `euler`; `here.sigma` > 0."""
    return from_denoised("velocity", x, denoised, here).mul_(target.sigma - here.sigma).add_(x)
