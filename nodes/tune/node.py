"""Finds the settings that come closest to the converged solution, by measuring."""

from typing import Any

from comfy_api.latest import io, ui

from .. import host, inputs
from ..inputs import Job, choice
from ..pictures import drawing
from .search import Search
from .task import Task, candidates, check_reference
from .tuning import parameter as parameter_of

AS_PRESET, ALL = "as the settings", "try all"


def _search_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "parameter",
            options=["λ", "κ"],
            default="λ",
            tooltip="The number to search for, from its value on the node. All else stays as it is.",
        ),
        io.Combo.Input(
            "schemes",
            options=[AS_PRESET, ALL],
            default=AS_PRESET,
            tooltip="try all: search among the schemes as well. It needs more evaluations.",
        ),
        io.Int.Input(
            "evaluations",
            default=16,
            min=8,
            max=200,
            tooltip="How many settings to try at most: 8 or more; with try all 14 or more, 17 if the settings are of "
            "order 3. Each costs steps x seeds model calls.",
        ),
        io.Int.Input(
            "seeds",
            default=2,
            min=1,
            max=32,
            tooltip="How many seeds are measured and averaged, from seed on. The pictures of a batch count as well.",
        ),
        io.Int.Input(
            "reference_steps",
            default=100,
            min=10,
            max=10000,
            advanced=True,
            tooltip="Steps of the finished picture to compare with: so many that more would change nothing.",
        ),
    ]


class LMLTune(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLTune",
            display_name="LML Tune",
            category=inputs.CATEGORY,
            description="Measures which λ (or κ) comes closest to the finished picture, with your model, prompt, "
            "size and number of steps. Connect its settings to the samplers.",
            search_aliases=[*inputs.SEARCH_ALIASES, "tune", "calibrate", "optimize", "best settings", "benchmark"],
            inputs=inputs.job_inputs(*_search_inputs()),
            outputs=[
                io.Sampler.Output(tooltip="The tuned sampler, for SamplerCustom and SamplerCustomAdvanced."),
                inputs.settings_output("The tuned settings, for the LML nodes and LML Save Preset."),
                io.Image.Output(
                    display_name="plot",
                    tooltip="Distance to the finished picture at each value. Lines: euler and the best of six "
                    "of ComfyUI's samplers.",
                ),
                io.String.Output(display_name="report", tooltip="What was measured, in words and figures."),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        steps: int | None = None,
        reference_steps: int | None = None,
        damping: float | None = None,
        kappa: float | None = None,
    ) -> bool | str:
        choice.check_factors(damping, kappa)
        if steps is not None and reference_steps is not None:  # else connected, and not known yet
            check_reference(steps, reference_steps)
        return True

    @classmethod
    @host.running.says_why
    def execute(
        cls, parameter: str, schemes: str, evaluations: int, seeds: int, reference_steps: int, **given: Any
    ) -> io.NodeOutput:
        job = Job(**given)
        base = job.scaled()
        task = Task(
            job,
            base,
            parameter_of(parameter, base),
            candidates(base) if schemes == ALL else {choice.scheme_name(base): base},
            tuple((job.seed + k) % 2**64 for k in range(seeds)),
            evaluations,
            reference_steps,
        )
        search = Search(task)
        search.run(host.files.user_folder("tune"), host.running.show_text)
        text, plot = search.report(), drawing.to_tensor(search.plot())
        host.running.show_text(search.verdict())
        return io.NodeOutput(host.sampler(search.settings), search.settings, plot, text, ui=ui.PreviewText(text))
