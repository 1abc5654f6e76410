"""Whether the model's answers are numbers: told after the run, so that no step waits for the device."""

import torch
from torch import Tensor

from .parametrization import Level


def probe(denoised: Tensor, energy: Tensor | None) -> Tensor:
    """A number per sample, `[B, 1, ...]`, that is finite if the model's answer is: the energy where it is known."""
    if energy is not None:
        return energy
    axes = tuple(range(1, denoised.ndim))
    return denoised.sum(axes, keepdim=True, dtype=torch.promote_types(denoised.dtype, torch.float32))


def check_finite(probes: list[Tensor], levels: list[Level]) -> None:
    """Raise FloatingPointError if the model's answer was not finite at some step; the one read of the device."""
    for index, finite in enumerate(torch.stack(probes).isfinite().flatten(1).all(1).tolist()):
        if not finite:
            raise FloatingPointError(
                f"the model's answer at step {index + 1} of {len(probes)} (sigma {levels[index].sigma:.6g}) holds "
                "NaN or Inf. Run the model in float32 or bfloat16 (for a UNet --fp32-unet, for a VAE --fp32-vae), or "
                "check its file; the sampler's settings are not the cause if this is step 1."
            )
