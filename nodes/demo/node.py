"""The toy model that ships with the pack: shapes of 64 x 64 pixels, to try the nodes without a download."""

from typing import Any

from comfy_api.latest import io

from .. import host, inputs
from .model import COLORS, SHAPES, VARIANTS, conditioning, empty_latent, load

ANY = "any"


class LMLDemoModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLDemoModel",
            display_name="LML Demo Model",
            category="model/loaders",
            description="A small model to try the nodes with, not to make art: it ships with the pack and draws one "
            "coloured shape in 64 x 64 pixels.",
            search_aliases=["lml", "demo", "toy", "test model", "shapes", "tiny model"],
            inputs=[
                io.Combo.Input(
                    "variant",
                    options=list(VARIANTS),
                    default="eps",
                    tooltip="eps: predicts the noise, like SD 1.5 and SDXL. flow: predicts the velocity, like SD3 and "
                    "FLUX.",
                ),
                io.Combo.Input("shape", options=[ANY, *SHAPES], default="star", tooltip="The shape to draw."),
                io.Combo.Input("color", options=[ANY, *COLORS], default="blue", tooltip="The color to draw it in."),
                inputs.batch_size(),
            ],
            outputs=[
                io.Model.Output(tooltip="The demo model."),
                io.Conditioning.Output(display_name="positive", tooltip="The shape and color chosen."),
                io.Conditioning.Output(display_name="negative", tooltip="No shape and no color, for negative."),
                io.Latent.Output(tooltip="Empty pictures of 64 x 64 pixels."),
                io.Vae.Output(tooltip="Turns the model's latents into pictures (they are pixels already)."),
            ],
        )

    @classmethod
    @host.running.says_why
    def execute(cls, variant: str, shape: str, color: str, batch_size: int) -> io.NodeOutput:
        model: Any = load(variant)
        positive = conditioning(None if shape == ANY else shape, None if color == ANY else color)
        negative = conditioning(None, None)
        return io.NodeOutput(model, positive, negative, empty_latent(batch_size), host.pixels.vae())
