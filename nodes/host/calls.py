"""How many model calls a step of ComfyUI's samplers makes."""

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
