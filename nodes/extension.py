"""The entry point that ComfyUI calls to learn the nodes of this pack."""

import logging

from comfy_api.latest import ComfyExtension, io

from . import host, preset_files
from .compare import LMLCompare
from .demo import LMLDemoModel
from .diffusers_model import LMLLoadDiffusersModel
from .kappa_curve import LMLKappaCurve
from .ksampler import LMLKSampler, LMLKSamplerAdvanced
from .presets import LMLPreset, LMLSavePreset
from .report import LMLReport, LMLReportCustom
from .sampler import LMLSampler
from .scheduler import LMLScheduler
from .sweep import LMLSweep
from .tune import LMLTune
from .wrap import LMLWrapSampler

log = logging.getLogger(__name__)


class LMLExtension(ComfyExtension):
    async def on_load(self) -> None:
        for warning in preset_files.warnings(host.running.user_folder("presets")):
            log.warning("LML Sampler: %s", warning)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [
            LMLKSampler,
            LMLKSamplerAdvanced,
            LMLSampler,
            LMLScheduler,
            LMLWrapSampler,
            LMLPreset,
            LMLSavePreset,
            LMLKappaCurve,
            LMLCompare,
            LMLSweep,
            LMLTune,
            LMLReport,
            LMLReportCustom,
            LMLDemoModel,
            LMLLoadDiffusersModel,
        ]


async def comfy_entrypoint() -> ComfyExtension:
    return LMLExtension()
