"""ComfyUI-LML: the Levenberg-Marquardt-Langevin sampler (arXiv 2505.24222) for ComfyUI."""

from .nodes.extension import comfy_entrypoint
from .nodes.registration import register_sampler

WEB_DIRECTORY = "./nodes/web"

register_sampler()

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
