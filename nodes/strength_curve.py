"""The node that lets the strength change over the run, by ComfyUI's curve widget."""

import dataclasses
from typing import Any

import numpy as np
from comfy_api.latest import io

try:
    from comfy_api.input import CurveInput
except ImportError:  # ComfyUI before 0.20 has the widget, but hands over nothing that could be evaluated
    CurveInput = None

from ..lml_sampler import LMLSettings
from ..lml_sampler.sampler import DEFAULT_SETTINGS
from . import host, inputs

SAMPLES = 101
"""Points that stand for a smooth curve, linear between them."""


def is_supported() -> bool:
    """Whether this ComfyUI can evaluate curves."""
    return CurveInput is not None


class LMLStrengthCurve(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLStrengthCurve",
            display_name="LML Strength Curve",
            category="model/sampling/LML",
            description="Draws how strongly LML corrects over the run, from the first step at the left to the last at "
            "the right.",
            search_aliases=["lml", "schedule", "curve", "strength over time", "fade", "window"],
            inputs=[
                io.Curve.Input(
                    "curve",
                    default=[(0.0, 1.0), (1.0, 1.0)],
                    tooltip="Factor on the strength (up) against the share of the steps (to the right). Neutral: 1 "
                    "throughout. 0 is the plain sampler there.",
                ),
                inputs.Settings.Input(
                    "settings",
                    optional=True,
                    tooltip="The settings that the curve acts on. Without a connection: the preset auto.",
                ),
            ],
            outputs=[
                io.Sampler.Output(tooltip="For the sampler input of SamplerCustom(Advanced)."),
                inputs.Settings.Output(
                    display_name="settings", tooltip="For the settings input of the LML samplers and LML Save Preset."
                ),
            ],
        )

    @classmethod
    def execute(cls, curve: Any, settings: LMLSettings | None = None) -> io.NodeOutput:
        chosen = dataclasses.replace(settings or DEFAULT_SETTINGS, strength_curve=points_of(curve))
        return io.NodeOutput(host.sampler(chosen), chosen)


def points_of(curve: Any) -> tuple[tuple[float, float], ...]:
    """The points of a curve widget; none if it is 1 throughout.

    Raises:
        ValueError: it is no curve, or not finite somewhere.
    """
    assert CurveInput is not None  # else the node is not offered
    shares = np.linspace(0, 1, SAMPLES)
    try:
        with np.errstate(all="ignore"):  # said below
            factors = np.round(CurveInput.from_raw(curve).interp_array(shares), 6)
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise ValueError(
            f"curve is {curve!r}, which is no curve. Draw one on the node, or give points: [[0, 1], [1, 0.5]]."
        ) from error
    if not np.isfinite(factors).all():
        raise ValueError(
            f"curve is {curve!r}, which has no value at some shares of the steps: a smooth curve breaks up where two "
            "points are next to each other. Move them apart, or draw straight lines."
        )
    if (factors == 1).all():
        return ()
    return tuple(zip(np.round(shares, 6).tolist(), factors.tolist(), strict=True))
