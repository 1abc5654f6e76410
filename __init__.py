"""ComfyUI-LML: the Levenberg-Marquardt-Langevin sampler (arXiv 2505.24222) for ComfyUI."""

import logging

from .nodes.loading import FOLDER, NotLoaded, load

WEB_DIRECTORY = "./nodes/web"

try:
    comfy_entrypoint = load()
except NotLoaded as reason:
    logging.getLogger(__name__).error("LML Sampler in %s was not loaded: %s", FOLDER, reason)
    logging.getLogger(__name__).debug("The cause:", exc_info=True)
    NODE_CLASS_MAPPINGS: dict[str, type] = {}  # no nodes, and so no further lines from ComfyUI
