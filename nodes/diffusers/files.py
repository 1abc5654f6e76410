"""A model folder of diffusers: what is in it, and a sentence that says what it lacks.

`model_index.json`, and beside it `unet`, `vqvae` and `scheduler`; the oldest folders have all of a pixel model at their
top. Weights are read from safetensors alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from .layers import renamed
from .unet import UNET_BLOCKS, UNET_FIXED, UNetConfig
from .vq import VQ_BLOCKS, VQ_FIXED, VQConfig

CONFIG = "config.json"
SCHEDULER = "scheduler_config.json"
WEIGHTS = "diffusion_pytorch_model"

COMFY_SCHEDULES = {"linear": "sqrt_linear", "scaled_linear": "linear", "squaredcos_cap_v2": "squaredcos_cap_v2"}
"""ComfyUI's names for diffusers' schedules of beta: "linear" is not the same in both."""

DEFAULT_SCALING = 0.18215
"""What diffusers writes into every VQModel that it saves, and Stable Diffusion's: it says nothing of this model."""


@dataclass(frozen=True)
class Schedule:
    """The noise levels that a model was trained on, in ComfyUI's names."""

    settings: dict[str, Any]
    predicts_v: bool


def is_model_folder(folder: Path) -> bool:
    """Whether a folder holds a UNet2DModel."""
    try:
        return _unet_folder(folder) is not None
    except (OSError, ValueError):
        return False


def read_unet(folder: Path) -> tuple[UNetConfig, dict[str, Tensor]]:
    """Configuration and weights of the UNet2DModel in a folder.

    Raises:
        ValueError: something is missing, broken or not understood; the message names the file and the remedy.
    """
    found = _unet_folder(folder)
    if found is None:
        raise ValueError(f"{folder} holds no UNet2DModel: there is none in unet/{CONFIG} and none in {CONFIG}.")
    config = _config(found / CONFIG, UNetConfig, UNET_FIXED, UNET_BLOCKS)
    if not config.sample_size:
        raise ValueError(f"{found / CONFIG} does not say sample_size, the size of the latent. Write it into the file.")
    if config.out_channels != config.in_channels:
        raise ValueError(
            f"{found / CONFIG}: out_channels is {config.out_channels} and in_channels {config.in_channels}; "
            "they must be the same. A model that also predicts a variance is not understood."
        )
    return config, read_weights(found)


def read_vq(folder: Path) -> tuple[VQConfig, dict[str, Tensor]] | None:
    """Configuration and weights of the VQModel in a folder, None for a model on pixels.

    Raises:
        ValueError: see `read_unet`.
    """
    found = folder / "vqvae"
    if not found.is_dir():
        other = next((name for name in ("vae", "movq") if (folder / name).is_dir()), None)
        if other:
            raise ValueError(f"{folder / other} is no VQModel folder `vqvae`, the one autoencoder that is understood.")
        return None
    config = _config(found / CONFIG, VQConfig, VQ_FIXED, VQ_BLOCKS)
    return config, read_weights(found)


