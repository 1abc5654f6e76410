"""The entry point that ComfyUI calls to learn the nodes of this pack."""

from comfy_api.latest import ComfyExtension, io

from .demo import LMLDemoModel
from .ksampler import LMLKSampler, LMLKSamplerAdvanced
from .sampler import LMLSampler
from .wrap import LMLWrapSampler


class LMLExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return [LMLSampler, LMLKSampler, LMLKSamplerAdvanced, LMLDemoModel, LMLWrapSampler]


async def comfy_entrypoint() -> ComfyExtension:
    return LMLExtension()
