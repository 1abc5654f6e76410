"""Folders of diffusers: what is offered, what is refused, and what is said."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from demo_runs import diffusers_inputs
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.every_host


def test_every_model_folder_is_offered_and_no_other(pack: ModuleType, folders: Path) -> None:
    (folders / "sd" / "unet").mkdir(parents=True)
    (folders / "sd" / "model_index.json").write_text("{}")
    (folders / "sd" / "unet" / "config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    (folders / "broken").mkdir()
    (folders / "broken" / "config.json").write_text("{")
    old = folders / "people" / "ddpm"  # the oldest layout: everything at the top, here in a folder of a person
    (old.parent).mkdir()
    (folders / "ddpm_ema_cifar10" / "unet").rename(old)
    (folders / "ddpm_ema_cifar10" / "scheduler" / "scheduler_config.json").rename(old / "scheduler_config.json")
    (folders / "ddpm_ema_cifar10" / "model_index.json").unlink()
    offered = pack.nodes.host.diffusers.folders(pack.nodes.diffusers.files.is_model_folder)
    assert offered == ["ldm-celebahq-256", "people/ddpm"]
    assert diffusers_inputs(pack, "people/ddpm")["latent_image"]["samples"].shape == (2, 3, 16, 16)


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


BAD_FOLDERS = {
    "unknown field": (lambda at: change(at / "unet/config.json", colour=1), r"unet/config.json: colour is not under"),
    "other embedding": (
        lambda at: change(at / "unet/config.json", time_embedding_type="fourier"),
        r"time_embedding_type is 'fourier'; positional is understood",
    ),
    "other block": (
        lambda at: change(at / "unet/config.json", down_block_types=["DownBlock2D", "SkipDownBlock2D"]),
        r"down_block_types has SkipDownBlock2D; DownBlock2D or AttnDownBlock2D is understood",
    ),
    "lengths": (lambda at: change(at / "unet/config.json", block_out_channels=[16]), r"must be of one length"),
    "learned variance": (
        lambda at: change(at / "unet/config.json", out_channels=6),
        r"out_channels is 6 and in_channels 3; they must be the same",
    ),
    "no size": (lambda at: change(at / "unet/config.json", sample_size=None), r"does not say sample_size"),
    "other widths": (
        lambda at: change(at / "unet/config.json", block_out_channels=[16, 24, 64]),
        r"the weights are not those of config.json: \S+ is \(.*\), \(.*64.*\) is expected, and \d+ more",
    ),
    "no schedule": (
        lambda at: (at / "scheduler/scheduler_config.json").unlink(),
        r"scheduler/scheduler_config.json is missing. Copy it from",
    ),
    "other schedule": (
        lambda at: change(at / "scheduler/scheduler_config.json", beta_schedule="sigmoid"),
        r"beta_schedule is 'sigmoid'; linear, scaled_linear, squaredcos_cap_v2 are understood",
    ),
    "other prediction": (
        lambda at: change(at / "scheduler/scheduler_config.json", prediction_type="sample"),
        r"prediction_type is 'sample'; epsilon and v_prediction are",
    ),
    "own betas": (lambda at: change(at / "scheduler/scheduler_config.json", trained_betas=[0.1]), r"trained_betas"),
    "no object": (lambda at: (at / "vqvae/config.json").write_text("[]"), r"vqvae/config.json is no configuration"),
    "KL": (lambda at: (at / "vqvae").rename(at / "vae"), r"vae is no VQModel folder `vqvae`"),
    "no weights": (
        lambda at: (at / "unet/diffusion_pytorch_model.safetensors").unlink(),
        r"diffusion_pytorch_model.safetensors is missing. Copy it",
    ),
    "broken weights": (
        lambda at: (at / "vqvae/diffusion_pytorch_model.safetensors").write_bytes(b"1234"),
        r"vqvae/diffusion_pytorch_model.safetensors cannot be read: .*Copy it again",
    ),
    "two files": (
        lambda at: (
            (at / "unet/diffusion_pytorch_model.safetensors").rename(at / "unet/a.safetensors")
            and save_file({"x": torch.zeros(1)}, at / "unet/b.safetensors")
        ),
        r"unet holds a.safetensors, b.safetensors. Leave the one to load",
    ),
}


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_a_folder_that_is_not_right_is_named(pack: ModuleType, folders: Path, name: str) -> None:
    spoil, message = BAD_FOLDERS[name]
    spoil(folders / "ldm-celebahq-256")
    with pytest.raises(ValueError, match=message):
        diffusers_inputs(pack, "ldm-celebahq-256")


@pytest.mark.parametrize("name", ["nowhere", "../diffusers", "ldm-celebahq-256/../../diffusers/..", "/", ""])
def test_nothing_outside_the_folder_is_opened(pack: ModuleType, folders: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"folder is .*Put the model there, and press R|holds no UNet2DModel"):
        diffusers_inputs(pack, name)


def test_where_to_put_a_folder_is_said_before_the_run(pack: ModuleType, folders: Path) -> None:
    node = pack.nodes.diffusers.LMLLoadDiffusersModel
    assert node.validate_inputs("ldm-celebahq-256") and node.validate_inputs(None)
    with pytest.raises(ValueError, match=f"folder is 'mine', which is not in {folders}. Put the model there"):
        node.validate_inputs("mine")
    shutil.rmtree(folders)
    with pytest.raises(ValueError, match=f"no folder to choose. Copy a model's folder into {folders} and press R"):
        node.validate_inputs(None)


def test_a_pickle_is_refused_with_the_command_that_converts_it(pack: ModuleType, folders: Path) -> None:
    before = diffusers_inputs(pack, "ddpm_ema_cifar10")["model"].model.diffusion_model.state_dict()
    unet = folders / "ddpm_ema_cifar10" / "unet"
    weights = unet / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), unet / "diffusion_pytorch_model.bin")
    weights.unlink()
    with pytest.raises(ValueError, match=r"\.bin is a pickle, which can run code .* Convert it once") as refused:
        diffusers_inputs(pack, "ddpm_ema_cifar10")
    command = shlex.split(str(refused.value).splitlines()[1])
    assert command[0] == "python"
    subprocess.run([sys.executable, *command[1:]], check=True)
    after = diffusers_inputs(pack, "ddpm_ema_cifar10")["model"].model.diffusion_model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)


def test_what_diffusers_writes_by_default_is_no_scaling(pack: ModuleType, folders: Path) -> None:
    """Nor is it where the file does not say it; another one is followed."""
    config = folders / "ldm-celebahq-256" / "vqvae" / "config.json"
    assert json.loads(config.read_text())["scaling_factor"] == 0.18215
    assert diffusers_inputs(pack, "ldm-celebahq-256")["model"].model.latent_format.scale_factor == 1.0
    change(config, scaling_factor=0.5)
    latent_format = diffusers_inputs(pack, "ldm-celebahq-256")["model"].model.latent_format
    assert torch.equal(latent_format.process_in(torch.ones(1)), torch.tensor([0.5]))
