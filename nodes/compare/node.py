"""The same picture by LML and by another sampler, side by side."""

from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io, ui

from .. import host, inputs
from ..inputs import Job, choice
from ..pictures import contact_sheet, drawing
from ..pictures.runs import Run, attempt, message, pictures

CELL = 320
"""Longer side of a picture on the sheet."""

AMPLIFIED = 4.0
"""Factor on the difference, so that it is seen."""


class LMLCompare(choice.Corrected):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLCompare",
            display_name="LML Compare",
            category=inputs.CATEGORY,
            description="Makes the same picture with LML and with another sampler: same seed, about as many model "
            "calls (dpm_adaptive makes as many as it likes). For a slider, connect its outputs to Compare Images.",
            search_aliases=[*inputs.SEARCH_ALIASES, "compare samplers", "a/b", "side by side", "slider", "difference"],
            is_output_node=True,
            inputs=inputs.job_inputs(
                inputs.vae(),
                io.Combo.Input(
                    "sampler_name",
                    options=host.sampler_names(),
                    default="euler",
                    tooltip="The sampler to compare with. If it calls the model more than once a step, it gets "
                    "fewer steps, so that both make about as many calls.",
                ),
            ),
            outputs=[
                io.Image.Output(display_name="LML", tooltip="The pictures by LML."),
                io.Image.Output(display_name="other", tooltip="The pictures by the other sampler."),
                io.Image.Output(display_name="difference", tooltip=f"The difference, {AMPLIFIED:g} times as strong."),
                io.String.Output(display_name="text", tooltip="How far apart they are."),
            ],
        )

    @classmethod
    @host.running.says_why
    def execute(cls, vae: Any, sampler_name: str, **given: Any) -> io.NodeOutput:
        job = Job(**given)
        host.check_filled(job.latent_image)
        settings = job.scaled()
        fewer = (job.steps - 1) // host.calls_a_step(sampler_name) + 1  # the last step makes one call
        counted = host.Counted(job.model)
        job = replace(job, model=counted.model)
        progress = host.running.Progress(job.model, job.steps + fewer)
        first, second = Run(host.LML, settings, job.steps, job.cfg), Run(sampler_name, None, fewer, job.cfg)
        second.plan(job)  # what is wrong with its schedule is said before the first is made
        own = pictures(job, vae, first, progress.callback)
        calls = counted.calls
        progress.advance(first.steps)
        other = attempt(job, vae, second, progress.callback)
        progress.advance(second.steps)
        if isinstance(other, str):
            text = f"{sampler_name} failed: {other}"
            cells: list[contact_sheet.Cell] = [contact_sheet.tile(own, CELL), other, None]
            other = message(other, own)
            amplified = torch.zeros_like(own)
        else:
            difference = (own - other).abs()
            apart = difference.square().mean().sqrt().item()
            text = (
                f"LML in {job.steps} steps ({calls} calls) and {sampler_name} in {fewer} steps "
                f"({counted.calls - calls} calls) differ by {apart:.1%} (RMS)."
            )
            amplified = (difference * AMPLIFIED).clamp_(0, 1)
            cells = [contact_sheet.tile(images, CELL) for images in (own, other, amplified)]
        host.running.show_text(f"{text}\n{choice.summary(settings)}")
        names = ["LML", sampler_name, f"difference x {AMPLIFIED:g}"]
        title = f"seed {job.seed}, {job.steps} steps, CFG {job.cfg:g}, {job.scheduler}"
        sheet = contact_sheet.contact_sheet([cells], names, [""], title)
        shown = ui.PreviewImage(drawing.to_tensor(sheet), cls=cls).as_dict() | ui.PreviewText(text).as_dict()
        return io.NodeOutput(own, other, amplified, text, ui=shown)
