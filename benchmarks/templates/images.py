"""Workflows of the image models."""

from typing import Any

from . import parts
from .canvas import Canvas, Output
from .parts import HUB, Pair, repackaged

SD_XL = f"{HUB}/stabilityai/stable-diffusion-xl-base-1.0/resolve/main/sd_xl_base_1.0.safetensors"
QWEN = repackaged("Qwen-Image_ComfyUI", "diffusion_models/qwen_image_fp8_e4m3fn.safetensors")
QWEN_EDIT = repackaged("Qwen-Image-Edit_ComfyUI", "diffusion_models/qwen_image_edit_2509_fp8_e4m3fn.safetensors")
QWEN_TEXT = repackaged("Qwen-Image_ComfyUI", "text_encoders/qwen_2.5_vl_7b_fp8_scaled.safetensors")
QWEN_VAE = repackaged("Qwen-Image_ComfyUI", "vae/qwen_image_vae.safetensors")
LIGHTNING = f"{HUB}/lightx2v/Qwen-Image-Lightning/resolve/main/Qwen-Image-Lightning-4steps-V1.0.safetensors"
Z_IMAGE = repackaged("z_image", "diffusion_models/z_image_bf16.safetensors")
Z_TURBO = repackaged("z_image_turbo", "diffusion_models/z_image_turbo_bf16.safetensors")
Z_TEXT = repackaged("z_image_turbo", "text_encoders/qwen_3_4b.safetensors")
Z_VAE = repackaged("z_image_turbo", "vae/ae.safetensors")
FLUX2 = repackaged("flux2-dev", "diffusion_models/flux2_dev_fp8mixed.safetensors")
FLUX2_TEXT = repackaged("flux2-dev", "text_encoders/mistral_3_small_flux2_bf16.safetensors")
FLUX2_VAE = f"{HUB}/black-forest-labs/FLUX.2-small-decoder/resolve/main/full_encoder_small_decoder.safetensors"
KLEIN = repackaged("flux2-klein", "diffusion_models/flux-2-klein-4b.safetensors")
KLEIN_TEXT = repackaged("flux2-klein", "text_encoders/qwen_3_4b.safetensors")
KLEIN_VAE = repackaged("flux2-dev", "vae/flux2-vae.safetensors")
CHROMA = repackaged("Chroma1-HD_repackaged", "diffusion_models/Chroma1-HD-fp8mixed.safetensors")
CHROMA_TEXT = f"{HUB}/comfyanonymous/flux_text_encoders/resolve/main/t5xxl_fp8_e4m3fn_scaled.safetensors"
CHROMA_VAE = repackaged("Lumina_Image_2.0_Repackaged", "vae/ae.safetensors")

WATCHMAKER = (
    "A watchmaker at his bench by a rainy window, brass gears and tiny screws on green cloth, warm lamp light. "
    'A small sign on the wall reads "Open until seven".'
)
BOOKSHOP = "A small bookshop on a corner at dusk, warm light in the windows, wet cobblestones, photograph"
FOX = "a red fox in a birch forest, first snow, soft morning light, photograph, detailed"
POOR = "blurry, lowres, text, watermark, deformed"


def sdxl(canvas: Canvas) -> None:
    """SDXL base."""
    model, clip, vae = parts.checkpoint(canvas, SD_XL)
    pair = (parts.prompt(canvas, clip, FOX), parts.negative(canvas, clip, POOR))
    (latent,) = canvas.add("prompts", "EmptyLatentImage", width=1024, height=1024)
    result = parts.sampled(canvas, model, latent, pair, steps=25, cfg=7.0)
    parts.saved_picture(canvas, result, vae, "LML_SDXL")


def qwen_image(canvas: Canvas, lightning: bool) -> None:
    """Qwen-Image with its own steps and guidance, or with the LoRA for 4 steps."""
    model = parts.network(canvas, QWEN)
    if lightning:
        model = parts.lora(canvas, LIGHTNING, model)
    clip, vae = parts.text_encoder(canvas, "qwen_image", QWEN_TEXT), parts.autoencoder(canvas, QWEN_VAE)
    positive = parts.prompt(canvas, clip, WATCHMAKER)
    without = parts.no_negative(canvas, positive) if lightning else parts.negative(canvas, clip)
    run = {"steps": 4, **parts.DISTILLED} if lightning else {"steps": 20, "cfg": 4.0}
    _flow(canvas, model, (positive, without), vae, "LML_Qwen_Image", size=1328, shift=3.1, **run)


