"""LML Load Diffusers Model: the same numbers as diffusers, folders that are not right, and sampling in ComfyUI."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from comfy_host.client import Client, PromptError
from comfy_host.prompts import around
from demo_runs import lml
from evaluate import checks, suite, units
from safetensors.torch import load_file, save_file
from tiny_models import diffusers_folders

pytestmark = pytest.mark.every_host

CIFAR = {
    "sample_size": 32,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (16, 32, 32, 32),
    "norm_num_groups": 8,
    "attention_head_dim": None,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
}
"""ddpm_ema_cifar10, an eighth as wide."""
CELEBA = {"sample_size": 64, "block_out_channels": (16, 32, 48, 64), "norm_num_groups": 8, "attention_head_dim": 8}
"""The UNet of ldm-celebahq-256, narrower."""
VQ_F4 = {
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "block_out_channels": (16, 32, 64),
    "layers_per_block": 2,
    "norm_num_groups": 8,
    "num_vq_embeddings": 128,
}
"""The VQ-VAE of ldm-celebahq-256, narrower."""
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
Folder = Path


def with_old_names(path: Path) -> None:
    """Give the attention layers in a file the names of diffusers before 0.17."""
    weights = {}
    for name, value in load_file(path).items():
        for new, old in OLD_NAMES.items():
            name = name.replace(f".{new}.", f".{old}.") if ".attentions." in name else name
        weights[name] = value
    assert any(".proj_attn." in name for name in weights)
    save_file(weights, path)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: ModuleType) -> Folder:
    """ComfyUI's folder of diffusers models in this process: with the two tiny ones."""
    import folder_paths

    diffusers_folders.write(tmp_path)
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "diffusers", ([str(tmp_path / "diffusers")], {"folder"}))
    return tmp_path / "diffusers"


def load(pack: ModuleType, name: str, batch: int = 2) -> dict[str, Any]:
    """The outputs of the node by the names of the inputs that they go to."""
    outputs = pack.nodes.diffusers.LMLLoadDiffusersModel.execute(name, batch).result
    linked = dict(zip(("model", "positive", "latent_image", "vae"), outputs, strict=True))
    return linked | {"negative": linked["positive"]}


# --- The same as diffusers


