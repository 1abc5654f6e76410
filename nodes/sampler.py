"""The node that makes a SAMPLER for SamplerCustom and SamplerCustomAdvanced."""

from typing import Any

from comfy_api.latest import io

from ..lml_sampler import LMLSettings
from ..lml_sampler.presets import is_paper
from . import choice, host, inputs


class LMLSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLSampler",
            display_name="LML Sampler",
            category="model/sampling/samplers",
            description="Levenberg-Marquardt-Langevin as a SAMPLER for SamplerCustom and SamplerCustomAdvanced: "
            "sharper pictures from 5 to 20 steps at no extra model call.",
            search_aliases=inputs.SEARCH_ALIASES,
            inputs=[
                *inputs.preset_inputs(),
                *inputs.strength_inputs(),
                *inputs.scheme_inputs(),
                *inputs.expert_inputs(),
                inputs.settings_input(),
            ],
            outputs=[io.Sampler.Output(tooltip="For the sampler input of SamplerCustom(Advanced).")],
        )

    @classmethod
    def execute(cls, preset: str, strength: float, settings: LMLSettings | None = None, **values: Any) -> io.NodeOutput:
        if settings is None and is_paper(preset):  # the run brings the model and the number of steps
            choice.warn_unused(preset, values, None)
            return io.NodeOutput(host.paper_sampler(preset, strength))
        return io.NodeOutput(host.sampler(choice.choose(preset, strength, values, settings).settings))
