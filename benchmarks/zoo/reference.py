"""Converged solutions of the zoo's networks, and sheets of their samples: `make zoo-sheets`."""

import itertools
from functools import partial
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

from .denoiser import Problem
from .distill import euler
from .problems import STUDENTS, ZOO, asked, folder, load, weights_file

STEPS = 100
COUNT = 16


def solve(problem: Problem, cfg: float, x: Tensor, steps: int) -> Tensor:
    """Runge-Kutta of order 4 (4 calls a step) from sigma_max to sigma_min, the state in float64.

    The variable is the level of a flow and its logarithm on a VE path, where dx / d log sigma = x - denoised.
    """
    flow = problem.parametrization == "flow"
    model, x = partial(problem.guided, cfg=cfg, labels=problem.labels(len(x))), x.double()

    def slope(state: Tensor, place: float) -> Tensor:
        sigma = torch.tensor(place).double() if flow else torch.tensor(place).double().exp()
        change = state - model(state, sigma)
        return change / sigma if flow else change

    places = grid(problem, steps)
    for place, after in itertools.pairwise(places):
        h = after - place
        k1 = slope(x, place)
        k2 = slope(x + h / 2 * k1, place + h / 2)
        k3 = slope(x + h / 2 * k2, place + h / 2)
        k4 = slope(x + h * k3, after)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return model(x, problem.sigma_min)


def grid(problem: Problem, steps: int) -> list[float]:
    """The places of `solve`: closer together at both ends of a flow, evenly spread on a VE path's log scale."""
    share = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    low, high = problem.sigma_min, problem.sigma_max
    if problem.parametrization == "flow":
        return (low + (high - low) * torch.cos(share * torch.pi / 2) ** 2).tolist()
    low, high = torch.tensor([low, high], dtype=torch.float64).log().tolist()
    return torch.linspace(high, low, steps + 1, dtype=torch.float64).tolist()


def plain(problem: Problem, steps: int) -> Tensor:
    """Samples of a flow network without guidance by the plain scheme on even shares of its schedule."""
    step, x, labels = euler(problem, 1.0), problem.start(COUNT), problem.labels(COUNT)
    for share, end in itertools.pairwise(torch.linspace(1, 0, steps + 1)):
        x = step(x, share.expand(COUNT), end.expand(COUNT), labels)
    return x


def sheet(path: Path, rows: dict[str, Tensor]) -> None:
    """Draw rows of samples, `[B, *shape]` each, into a file."""
    count = len(next(iter(rows.values())))
    figure = Figure(figsize=(count, 1.15 * len(rows)))
    axes = figure.subplots(len(rows), count, squeeze=False)
    for line, (label, samples) in zip(axes, rows.items(), strict=True):
        low, high = samples.quantile(0.002), samples.quantile(0.998)
        for axis, sample in zip(line, ((samples - low) / (high - low)).clamp(0, 1).float(), strict=True):
            axis.set_axis_off()
            if sample.ndim == 2:
                axis.plot(sample[0], linewidth=0.6)
            else:
                axis.imshow(sample.permute(1, 2, 0).expand(-1, -1, 3))
        line[0].set_title(label, fontsize=8, loc="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80, bbox_inches="tight")


def main() -> None:
    torch.set_num_threads(1)
    for name in asked(__doc__, [name for name in [*ZOO, *STUDENTS] if weights_file(name).exists()]):
        problem = load(name)
        facts = " ".join(f"{key} {value}" for key, value in problem.facts.items())
        print(f"{name}: {problem.spec.half} {problem.spec.target} {problem.spec.data} {facts}", flush=True)
        path = folder() / "sheets" / f"{name}.png"
        if name in STUDENTS:
            sheet(path, {f"{steps} plain steps": plain(problem, steps) for steps in (1, 2, 4, 8)})
            continue
        cfgs = problem.spec.cfgs
        sheet(path, {f"CFG {cfg:g}": solve(problem, cfg, problem.start(COUNT), STEPS) for cfg in cfgs})
        finer, coarse = (solve(problem, cfgs[-1], problem.start(4), steps) for steps in (2 * STEPS, STEPS))
        moved = (finer - coarse).pow(2).mean().sqrt() / problem.spec.width
        print(f"  half the step moves the converged samples by {moved:.1e} of the data's width", flush=True)


if __name__ == "__main__":
    main()
