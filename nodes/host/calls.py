"""How many model calls the samplers make."""

from collections.abc import Callable
from typing import Any

from comfy.patcher_extension import WrappersMP

CALLS_A_STEP = {
    "heun": 2,
    "heunpp2": 3,
    "dpm_2": 2,
    "dpm_2_ancestral": 2,
    "dpmpp_2s_ancestral": 2,
    "dpmpp_2s_ancestral_cfg_pp": 2,
    "dpmpp_sde": 2,
    "exp_heun_2_x0": 2,
    "exp_heun_2_x0_sde": 2,
    "seeds_2": 2,
    "seeds_3": 3,
    "sa_solver_pece": 2,
}
"""Those that make more than one; on the last step all make one, and heunpp2 two on the step before it."""


def calls_a_step(sampler_name: str) -> int:
    """Model calls a step of one of ComfyUI's samplers, 1 for those of other packs."""
    return CALLS_A_STEP.get(sampler_name.removesuffix("_gpu"), 1)


class Counted:
    """A MODEL like another one, whose calls are counted.

    Attributes:
        model: the MODEL.
        calls: so far; with guidance both predictions are one call.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.calls = model.clone(), 0
        self.model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, __name__, self._count)

    def _count(self, predict: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self.calls += 1
        return predict(*args, **options)
