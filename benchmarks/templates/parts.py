"""What several workflows have in common: where the files are, how they are loaded, sampled and shown."""

from typing import Any

from .canvas import Canvas, Output, name_of

HUB = "https://huggingface.co"
SEED = 42

Pair = tuple[Output, Output]
"""Positive and negative conditioning."""


def repackaged(repository: str, path: str) -> str:
    """The address of a file in one of the Comfy-Org repositories."""
    return f"{HUB}/Comfy-Org/{repository}/resolve/main/split_files/{path}"


def network(canvas: Canvas, url: str) -> Output:
    """A diffusion model from a file of its own."""
    return canvas.model("UNETLoader", {url: "diffusion_models"}, unet_name=name_of(url), weight_dtype="default")[0]


def lora(canvas: Canvas, url: str, model: Output) -> Output:
    """A LoRA on a diffusion model."""
    name = name_of(url)
    return canvas.model("LoraLoaderModelOnly", {url: "loras"}, model=model, lora_name=name, strength_model=1.0)[0]


def text_encoder(canvas: Canvas, kind: str, *urls: str) -> Output:
    """One text encoder or a pair; `kind` as CLIPLoader calls it."""
    folders = dict.fromkeys(urls, "text_encoders")
    if len(urls) == 1:
        return canvas.model("CLIPLoader", folders, clip_name=name_of(urls[0]), type=kind)[0]
    names = {f"clip_name{k}": name_of(url) for k, url in enumerate(urls, 1)}
    return canvas.model("DualCLIPLoader", folders, **names, type=kind)[0]


def autoencoder(canvas: Canvas, url: str) -> Output:
    """An autoencoder from a file of its own."""
    return canvas.model("VAELoader", {url: "vae"}, vae_name=name_of(url))[0]


def files(canvas: Canvas, model: str, kind: str, text: str, vae: str) -> tuple[Output, Output, Output]:
    """Model, text encoder and autoencoder, each from a file of its own."""
    return network(canvas, model), text_encoder(canvas, kind, text), autoencoder(canvas, vae)


def checkpoint(canvas: Canvas, url: str) -> list[Output]:
    """Model, text encoder and autoencoder in one file."""
    return canvas.model("CheckpointLoaderSimple", {url: "checkpoints"}, ckpt_name=name_of(url))


def prompt(canvas: Canvas, clip: Output, text: str, title: str = "Prompt") -> Output:
    """A text for the model."""
    return canvas.add("prompts", "CLIPTextEncode", title, clip=clip, text=text)[0]


def negative(canvas: Canvas, clip: Output, text: str = "") -> Output:
    """What the picture should not show."""
    return prompt(canvas, clip, text, "Negative prompt")


def no_negative(canvas: Canvas, positive: Output) -> Output:
    """In place of a negative prompt, which CFG 1 does not read."""
    return canvas.add("prompts", "ConditioningZeroOut", conditioning=positive)[0]


DISTILLED = {"cfg": 1.0, "kappa": 0.25, "scheduler": "simple"}
"""For a model distilled to few steps: on such networks (`make bench-distilled`) a κ of 1 left what they had been
trained to show, and one of 0.25 was as close to it as euler. It was trained at the levels of `simple`."""


def sampled(canvas: Canvas, model: Output, latent: Output, pair: Pair, **widgets: Any) -> Output:
    """LML KSampler."""
    positive, negative = pair
    linked = {"model": model, "latent_image": latent, "positive": positive, "negative": negative}
    return canvas.add("sampling", "LMLKSampler", **linked, seed=SEED, **widgets)[0]


def sampled_by_parts(canvas: Canvas, guider: Output, sigmas: Output, latent: Output, **widgets: Any) -> Output:
    """LML Sampler in SamplerCustomAdvanced."""
    noise = canvas.add("sampling", "RandomNoise", noise_seed=SEED)
    sampler = canvas.add("sampling", "LMLSampler", **widgets)
    linked = {"noise": noise[0], "guider": guider, "sampler": sampler[0], "sigmas": sigmas, "latent_image": latent}
    return canvas.add("sampling", "SamplerCustomAdvanced", **linked)[0]


def by_two_experts(
    canvas: Canvas,
    models: tuple[Output, Output],
    latent: Output,
    pair: Pair,
    steps: int,
    change: int,
    **widgets: Any,
) -> Output:
    """Two LML KSampler (Advanced): the steps up to `change` by one model, the rest by the other."""
    both = {"positive": pair[0], "negative": pair[1], "steps": steps} | widgets
    first = {"add_noise": "enable", "start_at_step": 0, "end_at_step": change, "noise_seed": SEED}
    second = {"add_noise": "disable", "start_at_step": change, "end_at_step": steps, "noise_seed": 0}
    node, name = "LMLKSamplerAdvanced", "{} noise: LML KSampler (Advanced)"
    high = {"model": models[0], "latent_image": latent, "return_with_leftover_noise": "enable"}
    half = canvas.add("sampling", node, name.format("High"), **high, **both, **first)
    low = {"model": models[1], "latent_image": half[0], "return_with_leftover_noise": "disable"}
    return canvas.add("sampling", node, name.format("Low"), **low, **both, **second)[0]


def decoded(canvas: Canvas, latent: Output, vae: Output) -> Output:
    """The picture or the frames."""
    return canvas.add("result", "VAEDecode", samples=latent, vae=vae)[0]


def saved_picture(canvas: Canvas, latent: Output, vae: Output, name: str) -> None:
    """Decode and save a picture."""
    canvas.add("result", "SaveImage", images=decoded(canvas, latent, vae), filename_prefix=name)


def saved_video(canvas: Canvas, latent: Output, vae: Output, name: str, fps: float, **sound: Output) -> None:
    """Decode and save frames, with a sound track if there is one."""
    (video,) = canvas.add("result", "CreateVideo", images=decoded(canvas, latent, vae), fps=fps, **sound)
    canvas.add("result", "SaveVideo", video=video, filename_prefix=f"video/{name}", format="auto", codec="auto")
