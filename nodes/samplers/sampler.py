"""The node that builds settings by hand: a scheme and what belongs to it."""

import dataclasses
from typing import Any, get_args

from comfy_api.latest import io

from ...lml_sampler import LMLSettings
from ...lml_sampler.presets import Family, published
from ...lml_sampler.settings import MULTISTEP, Arithmetic, Scheme, SolverType
from .. import host, inputs
from ..inputs import choice

PUBLISHED = "as published"
FAMILIES: dict[str, Family] = {"SD 1.5": "sd", "SD 2": "sd2", "FLUX": "flux"}


def _target(*options: str) -> io.Input:
    return io.Combo.Input(
        "target",
        options=list(options),
        default="score",
        tooltip="What is corrected. score: the predicted noise. velocity: for flow models only. increment: what the "
        "scheme adds. direction: only the noise that is put back, as the released DDIM does.",
    )


def _damping_mode() -> io.Input:
    return io.Combo.Input(
        "damping_mode",
        options=["adaptive", "relative"],
        default="adaptive",
        tooltip="relative: the same damping at each step. adaptive: more where the path turns.",
    )


def _multistep(scheme: str) -> io.DynamicCombo.Option:
    order = io.Int.Input("order", default=2, min=2, max=3, tooltip="How many model calls a step combines.")
    solver_type = io.Combo.Input(
        "solver_type",
        options=list(get_args(SolverType)),
        default="midpoint",
        tooltip="midpoint or heun: two forms of a step of order 2. They differ little.",
    )
    return io.DynamicCombo.Option(scheme, [order, solver_type, _target("score", "increment"), _damping_mode()])


def _published() -> io.DynamicCombo.Option:
    return io.DynamicCombo.Option(
        PUBLISHED,
        [
            io.Combo.Input("family", options=list(FAMILIES), default="SD 1.5", tooltip="Whose numbers of the paper."),
            io.Int.Input(
                "steps", default=8, min=1, max=inputs.MAX_STEPS, tooltip="Steps of the run: λ depends on them."
            ),
            io.Combo.Input(
                "arithmetic",
                options=list(get_args(Arithmetic)),
                default="exact",
                tooltip="exact, or as the released code computes it in float32: mostly rounding noise.",
            ),
        ],
    )


class LMLSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLSampler",
            display_name="LML Sampler",
            category=inputs.CATEGORY,
            description="LML as a SAMPLER for SamplerCustom and SamplerCustomAdvanced, with the scheme and its "
            "settings.",
            search_aliases=[*inputs.SEARCH_ALIASES, "samplercustom", "dpm solver", "ddim", "published"],
            inputs=[
                io.DynamicCombo.Input(
                    "scheme",
                    options=[
                        io.DynamicCombo.Option("auto", []),
                        io.DynamicCombo.Option(
                            "ddim", [_target("score", "velocity", "increment", "direction"), _damping_mode()]
                        ),
                        *map(_multistep, MULTISTEP),
                        _published(),
                    ],
                    tooltip="auto: right for nearly everything. ddim: plain steps with the correction. dpmsolver, "
                    "dpmsolver++: they look ahead themselves and are corrected very little. as published: the "
                    "paper's λ with κ 0.00001, which gives static.",
                ),
                *inputs.correction_inputs(of_settings=False),
                *inputs.window_inputs(),
            ],
            outputs=[inputs.sampler_output(), inputs.settings_output()],
        )

    @classmethod
    def validate_inputs(
        cls,
        damping: float | None = None,
        kappa: float | None = None,
        start_percent: float | None = None,
        end_percent: float | None = None,
        scheme: Any = None,  # ComfyUI hands over every choice that shows inputs, asked for or not
    ) -> bool | str:
        choice.check_factors(damping, kappa)
        if start_percent is not None and end_percent is not None:  # else connected, and not known yet
            LMLSettings(start_percent=start_percent, end_percent=end_percent)
        return True

    @classmethod
    @host.running.says_why
    def execute(
        cls,
        damping: float,
        kappa: float,
        start_percent: float,
        end_percent: float,
        scheme: dict[str, Any] | None = None,
    ) -> io.NodeOutput:
        base = dataclasses.replace(settings_of(scheme), start_percent=start_percent, end_percent=end_percent)
        settings = choice.scaled(base, damping, kappa)
        host.running.show_text(choice.summary(settings))
        return io.NodeOutput(host.sampler(settings), settings)


def settings_of(scheme: dict[str, Any] | None) -> LMLSettings:
    """The settings of the choice `scheme` and of the inputs that it shows; ComfyUI hands over None if it is none.

    Raises:
        ValueError: there is no such scheme; see `LMLSettings`.
    """
    if scheme is None:
        raise ValueError(f"scheme is none of the choices. Choose one of {', '.join([*get_args(Scheme), PUBLISHED])}.")
    shown = dict(scheme)
    name = shown.pop("scheme")
    if name != PUBLISHED:
        return LMLSettings(scheme=name, **shown)
    settings = published(FAMILIES[shown["family"]], shown["steps"])
    return dataclasses.replace(settings, arithmetic=shown["arithmetic"])
