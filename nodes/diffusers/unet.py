"""UNet2DModel of diffusers in plain torch: the unconditional models of the paper (CIFAR-10, CelebA-HQ).

Layouts: Ho et al. (arXiv 2006.11239) on pixels, Rombach et al. (arXiv 2112.10752) on latents.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .layers import Attention, Downsample, Make, Middle, Resnet, Upsample


@dataclass(frozen=True)
class UNetConfig:
    """The fields of `config.json` that may differ; their defaults are diffusers' own."""

    sample_size: Any = None
    in_channels: int = 3
    out_channels: int = 3
    center_input_sample: bool = False
    freq_shift: float = 0
    flip_sin_to_cos: bool = True
    down_block_types: tuple[str, ...] = ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D")
    up_block_types: tuple[str, ...] = ("AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D")
    block_out_channels: tuple[int, ...] = (224, 448, 672, 896)
    layers_per_block: int = 2
    mid_block_scale_factor: float = 1
    downsample_padding: int = 1
    attention_head_dim: int | None = 8
    norm_num_groups: int = 32
    norm_eps: float = 1e-5
    add_attention: bool = True
    dropout: float = 0.0


UNET_FIXED = {
    "time_embedding_type": ("positional",),
    "time_embedding_dim": (None,),
    "mid_block_type": ("UNetMidBlock2D",),
    "downsample_type": ("conv",),
    "upsample_type": ("conv",),
    "act_fn": ("silu", "swish"),
    "attn_norm_num_groups": (None,),
    "resnet_time_scale_shift": ("default",),
    "class_embed_type": (None,),
    "num_class_embeds": (None,),
    "num_train_timesteps": (None,),
}
"""Fields that are understood with these values alone."""

UNET_BLOCKS = {
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D"),
}


class Down(nn.Module):
    """One resolution on the way down; every result is kept for the way up."""

    def __init__(
        self, make: Make, config: UNetConfig, inputs: int, outputs: int, head_width: int | None, last: bool
    ) -> None:
        super().__init__()
        time_width = 4 * config.block_out_channels[0]
        widths = [inputs, *[outputs] * (config.layers_per_block - 1)]
        self.resnets = nn.ModuleList([Resnet(make, width, outputs, time_width) for width in widths])
        self.attentions = nn.ModuleList([Attention(make, outputs, head_width) for _ in widths] if head_width else [])
        padding = config.downsample_padding
        self.downsamplers = nn.ModuleList([] if last else [Downsample(make, outputs, padding)])

    def forward(self, x: Tensor, time: Tensor) -> list[Tensor]:
        kept = []
        for place, resnet in enumerate(self.resnets):
            x = resnet(x, time)
            x = self.attentions[place](x) if self.attentions else x
            kept.append(x)
        return kept + [layer(x) for layer in self.downsamplers]


class Up(nn.Module):
    """One resolution on the way up; takes the results kept on the way down from the end of a list."""

    def __init__(
        self, make: Make, time_width: int, widths: list[int], outputs: int, head_width: int | None, last: bool
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([Resnet(make, width, outputs, time_width) for width in widths])
        self.attentions = nn.ModuleList([Attention(make, outputs, head_width) for _ in widths] if head_width else [])
        self.upsamplers = nn.ModuleList([] if last else [Upsample(make, outputs)])

    def forward(self, x: Tensor, kept: list[Tensor], time: Tensor) -> Tensor:
        for place, resnet in enumerate(self.resnets):
            x = resnet(torch.cat([x, kept.pop()], dim=1), time)
            x = self.attentions[place](x) if self.attentions else x
        for layer in self.upsamplers:
            x = layer(x)
        return x


class TimeEmbedding(nn.Module):
    """Two layers on sines and cosines of the timestep."""

    def __init__(self, make: Make, config: UNetConfig) -> None:
        super().__init__()
        self.width, self.shift = config.block_out_channels[0], config.freq_shift
        self.cosine_first = config.flip_sin_to_cos
        self.linear_1 = make.linear(self.width, 4 * self.width)
        self.linear_2 = make.linear(4 * self.width, 4 * self.width)

    def forward(self, timesteps: Tensor, dtype: torch.dtype) -> Tensor:
        half = self.width // 2
        index = torch.arange(half, dtype=torch.float32, device=timesteps.device)
        angles = timesteps.float()[:, None] * torch.exp(-math.log(10000) / (half - self.shift) * index)
        waves = [angles.cos(), angles.sin()] if self.cosine_first else [angles.sin(), angles.cos()]
        return self.linear_2(functional.silu(self.linear_1(torch.cat(waves, dim=1).to(dtype))))


class UNet2D(nn.Module):
    """Noise prediction `[B, out_channels, H, W]` from a state `[B, in_channels, H, W]` and timesteps `[B]`.

    Raises:
        ValueError: the height or width cannot be halved as often as the model halves it.
    """

    def __init__(self, config: UNetConfig, make: Make) -> None:
        super().__init__()
        widths = config.block_out_channels
        time_width = 4 * widths[0]
        self.config, self.dtype = config, make.dtype
        self.conv_in = make.conv(config.in_channels, widths[0])
        self.time_embedding = TimeEmbedding(make, config)
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        kept = [widths[0]]
        before = (widths[0], *widths[:-1])
        levels = zip(config.down_block_types, before, widths, strict=True)
        for place, (kind, inputs, outputs) in enumerate(levels):
            last = place == len(widths) - 1
            self.down_blocks.append(Down(make, config, inputs, outputs, head_width(config, kind, outputs), last))
            kept += [outputs] * (config.layers_per_block + (not last))
        middle = head_width(config, "Attn" if config.add_attention else "", widths[-1])
        self.mid_block = Middle(make, widths[-1], middle, time_width, config.mid_block_scale_factor)
        width = widths[-1]
        for place, (kind, outputs) in enumerate(zip(config.up_block_types, reversed(widths), strict=True)):
            inputs = [kept.pop() + (outputs if number else width) for number in range(config.layers_per_block + 1)]
            last = place == len(widths) - 1
            self.up_blocks.append(Up(make, time_width, inputs, outputs, head_width(config, kind, outputs), last))
            width = outputs
        self.conv_norm_out = make.norm(widths[0])
        self.conv_out = make.conv(widths[0], config.out_channels)

    def forward(self, x: Tensor, timesteps: Tensor, **_: Any) -> Tensor:
        factor = 2 ** (len(self.down_blocks) - 1)
        if x.shape[-1] % factor or x.shape[-2] % factor:
            raise ValueError(
                f"latent_image is {x.shape[-1]} x {x.shape[-2]}; this model takes multiples of {factor}. "
                "Connect the latent of LML Load Diffusers Model."
            )
        time = self.time_embedding(timesteps, x.dtype)
        kept = [self.conv_in(2 * x - 1 if self.config.center_input_sample else x)]
        for block in self.down_blocks:
            kept += block(kept[-1], time)
        x = self.mid_block(kept[-1], time)
        for block in self.up_blocks:
            x = block(x, kept, time)
        return self.conv_out(functional.silu(self.conv_norm_out(x)))


def head_width(config: UNetConfig, kind: str, channels: int) -> int | None:
    """Channels of one attention head in a block of a kind, None where it has no attention."""
    return (config.attention_head_dim or channels) if kind.startswith("Attn") else None
