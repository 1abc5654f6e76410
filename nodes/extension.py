"""The entry point that ComfyUI calls to learn the nodes of this pack."""

import logging

from comfy_api.latest import ComfyExtension, io

from . import host, presets
from .compare import LMLCompare
from .demo import LMLDemoModel
from .diffusers import LMLLoadDiffusersModel
from .presets import LMLPreset, LMLSavePreset
from .report import LMLReport, LMLReportCustom
from .samplers import LMLKappaCurve, LMLKSampler, LMLKSamplerAdvanced, LMLSampler, LMLScheduler, LMLWrapSampler
from .sweep import LMLSweep
from .tune import LMLTune

log = logging.getLogger(__name__)


class LMLExtension(ComfyExtension):
    async def on_load(self) -> None:
        for warning in presets.warnings(host.files.user_folder("presets")):
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
