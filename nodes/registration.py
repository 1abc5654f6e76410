"""The entries `lml` in the lists of KSampler: the sampler and the schedule."""

import logging
import os

from . import host

OPT_OUT = "LML_REGISTER_KSAMPLER"
"""Environment variable: 0 leaves ComfyUI's lists as they are."""

log = logging.getLogger(__name__)


def register() -> None:
    """Append `lml` (the default settings) to ComfyUI's samplers and schedulers, once; replace nothing."""
    for kind, add in (("sampler", host.add_to_sampler_list), ("scheduler", host.add_to_scheduler_list)):
        if os.environ.get(OPT_OUT, "1") == "0":
            log.info("LML Sampler: not added to the %s list (%s=0)", kind, OPT_OUT)
        elif add():
            log.info("LML Sampler: added 'lml' to the %s list (%s=0 leaves it out)", kind, OPT_OUT)
        else:
            log.warning("LML Sampler: the %s list has an entry 'lml' already; it was left as it is", kind)
