"""Folders of diffusers with the layouts of the paper's models, in tiny: pixels (CIFAR-10) and latents (CelebA-HQ)."""

import json
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from comfy_host.install import ROOT
from safetensors.torch import save_file
from torch import nn

PIXELS = {
    "_class_name": "UNet2DModel",
    "sample_size": 16,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    "block_out_channels": [16, 24, 32],
    "layers_per_block": 2,
    "attention_head_dim": None,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
    "norm_num_groups": 8,
}
LATENTS = PIXELS | {
    "attention_head_dim": 8,
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "norm_eps": 1e-5,
}
VQ = {
    "_class_name": "VQModel",
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "block_out_channels": [8, 16, 16],
    "layers_per_block": 2,
    "num_vq_embeddings": 64,
    "norm_num_groups": 8,
    "scaling_factor": 0.18215,
}
LINEAR = {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02, "num_train_timesteps": 1000}
SCALED = {"beta_schedule": "scaled_linear", "beta_start": 0.0015, "beta_end": 0.0195, "num_train_timesteps": 1000}


def write(models: Path) -> None:
    """Put `ddpm_ema_cifar10` and `ldm-celebahq-256` into the folder `diffusers` of a folder of models, once."""
    folders = models / "diffusers"
    if not (folders / "ddpm_ema_cifar10").exists():
        _write_folder(folders / "ddpm_ema_cifar10", "DDPMPipeline", LINEAR, unet=PIXELS)
    if not (folders / "ldm-celebahq-256").exists():
        _write_folder(folders / "ldm-celebahq-256", "LDMPipeline", SCALED, unet=LATENTS, vqvae=VQ)


def _write_folder(folder: Path, pipeline: str, scheduler: dict[str, Any], **models: dict[str, Any]) -> None:
    _write_json(folder / "model_index.json", {"_class_name": pipeline})
    _write_json(folder / "scheduler" / "scheduler_config.json", scheduler)
    for name, config in models.items():
        _write_json(folder / name / "config.json", config)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            weights = _module(config).state_dict()
        save_file(weights, folder / name / "diffusion_pytorch_model.safetensors")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def _module(config: dict[str, Any]) -> nn.Module:
    """The pack's module of a configuration, with torch's own initial weights."""
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items() if key[0] != "_"}
    layers = import_module(f"{_package()}.layers")
    if config["_class_name"] == "VQModel":
        vq = import_module(f"{_package()}.vq")
        return vq.VQ(vq.VQConfig(**fields), layers.Make(groups=config["norm_num_groups"]))
    unet = import_module(f"{_package()}.unet")
    make = layers.Make(groups=config["norm_num_groups"], eps=config["norm_eps"])
    return unet.UNet2D(unet.UNetConfig(**fields), make)


@cache
def _package() -> str:
    """The name of the pack's folder `nodes/diffusers` as a package of its own, which needs no ComfyUI."""
    package = ModuleType("lml_diffusers")
    package.__path__ = [str(ROOT / "nodes" / "diffusers")]
    sys.modules[package.__name__] = package
    return package.__name__
