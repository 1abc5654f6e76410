"""Folders of diffusers with the layouts of the paper's models, in tiny: pixels (CIFAR-10) and latents (CelebA-HQ)."""

import json
from pathlib import Path
from typing import Any

import torch

PIXELS = {
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
    """Put `ddpm_ema_cifar10` and `ldm-celebahq-256` into the folder `diffusers` of a folder of models."""
    from diffusers import UNet2DModel, VQModel

    people, animals = (models / "diffusers" / name for name in ("ldm-celebahq-256", "ddpm_ema_cifar10"))
    _write(animals, "DDPMPipeline", LINEAR, unet=(UNet2DModel, PIXELS))
    _write(people, "LDMPipeline", SCALED, unet=(UNet2DModel, LATENTS), vqvae=(VQModel, VQ))


def _write(folder: Path, pipeline: str, scheduler: dict[str, Any], **models: tuple[Any, dict[str, Any]]) -> None:
    for name, (kind, config) in models.items():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            kind(**config).save_pretrained(folder / name)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
