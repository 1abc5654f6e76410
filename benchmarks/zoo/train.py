"""Train the networks of the zoo: `make zoo`, or some with `make zoo ARGS="NAME ..."`.

Seeded, one thread, three to six minutes of a core for each. What is trained already is left as it is. Averaged weights
go to `.zoo/NAME.safetensors` (or the folder in LML_ZOO) with what is known of their training.
"""

import math
import time
from collections.abc import Callable
from statistics import fmean

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from training import AVERAGE, RATE, train

from .data import examples
from .denoiser import Problem, column, scales
from .nets import UNet
from .problems import ZOO, asked, folder, fresh, weights_file

SEED = 1234
NO_LABEL = 0.15
"""Share of the examples whose label is dropped, so that guidance has its other side."""

Loss = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""What to lower: of clean samples `[B, ...]`, labels `[B]` and a source of chance."""


def levels(problem: Problem, count: int, generator: torch.Generator) -> Tensor:
    """Noise levels `[count]` to train on: three in four where the data appear, one in four anywhere in the range."""
    bell, anywhere = torch.randn(count, generator=generator), torch.rand(count, generator=generator)
    chosen = torch.rand(count, generator=generator) < 0.75
    if problem.parametrization == "flow":
        return torch.where(chosen, torch.sigmoid(0.4 + 1.2 * bell), anywhere).clamp_min(1e-3)
    low, high = math.log(problem.sigma_min), math.log(problem.sigma_max)
    middle = math.log(0.6 * problem.spec.width)
    return torch.where(chosen, middle + 1.3 * bell, low + (high - low) * anywhere).clamp(low, high).exp()


def noisy(problem: Problem, clean: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """The state at levels `[B]`."""
    s = column(sigma, clean)
    return clean + s * noise if problem.parametrization == "ve" else (1 - s) * clean + s * noise


def error(problem: Problem, x: Tensor, sigma: Tensor, label: Tensor, aim: Tensor) -> Tensor:
    """Mean square error `[B]` of the network's own prediction at states x, if the denoised sample should be `aim`."""
    _, skip, out = scales(problem.spec.target, column(sigma, x), problem.sigma_data)
    with torch.autocast("cpu", torch.bfloat16, enabled=isinstance(problem.module, UNet)):
        answer = problem.predict(x, sigma, label)
    return (answer.float() - (aim - skip * x) / out).pow(2).flatten(1).mean(1)


def denoising(problem: Problem, draw: Callable[[Problem, int, torch.Generator], Tensor] = levels) -> Loss:
    """The error of the prediction at levels that `draw` gives; that of x0 counts more where little noise is left.

    The weight of x0 is the signal-to-noise ratio, held between 1 and 25 (arXiv 2303.09556).
    """

    def loss(clean: Tensor, label: Tensor, generator: torch.Generator) -> Tensor:
        classes = problem.spec.classes
        dropped = torch.rand(len(label), generator=generator) < (NO_LABEL if classes else 1)
        label = torch.where(dropped, classes, label)
        noise = torch.randn(clean.shape, generator=generator)
        sigma = draw(problem, len(clean), generator)
        errors = error(problem, noisy(problem, clean, sigma, noise), sigma, label, clean)
        if problem.spec.target == "x0":
            errors = errors * (problem.spec.width / sigma).pow(2).clamp(1, 25)
        return errors.mean()

    return loss


def averaging(kept: list[Tensor], current: list[Tensor], count: Tensor) -> None:
    """Move averaged weights towards those of a step, in place: by more at first, so that the start is forgotten."""
    n = int(count)
    get_ema_multi_avg_fn(min(AVERAGE, (1 + n) / (10 + n)))(kept, current, count)


def fit(problem: Problem, loss_of: Loss, steps: int, rate: float = RATE) -> tuple[nn.Module, float]:
    """Train for a number of steps; the averaged module, and the mean loss of the last tenth."""
    generator = torch.Generator().manual_seed(SEED)
    values, labels = examples(problem.spec.data)
    average = AveragedModel(problem.module, multi_avg_fn=averaging)

    def loss_of_batch() -> Tensor:
        picks = torch.randint(len(values), (problem.spec.batch,), generator=generator)
        return loss_of(values[picks].float() * problem.spec.width, labels[picks], generator)

    losses = list(train(problem.module, loss_of_batch, steps, average, problem.name, rate))
    return average.module, fmean(losses[-max(1, steps // 10) :])


def make(problem: Problem, loss_of: Loss, steps: int, rate: float = RATE) -> None:
    """Train a network and write its weights, unless it is there already."""
    if weights_file(problem.name).exists():
        return
    began, processor = time.time(), time.process_time()
    module, loss = fit(problem, loss_of, steps, rate)
    facts = {
        "cpu_seconds": f"{time.process_time() - processor:.0f}",
        "seconds": f"{time.time() - began:.0f}",
        "loss": f"{loss:.4f}",
        "steps": str(steps),
        "batch": str(problem.spec.batch),
        "parameters": str(sum(p.numel() for p in module.parameters())),
    }
    folder().mkdir(parents=True, exist_ok=True)
    part = weights_file(problem.name).with_suffix(".part")
    save_file({key: value.contiguous() for key, value in module.state_dict().items()}, part, metadata=facts)
    part.rename(weights_file(problem.name))
    print(problem.name, " ".join(f"{key} {value}" for key, value in facts.items()), flush=True)


def main() -> None:
    torch.set_num_threads(1)
    for name in asked(__doc__, ZOO):
        torch.manual_seed(SEED)
        problem = fresh(name)
        make(problem, denoising(problem), problem.spec.steps)


if __name__ == "__main__":
    main()
