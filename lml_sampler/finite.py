"""Whether a model's answers are finite: told while the run goes on, without waiting for the device."""

import math
from typing import Any

import torch
from torch import Tensor

from .parametrization import Level


class FiniteWatch:
    """Looks at each answer of one run.

    On the CPU a look is free. On CUDA it is copied to the host behind the work that is queued, and read at a later step
    when it has arrived, so that no step waits. On other devices all of them are read after the run.
    """

    def __init__(self, device: torch.device, levels: list[Level]) -> None:
        self._levels = levels
        self._kind = device.type
        self._looks: list[Tensor] = []
        self._arrivals: list[Any] = []
        self._host = torch.empty(len(levels), dtype=torch.bool, pin_memory=self._kind == "cuda")
        self._read = 0

    def add(self, denoised: Tensor) -> None:
        """Look at the answer of the next step.

        Raises:
            FloatingPointError: this or an earlier answer is known to hold NaN or Inf.
        """
        total = denoised.sum(dtype=torch.promote_types(denoised.dtype, torch.float32))
        if self._kind == "cuda":
            self._host[len(self._arrivals)].copy_(total.isfinite(), non_blocking=True)
            self._arrivals.append(torch.cuda.current_stream(denoised.device).record_event())
            while self._read < len(self._arrivals) and self._arrivals[self._read].query():
                self._tell(bool(self._host[self._read]))
        elif self._kind == "cpu":
            self._tell(math.isfinite(total))
        else:
            self._looks.append(total.isfinite())

    def finish(self) -> None:
        """Read what is left; waits for the device.

        Raises:
            FloatingPointError: an answer holds NaN or Inf.
        """
        if self._arrivals:
            self._arrivals[-1].synchronize()
        looks = self._host[self._read : len(self._arrivals)] if self._kind == "cuda" else self._looks
        for finite in torch.stack(list(looks)).tolist() if len(looks) else ():
            self._tell(finite)

    def _tell(self, finite: bool) -> None:
        self._read += 1
        if not finite:
            raise FloatingPointError(
                f"the answer at step {self._read} of {len(self._levels) - 1} "
                f"(sigma {self._levels[self._read - 1].sigma:.6g}) holds NaN or Inf. It comes from the latent, the "
                "model, its patches or its guidance: bypass patches, lower CFG, or run the model in float32 or "
                "bfloat16 (for a UNet --fp32-unet, for the VAE that made the latent --fp32-vae)."
            )
