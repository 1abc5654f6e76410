"""The entry `lml` in the list of KSampler and KSamplerSelect."""

import logging
import os

from . import host

OPT_OUT = "LML_REGISTER_KSAMPLER"
"""Environment variable: 0 leaves ComfyUI's sampler list as it is."""

log = logging.getLogger(__name__)


def register_sampler() -> None:
    """Append `lml` (the default settings) to ComfyUI's sampler list, once; replace nothing."""
    if os.environ.get(OPT_OUT, "1") == "0":
        log.info("LML Sampler: not added to the sampler list (%s=0)", OPT_OUT)
    elif host.add_to_sampler_list("lml"):
        log.info("LML Sampler: added 'lml' to the sampler list (%s=0 leaves it out)", OPT_OUT)
    else:
        log.warning("LML Sampler: the sampler list has an entry 'lml' already; it was left as it is")
