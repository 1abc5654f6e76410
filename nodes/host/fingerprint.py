"""Hashes of what goes into a run: of the content, so that they are the same after a restart."""

import hashlib
from collections.abc import Mapping
from typing import Any

import comfyui_version
import torch
from comfy.weight_adapter.base import WeightAdapterBase
from torch import Tensor

WHOLE = 1 << 22
"""Tensors of conditionings and latents are hashed whole up to this many elements."""

SAMPLED = 64
"""Elements of a weight that are hashed: two models that differ do so in most of their weights."""


class NoFingerprint(Exception):
    """Something has no content that could be compared; the message names it."""


def of_model(model: Any) -> str:
    """Hash of a MODEL: weights, patches (LoRA), sampling, options; the same whether it is loaded or not.

    Raises:
        NoFingerprint: the model carries code (patches of attention, wrappers, hooks), which cannot be compared.
    """
    digest = hashlib.sha256()
    for name in ("wrappers", "callbacks", "injections", "hook_patches", "weight_wrapper_patches", "additional_models"):
        if _filled(getattr(model, name, None)):
            raise NoFingerprint(f"the model carries {name}")
    _add(digest, [type(model.model).__name__, type(model.model.model_config).__name__, comfyui_version.__version__])
    for key, (weight, *patches) in sorted(model.get_key_patches().items()):
        _add(digest, key)
        _add(digest, weight[0], SAMPLED)
        _add(digest, patches, SAMPLED)
    _add(digest, model.get_model_object("model_sampling"))
    _add(digest, model.object_patches)
    _add(digest, model.model_options)
    return digest.hexdigest()


def of(value: Any) -> str:
    """Hash of tensors, numbers, texts and what is built of them.

    Raises:
        NoFingerprint: it holds something else.
    """
    digest = hashlib.sha256()
    _add(digest, value)
    return digest.hexdigest()


def _add(digest: Any, value: Any, most: int = WHOLE) -> None:
    if isinstance(value, Tensor):
        _add_tensor(digest, value, most)
    elif value is None or isinstance(value, bool | int | float | str | bytes | torch.dtype | torch.device):
        digest.update(f"{type(value).__name__}:{value!r};".encode())
    elif isinstance(value, Mapping):
        digest.update(f"map {len(value)}:".encode())
        for key in sorted(value, key=repr):
            _add(digest, key if isinstance(key, str) else repr(key), most)
            _add(digest, value[key], most)
    elif isinstance(value, list | tuple):
        digest.update(f"list {len(value)}:".encode())
        for item in value:
            _add(digest, item, most)
    elif isinstance(value, WeightAdapterBase):
        _add(digest, [value.name, value.weights], most)
    elif isinstance(value, torch.nn.Module):
        _add(digest, [kind.__qualname__ for kind in type(value).__mro__])
        _add(digest, {key: item for key, item in vars(value).items() if isinstance(item, bool | int | float | str)})
        _add(digest, dict(value.named_parameters()), most)
        _add(digest, dict(value.named_buffers()), most)
    else:
        raise NoFingerprint(f"it holds a {type(value).__name__}")


def _add_tensor(digest: Any, tensor: Tensor, most: int) -> None:
    digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    elements = tensor.detach().reshape(-1)
    if len(elements) > most:
        elements = elements[torch.linspace(0, len(elements) - 1, most, dtype=torch.float64).long().to(tensor.device)]
    digest.update(elements.to("cpu").contiguous().view(torch.uint8).numpy().tobytes())


def _filled(value: Any) -> bool:
    """Whether a structure of mappings and lists holds anything."""
    if isinstance(value, Mapping):
        return any(_filled(item) for item in value.values())
    return bool(value)
