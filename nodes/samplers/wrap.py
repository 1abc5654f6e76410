"""The node that puts LML around another sampler."""

from typing import Any

from comfy_api.latest import io

from ...lml_sampler.settings import LMLSettings
from .. import host, inputs
from ..inputs import choice


class LMLWrapSampler(choice.Corrected):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLWrapSampler",
            display_name="LML Wrap Sampler",
            category=inputs.CATEGORY,
            description="Puts LML around another sampler: each model call is corrected by what the call before it "
            "has shown. It helps a sampler of plain steps, as euler is; one that looks ahead or adds noise itself "
            "stays nearly as it is.",
            search_aliases=[*inputs.SEARCH_ALIASES, "wrapper", "around", "modify sampler"],
            inputs=[
                io.Sampler.Input(
                    "sampler",
                    tooltip="The sampler to correct, from KSamplerSelect or another sampler node.",
                ),
                *inputs.correction_inputs(of_settings=False),
            ],
            outputs=[io.Sampler.Output(tooltip="The corrected sampler, for SamplerCustom and SamplerCustomAdvanced.")],
        )

    @classmethod
    @host.running.says_why
    def execute(cls, sampler: Any, damping: float, kappa: float) -> io.NodeOutput:
        return io.NodeOutput(host.wrapped_sampler(sampler, choice.scaled(LMLSettings(), damping, kappa)))
