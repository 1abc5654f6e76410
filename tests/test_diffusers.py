"""LML Load Diffusers Model: the same numbers as diffusers, and sampling in ComfyUI."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from demo_runs import built_in, diffusers_inputs, lml
from problems import noise
from safetensors.torch import load_file, save_file
from tiny_models import diffusers_folders

pytestmark = pytest.mark.every_host

NAMES = ("ddpm_ema_cifar10", "ldm-celebahq-256")
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def with_old_names(path: Path) -> None:
    """Give the attention layers in a file the names of diffusers before 0.17."""
    weights = {}
    for name, value in load_file(path).items():
        for new, old in OLD_NAMES.items():
            name = name.replace(f".{new}.", f".{old}.") if ".attentions." in name else name
        weights[name] = value
    assert any(".proj_attn." in name for name in weights)
    save_file(weights, path)


# --- The same as diffusers


@pytest.mark.parametrize("old", [False, True], ids=["new names", "old names"])
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_unet_is_that_of_diffusers(pack: ModuleType, folders: Path, name: str, old: bool) -> None:
    from diffusers import UNet2DModel

    theirs = UNet2DModel.from_pretrained(folders / name / "unet").eval()
    if old:
        with_old_names(folders / name / "unet" / "diffusion_pytorch_model.safetensors")
    config, weights = pack.nodes.diffusers.files.read_unet(folders / name)
    ours = pack.nodes.diffusers.node.unet(config)
    ours.load_state_dict(weights)
    x, timesteps = noise(2, 3, 16, 16).float(), torch.tensor([1, 998])
    expected = theirs(x, timesteps).sample
    assert expected.std() > 0.1
    torch.testing.assert_close(ours(x, timesteps), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("old", [False, True], ids=["new names", "old names"])
@torch.no_grad()
def test_the_vq_vae_is_that_of_diffusers(pack: ModuleType, folders: Path, old: bool) -> None:
    from diffusers import VQModel

    folder = folders / "ldm-celebahq-256" / "vqvae"
    theirs = VQModel.from_pretrained(folder).eval()
    if old:
        with_old_names(folder / "diffusion_pytorch_model.safetensors")
    vae = diffusers_inputs(pack, "ldm-celebahq-256")["vae"]
    latents, pixels = noise(2, 3, 8, 8).float(), noise(2, 32, 32, 3).sigmoid().float()
    expected = theirs.decode(latents).sample
    assert expected.std() > 0.1
    torch.testing.assert_close(vae.first_stage_model.decode(latents), expected, rtol=0, atol=2e-5)
    shown = (expected / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    torch.testing.assert_close(vae.decode(latents), shown, rtol=0, atol=1e-5)
    encoded = theirs.encode(pixels.movedim(-1, 1) * 2 - 1).latents
    torch.testing.assert_close(vae.encode(pixels), encoded, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scheduler", [diffusers_folders.LINEAR, diffusers_folders.SCALED], ids=["linear", "scaled"])
def test_the_noise_levels_are_those_of_diffusers(pack: ModuleType, folders: Path, scheduler: dict[str, Any]) -> None:
    from diffusers import DDIMScheduler

    (folders / "ddpm_ema_cifar10" / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    kept = DDIMScheduler.from_config(scheduler).alphas_cumprod.double()
    sigmas = diffusers_inputs(pack, "ddpm_ema_cifar10")["model"].get_model_object("model_sampling").sigmas
    torch.testing.assert_close(sigmas.double(), ((1 - kept) / kept).sqrt(), rtol=1e-4, atol=0)


@torch.no_grad()
def test_euler_is_ddim_of_diffusers(pack: ModuleType, folders: Path) -> None:
    """A whole run: the model, its timesteps and its noise levels together."""
    import comfy.sample
    import comfy.samplers
    from diffusers import DDIMScheduler, UNet2DModel

    linked = diffusers_inputs(pack, "ddpm_ema_cifar10")
    theirs = UNet2DModel.from_pretrained(folders / "ddpm_ema_cifar10" / "unet").eval()
    scheduler = DDIMScheduler.from_config(diffusers_folders.LINEAR | {"timestep_spacing": "leading"}, clip_sample=False)
    scheduler.set_timesteps(5)
    x = noise = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for timestep in scheduler.timesteps:
        x = scheduler.step(theirs(x, timestep).sample, timestep, x).prev_sample
    kept = scheduler.alphas_cumprod[scheduler.timesteps]
    sigmas = torch.cat([((1 - kept) / kept).sqrt(), torch.zeros(1)])
    start = noise * (1 + sigmas[0] ** 2).sqrt() / sigmas[0]  # ComfyUI's noise is not scaled to unit variance
    sampler, latent = comfy.samplers.sampler_object("euler"), linked["latent_image"]["samples"]
    empty = linked["positive"]
    found = comfy.sample.sample_custom(
        linked["model"], start, 1.0, sampler, sigmas, empty, empty, latent, disable_pbar=True, seed=0
    )
    torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-4)


# --- Sampling


@pytest.mark.filterwarnings("ignore:To copy construct", "ignore:Should have t", "ignore:__array_wrap__")
@pytest.mark.parametrize("name", NAMES)
def test_every_sampler_and_scheduler_runs(pack: ModuleType, folders: Path, name: str) -> None:
    import comfy.samplers

    linked = diffusers_inputs(pack, name, batch=1)
    names = [(sampler, "normal") for sampler in comfy.samplers.SAMPLER_NAMES]
    names += [("euler", scheduler) for scheduler in comfy.samplers.SCHEDULER_NAMES]
    for sampler, scheduler in names:
        result = built_in(linked, sampler, seed=1, steps=4, cfg=1.0, scheduler=scheduler)
        assert result.shape == linked["latent_image"]["samples"].shape, (sampler, scheduler)
        assert result.isfinite().all() and result.std() > 0, (sampler, scheduler)


def test_lml_runs_and_every_size_that_fits(pack: ModuleType, folders: Path) -> None:
    linked = diffusers_inputs(pack, "ldm-celebahq-256")
    pictures = linked["vae"].decode(lml(pack, linked, steps=4, cfg=1.0))
    assert pictures.shape == (2, 64, 64, 3) and pictures.isfinite().all()
    linked["latent_image"] = {"samples": torch.zeros(1, 3, 8, 12)}
    assert lml(pack, linked, steps=3, cfg=1.0).shape == (1, 3, 8, 12)
    linked["latent_image"] = {"samples": torch.zeros(1, 3, 9, 8)}
    with pytest.raises(ValueError, match=r"latent_image is 8 x 9; this model takes multiples of 4"):
        lml(pack, linked, steps=3, cfg=1.0)
