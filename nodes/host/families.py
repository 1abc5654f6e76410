"""What kind of model a MODEL is."""

from typing import Any

import comfy.k_diffusion.sampling as k_diffusion_sampling
import torch
from torch import Tensor

from ...lml_sampler.parametrization import Parametrization, level_of


def is_flow(model: Any) -> bool:
    """Whether a MODEL predicts a flow velocity."""
    return is_flow_sampling(model.get_model_object("model_sampling"))


def is_flow_sampling(model_sampling: Any) -> bool:
    """Whether the states are (1 - sigma) x0 + sigma noise.

    What is left of a picture at half the noise tells it. Where a run begins at the latent as it is, because that has
    its noise already (the way back of an inversion), what the network sees and answers does: x itself, and a velocity.
    The class does not: ComfyUI's models that go from one picture to another (WAN 2.1 FlowRVS) are a CONST too, but
    begin at a picture. Nor do the sigmas: rounding may make the largest one of a flow model more than 1.
    """
    one = torch.ones(1, 1, 1, 1)  # of the usual rank: newer ones look at its size
    none, half = torch.zeros_like(one), torch.tensor(0.5)
    if float(model_sampling.noise_scaling(half, one, none)) < 0.25:  # no noise is added
        seen = float(model_sampling.calculate_input(half.view(1), one))
        moved = float(model_sampling.calculate_denoised(half.view(1), one, none))
        return abs(seen - 1) < 0.05 and abs(moved + 0.5) < 0.05
    left = float(model_sampling.noise_scaling(half, none, one))
    return 0.25 < left < 0.75  # 1/2, but for rounding


def parametrization(model_sampling: Any) -> Parametrization:
    """What the sigmas of a model mean to the core."""
    return "flow" if is_flow_sampling(model_sampling) else "ve"


def smallest_sigma(model_sampling: Any) -> float:
    """The smallest noise level that a model knows; 0 if what it says cannot be one (a flow of shift 0)."""
    smallest = float(model_sampling.sigma_min)
    most = 1.0 if is_flow_sampling(model_sampling) else float("inf")
    return smallest if 0 <= smallest < most else 0.0


def below_pure_noise(sigmas: Tensor, model_sampling: Any) -> Tensor:
    """A schedule that begins at a finite half-logSNR, for multistep solvers; as ComfyUI makes it for its own.

    ComfyUI asks for a first sigma of 1 or more; for some sizes of FLUX rounding makes it one float less.
    """
    if is_flow_sampling(model_sampling) and len(sigmas) > 1 and level_of(float(sigmas[0]), "flow").alpha <= 0:
        sigmas = sigmas.clone()
        sigmas[0] = sigmas[0].clamp_min(1.0)
    return k_diffusion_sampling.offset_first_sigma_for_snr(sigmas, model_sampling)
