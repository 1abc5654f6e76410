"""How the networks are trained: AdamW whose rate rises over a few steps and falls as a cosine, and averaged weights."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from statistics import fmean

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import trange

RATE = 1.5e-3
WARM_UP = 200
AVERAGE = 0.998
"""Share of the averaged weights that a step keeps."""


def train(
    network: nn.Module, loss_of: Callable[[], Tensor], steps: int, average: AveragedModel, name: str, rate: float = RATE
) -> Iterator[float]:
    """Train for a number of steps beside a bar, and give the loss of each; `average` follows the weights."""
    optimizer = torch.optim.AdamW(network.parameters(), rate, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 1e-3
    )
    recent: deque[float] = deque(maxlen=100)
    for _ in (progress := trange(steps, desc=name)):
        loss = loss_of()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(network)
        recent.append(loss.item())
        progress.set_postfix(loss=f"{fmean(recent):.4f}", refresh=False)
        yield recent[-1]
