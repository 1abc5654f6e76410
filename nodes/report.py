"""Samples like LML KSampler, or in place of SamplerCustomAdvanced, and shows what each step did."""

from typing import Any

from comfy_api.latest import io, ui
from torch import Tensor

from ..lml_sampler import LMLSettings, Recorder
from . import choice, drawing, host, inputs, ksampler
from .reporting import Report


class LMLReport(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLReport",
            display_name="LML Report",
            category="model/sampling/LML",
            description="Samples like LML KSampler and shows what each step did: how the path turns, how LML bends it, "
            "the gain, λ, and the time of model and sampler.",
            search_aliases=["lml", "report", "diagnostics", "debug", "profile", "statistics", "steps", "why"],
            inputs=[
                *_common_inputs(),
                *inputs.preset_inputs(),
                *inputs.strength_inputs(),
                *inputs.scheme_inputs(),
                inputs.settings_input(),
                io.Guider.Input(
                    "guider", optional=True, tooltip="In place of model, cfg, positive and negative: any guider."
                ),
                io.Sampler.Input(
                    "sampler",
                    optional=True,
                    tooltip="In place of the preset and all below it: LML Sampler, LML Preset or LML Tune.",
                ),
                io.Sigmas.Input("sigmas", optional=True, tooltip="In place of scheduler, steps and denoise."),
            ],
            outputs=[
                io.Latent.Output(tooltip="The denoised latent, the same as without the report."),
                io.Image.Output(display_name="plot", tooltip="Every figure against the step; bars show the batch."),
                io.String.Output(display_name="text", tooltip="A table with a line a step: means and ranges."),
                io.String.Output(display_name="json", tooltip="Every figure of every step and picture, as JSON."),
            ],
        )

    @classmethod
    def execute(
        cls,
        seed: int,
        steps: int,
        cfg: float,
        scheduler: str,
        latent_image: dict[str, Any],
        denoise: float,
        preset: str,
        strength: float,
        model: Any = None,
        positive: Any = None,
        negative: Any = None,
        settings: LMLSettings | None = None,
        guider: Any = None,
        sampler: Any = None,
        sigmas: Tensor | None = None,
        **values: Any,
    ) -> io.NodeOutput:
        prompt = {"model": model, "positive": positive, "negative": negative}
        _check_connections(prompt, guider, settings, sampler)
        model = model if guider is None else guider.model_patcher
        if sigmas is None:
            sigmas = host.schedule(model, scheduler, steps, denoise)
        if sampler is None:
            count = max(len(sigmas) - 1, 1)
            sampler = host.sampler(choice.choose(preset, strength, values, settings, model=model, steps=count).settings)
        recorder = Recorder()
        sampler = host.recorded(sampler, recorder)
        if guider is None:
            latent = host.sample(model, sampler, sigmas, seed, cfg, positive, negative, latent_image)
        else:
            latent = host.guided.sample(guider, sampler, sigmas, seed, latent_image)
        if recorder.settings is None:
            raise ValueError("there is no step to report: denoise is 0, or sigmas holds fewer than two values.")
        report = Report(recorder.settings, recorder.read())
        text, picture = report.text(), report.plot()
        progress = host.running.Progress(model, len(report.steps))
        progress.advance(len(report.steps))
        progress.show(picture)  # in place of the sampler's last preview, which would stay on the node
        plot = drawing.to_tensor(picture)
        shown = {}
        note = ""
        if not progress.previews:
            try:
                shown = ui.PreviewImage(plot, cls=cls).as_dict()
            except OSError as error:  # a full disk: the latent is worth more
                note = f"\nThe plot cannot be shown here: {error}"
        return io.NodeOutput(latent, plot, text, report.json(), ui=ui.PreviewText(text + note).as_dict() | shown)


def _common_inputs() -> list[io.Input]:
    """KSampler's inputs, of which a guider replaces some."""
    common = ksampler.common_inputs(changing_seed=False)
    for entry in common:
        entry.optional = entry.id in ("model", "positive", "negative")
    return common


def _check_connections(prompt: dict[str, Any], guider: Any, settings: Any, sampler: Any) -> None:
    """Raise ValueError if two connections say the same thing, or none does."""
    connected = [name for name, value in prompt.items() if value is not None]
    if guider is None and len(connected) < len(prompt):
        missing = ", ".join(name for name in prompt if name not in connected)
        raise ValueError(f"{missing}: not connected. Connect model, positive and negative, or a guider.")
    if guider is not None and connected:
        raise ValueError(
            f"guider and {', '.join(connected)} are connected, but the guider replaces them. Disconnect one."
        )
    if settings is not None and sampler is not None:
        raise ValueError("settings and sampler are connected, but both say how to sample. Disconnect one.")
