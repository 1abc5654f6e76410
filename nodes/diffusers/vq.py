"""VQModel of diffusers in plain torch: the vector-quantised autoencoder of latent diffusion.

Layout: Rombach et al. (arXiv 2112.10752), "VQ-f4" has three resolutions.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .layers import Downsample, Make, Middle, Resnet, Upsample


@dataclass(frozen=True)
class VQConfig:
    """The fields of `config.json` that may differ; their defaults are diffusers' own, but for `scaling_factor`."""

    sample_size: Any = None
    in_channels: int = 3
    out_channels: int = 3
    down_block_types: tuple[str, ...] = ("DownEncoderBlock2D",)
    up_block_types: tuple[str, ...] = ("UpDecoderBlock2D",)
    block_out_channels: tuple[int, ...] = (64,)
    layers_per_block: int = 1
    latent_channels: int = 3
    num_vq_embeddings: int = 256
    norm_num_groups: int = 32
    vq_embed_dim: int | None = None
    scaling_factor: float = 1.0
    mid_block_add_attention: bool = True
    force_upcast: bool = False


VQ_FIXED = {"act_fn": ("silu", "swish"), "norm_type": ("group",), "lookup_from_codebook": (False,)}
"""Fields that are understood with these values alone."""

VQ_BLOCKS = {"down_block_types": ("DownEncoderBlock2D",), "up_block_types": ("UpDecoderBlock2D",)}


class Level(nn.Module):
    """One resolution of the encoder or the decoder."""

    def __init__(self, make: Make, inputs: int, outputs: int, layers: int, resize: str | None) -> None:
        super().__init__()
        widths = [inputs, *[outputs] * (layers - 1)]
        self.resnets = nn.ModuleList([Resnet(make, width, outputs) for width in widths])
        self.downsamplers = nn.ModuleList([Downsample(make, outputs, padding=0)] if resize == "down" else [])
        self.upsamplers = nn.ModuleList([Upsample(make, outputs)] if resize == "up" else [])

    def forward(self, x: Tensor) -> Tensor:
        for layer in (*self.resnets, *self.downsamplers, *self.upsamplers):
            x = layer(x)
        return x


class Encoder(nn.Module):
    """Pictures to latents."""

    def __init__(self, make: Make, config: VQConfig) -> None:
        super().__init__()
        widths = config.block_out_channels
        self.conv_in = make.conv(config.in_channels, widths[0])
        self.down_blocks = nn.ModuleList()
        for place, (inputs, outputs) in enumerate(zip((widths[0], *widths[:-1]), widths, strict=True)):
            resize = "down" if place < len(widths) - 1 else None
            self.down_blocks.append(Level(make, inputs, outputs, config.layers_per_block, resize))
        self.mid_block = Middle(make, widths[-1], widths[-1] if config.mid_block_add_attention else None)
        self.conv_norm_out = make.norm(widths[-1])
        self.conv_out = make.conv(widths[-1], config.latent_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for block in self.down_blocks:
            x = block(x)
        return self.conv_out(functional.silu(self.conv_norm_out(self.mid_block(x))))


class Decoder(nn.Module):
    """Latents to pictures."""

    def __init__(self, make: Make, config: VQConfig) -> None:
        super().__init__()
        widths = config.block_out_channels[::-1]
        self.conv_in = make.conv(config.latent_channels, widths[0])
        self.mid_block = Middle(make, widths[0], widths[0] if config.mid_block_add_attention else None)
        self.up_blocks = nn.ModuleList()
        for place, (inputs, outputs) in enumerate(zip((widths[0], *widths[:-1]), widths, strict=True)):
            resize = "up" if place < len(widths) - 1 else None
            self.up_blocks.append(Level(make, inputs, outputs, config.layers_per_block + 1, resize))
        self.conv_norm_out = make.norm(widths[-1])
        self.conv_out = make.conv(widths[-1], config.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid_block(self.conv_in(x))
        for block in self.up_blocks:
            x = block(x)
        return self.conv_out(functional.silu(self.conv_norm_out(x)))


class Codebook(nn.Module):
    """The vectors that a latent is rounded to."""

    def __init__(self, make: Make, count: int, width: int) -> None:
        super().__init__()
        self.embedding = make.operations.Embedding(count, width, dtype=make.dtype, device=make.device)

    def forward(self, x: Tensor) -> Tensor:
        codes = self.embedding.weight.to(x)
        rounded = []
        for picture in x.movedim(1, -1):  # one at a time: the distances are the largest tensor of all
            nearest = torch.cdist(picture.flatten(0, 1), codes).argmin(dim=1)
            rounded.append(codes[nearest].view(picture.shape))
        return torch.stack(rounded).movedim(-1, 1)


class VQ(nn.Module):
    """Pictures `[B, 3, H, W]` in [-1, 1] to latents `[B, C, H/f, W/f]` and back; decoding rounds to the codebook."""

    def __init__(self, config: VQConfig, make: Make) -> None:
        super().__init__()
        width = config.vq_embed_dim or config.latent_channels
        self.encoder = Encoder(make, config)
        self.quant_conv = make.conv(config.latent_channels, width, kernel=1)
        self.quantize = Codebook(make, config.num_vq_embeddings, width)
        self.post_quant_conv = make.conv(width, config.latent_channels, kernel=1)
        self.decoder = Decoder(make, config)

    def encode(self, pixels: Tensor) -> Tensor:
        """Latents, not rounded."""
        return self.quant_conv(self.encoder(pixels))

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures."""
        return self.decoder(self.post_quant_conv(self.quantize(latents)))
