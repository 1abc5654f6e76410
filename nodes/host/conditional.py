"""What the guided model would answer without guidance, as ComfyUI hands it to its own CFG++ samplers."""

from typing import Any

import comfy.model_patcher
from torch import Tensor


class Conditional:
    """Listens to the guidance of one run.

    Attributes:
        extra_args: what to call the model with, so that there is something to hear.
    """

    def __init__(self, extra_args: dict[str, Any] | None) -> None:
        options = dict((extra_args or {}).get("model_options", {}))
        comfy.model_patcher.set_model_options_post_cfg_function(options, self._hear)
        self.extra_args = (extra_args or {}) | {"model_options": options}
        self._part: Tensor | None = None

    def take(self) -> Tensor | None:
        """The denoised state of the last model call under the positive condition alone, `[B, ...]`, once.

        None if the call was not guided.
        """
        part, self._part = self._part, None
        return part

    def _hear(self, guidance: dict[str, Any]) -> Tensor:
        unguided = guidance.get("uncond") is None  # at CFG 1 ComfyUI leaves the unconditional call out
        self._part = None if unguided else guidance["cond_denoised"]
        return guidance["denoised"]
