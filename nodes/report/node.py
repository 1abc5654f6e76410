"""Sample like LML KSampler, or like SamplerCustomAdvanced, and show what each step did."""

from collections.abc import Callable
from typing import Any

from comfy_api.latest import io, ui
from torch import Tensor

from ...lml_sampler import Recorder
from .. import host, inputs
from ..inputs import Job, choice
from ..pictures import drawing
from .reporting import Report

SEARCH_ALIASES = [*inputs.SEARCH_ALIASES, "report", "diagnostics", "debug", "profile", "statistics", "why"]


def _outputs() -> list[io.Output]:
    return [
        io.Latent.Output(tooltip="The denoised latent, the same as without the report."),
        io.Image.Output(display_name="plot", tooltip="What each step did. Bars show the range over the batch."),
        io.String.Output(display_name="text", tooltip="A sentence, then a table with one line for each step."),
        io.String.Output(display_name="json", tooltip="Every figure of every step and picture, as JSON."),
    ]


class LMLReport(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLReport",
            display_name="LML Report",
            category=inputs.CATEGORY,
            description="Samples like LML KSampler and shows what each step did: how the path turns, how LML bends "
            "it, and how long model and sampler took.",
            search_aliases=SEARCH_ALIASES,
            is_output_node=True,
            inputs=inputs.job_inputs(),
            outputs=_outputs(),
        )

    @classmethod
    @host.running.says_why
    def execute(cls, **given: Any) -> io.NodeOutput:
        job = Job(**given)
        host.check_filled(job.latent_image)
        sampler, sigmas = host.sampler(job.scaled()), job.sigmas(job.steps)
        return _report(cls, job.model, sampler, lambda recorded: job.sample(recorded, sigmas))


class LMLReportCustom(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLReportCustom",
            display_name="LML Report (Custom)",
            category=inputs.CATEGORY,
            description="LML Report in place of SamplerCustomAdvanced: takes any guider, an LML sampler and any "
            "sigmas.",
            search_aliases=[*SEARCH_ALIASES, "samplercustomadvanced"],
            is_output_node=True,
            inputs=[
                io.Noise.Input("noise", tooltip="The noise to start from."),
                io.Guider.Input("guider", tooltip="How model and prompts are used."),
                io.Sampler.Input(
                    "sampler",
                    tooltip="A sampler of this pack: LML Sampler, LML Preset, LML κ Curve, LML Tune, or lml of "
                    "KSamplerSelect. Not LML Wrap Sampler.",
                ),
                io.Sigmas.Input("sigmas", tooltip="The noise levels of the run."),
                io.Latent.Input("latent_image", tooltip="The latent to denoise."),
            ],
            outputs=_outputs(),
        )

    @classmethod
    @host.running.says_why
    def execute(
        cls, noise: Any, guider: Any, sampler: Any, sigmas: Tensor, latent_image: dict[str, Any]
    ) -> io.NodeOutput:
        host.check_filled(latent_image)
        return _report(
            cls,
            guider.model_patcher,
            sampler,
            lambda recorded: host.sample_guided(guider, recorded, sigmas, noise, latent_image),
        )


def _report(
    node: type[io.ComfyNode], model: Any, sampler: Any, sample: Callable[[Any], dict[str, Any]]
) -> io.NodeOutput:
    """Run `sample` with the sampler recorded, and show what it did."""
    recorder = Recorder()
    latent = sample(host.recorded(sampler, recorder))
    if recorder.settings is None:
        raise ValueError("there is no step to report: denoise is 0, or sigmas holds fewer than two values.")
    report = Report(recorder.settings, recorder.read())
    text, picture = report.text(), report.panels()[0]  # all of them would be tiny on the node
    progress = host.running.Progress(model, len(report.steps))
    progress.advance(len(report.steps))
    progress.show(lambda: picture)  # in place of the sampler's last preview, which would stay on the node
    host.running.show_text(f"{report.conclusion()}\n{choice.summary(recorder.settings)}")
    shown = {}
    note = ""
    if not progress.previews:
        try:
            shown = ui.PreviewImage(drawing.to_tensor(picture), cls=node).as_dict()
        except OSError as error:  # a full disk: the latent is worth more
            note = f"\nThe plot cannot be shown here: {error}"
    plot = drawing.to_tensor(report.plot())
    return io.NodeOutput(latent, plot, text, report.json(), ui=ui.PreviewText(text + note).as_dict() | shown)
