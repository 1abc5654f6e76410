"""Make the pictures of the help pages again: what the nodes draw on the demo model in a running ComfyUI."""

import tempfile
from pathlib import Path
from typing import Any

from comfy_host.client import Client
from comfy_host.install import ROOT
from comfy_host.server import comfyui
from PIL import Image

DOCS = ROOT / "nodes" / "web" / "docs"
WIDTH = 564
"""Twice the width of the help panel."""
DEMO = {"model": 0, "positive": 1, "negative": 2, "latent_image": 3}
VAE = {"vae": 4}
PICTURES: dict[str, tuple[int, dict[str, int], dict[str, Any]]] = {
    "LMLReport/plot.png": (1, DEMO, {}),
    "LMLTune/plot.png": (2, DEMO, {}),
    "LMLSweep/sheet.png": (0, DEMO | VAE, {"cell_size": 160}),
    "LMLCompare/sheet.png": (-1, DEMO | VAE, {}),
}
"""The output that is shown (-1: what the node itself shows), what is connected, and what differs from the defaults."""


def picture(client: Client, node: str, output: int, links: dict[str, int], inputs: dict[str, Any]) -> Image.Image:
    """What a node draws."""
    linked = {key: ["demo", slot] for key, slot in links.items()}
    prompt = {
        "demo": {"class_type": "LMLDemoModel", "inputs": {"batch_size": 1}},
        "node": {"class_type": node, "inputs": linked | {"seed": 7, "cfg": 3.0} | inputs},
        "shown": {"class_type": "PreviewImage", "inputs": {"images": ["node", max(output, 0)]}},
    }
    images = client.run(client.filled(prompt)).images
    return images["shown" if output >= 0 else "node"][0]


def main() -> None:
    """Write one picture for each node that draws."""
    with tempfile.TemporaryDirectory() as folder, comfyui(Path(folder)) as client:
        for path, (output, links, inputs) in PICTURES.items():
            drawn = picture(client, path.split("/")[0], output, links, inputs)
            size = WIDTH, round(drawn.height * WIDTH / drawn.width)
            drawn.resize(size, Image.Resampling.LANCZOS).quantize(128).save(DOCS / path, optimize=True)
            print(path, *size)


if __name__ == "__main__":
    main()
