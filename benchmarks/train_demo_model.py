"""Train the demo model that the pack ships: `make demo-model`.

One thread, seeded, about half an hour of a processor core. Writes `nodes/demo/weights/stones.safetensors` (averaged
weights in 8 bits) at the end and after every 500 steps.
"""

import math
from collections.abc import Callable

import torch
import training
from comfy_host.inprocess import load_pack
from safetensors.torch import save_file
from shapes import RGB
from stones import draw
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

STEPS = 5000
BATCH = 16
SEED = 1234
SAVE_EVERY = 500
MEASURED = 2000
"""Pictures that the principal components are taken from."""


def initialise(network: nn.Module) -> None:
    """ComfyUI's layers come uninitialised. Every residual branch starts at zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.GroupNorm | nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    for name, module in network.named_modules():
        if name.endswith(("out_layers.3", "proj_out", "out.2")):
            nn.init.zeros_(module.weight)


def measure(network: nn.Module, pictures: Tensor) -> None:
    """Set the principal components of the data and their widths."""
    values = network.fold(pictures).movedim(1, 0).flatten(1).double()
    squares, components = torch.linalg.eigh(values @ values.T / values.shape[1])
    network.basis.copy_(components.T)
    network.width.copy_(squares.clamp_min(1e-6).sqrt())


def subjects(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shapes and colors of a batch."""
    return torch.randint(0, 4, (count,), generator=generator), torch.randint(0, len(RGB), (count,), generator=generator)


def drop_labels(tokens: Tensor, generator: torch.Generator) -> Tensor:
    """Blank one token in 20 of each kind and both in one picture of 10, so that guidance has its other side."""
    chance = torch.rand(len(tokens), 3, generator=generator)
    tokens[chance[:, 0] < 0.05, 0] = 0
    tokens[chance[:, 1] < 0.05, 1] = 0
    tokens[chance[:, 2] < 0.1] = 0
    return tokens


def levels(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Signal and noise `[count]` to train on: four in five where pictures appear, one in five at any share."""
    bell, share = torch.randn(count, generator=generator), torch.rand(count, generator=generator)
    often = torch.rand(count, generator=generator) < 0.8
    angle = torch.where(often, torch.atan(0.4 * torch.exp(1.4 * bell)), share * math.pi / 2).clamp_min(0.02)
    return angle.cos(), angle.sin()


def error(network: nn.Module, pictures: Tensor, tokens: Tensor, generator: torch.Generator) -> Tensor:
    """Mean square error of the clean picture, as a share of what the best linear estimate leaves."""
    alpha, sigma = levels(len(pictures), generator)
    clean = network.fold(pictures)
    noise = torch.randn(clean.shape, generator=generator)
    noisy = alpha.view(-1, 1, 1, 1) * clean + sigma.view(-1, 1, 1, 1) * noise
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = network.parts(noisy, alpha, sigma, tokens)
    width = network.width[None]
    linear = (width * sigma[:, None] / torch.hypot(alpha[:, None] * width, sigma[:, None])).square().mean(1)
    return ((found - clean).square().mean((1, 2, 3)) / linear).mean()


def train(
    network: nn.Module,
    tokens_of: Callable[[Tensor, Tensor], Tensor],
    generator: torch.Generator,
    save: Callable[[nn.Module], None],
) -> None:
    """Train, and save the network of averaged weights every so often and at the end."""
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(training.AVERAGE))

    def loss_of() -> Tensor:
        shape, color = subjects(BATCH, generator)
        tokens = drop_labels(tokens_of(shape, color), generator)
        return error(network, draw(shape, color, generator), tokens, generator)

    for step, _ in enumerate(training.train(network, loss_of, STEPS, average, "stones")):
        if step % SAVE_EVERY == SAVE_EVERY - 1 or step == STEPS - 1:
            save(average.module)


def main() -> None:
    pack = load_pack()
    demo, host = pack.nodes.demo.model, pack.nodes.host

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    network = host.pixels.network(demo.UNET)
    initialise(network)
    measure(network, draw(*subjects(MEASURED, generator), generator))
    network.train().requires_grad_(True)

    def save(average: nn.Module) -> None:
        save_file(demo.pack(average.state_dict()), demo.FILE)

    train(network, demo.tokens, generator, save)


if __name__ == "__main__":
    main()
