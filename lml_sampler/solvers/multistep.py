"""The general form: any scheme, order and target. A vector is corrected as the settings aim, outputs are combined."""

from typing import NamedTuple

from torch import Tensor

from ..correction import Damping, inner, measure_turn, turn_away
from ..damping import any_damping, rotates_little
from ..parametrization import Level, Quantity, convert, from_denoised, vp_scale
from ..schemes import INTEGRATES, combination, scheme_at, usable_order
from ..settings import LMLSettings, Scheme, SolverType, Target
from ..step import Figures, Step

AIMS: dict[Target, Quantity | None] = {
    "score": "noise",
    "direction": "noise",
    "velocity": "velocity",
    "increment": None,
}
"""The quantity of the model output that each target corrects; the increment is corrected after the scheme."""


class Memory(NamedTuple):
    """What one step hands to the next."""

    previous: Tensor | None
    """The last vector before its correction, `[B, ...]`."""
    energy: Tensor | None
    """Its squared length where the cheap correction needs it, `[B, 1, ...]`."""
    outputs: tuple[Tensor, ...]
    """The last model outputs in the quantity of the scheme, newest first, each `[B, ...]`."""
    levels: tuple[Level, ...]
    """The noise level of each output."""


class Corrected(NamedTuple):
    """What became of a vector."""

    vector: Tensor | None
    """None: there was nothing to correct, at the first step or outside the window."""
    energy: Tensor | None = None
    """|u|^2, if the next step can use it."""
    damping: Damping | None = None


class MultistepSolver:
    """Combines the last `order` model outputs, see `schemes`; with neutral settings the plain scheme, bit for bit."""

    def __init__(self, settings: LMLSettings) -> None:
        self._target: Target | None = None if settings.neutral else settings.target
        self._scheme: Scheme = settings.scheme
        self._solver_type: SolverType = settings.solver_type
        self._order = settings.order
        self._rotates_little = rotates_little(settings)

    def init(self, x: Tensor) -> Memory:
        return Memory(None, None, (), ())

    def step(self, x: Tensor, denoised: Tensor, step: Step, state: Memory) -> tuple[Tensor, Memory, Figures | None]:
        scheme = scheme_at(self._scheme, step.here)
        quantity = INTEGRATES[scheme]
        aim = None if self._target is None else AIMS[self._target]
        vector, corrected = None, Corrected(None)
        if aim is not None:
            vector = from_denoised(aim, x, denoised, step.here)
            corrected = self._correct(vector, state, step)
        if aim is None or corrected.vector is None:
            output = from_denoised(quantity, x, denoised, step.here)
        else:
            output = convert(aim, quantity, x, corrected.vector, step.here)

        if self._target == "direction" and corrected.vector is not None:
            moved = step.target.alpha * denoised + step.target.sigma * corrected.vector
            return moved, Memory(vector, corrected.energy, (), ()), self._figures(vector, corrected, state, step)

        outputs, levels = (output, *state.outputs), (step.here, *state.levels)
        order = usable_order(step.order, levels, step.target)
        linear, weights = combination(scheme, self._solver_type, levels[:order], step.target)
        increment = output * weights[0]
        for value, weight in zip(outputs[1:order], weights[1:], strict=True):
            increment.add_(value, alpha=weight)

        if self._target == "increment":
            scale = vp_scale(step.target, step.parametrization)
            vector = increment * scale
            corrected = self._correct(vector, state, step)
            increment = increment if corrected.vector is None else corrected.vector / scale
        figures = self._figures(vector, corrected, state, step, order)
        if self._target == "increment" and scheme != self._scheme:
            vector = None  # an increment to another linear term is no previous step of the next one
        kept = self._order - 1
        memory = Memory(vector, corrected.energy, outputs[:kept], levels[:kept])
        return increment.add_(x, alpha=linear), memory, figures

    def _correct(self, vector: Tensor, state: Memory, step: Step) -> Corrected:
        if state.previous is None or not step.corrected:
            return Corrected(None, inner(vector, vector, step.weight) if self._rotates_little else None)
        turn = measure_turn(vector, state.previous, step.weight, state.energy)
        damping = any_damping(step.settings, turn.energy)
        corrected = turn_away(vector, turn, damping, step.settings.kappa, step.weight)
        return Corrected(corrected, turn.energy if self._rotates_little else None, damping)

    def _figures(
        self, vector: Tensor | None, corrected: Corrected, state: Memory, step: Step, order: int | None = None
    ) -> Figures | None:
        if vector is None or not step.recorded:
            return None
        notes = () if order in (None, self._order) else (f"order {order} in place of {self._order}",)
        return Figures(vector, state.previous, corrected.vector, corrected.damping, notes=notes)
