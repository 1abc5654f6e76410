"""The workflow files that are written by `make_workflows.py`: their names, which the page shows, and their notes."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from . import images, videos
from .canvas import Canvas


class Template(NamedTuple):
    """A workflow file."""

    build: Callable[[Canvas], None]
    shows: str
    """One sentence."""
    hints: tuple[str, ...]
    """What is good to know, a line each."""


SEED = (
    "The seed is fixed, so that you can compare settings. For new results set *control after generate* to *randomize*."
)
FEWER = "Try fewer **steps**: LML is made for 5 to 20."
DISTILLED = (
    "This model is made for {} steps and CFG 1. CFG 1 does not read the negative prompt. κ is 0.25: a distilled model "
    "was trained for plain steps."
)
EXPERTS = (
    "Two models share the 20 steps: the first makes the motion, the second the details.",
    "Change **steps** on both LML nodes; the first ends where the second starts, after two fifths of the steps.",
)
FRAMES = "**length** is the number of frames: a multiple of {} plus 1. {} frames a second."

TEMPLATES = {
    "LML SDXL text to image": Template(
        images.sdxl,
        "SDXL makes a picture from text, with LML KSampler in place of KSampler.",
        ("25 steps and CFG 7 are usual for this model.", FEWER),
    ),
    "LML Qwen-Image text to image": Template(
        partial(images.qwen_image, lightning=False),
        "Qwen-Image makes a picture from text in 20 steps, with LML KSampler in place of KSampler.",
        ("Text to write into the picture goes into quotes.", FEWER),
    ),
    "LML Qwen-Image Lightning 4 steps": Template(
        partial(images.qwen_image, lightning=True),
        "Qwen-Image with the Lightning LoRA makes a picture from text in 4 steps.",
        (DISTILLED.format(4), "Text to write into the picture goes into quotes."),
    ),
    "LML Qwen-Image-Edit change a picture": Template(
        images.qwen_edit,
        "Qwen-Image-Edit changes a picture as the prompt says, in 20 steps.",
        ("Choose your picture on Load Image.", "Say what to change and what to keep.", FEWER),
    ),
    "LML Z-Image text to image": Template(
        partial(images.z_image, turbo=False),
        "Z-Image makes a picture from text in 25 steps, with LML KSampler in place of KSampler.",
        (FEWER,),
    ),
    "LML Z-Image Turbo 8 steps": Template(
        partial(images.z_image, turbo=True),
        "Z-Image Turbo makes a picture from text in 8 steps.",
        (DISTILLED.format(8),),
    ),
    "LML FLUX.2 dev text to image": Template(
        images.flux2_dev,
        "FLUX.2 dev makes a picture from text in 20 steps, with LML Sampler in place of KSamplerSelect.",
        ("**guidance** on FluxGuidance takes the place of CFG.", "The size stands on two nodes: change both.", FEWER),
    ),
    "LML FLUX.2 klein 4 steps": Template(
        images.flux2_klein,
        "FLUX.2 klein makes a picture from text in 4 steps, with LML Sampler in place of KSamplerSelect.",
        (DISTILLED.format(4), "The size stands on two nodes: change both."),
    ),
    "LML Chroma text to image": Template(
        images.chroma,
        "Chroma makes a picture from text in 26 steps, with LML KSampler in place of KSampler.",
        ("Long prompts in whole sentences work best.", FEWER),
    ),
    "LML Wan 2.2 text to video": Template(
        videos.wan_text,
        "Wan 2.2 makes a video from text in 20 steps, with two LML KSampler (Advanced).",
        (*EXPERTS, FRAMES.format(4, 16)),
    ),
    "LML Wan 2.2 image to video": Template(
        videos.wan_image,
        "Wan 2.2 makes a video that starts with your picture, with two LML KSampler (Advanced).",
        ("Choose your picture on Load Image.", *EXPERTS, FRAMES.format(4, 16)),
    ),
    "LML HunyuanVideo 1.5 text to video": Template(
        videos.hunyuan,
        "HunyuanVideo 1.5 makes a video from text in 20 steps, with LML KSampler in place of KSampler.",
        (FRAMES.format(4, 24), FEWER),
    ),
    "LML LTX-2 video with sound": Template(
        videos.ltx,
        "LTX-2 makes a video and its sound from text in 20 steps, with LML Sampler in place of KSamplerSelect.",
        ("Say in the prompt what is heard.", FRAMES.format(8, 24), "Change **length** and **frames_number** together."),
    ),
    "LML ACE-Step 1.5 song": Template(
        videos.ace_step,
        "ACE-Step 1.5 turbo makes a song from a style and lyrics in 8 steps.",
        (DISTILLED.format(8), "Change **duration** and **seconds** together."),
    ),
}
"""By name of the file."""
