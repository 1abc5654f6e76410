"""The inputs that the sampler nodes share. Names and order are part of saved workflows: append only."""

from typing import get_args

from comfy_api.latest import io

from ..lml_sampler.presets import AUTO, BUILT_IN
from ..lml_sampler.sampler import DEFAULT_SETTINGS as DEFAULTS
from ..lml_sampler.settings import Arithmetic, DampingMode, Scheme, SolverType, Target
from . import host, preset_files

Settings = io.Custom("LML_SETTINGS")
"""The io type of `LMLSettings`, between LML Preset or LML Tune and the samplers."""

SEARCH_ALIASES = ["lml", "levenberg", "marquardt", "langevin", "second order", "few steps", "ksampler", "sampler"]


def preset_inputs() -> list[io.Input]:
    """What most people need: a preset and how strongly it acts."""
    return [
        io.Combo.Input(
            "preset",
            options=[*BUILT_IN, *preset_files.names(host.running.user_folder("presets"))],
            default=AUTO,
            tooltip="auto: right for every model. paper: the published settings, for the family of the model or for "
            "the one named. custom: λ, κ and the inputs below them. Then your own, from LML Save Preset.",
        ),
        io.Float.Input(
            "strength",
            default=1.0,
            min=0.0,
            max=2.0,
            step=0.01,
            display_mode=io.NumberDisplay.slider,
            tooltip="How strongly LML corrects, for every preset. Neutral: 1, as the preset says. 0 is exactly the "
            "plain sampler.",
        ),
    ]


def settings_input() -> io.Input:
    """Settings from another node."""
    return Settings.Input(
        "settings",
        optional=True,
        tooltip="Settings of LML Preset or LML Tune, in place of the preset. strength acts on them too.",
    )


def strength_inputs() -> list[io.Input]:
    """λ and κ."""
    return [
        io.Float.Input(
            "damping",
            display_name="λ",
            default=DEFAULTS.damping,
            min=1e-8,
            max=1e8,
            step=1e-8,
            tooltip="For the preset custom. "
            "Damping λ: larger is closer to the plain sampler. In the modes adaptive and relative only κ / λ "
            "matters for small κ; in the mode absolute it is the paper's λ. Neutral: very large.",
        ),
        io.Float.Input(
            "kappa",
            display_name="κ",
            default=DEFAULTS.kappa,
            min=0.0,
            max=1.0,
            step=1e-6,
            tooltip="For the preset custom. "
            "Mixing κ: how much the previous step bends this one. 0 is exactly the plain sampler. In the scheme auto "
            "the share of the gain that the schedule asks for; with ddim 0.3 (few steps) to 0.7 are good.",
        ),
    ]


def scheme_inputs() -> list[io.Input]:
    """What most people leave alone."""
    return [
        io.Combo.Input(
            "damping_mode",
            options=list(get_args(DampingMode)),
            default=DEFAULTS.damping_mode,
            advanced=True,
            tooltip="For the preset custom. "
            "Unit of λ. relative: the squared length of the step, the same at every image size and model. "
            "adaptive: relative, and damped more where the path turns. absolute: the paper's.",
        ),
        io.Combo.Input(
            "scheme",
            options=list(get_args(Scheme)),
            default=DEFAULTS.scheme,
            advanced=True,
            tooltip="For the preset custom. "
            "auto: the gain follows the schedule, and each step is redone in hindsight; right for nearly everything. "
            "The others are the plain samplers of the paper, corrected: ddim (first order, 'euler' in KSampler), "
            "dpmsolver and dpmsolver++ (multistep).",
        ),
        io.Int.Input(
            "order",
            default=DEFAULTS.order,
            min=1,
            max=3,
            advanced=True,
            tooltip="For the preset custom. "
            "How many model outputs a step combines: 1 for auto and ddim, 1 to 3 for dpmsolver and dpmsolver++.",
        ),
    ]


def expert_inputs() -> list[io.Input]:
    """The rest of the settings, on the SAMPLER node."""
    return [
        io.Combo.Input(
            "solver_type",
            options=list(get_args(SolverType)),
            default=DEFAULTS.solver_type,
            advanced=True,
            tooltip="For the preset custom. Form of the second order of dpmsolver and dpmsolver++.",
        ),
        io.Combo.Input(
            "target",
            options=list(get_args(Target)),
            default=DEFAULTS.target,
            advanced=True,
            tooltip="For the preset custom. "
            "What is corrected: the noise prediction (score), the velocity of a flow model, or the increment "
            "of the scheme. direction (ddim only): the noise put back at the next level, as the released DDIM.",
        ),
        io.Float.Input(
            "start_percent",
            default=DEFAULTS.start_percent,
            min=0.0,
            max=1.0,
            step=0.01,
            advanced=True,
            tooltip="For the preset custom. "
            "Share of the steps after which the correction starts. 0 corrects from the start.",
        ),
        io.Float.Input(
            "end_percent",
            default=DEFAULTS.end_percent,
            min=0.0,
            max=1.0,
            step=0.01,
            advanced=True,
            tooltip="For the preset custom. Share of the steps after which the correction ends. 1 corrects to the end.",
        ),
        io.Combo.Input(
            "arithmetic",
            options=list(get_args(Arithmetic)),
            default=DEFAULTS.arithmetic,
            advanced=True,
            tooltip="For the preset custom. "
            "exact, or the published formula as the released code evaluates it in float32, which is mostly "
            "rounding noise: to see the difference. Needs the damping mode absolute.",
        ),
    ]
