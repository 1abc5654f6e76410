"""ComfyUI's lists of samplers, schedulers and nodes, and the entries of this pack in them."""

import inspect
from pathlib import Path

import comfy.k_diffusion.sampling as k_diffusion_sampling
import comfy.samplers
import nodes

from .samplers import sample_lml
from .scheduling import LML, handler


def sampler_names() -> list[str]:
    """The live list of samplers, so that those of other packs appear too."""
    return comfy.samplers.SAMPLER_NAMES


def scheduler_names() -> list[str]:
    """Every scheduler for the nodes of the pack: the live list, and LML's own schedule where it is left out of that."""
    names = comfy.samplers.SCHEDULER_NAMES
    return names if LML in names else [*names, LML]


def add_to_sampler_list() -> bool:
    """Append the default settings to ComfyUI's list; False, and nothing changed, if another has the name."""
    function = f"sample_{LML}"
    taken = getattr(k_diffusion_sampling, function, None)
    if getattr(taken, "__module__", None) == sample_lml.__module__:  # ComfyUI loads the pack once more
        return True
    if LML in comfy.samplers.SAMPLER_NAMES or taken is not None:
        return False
    setattr(k_diffusion_sampling, function, sample_lml)
    _append(comfy.samplers.SAMPLER_NAMES, comfy.samplers.KSampler.SAMPLERS)
    return True


def add_to_scheduler_list() -> bool:
    """Append LML's own schedule to ComfyUI's list; False, and nothing changed, if another has the name."""
    if _is_ours():  # ComfyUI loads the pack once more
        return True
    if LML in comfy.samplers.SCHEDULER_HANDLERS or LML in comfy.samplers.SCHEDULER_NAMES:
        return False
    comfy.samplers.SCHEDULER_HANDLERS[LML] = comfy.samplers.SchedulerHandler(handler)
    _append(comfy.samplers.SCHEDULER_NAMES, comfy.samplers.KSampler.SCHEDULERS)
    return True


def _append(*lists: list[str]) -> None:
    """Add the name to lists that are one and the same, unless another pack has put a new one in the place of one."""
    for names in lists:
        if LML not in names:
            names.append(LML)


def preferred_scheduler() -> str:
    """LML's own schedule, or the first of the list where another pack has its name."""
    return LML if _is_ours() or LML not in comfy.samplers.SCHEDULER_NAMES else scheduler_names()[0]


def _is_ours() -> bool:
    taken = comfy.samplers.SCHEDULER_HANDLERS.get(LML)
    return getattr(getattr(taken, "handler", None), "__module__", None) == handler.__module__


def built_in_sampler(name: str) -> comfy.samplers.KSAMPLER:
    """A sampler of ComfyUI's list."""
    return comfy.samplers.sampler_object(name)


def folder_of_node(node_id: str) -> Path | None:
    """The folder of the pack from which ComfyUI has loaded a node, if it has."""
    node = nodes.NODE_CLASS_MAPPINGS.get(node_id)
    return Path(inspect.getfile(node)).resolve().parents[2] if node is not None else None
