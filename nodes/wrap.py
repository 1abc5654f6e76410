"""The node that puts LML around another sampler."""

from typing import Any, get_args

from comfy_api.latest import io

from ..lml_sampler import LMLSettings
from ..lml_sampler.sampler import DEFAULT_SETTINGS as DEFAULTS
from ..lml_sampler.settings import DampingMode
from . import host, inputs

KAPPA = 0.3
"""Below that of the other nodes: most samplers are of a higher order than theirs, and those take less."""


class LMLWrapSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLWrapSampler",
            display_name="LML Wrap Sampler",
            category="model/sampling/samplers",
            description="Levenberg-Marquardt-Langevin around any sampler: every model call of the sampler is corrected "
            "by what the call before has taught, at no extra model call.",
            search_aliases=[*inputs.SEARCH_ALIASES, "wrapper", "around", "modify sampler"],
            inputs=[
                io.Sampler.Input(
                    "sampler",
                    tooltip="The sampler to correct: one of KSamplerSelect, or of another sampler node.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="How strongly LML corrects: it divides λ. Neutral: 1, as λ and κ say. 0 is exactly the "
                    "bare sampler.",
                ),
                io.Float.Input(
                    "damping",
                    display_name="λ",
                    default=DEFAULTS.damping,
                    min=1e-8,
                    max=1e8,
                    step=1e-8,
                    tooltip="Damping λ: larger is closer to the bare sampler. In the modes adaptive and relative only "
                    "κ / λ matters for small κ; in the mode absolute it is the paper's λ. Neutral: very large.",
                ),
                io.Float.Input(
                    "kappa",
                    display_name="κ",
                    default=KAPPA,
                    min=0.0,
                    max=1.0,
                    step=1e-6,
                    tooltip="Mixing κ: how much the call before bends this one. 0 is exactly the bare sampler. The "
                    "higher the order of the sampler and the more the steps, the less it takes.",
                ),
                io.Combo.Input(
                    "damping_mode",
                    options=list(get_args(DampingMode)),
                    default=DEFAULTS.damping_mode,
                    advanced=True,
                    tooltip="Unit of λ. relative: the squared length of the noise prediction, the same at every image "
                    "size and model. adaptive: relative, and damped more where the path turns. absolute: the paper's.",
                ),
                io.Float.Input(
                    "start_percent",
                    default=DEFAULTS.start_percent,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    advanced=True,
                    tooltip="Share of the steps after which the correction starts. 0 corrects from the start.",
                ),
                io.Float.Input(
                    "end_percent",
                    default=DEFAULTS.end_percent,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    advanced=True,
                    tooltip="Share of the steps after which the correction ends. 1 corrects to the end.",
                ),
            ],
            outputs=[io.Sampler.Output(tooltip="The corrected sampler, for SamplerCustom(Advanced).")],
        )

    @classmethod
    def execute(cls, sampler: Any, **settings: Any) -> io.NodeOutput:
        return io.NodeOutput(host.wrapped_sampler(sampler, LMLSettings(**settings)))
