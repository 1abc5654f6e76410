"""The node that loads an unconditional model of diffusers: the paper's CIFAR-10 and CelebA-HQ."""

from pathlib import Path
from typing import Any

import torch
from comfy_api.latest import io
from torch import Tensor, nn

from .. import host, inputs
from . import files
from .layers import Make
from .unet import UNet2D, UNetConfig
from .vq import VQ, VQConfig

VQ_EPS = 1e-6
META = torch.device("meta")
"""Layers without memory: their shapes alone."""


class LMLLoadDiffusersModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLLoadDiffusersModel",
            display_name="LML Load Diffusers Model",
            category="model/loaders",
            description="Loads a model of diffusers that takes no prompt (UNet2DModel), such as ddpm_ema_cifar10 or "
            "ldm-celebahq-256, from ComfyUI/models/diffusers, with its VQ-VAE.",
            search_aliases=["lml", "diffusers", "ddpm", "cifar", "celeba", "ldm", "unconditional", "vqvae"],
            inputs=[
                io.Combo.Input(
                    "folder",
                    options=host.diffusers.folders(files.is_model_folder),
                    tooltip="A folder in ComfyUI/models/diffusers with a UNet2DModel. Its weights must be safetensors.",
                ),
                inputs.batch_size(),
            ],
            outputs=[
                io.Model.Output(tooltip="The model, in float32."),
                io.Conditioning.Output(
                    display_name="conditioning",
                    tooltip="Empty, for positive and for negative: the model takes no prompt. Set cfg to 1.",
                ),
                io.Latent.Output(tooltip="Empty latents of the size that the model was trained on."),
                io.Vae.Output(tooltip="Turns latents into pictures with the VQ-VAE. A model on pixels needs none."),
            ],
        )

    @classmethod
    def validate_inputs(cls, folder: str | None = None) -> bool | str:
        host.diffusers.check_choice(folder, files.is_model_folder)
        return True

    @classmethod
    @host.running.says_why
    def execute(cls, folder: str | None, batch_size: int) -> io.NodeOutput:
        path = host.diffusers.folder(folder)
        config, weights = files.read_unet(path)
        schedule = files.read_schedule(path)
        vq = files.read_vq(path)
        space = host.diffusers.Space(config.in_channels)
        if vq is not None:
            factor = 2 ** (len(vq[0].block_out_channels) - 1)
            space = host.diffusers.Space(config.in_channels, vq[0].scaling_factor, factor)
        files.check_weights(path, unet(config, device=META), weights)
        model = host.diffusers.model(
            lambda operations: unet(config, operations), weights, space, schedule.settings, schedule.predicts_v
        )
        vae = host.pixels.vae() if vq is None else host.diffusers.vae(_vq(path, *vq), space)
        latent = empty_latent(config, batch_size)
        _, channels, height, width = latent.shape
        predicts = "v" if schedule.predicts_v else "the noise"
        host.running.show_text(f"{width} × {height}, {channels} channels, predicts {predicts}")
        conditioning: Any = [[torch.zeros(1, 1, 1), {}]]
        return io.NodeOutput(model, conditioning, {"samples": latent}, vae)


def unet(config: UNetConfig, operations: Any = nn, device: torch.device | None = None) -> UNet2D:
    """The module of a configuration, in evaluation mode, its weights not those of a model yet."""
    return UNet2D(config, Make(operations, config.norm_num_groups, config.norm_eps, device=device)).eval()


def empty_latent(config: UNetConfig, batch_size: int) -> Tensor:
    """`[B, C, H, W]` of the size that a model was trained on."""
    size = config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    return torch.zeros(batch_size, config.in_channels, height, width)


def _vq(folder: Path, config: VQConfig, weights: dict[str, Tensor]) -> VQ:
    module = VQ(config, Make(nn, config.norm_num_groups, VQ_EPS)).eval().requires_grad_(False)
    files.check_weights(folder, module, weights)
    module.load_state_dict(weights)
    return module