def qwen_edit(canvas: Canvas) -> None:
    """Qwen-Image-Edit on one picture."""
    model, clip, vae = parts.files(canvas, QWEN_EDIT, "qwen_image", QWEN_TEXT, QWEN_VAE)
    (picture, _) = canvas.add("files", "LoadImage", image="example.png")
    (scaled,) = canvas.add("prompts", "FluxKontextImageScale", image=picture)
    read = {"clip": clip, "vae": vae, "image1": scaled}
    node = "TextEncodeQwenImageEditPlus"
    wish = "Turn it into a watercolour painting. Keep the composition and the colours."
    (positive,) = canvas.add("prompts", node, "What to change", **read, prompt=wish)
    (without,) = canvas.add("prompts", node, "Negative prompt", **read, prompt="")
    (latent,) = canvas.add("prompts", "VAEEncode", pixels=scaled, vae=vae)
    (shifted,) = canvas.add("sampling", "ModelSamplingAuraFlow", model=model, shift=3.0)
    (normed,) = canvas.add("sampling", "CFGNorm", model=shifted, strength=1.0)
    result = parts.sampled(canvas, normed, latent, (positive, without), steps=20, cfg=4.0)
    parts.saved_picture(canvas, result, vae, "LML_Qwen_Image_Edit")


def z_image(canvas: Canvas, turbo: bool) -> None:
    """Z-Image, or Z-Image Turbo, which is distilled."""
    model, clip, vae = parts.files(canvas, Z_TURBO if turbo else Z_IMAGE, "lumina2", Z_TEXT, Z_VAE)
    positive = parts.prompt(canvas, clip, BOOKSHOP)
    without = parts.no_negative(canvas, positive) if turbo else parts.negative(canvas, clip)
    run = {"steps": 8, **parts.DISTILLED} if turbo else {"steps": 25, "cfg": 4.0}
    name = "LML_Z_Image_Turbo" if turbo else "LML_Z_Image"
    _flow(canvas, model, (positive, without), vae, name, size=1024, shift=3.0, **run)


def chroma(canvas: Canvas) -> None:
    """Chroma."""
    model, clip = parts.network(canvas, CHROMA), parts.text_encoder(canvas, "chroma", CHROMA_TEXT)
    (clip,) = canvas.add("files", "T5TokenizerOptions", clip=clip, min_padding=0, min_length=0)
    vae = parts.autoencoder(canvas, CHROMA_VAE)
    pair = (parts.prompt(canvas, clip, BOOKSHOP), parts.negative(canvas, clip, POOR))
    _flow(canvas, model, pair, vae, "LML_Chroma", size=1024, shift=1.0, steps=26, cfg=3.5)


def _flow(
    canvas: Canvas, model: Output, pair: Pair, vae: Output, name: str, size: int, shift: float, **run: Any
) -> None:
    (latent,) = canvas.add("prompts", "EmptySD3LatentImage", width=size, height=size)
    (shifted,) = canvas.add("sampling", "ModelSamplingAuraFlow", model=model, shift=shift)
    parts.saved_picture(canvas, parts.sampled(canvas, shifted, latent, pair, **run), vae, name)


def flux2_dev(canvas: Canvas) -> None:
    """FLUX.2 dev, whose guidance is distilled."""
    model, clip, vae = parts.files(canvas, FLUX2, "flux2", FLUX2_TEXT, FLUX2_VAE)
    text = parts.prompt(canvas, clip, BOOKSHOP)
    (positive,) = canvas.add("prompts", "FluxGuidance", conditioning=text, guidance=4.0)
    (guider,) = canvas.add("sampling", "BasicGuider", model=model, conditioning=positive)
    _flux2(canvas, guider, vae, 20, "LML_FLUX2_dev")


def flux2_klein(canvas: Canvas) -> None:
    """FLUX.2 klein, distilled to 4 steps."""
    model, clip, vae = parts.files(canvas, KLEIN, "flux2", KLEIN_TEXT, KLEIN_VAE)
    positive = parts.prompt(canvas, clip, BOOKSHOP)
    without = parts.no_negative(canvas, positive)
    (guider,) = canvas.add("sampling", "CFGGuider", model=model, positive=positive, negative=without, cfg=1.0)
    _flux2(canvas, guider, vae, 4, "LML_FLUX2_klein", kappa=parts.DISTILLED["kappa"])


def _flux2(canvas: Canvas, guider: Output, vae: Output, steps: int, name: str, **widgets: Any) -> None:
    size = {"width": 1024, "height": 1024}
    (latent,) = canvas.add("prompts", "EmptyFlux2LatentImage", **size)
    (sigmas,) = canvas.add("sampling", "Flux2Scheduler", steps=steps, **size)
    result = parts.sampled_by_parts(canvas, guider, sigmas, latent, **widgets)
    parts.saved_picture(canvas, result, vae, name)
