"""The node that lets κ change over the run."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from comfy_api.latest import io

try:
    from comfy_api.input import CurveInput
except ImportError:  # ComfyUI before 0.20 has the widget, but hands over nothing that could be evaluated
    CurveInput = None

from ...lml_sampler import LMLSettings
from .. import host, inputs
from ..inputs import choice

SHAPES: dict[str, Callable[[Any], Any]] = {
    "linear": lambda share: share,
    "smooth": lambda share: share**2 * (3 - 2 * share),
    "early": lambda share: 1 - (1 - share) ** 2,
    "late": lambda share: share**2,
}
"""How far from start to end the factor has come after a share of the steps."""

DRAWN = "drawn"
SAMPLES = 101
"""Points that stand for a curve, linear between them."""


def _end(name: str, when: str) -> io.Input:
    return inputs.share(name, 1.0, f"Factor on κ at the {when} step. 1 is neutral, 0 is the plain sampler there.")


def _options() -> list[io.DynamicCombo.Option]:
    options = [io.DynamicCombo.Option(shape, [_end("start", "first"), _end("end", "last")]) for shape in SHAPES]
    if CurveInput is None:
        return options
    curve = io.Curve.Input(
        "curve",
        default=[(0.0, 1.0), (1.0, 1.0)],
        tooltip="Factor on κ (up) from the first step to the last (to the right). It can be drawn in Nodes 2.0 only.",
    )
    return [*options, io.DynamicCombo.Option(DRAWN, [curve])]


class LMLKappaCurve(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLKappaCurve",
            display_name="LML κ Curve",
            category=inputs.CATEGORY,
            description="Lets κ change over the run: how much of the correction is used, from the first step to the "
            "last.",
            search_aliases=[*inputs.SEARCH_ALIASES, "kappa", "schedule", "curve", "fade", "window"],
            inputs=[
                io.DynamicCombo.Input(
                    "shape",
                    options=_options(),
                    tooltip="How κ goes from start to end: evenly, smoothly, early or late in the run, or as you "
                    "draw it.",
                ),
                inputs.settings_input(),
            ],
            outputs=[inputs.sampler_output(), inputs.settings_output()],
        )

    @classmethod
    @host.running.says_why
    def execute(cls, shape: dict[str, Any] | None = None, settings: LMLSettings | None = None) -> io.NodeOutput:
        if shape is None:  # ComfyUI hands over nothing for a choice that it does not know
            raise ValueError(f"shape is none of the choices. Choose one of {', '.join(SHAPES)}.")
        name = shape["shape"]
        points = drawn(shape["curve"]) if name == DRAWN else between(name, shape["start"], shape["end"])
        chosen = dataclasses.replace(choice.scaled(settings, 1.0, 1.0), kappa_curve=points)
        return io.NodeOutput(host.sampler(chosen), chosen)


def between(shape: str, start: float, end: float) -> tuple[tuple[float, float], ...]:
    """The points of a shape from `start` to `end`; none if it is 1 throughout.

    Raises:
        ValueError: one of the two is out of range, as a link may bring it.
    """
    for name, value in (("start", start), ("end", end)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}; it must be from 0 to 1. 1 is neutral, 0 is the plain sampler.")
    shares = np.linspace(0, 1, 2 if shape == "linear" else SAMPLES)
    return _points(shares, start + (end - start) * SHAPES[shape](shares))


def drawn(curve: Any) -> tuple[tuple[float, float], ...]:
    """The points of a curve widget; none if it is 1 throughout.

    Raises:
        ValueError: it is no curve, or not finite somewhere.
    """
    assert CurveInput is not None  # else it is not offered
    shares = np.linspace(0, 1, SAMPLES)
    try:
        with np.errstate(all="ignore"):  # said below
            factors = CurveInput.from_raw(curve).interp_array(shares)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise ValueError(
            f"curve is {curve!r}, which is no curve. Draw one on the node, or give points: [[0, 1], [1, 0.5]]."
        ) from error
    if not np.isfinite(factors).all():
        raise ValueError(
            f"curve is {curve!r}, which has no value at some shares of the steps: a smooth curve breaks up where two "
            "points are next to each other. Move them apart, or draw straight lines."
        )
    return _points(shares, factors)


def _points(shares: Any, factors: Any) -> tuple[tuple[float, float], ...]:
    factors = np.round(factors, 6)
    if (factors == 1).all():
        return ()
    return tuple(zip(np.round(shares, 6).tolist(), factors.tolist(), strict=True))
