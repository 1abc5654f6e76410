"""What a node shows while it runs, and how it is cancelled."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import comfy.model_management
import comfy.utils
import latent_preview
import torch
from comfy_execution.utils import get_executing_context
from PIL import Image
from torch import Tensor

from .packed import parts_of

P = ParamSpec("P")
R = TypeVar("R")

Cancelled = comfy.model_management.InterruptProcessingException
"""What a cancelled run raises: in older ComfyUI an Exception, in newer ones not."""

PREVIEW_SIZE = 1024
"""Longest side of a live preview."""


class Progress:
    """One progress bar over many sampling runs, counted in model calls. Raises out of a call when cancelled.

    Attributes:
        previews: whether the person wants to see previews.
    """

    def __init__(self, model: Any, total: int) -> None:
        self._bar = comfy.utils.ProgressBar(max(total, 1))
        self._done = 0
        self.previews = latent_preview.get_previewer(model.load_device, model.model.latent_format) is not None

    def callback(self, step: int, denoised: Tensor, x: Tensor, steps: int) -> None:
        """Sampling callback: one more step of the present run."""
        self._bar.update_absolute(self._done + min(step + 1, steps))

    def advance(self, calls: int) -> None:
        """The present run is over, or not needed."""
        self._done += calls
        self._bar.update_absolute(self._done)
        comfy.model_management.throw_exception_if_processing_interrupted()

    def show(self, draw: Callable[[], Image.Image]) -> None:
        """Show what there is so far, which is drawn if the person wants to see it."""
        if self.previews:
            self._bar.update_absolute(self._done, preview=("JPEG", draw().convert("RGB"), PREVIEW_SIZE))

    def finish(self) -> None:
        """Everything is done, also if it took fewer calls."""
        self._bar.update_absolute(self._bar.total)


def recover(error: Exception) -> None:
    """After a run that failed for want of memory, give it back for the next one."""
    if isinstance(error, comfy.model_management.OOM_EXCEPTION):
        comfy.model_management.unload_all_models()
        comfy.model_management.soft_empty_cache()


def says_why(execute: Callable[P, R]) -> Callable[P, R]:
    """Let the `execute` of a node show on the node why it failed: ComfyUI's toast says only that it did."""

    @functools.wraps(execute)
    def saying(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return execute(*args, **kwargs)
        except Cancelled:
            raise
        except Exception as error:
            show_text(str(error))
            raise

    return saying


def show_text(text: str) -> None:
    """Show a text on the node that runs; nothing happens without a server."""
    context = get_executing_context()
    if context is None:
        return
    from server import PromptServer  # only here: where ComfyUI is a library, older ones cannot import theirs

    instance = getattr(PromptServer, "instance", None)  # set when a server starts
    if instance is not None:
        instance.send_progress_text(text, context.node_id)


def decode(vae: Any, latent: dict[str, Any]) -> Tensor:
    """Pictures of a LATENT as VAE Decode gives them, on the CPU: `[N, height, width, 3]`; frames are pictures."""
    images = vae.decode(parts_of(latent["samples"])[0])
    return images.reshape(-1, *images.shape[-3:]).to("cpu", torch.float32)