def read_schedule(folder: Path) -> Schedule:
    """The noise schedule of a folder.

    Raises:
        ValueError: see `read_unet`.
    """
    path = next((each for each in (folder / "scheduler" / SCHEDULER, folder / SCHEDULER) if each.is_file()), None)
    if path is None:
        raise ValueError(f"{folder / 'scheduler' / SCHEDULER} is missing. Copy it from where the model came from.")
    given = _json(path)
    kind, prediction = given.get("beta_schedule", "linear"), given.get("prediction_type", "epsilon")
    if kind not in COMFY_SCHEDULES:
        raise ValueError(f"{path}: beta_schedule is {kind!r}; {', '.join(COMFY_SCHEDULES)} are understood.")
    if prediction not in ("epsilon", "v_prediction"):
        raise ValueError(f"{path}: prediction_type is {prediction!r}; epsilon and v_prediction are understood.")
    if given.get("trained_betas") is not None:
        raise ValueError(f"{path}: trained_betas are not understood; beta_schedule is.")
    settings = {
        "beta_schedule": COMFY_SCHEDULES[kind],
        "linear_start": given.get("beta_start", 0.0001),
        "linear_end": given.get("beta_end", 0.02),
        "timesteps": given.get("num_train_timesteps", 1000),
        "zsnr": bool(given.get("rescale_betas_zero_snr", False)),
    }
    return Schedule(settings, prediction == "v_prediction")


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights in a folder, in float32 under the names of today's diffusers.

    Raises:
        ValueError: there are none in safetensors, more than one, or the file is broken.
    """
    wanted = folder / f"{WEIGHTS}.safetensors"
    found = [wanted] if wanted.is_file() else sorted(folder.glob("*.safetensors"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ValueError(f"{folder} holds {names}. Leave the one to load, or name it {wanted.name}.")
    if not found:
        pickled = next(iter(sorted(folder.glob("*.bin"))), None)
        if pickled is None:
            raise ValueError(f"{wanted} is missing. Copy it from where the model came from.")
        raise ValueError(
            f"{pickled} is a pickle, which can run code when it is loaded, and is not opened. Convert it once with "
            f"ComfyUI's Python:\n{conversion(pickled, wanted)}"
        )
    try:
        weights = load_file(found[0])
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{found[0]} cannot be read: {error}. Copy it again from where it came from.") from error
    return {name: value.float() for name, value in renamed(weights).items()}


def check_weights(folder: Path, module: nn.Module, weights: dict[str, Tensor]) -> None:
    """See that a file has the weights of a module and no others.

    Raises:
        ValueError: it has not; the message names the first that differs.
    """
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in weights.items()}
    differs = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
    if differs:
        name = differs[0]
        raise ValueError(
            f"{folder}: the weights are not those of config.json: {name} is {given.get(name, 'missing')}, "
            f"{wanted.get(name, 'nothing')} is expected, and {len(differs) - 1} more differ. Copy both again from "
            "where the model came from."
        )


def conversion(pickled: Path, wanted: Path) -> str:
    """The command that makes a safetensors file of a pickle, without running what is in it."""
    source, target = pickled.as_posix(), wanted.as_posix()
    return (
        'python -c "import torch; from safetensors.torch import save_file; '
        f"w = torch.load(r'{source}', map_location='cpu', weights_only=True); "
        f"save_file({{k: v.clone().contiguous() for k, v in w.items()}}, r'{target}')\""
    )


def _unet_folder(folder: Path) -> Path | None:
    for found in (folder / "unet", folder):
        if (found / CONFIG).is_file() and _json(found / CONFIG).get("_class_name") == "UNet2DModel":
            return found
    return None


def _config(path: Path, kind: Any, fixed: Mapping[str, tuple[Any, ...]], blocks: Mapping[str, tuple[str, ...]]) -> Any:
    """The fields of a `config.json`, every one of them understood."""
    given = {key: value for key, value in _json(path).items() if not key.startswith("_")}
    known = {field.name for field in fields(kind)}
    for name, value in given.items():
        if name in fixed and value not in fixed[name]:
            raise ValueError(f"{path}: {name} is {value!r}; {_options(fixed[name])} is understood.")
        if name not in fixed and name not in known:
            raise ValueError(f"{path}: {name} is not understood.")
    if given.get("scaling_factor") == DEFAULT_SCALING:
        del given["scaling_factor"]
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    config = kind(**{name: value for name, value in values.items() if name in known})
    for name, choices in blocks.items():
        found = getattr(config, name)
        unknown = set(found) - set(choices)
        if unknown:
            raise ValueError(f"{path}: {name} has {sorted(unknown)[0]}; {_options(choices)} is understood.")
        if len(found) != len(config.block_out_channels):
            raise ValueError(f"{path}: {name} and block_out_channels must be of one length.")
    return config


def _options(values: tuple[Any, ...]) -> str:
    return " or ".join(str(value) for value in values)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}. Copy it again from where it came from.") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} is no configuration: it must be an object. Copy it again from where it came from.")
    return value
