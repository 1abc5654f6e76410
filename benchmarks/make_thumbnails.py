"""Draw the pictures that ComfyUI's template browser shows beside the workflow files.

Each says which model and what for, and draws the run as a path that turns: a dot for every step.
"""

import json
import math
from typing import Any, NamedTuple

from comfy_host.install import ROOT
from PIL import Image, ImageDraw, ImageFont

SIDE, SCALE = 400, 3
MARGIN = 30
INK, PALE = "#1d2433", "#ffffff"
KINDS = {
    "image": ("#fbe3c4", "#e4572e"),
    "video": ("#cfe6f5", "#1f6fb2"),
    "sound": ("#dcefd7", "#2e7d4f"),
    "tool": ("#e6def5", "#6b47b8"),
}
"""Colours of the ground and of the path."""


class Card(NamedTuple):
    """What a thumbnail says."""

    kind: str
    title: str
    """The model or the tool, in one or two lines."""
    task: str


CARDS = {
    "LML SDXL text to image": Card("image", "SDXL", "text to image"),
    "LML Qwen-Image text to image": Card("image", "Qwen-\nImage", "text to image"),
    "LML Qwen-Image Lightning 4 steps": Card("image", "Qwen-Image\nLightning", "text to image"),
    "LML Qwen-Image-Edit change a picture": Card("image", "Qwen-\nImage-Edit", "change a picture"),
    "LML Z-Image text to image": Card("image", "Z-Image", "text to image"),
    "LML Z-Image Turbo 8 steps": Card("image", "Z-Image\nTurbo", "text to image"),
    "LML FLUX.2 dev text to image": Card("image", "FLUX.2\ndev", "text to image"),
    "LML FLUX.2 klein 4 steps": Card("image", "FLUX.2\nklein", "text to image"),
    "LML Chroma text to image": Card("image", "Chroma", "text to image"),
    "LML Wan 2.2 text to video": Card("video", "Wan 2.2", "text to video"),
    "LML Wan 2.2 image to video": Card("video", "Wan 2.2", "image to video"),
    "LML HunyuanVideo 1.5 text to video": Card("video", "Hunyuan-\nVideo 1.5", "text to video"),
    "LML LTX-2 video with sound": Card("video", "LTX-2", "video with sound"),
    "LML ACE-Step 1.5 song": Card("sound", "ACE-Step\n1.5", "song"),
    "LML CelebA-HQ faces without a prompt": Card("image", "CelebA-HQ", "faces without a text"),
    "LML_Demo": Card("tool", "Demo", "no download"),
    "LML FLUX.1 dev text to image": Card("image", "FLUX.1\ndev", "text to image"),
    "LML FLUX.1 schnell 4 steps": Card("image", "FLUX.1\nschnell", "text to image"),
    "LML SD 1.5 ControlNet edges": Card("image", "ControlNet", "SD 1.5, edges"),
    "LML SD 1.5 hires fix": Card("image", "Hires fix", "SD 1.5, in two passes"),
    "LML SD 1.5 image to image": Card("image", "Image\nto image", "SD 1.5"),
    "LML SD 1.5 inpaint": Card("image", "Inpaint", "SD 1.5"),
    "LML Sweep over settings": Card("tool", "Sweep", "compare settings"),
    "LML SD 1.5 text to image": Card("image", "SD 1.5", "text to image"),
    "LML Tune finds settings": Card("tool", "Tune", "find settings"),
    "LML SD 3.5 medium text to image": Card("image", "SD 3.5", "text to image"),
    "LML SDXL base and refiner": Card("image", "SDXL", "base and refiner"),
    "LML Wan 2.1 text to video": Card("video", "Wan 2.1", "text to video"),
}
"""By name of the workflow file. LML Compare has a picture of its own."""


def draw(card: Card, steps: int) -> Image.Image:
    """The thumbnail of a workflow that takes so many steps, `SIDE` pixels square."""
    ground, accent = KINDS[card.kind]
    picture = Image.new("RGB", (SIDE * SCALE, SIDE * SCALE), ground)
    pen = ImageDraw.Draw(picture)
    _draw_path(pen, steps, accent)
    title = ImageFont.load_default(_title_size(card.title) * SCALE)
    pen.multiline_text((MARGIN * SCALE, 22 * SCALE), card.title, INK, title, spacing=4 * SCALE)
    pen.text((MARGIN * SCALE, 332 * SCALE), card.task, INK, ImageFont.load_default(34 * SCALE), anchor="lm")
    pen.text((MARGIN * SCALE, 370 * SCALE), f"LML, {steps} steps", accent, ImageFont.load_default(26 * SCALE), "lm")
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _title_size(title: str) -> int:
    longest = max(title.splitlines(), key=len)
    width = ImageFont.load_default(100).getlength(longest)
    return min(72, int(100 * (SIDE - 2 * MARGIN) / width))


def _draw_path(pen: ImageDraw.ImageDraw, steps: int, color: str) -> None:
    points = [_at(k / 200) for k in range(201)]
    pen.line(points, color, 5 * SCALE, joint="curve")
    for k in range(steps + 1):
        x, y = _at(k / steps)
        radius = (13 if steps < 10 else 9) * (1 - 0.45 * k / steps) * SCALE
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), PALE, color, 4 * SCALE)


def _at(share: float) -> tuple[float, float]:
    """A point of the path, from the upper right, where the noise is, to the lower left."""
    x = MARGIN + 14 + (SIDE - 2 * MARGIN - 28) * (1 - share)
    y = 292 - 105 * (1 - share) ** 1.6 + 16 * math.sin(3.2 * math.pi * share) * (1 - share)
    return x * SCALE, y * SCALE


def steps_of(workflow: dict[str, Any]) -> int:
    """How many steps it takes: of the first node that is asked for them.

    Raises:
        LookupError: no node is.
    """
    for node in workflow["nodes"]:
        names = [port["name"] for port in node["inputs"] if "widget" in port]
        values = [value for value in node["widgets_values"] if value not in ("fixed", "randomize")]
        if "steps" in names:
            return dict(zip(names, values, strict=False))["steps"]
    raise LookupError("no node is asked for its steps")


def main() -> None:
    """Write a JPEG beside every workflow file that has a card."""
    for name, card in CARDS.items():
        path = ROOT / "workflows" / f"{name}.json"
        steps = steps_of(json.loads(path.read_text("utf-8")))
        draw(card, steps).save(path.with_suffix(".jpg"), quality=88, optimize=True)


if __name__ == "__main__":
    main()
