"""What several workflows have in common: where the files are, how they are loaded, sampled and shown."""

from typing import Any

from .canvas import Canvas, Node, Output, name_of

HUB = "https://huggingface.co"
SEED = 42


def repackaged(repository: str, path: str) -> str:
    """The address of a file in one of the Comfy-Org repositories."""
    return f"{HUB}/Comfy-Org/{repository}/resolve/main/split_files/{path}"


def network(canvas: Canvas, url: str) -> Node:
    """A diffusion model from a file of its own."""
    return canvas.model("UNETLoader", {url: "diffusion_models"}, unet_name=name_of(url), weight_dtype="default")


def lora(canvas: Canvas, url: str, model: Output) -> Node:
    """A LoRA on a diffusion model."""
    return canvas.model("LoraLoaderModelOnly", {url: "loras"}, model=model, lora_name=name_of(url), strength_model=1.0)


def text_encoder(canvas: Canvas, url: str, kind: str) -> Node:
    """One text encoder; `kind` as CLIPLoader calls it."""
    return canvas.model("CLIPLoader", {url: "text_encoders"}, clip_name=name_of(url), type=kind)


def text_encoders(canvas: Canvas, urls: list[str], kind: str) -> Node:
    """A pair of text encoders."""
    names = {f"clip_name{k}": name_of(url) for k, url in enumerate(urls, 1)}
    return canvas.model("DualCLIPLoader", dict.fromkeys(urls, "text_encoders"), **names, type=kind)


def autoencoder(canvas: Canvas, url: str) -> Node:
    """An autoencoder from a file of its own."""
    return canvas.model("VAELoader", {url: "vae"}, vae_name=name_of(url))


def checkpoint(canvas: Canvas, url: str) -> Node:
    """A checkpoint with everything in one file."""
    return canvas.model("CheckpointLoaderSimple", {url: "checkpoints"}, ckpt_name=name_of(url))


def prompt(canvas: Canvas, clip: Output, text: str, title: str = "Prompt") -> Node:
    """A text for the model."""
    return canvas.add("prompts", "CLIPTextEncode", title, clip=clip, text=text)


def negative(canvas: Canvas, clip: Output, text: str = "") -> Node:
    """What the picture should not show."""
    return prompt(canvas, clip, text, "Negative prompt")


def no_negative(canvas: Canvas, positive: Output) -> Node:
    """In place of a negative prompt, which CFG 1 does not read."""
    return canvas.add("prompts", "ConditioningZeroOut", conditioning=positive)


DISTILLED = {"cfg": 1.0, "kappa": 0.25, "scheduler": "simple"}
"""For a model distilled to few steps: on such networks (`make bench-distilled`) a κ of 1 left what they had been
trained to show, and one of 0.25 was as close to it as euler. It was trained at the levels of `simple`."""


def sampled(canvas: Canvas, model: Output, latent: Output, pair: tuple[Output, Output], **widgets: Any) -> Node:
    """LML KSampler."""
    positive, negative = pair
    linked = {"model": model, "latent_image": latent, "positive": positive, "negative": negative}
    return canvas.add("sampling", "LMLKSampler", **linked, seed=SEED, **widgets)


def sampled_by_parts(canvas: Canvas, guider: Output, sigmas: Output, latent: Output, **widgets: Any) -> Node:
    """LML Sampler in SamplerCustomAdvanced."""
    noise = canvas.add("sampling", "RandomNoise", noise_seed=SEED)
    sampler = canvas.add("sampling", "LMLSampler", **widgets)
    linked = {"noise": noise[0], "guider": guider, "sampler": sampler[0], "sigmas": sigmas, "latent_image": latent}
    return canvas.add("sampling", "SamplerCustomAdvanced", **linked)


def by_two_experts(
    canvas: Canvas,
    models: tuple[Output, Output],
    latent: Output,
    pair: tuple[Output, Output],
    steps: int,
    change: int,
    **widgets: Any,
) -> Node:
    """Two LML KSampler (Advanced): the steps up to `change` by one model, the rest by the other."""
    both = {"positive": pair[0], "negative": pair[1], "steps": steps} | widgets
    first = {"add_noise": "enable", "start_at_step": 0, "end_at_step": change, "noise_seed": SEED}
    second = {"add_noise": "disable", "start_at_step": change, "end_at_step": steps, "noise_seed": 0}
    node, name = "LMLKSamplerAdvanced", "{} noise: LML KSampler (Advanced)"
    high = {"model": models[0], "latent_image": latent, "return_with_leftover_noise": "enable"}
    half = canvas.add("sampling", node, name.format("High"), **high, **both, **first)
    low = {"model": models[1], "latent_image": half[0], "return_with_leftover_noise": "disable"}
    return canvas.add("sampling", node, name.format("Low"), **low, **both, **second)


def decoded(canvas: Canvas, latent: Output, vae: Output) -> Node:
    """The picture or the frames."""
    return canvas.add("result", "VAEDecode", samples=latent, vae=vae)


def saved_picture(canvas: Canvas, latent: Output, vae: Output, name: str) -> None:
    """Decode and save a picture."""
    canvas.add("result", "SaveImage", images=decoded(canvas, latent, vae)[0], filename_prefix=name)


def saved_video(canvas: Canvas, frames: Output, name: str, fps: float, **sound: Output) -> None:
    """Save frames, with a sound track if there is one."""
    video = canvas.add("result", "CreateVideo", images=frames, fps=fps, **sound)
    canvas.add("result", "SaveVideo", video=video[0], filename_prefix=f"video/{name}", format="auto", codec="auto")
