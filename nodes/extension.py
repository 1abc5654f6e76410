"""The entry point that ComfyUI calls to learn the nodes of this pack."""

import logging

from comfy_api.latest import ComfyExtension, io

from . import host, preset_files, strength_curve
from .demo import LMLDemoModel
from .diffusers_model import LMLLoadDiffusersModel
from .ksampler import LMLKSampler, LMLKSamplerAdvanced
from .presets import LMLPreset, LMLSavePreset
from .report import LMLReport
from .sampler import LMLSampler
from .sweep import LMLSweep
from .tune import LMLTune
from .wrap import LMLWrapSampler

log = logging.getLogger(__name__)


class LMLExtension(ComfyExtension):
    async def on_load(self) -> None:
        for warning in preset_files.warnings(host.running.user_folder("presets")):
            log.warning("LML Sampler: %s", warning)
        if not strength_curve.is_supported():
            log.info("LML Sampler: without LML Strength Curve, which needs ComfyUI 0.20 or newer")

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            LMLSampler,
            LMLKSampler,
            LMLKSamplerAdvanced,
            LMLWrapSampler,
            LMLPreset,
            LMLSavePreset,
            LMLSweep,
            LMLTune,
            LMLReport,
            LMLDemoModel,
            LMLLoadDiffusersModel,
            *([strength_curve.LMLStrengthCurve] if strength_curve.is_supported() else []),
        ]


async def comfy_entrypoint() -> ComfyExtension:
    return LMLExtension()
