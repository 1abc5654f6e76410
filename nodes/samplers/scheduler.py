"""The node that gives LML's own schedule."""

from typing import Any

from comfy_api.latest import io

from .. import host, inputs


class LMLScheduler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLScheduler",
            display_name="LML Scheduler",
            category=inputs.CATEGORY,
            description="LML's own schedule as SIGMAS for SamplerCustom and SamplerCustomAdvanced: small steps at the "
            "start and at the end.",
            search_aliases=[*inputs.SEARCH_ALIASES, "scheduler", "sigmas", "schedule", "basic scheduler"],
            inputs=[inputs.model(), inputs.steps(), inputs.denoise()],
            outputs=[io.Sigmas.Output(tooltip="The noise levels of the steps, down to 0.")],
        )

    @classmethod
    @host.running.says_why
    def execute(cls, model: Any, steps: int, denoise: float) -> io.NodeOutput:
        return io.NodeOutput(host.own_schedule(model, steps, denoise))