@pytest.mark.parametrize("old", [False, True], ids=["new names", "old names"])
@pytest.mark.parametrize("layout", [CIFAR, CELEBA], ids=["cifar10", "celebahq"])
@torch.no_grad()
def test_the_unet_is_that_of_diffusers(pack: ModuleType, tmp_path: Path, layout: dict[str, Any], old: bool) -> None:
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    theirs = UNet2DModel(**layout).eval()
    theirs.save_pretrained(tmp_path / "unet")
    if old:
        with_old_names(tmp_path / "unet" / "diffusion_pytorch_model.safetensors")
    config, weights = pack.nodes.diffusers.files.read_unet(tmp_path)
    ours = pack.nodes.diffusers.node.unet(config)
    ours.load_state_dict(weights)
    x, timesteps = torch.randn(2, 3, layout["sample_size"], layout["sample_size"]), torch.tensor([1, 998])
    expected = theirs(x, timesteps).sample
    assert expected.std() > 0.1
    torch.testing.assert_close(ours(x, timesteps), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("old", [False, True], ids=["new names", "old names"])
@torch.no_grad()
def test_the_vq_vae_is_that_of_diffusers(pack: ModuleType, folders: Folder, tmp_path: Path, old: bool) -> None:
    from diffusers import VQModel

    torch.manual_seed(0)
    theirs = VQModel(**VQ_F4).eval()
    theirs.quantize.embedding.weight.normal_()
    target = folders / "ldm-celebahq-256" / "vqvae"
    theirs.save_pretrained(target)
    if old:
        with_old_names(target / "diffusion_pytorch_model.safetensors")
    vae = load(pack, "ldm-celebahq-256")["vae"]
    latents, pixels = torch.randn(2, 3, 8, 8), torch.rand(2, 32, 32, 3)
    expected = theirs.decode(latents).sample
    assert expected.std() > 0.1
    torch.testing.assert_close(vae.first_stage_model.decode(latents), expected, rtol=0, atol=1e-5)
    shown = (expected / 2 + 0.5).clamp(0, 1).movedim(1, -1)
    torch.testing.assert_close(vae.decode(latents), shown, rtol=0, atol=1e-5)
    encoded = theirs.encode(pixels.movedim(-1, 1) * 2 - 1).latents
    torch.testing.assert_close(vae.encode(pixels), encoded, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scheduler", [diffusers_folders.LINEAR, diffusers_folders.SCALED], ids=["linear", "scaled"])
def test_the_noise_levels_are_those_of_diffusers(pack: ModuleType, folders: Folder, scheduler: dict[str, Any]) -> None:
    from diffusers import DDIMScheduler

    (folders / "ddpm_ema_cifar10" / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    kept = DDIMScheduler.from_config(scheduler).alphas_cumprod.double()
    sigmas = load(pack, "ddpm_ema_cifar10")["model"].get_model_object("model_sampling").sigmas
    torch.testing.assert_close(sigmas.double(), ((1 - kept) / kept).sqrt(), rtol=1e-4, atol=0)


@torch.no_grad()
def test_euler_is_ddim_of_diffusers(pack: ModuleType, folders: Folder) -> None:
    """A whole run: the model, its timesteps and its noise levels together."""
    import comfy.sample
    import comfy.samplers
    from diffusers import DDIMScheduler, UNet2DModel

    linked = load(pack, "ddpm_ema_cifar10")
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


# --- The timesteps of evaluations


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_timesteps_are_those_of_diffusers() -> None:
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

    for steps in (5, 7, 10, 20):
        for kind in (DDIMScheduler, DPMSolverMultistepScheduler):
            for spacing in checks.SPACINGS:
                if kind is DPMSolverMultistepScheduler and spacing != "linspace":
                    continue
                if kind is DDIMScheduler and spacing == "linspace":
                    continue  # it takes the last timestep too, and steps by another width than its grid
                scheduler = kind(timestep_spacing=spacing)
                scheduler.set_timesteps(steps)
                assert units.timesteps_of(spacing, steps) == scheduler.timesteps.tolist(), (kind, spacing, steps)
    assert units.timesteps_of("leading", 5) == [800, 600, 400, 200, 0]


@pytest.mark.parametrize(("start", "end", "schedule"), [(1e-4, 0.02, "linear"), (0.00085, 0.012, "scaled_linear")])
def test_sigmas_are_those_of_the_schedule(start: float, end: float, schedule: Any) -> None:
    from diffusers import DDIMScheduler

    kept = DDIMScheduler(beta_start=start, beta_end=end, beta_schedule=schedule).alphas_cumprod[[800, 600, 400, 200, 0]]
    found = units.sigmas_of(suite.Betas(schedule, start, end), suite.Sampler("x", {}, "leading"), 5)
    expected = ((1 - kept) / kept).sqrt().tolist()
    assert found == pytest.approx([*expected, 0.0], rel=1e-4)


# --- The folder


def test_every_model_folder_is_offered_and_no_other(pack: ModuleType, folders: Folder) -> None:
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
    assert load(pack, "people/ddpm")["latent_image"]["samples"].shape == (2, 3, 16, 16)


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
    "no size": (lambda at: change(at / "unet/config.json", sample_size=None), r"does not say sample_size"),
    "other widths": (
        lambda at: change(at / "unet/config.json", block_out_channels=[16, 64]),
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
def test_a_folder_that_is_not_right_is_named(pack: ModuleType, folders: Folder, name: str) -> None:
    spoil, message = BAD_FOLDERS[name]
    spoil(folders / "ldm-celebahq-256")
    with pytest.raises(ValueError, match=message):
        load(pack, "ldm-celebahq-256")


@pytest.mark.parametrize("name", ["nowhere", "../diffusers", "ldm-celebahq-256/../../diffusers/..", "/", ""])
def test_nothing_outside_the_folder_is_opened(pack: ModuleType, folders: Folder, name: str) -> None:
    with pytest.raises(ValueError, match=r"folder is .*Put the model there, and press R|holds no UNet2DModel"):
        load(pack, name)


def test_where_to_put_a_folder_is_said_before_the_run(pack: ModuleType, folders: Folder) -> None:
    node = pack.nodes.diffusers.LMLLoadDiffusersModel
    assert node.validate_inputs("ldm-celebahq-256") and node.validate_inputs(None)
    with pytest.raises(ValueError, match=f"folder is 'mine', which is not in {folders}. Put the model there"):
        node.validate_inputs("mine")
    shutil.rmtree(folders)
    with pytest.raises(ValueError, match=f"no folder to choose. Copy a model's folder into {folders} and press R"):
        node.validate_inputs(None)


def test_a_pickle_is_refused_with_the_command_that_converts_it(pack: ModuleType, folders: Folder) -> None:
    before = load(pack, "ddpm_ema_cifar10")["model"].model.diffusion_model.state_dict()
    unet = folders / "ddpm_ema_cifar10" / "unet"
    weights = unet / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), unet / "diffusion_pytorch_model.bin")
    weights.unlink()
    with pytest.raises(ValueError, match=r"\.bin is a pickle, which can run code .* Convert it once") as refused:
        load(pack, "ddpm_ema_cifar10")
    command = shlex.split(str(refused.value).splitlines()[1])
    assert command[0] == "python"
    subprocess.run([sys.executable, *command[1:]], check=True)
    after = load(pack, "ddpm_ema_cifar10")["model"].model.diffusion_model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)


def test_what_diffusers_writes_by_default_is_no_scaling(pack: ModuleType, folders: Folder) -> None:
    """Nor is it where the file does not say it; another one is followed."""
    config = folders / "ldm-celebahq-256" / "vqvae" / "config.json"
    assert json.loads(config.read_text())["scaling_factor"] == 0.18215
    assert load(pack, "ldm-celebahq-256")["model"].model.latent_format.scale_factor == 1.0
    change(config, scaling_factor=0.5)
    latent_format = load(pack, "ldm-celebahq-256")["model"].model.latent_format
    assert torch.equal(latent_format.process_in(torch.ones(1)), torch.tensor([0.5]))


# --- Sampling


@pytest.mark.filterwarnings("ignore:To copy construct", "ignore:Should have t", "ignore:__array_wrap__")
@pytest.mark.parametrize("name", ["ddpm_ema_cifar10", "ldm-celebahq-256"])
def test_every_sampler_and_scheduler_runs(pack: ModuleType, folders: Folder, name: str) -> None:
    import comfy.samplers
    import nodes

    linked = load(pack, name, batch=1)
    model, empty, latent = linked["model"], linked["positive"], linked["latent_image"]
    names = [(sampler, "normal") for sampler in comfy.samplers.SAMPLER_NAMES]
    names += [("euler", scheduler) for scheduler in comfy.samplers.SCHEDULER_NAMES]
    for sampler, scheduler in names:
        with torch.no_grad():
            result = nodes.KSampler().sample(model, 1, 4, 1.0, sampler, scheduler, empty, empty, latent)[0]["samples"]
        assert result.shape == latent["samples"].shape and result.isfinite().all() and result.std() > 0, (
            sampler,
            scheduler,
        )


def test_lml_runs_and_every_size_that_fits(pack: ModuleType, folders: Folder) -> None:
    linked = load(pack, "ldm-celebahq-256")
    pictures = linked["vae"].decode(lml(pack, linked, steps=4, cfg=1.0))
    assert pictures.shape == (2, 64, 64, 3) and pictures.isfinite().all()
    linked["latent_image"] = {"samples": torch.zeros(1, 3, 8, 12)}
    assert lml(pack, linked, steps=3, cfg=1.0).shape == (1, 3, 8, 12)
    linked["latent_image"] = {"samples": torch.zeros(1, 3, 9, 8)}
    with pytest.raises(ValueError, match=r"latent_image is 8 x 9; this model takes multiples of 2"):
        lml(pack, linked, steps=3, cfg=1.0)


def test_one_prompt_less_model_gives_what_the_guidance_gives(pack: ModuleType, folders: Folder) -> None:
    """The model hears no prompt, so guidance changes nothing but rounding."""
    linked = load(pack, "ddpm_ema_cifar10")
    plain, guided = (lml(pack, linked, steps=4, cfg=cfg, kappa=0.0) for cfg in (1.0, 4.0))
    torch.testing.assert_close(plain, guided, rtol=1e-3, atol=1e-3)


CONSUMERS = {
    "LMLKSampler": {"steps": 3, "cfg": 1.0},
    "LMLKSamplerAdvanced": {"steps": 3, "cfg": 1.0},
    "LMLReport": {"steps": 3, "cfg": 1.0},
    "LMLSweep": {"column_values": "0, 1", "row_values": "2, 3", "cell_size": 64},
    "LMLTune": {"steps": 4, "evaluations": 8, "seeds": 1, "reference_steps": 12},
}


@pytest.mark.parametrize("folder", ["ddpm_ema_cifar10", "ldm-celebahq-256"])
@pytest.mark.parametrize("node", CONSUMERS)
def test_every_lml_node_runs_on_them_in_a_running_comfyui(
    server: Client, info: dict[str, Any], node: str, folder: str
) -> None:
    feeds = {"MODEL": 0, "CONDITIONING": 1, "LATENT": 2, "VAE": 3}
    names = {"model": 0, "positive": 1, "negative": 1, "latent_image": 2, "vae": 3}
    wanted = {**info[node]["input"]["required"], **info[node]["input"].get("optional", {})}
    links = {name: ["loader", names[name]] for name in names if name in wanted and wanted[name][0] in feeds}
    loader = {"class_type": "LMLLoadDiffusersModel", "inputs": {"folder": folder, "batch_size": 1}}
    result = server.run(around(info, node, CONSUMERS[node] | links, loader=loader))
    assert result.outputs and all(latent.isfinite().all() for latent in result.latents.values())
    assert all(np.asarray(image).std() > 0 for images in result.images.values() for image in images)


def test_the_server_says_what_is_wrong(server: Client) -> None:
    loader = {"class_type": "LMLLoadDiffusersModel", "inputs": {"folder": "nowhere", "batch_size": 1}}
    shown = {"class_type": "PreviewAny", "inputs": {"source": ["loader", 0]}}
    with pytest.raises(PromptError, match="nowhere"):
        server.run({"loader": loader, "shown": shown})
