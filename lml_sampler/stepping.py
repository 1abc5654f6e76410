"""How a latent moves: each of its parts by the solver where sigma falls, plainly where it does not."""

from collections.abc import Sequence
from typing import overload

import torch
from torch import Tensor

from .parametrization import Level, falls
from .settings import LMLSettings
from .solvers import choose_solver
from .step import Figures, Step, plain_step


class Stepper:
    """Takes the steps of one run, of which it holds the state.

    Attributes:
        parts: see `sample_lml`.
    """

    def __init__(self, settings: LMLSettings, x: Tensor, weight: Tensor | None, parts: Sequence[int] | None) -> None:
        """
        Raises:
            ValueError: `parts` are not those of `x`.
        """
        self.parts = parts
        if parts is not None and (sum(parts) != x.shape[-1] or min(parts, default=0) < 1):
            raise ValueError(
                f"parts is {list(parts)}; they must be 1 or more each and {x.shape[-1]} in all, the last axis of x. "
                "None takes x as one."
            )
        self._solver = choose_solver(settings, weight)
        self._weights = split_parts(weight, parts)
        self._forget(x)

    def step(
        self, x: Tensor, denoised: Tensor, step: Step, bare: Tensor | None = None
    ) -> tuple[Tensor, list[tuple[Figures | None, Tensor | None]], str]:
        """Take one step from the model's answer; `bare` is the same without guidance, to show what that adds.

        Returns:
            The next x, `[B, ...]`; what each part has to show, and its weight; why the step was plain, if so.
        """
        here, target = step.here, step.target
        if self._known is not None and not falls(self._known, here):
            self._forget(x)
        if not falls(here, target):
            x = plain_step(x, denoised, here, target) if here.sigma > 0 else x
            if falls(target, here):
                self._forget(x)
            return x, [], "sigma does not fall here: the plain step"
        self._known = here
        answers, unguided = split_parts(denoised, self.parts), split_parts(bare, self.parts)
        moved, figures = [], []
        for index, part in enumerate(split_parts(x, self.parts)):
            weight, answer, alone = self._weights[index], answers[index], unguided[index]
            own = step if weight is None else step._replace(weight=weight)
            part, self._states[index], shown = self._solver.step(part, answer, own, self._states[index])
            if shown is not None:
                guidance = None if alone is None else (answer - alone) * (here.alpha / here.sigma)
                shown = shown._replace(denoised=answer, guidance=guidance)
            moved.append(part)
            figures.append((shown, weight))
        return moved[0] if len(moved) == 1 else torch.cat(moved, -1), figures, ""

    def _forget(self, x: Tensor) -> None:
        """Begin anew at x: what is known of one way down tells nothing of the next one."""
        self._known: Level | None = None
        self._states = [self._solver.init(part) for part in split_parts(x, self.parts)]


@overload
def split_parts(x: Tensor, parts: Sequence[int] | None) -> Sequence[Tensor]: ...
@overload
def split_parts(x: Tensor | None, parts: Sequence[int] | None) -> Sequence[Tensor | None]: ...
def split_parts(x: Tensor | None, parts: Sequence[int] | None) -> Sequence[Tensor | None]:
    """The parts of a tensor along its last axis, views of it; of nothing, or what is the same all along it, itself."""
    if parts is None:
        return [x]
    return [x] * len(parts) if x is None or x.shape[-1] == 1 else x.split(list(parts), -1)
