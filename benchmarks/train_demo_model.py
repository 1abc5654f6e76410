"""Train the demo model that the pack ships: `make demo-model`, or one variant with `train_demo_model.py eps`.

One thread, seeded, under two hours with both variants at once on two cores. Writes
`nodes/demo/weights/shapes_VARIANT.safetensors` (averaged weights in 8 bits) at the end and after every 1,000 steps.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from types import ModuleType

import torch
from comfy_host.inprocess import load_pack
from safetensors.torch import save_file
from shapes import RGB, draw
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import trange

STEPS = 8000
BATCH = 64
SEED = 1234
WARM_UP = 300

Noisy = tuple[Tensor, Tensor, Tensor]  # network input, timestep, target


def eps_examples(sigmas: Tensor, generator: torch.Generator) -> Callable[[Tensor], Noisy]:
    """Noise prediction at a uniform timestep of ComfyUI's own table of sigmas."""

    def examples(pictures: Tensor) -> Noisy:
        noise = torch.randn(pictures.shape, generator=generator)
        timestep = torch.randint(0, len(sigmas), (len(pictures),), generator=generator)
        sigma = sigmas[timestep].view(-1, 1, 1, 1)
        return (pictures + sigma * noise) / (1 + sigma * sigma).sqrt(), timestep.float(), noise

    return examples


def flow_examples(generator: torch.Generator) -> Callable[[Tensor], Noisy]:
    """Velocity at a logit-normal sigma."""

    def examples(pictures: Tensor) -> Noisy:
        noise = torch.randn(pictures.shape, generator=generator)
        sigma = torch.sigmoid(1.2 * torch.randn(len(pictures), generator=generator)).view(-1, 1, 1, 1)
        return (1 - sigma) * pictures + sigma * noise, sigma.flatten() * 1000, noise - pictures

    return examples


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


def drop_labels(tokens: Tensor, generator: torch.Generator) -> Tensor:
    """Blank one token in 20 of each kind and both in one picture of 10, so that guidance has its other side."""
    chance = torch.rand(len(tokens), 3, generator=generator)
    tokens[chance[:, 0] < 0.05, 0] = 0
    tokens[chance[:, 1] < 0.05, 1] = 0
    tokens[chance[:, 2] < 0.1] = 0
    return tokens


def train(
    network: nn.Module, demo: ModuleType, examples: Callable[[Tensor], Noisy], generator: torch.Generator, steps: int
) -> Iterator[nn.Module]:
    """Train, and give the network of averaged weights after every 1,000 steps and at the end."""
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.998))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1.5e-3, betas=(0.9, 0.99), weight_decay=1e-4)

    def rate(step: int) -> float:
        return min(1, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 1e-3

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    progress = trange(steps)
    for step in progress:
        shape = torch.randint(0, len(demo.SHAPES), (BATCH,), generator=generator)
        color = torch.randint(0, len(RGB), (BATCH,), generator=generator)
        inputs, timestep, target = examples(draw(shape, color, generator))
        tokens = drop_labels(demo.tokens(shape, color), generator)
        with torch.autocast("cpu", torch.bfloat16):
            output = network(inputs, timestep, tokens)
        loss = nn.functional.mse_loss(output.float(), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(network)
        if step % 100 == 0:
            progress.set_postfix(loss=f"{loss.item():.4f}")
        if step % 1000 == 999 or step == steps - 1:
            yield average.module


def main() -> None:
    pack = load_pack()
    demo, host = pack.nodes.demo.model, pack.nodes.host
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variant", choices=demo.VARIANTS)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    network = host.pixels.network(demo.UNET)
    initialise(network)
    network.train().requires_grad_(True)
    flow = options.variant == "flow"
    examples = flow_examples(generator) if flow else eps_examples(host.discrete_sigmas(), generator)
    for average in train(network, demo, examples, generator, options.steps):
        # Through float16, as the shipped files went.
        weights = {name: value.half().float() for name, value in average.state_dict().items()}
        save_file(demo.pack(weights), demo.weights_file(options.variant))


if __name__ == "__main__":
    main()
