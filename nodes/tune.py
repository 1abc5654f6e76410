"""Finds the settings that come closest to the converged solution, by measuring."""

import dataclasses
import hashlib
import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from comfy_api.latest import io, ui
from torch import Tensor

from .. import lml_sampler as core
from ..lml_sampler import LMLSettings
from ..lml_sampler.settings import Scheme
from . import choice, drawing, host, inputs, ksampler, preset_files, tuning
from .scene import Scene
from .tune_cache import Cache, flat, rms
from .tuning import Parameter, Trial

REFERENCE = "dpmpp_2m"
"""Of second order on eps, v and flow models alike."""

BUILT_IN = ("euler", "dpmpp_2m", "uni_pc", "deis", "res_multistep", "gradient_estimation")
"""Samplers to compare with: one model call a step, no noise."""

AS_PRESET, ALL = "as the preset", "try all"
PREVIEW_SIZE = (800, 500)

log = logging.getLogger(__name__)


class LMLTune(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLTune",
            display_name="LML Tune",
            category="model/sampling/LML",
            description="Measures which strength (or λ, or κ) comes closest to the converged picture with your model, "
            "prompt, size and number of steps, and hands it to the samplers.",
            search_aliases=["lml", "tune", "calibrate", "optimize", "optimise", "search", "best strength", "benchmark"],
            inputs=[
                *ksampler.common_inputs(),
                io.Combo.Input(
                    "parameter",
                    options=["strength", "κ", "λ"],
                    default="strength",
                    tooltip="The number to search for; the other settings stay as they are.",
                ),
                io.Combo.Input(
                    "schemes",
                    options=[AS_PRESET, ALL],
                    default=AS_PRESET,
                    tooltip="try all: search among the schemes, too. It needs more evaluations.",
                ),
                io.Int.Input(
                    "evaluations",
                    default=12,
                    min=4,
                    max=200,
                    tooltip="The most settings to try. One costs steps x seeds model calls.",
                ),
                io.Int.Input(
                    "seeds",
                    default=2,
                    min=1,
                    max=32,
                    tooltip="How many seeds the error is averaged over, from seed on. A batch counts as well.",
                ),
                io.Int.Input(
                    "reference_steps",
                    default=100,
                    min=10,
                    max=10000,
                    advanced=True,
                    tooltip="Steps of the reference: enough that more would change nothing.",
                ),
                *inputs.preset_inputs(),
                *inputs.strength_inputs(),
                *inputs.scheme_inputs(),
                inputs.settings_input(),
            ],
            outputs=[
                io.Sampler.Output(tooltip="The tuned sampler, for SamplerCustom(Advanced)."),
                inputs.Settings.Output(
                    display_name="settings", tooltip="The tuned settings, for the LML samplers and LML Save Preset."
                ),
                io.Image.Output(display_name="plot", tooltip="Error against the parameter; ComfyUI's samplers as lines."),
                io.String.Output(display_name="report", tooltip="What was measured, in words and figures."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        seed: int,
        steps: int,
        cfg: float,
        scheduler: str,
        positive: Any,
        negative: Any,
        latent_image: dict[str, Any],
        denoise: float,
        parameter: str,
        schemes: str,
        evaluations: int,
        seeds: int,
        reference_steps: int,
        preset: str,
        strength: float,
        settings: LMLSettings | None = None,
        **values: Any,
    ) -> io.NodeOutput:
        base = choice.choose(preset, strength, values, settings, model=model, steps=steps).settings
        task = Task(
            Scene(model, positive, negative, latent_image, scheduler, denoise),
            base,
            tuning.parameter(parameter, base),
            candidates(base) if schemes == ALL else {_scheme(base): base},
            steps,
            cfg,
            tuple((seed + k) % 2**64 for k in range(seeds)),
            evaluations,
            reference_steps,
        )
        task.check()
        result = Search(task).run()
        text = result.report()
        host.running.show_text(text)
        plot = drawing.to_tensor(result.plot())
        return io.NodeOutput(host.sampler(result.settings), result.settings, plot, text, ui=ui.PreviewText(text))
