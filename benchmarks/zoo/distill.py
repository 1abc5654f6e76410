"""Make networks of few steps, and pairs of experts, from flow networks of the zoo: `make zoo-distill`.

A student of n steps learns where its teacher's guided path leads in 1 / n of the schedule: the one of 8 steps from a
midpoint step with guidance (arXiv 2210.03142), the one of 4 from two steps of the one of 8 (arXiv 2202.00512). Half of
what it learns on are the levels of its own n steps with the scheduler "simple", the rest lies between them. Experts
are copies of a network that go on learning above or below one level only, as a model of two parts does.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .denoiser import Problem, column
from .problems import EXPERTS, STUDENTS, asked, fresh, load, weights_file
from .train import SEED, Loss, denoising, error, levels, make, noisy

CFG = 3.0
STUDENT_STEPS = 500
EXPERT_STEPS = 300
RATE = 5e-4
BOUNDARY = 0.875
"""The level at which the expert for high noise hands over to the one for low noise."""
LOWEST = 0.02
"""Least share of the schedule that is left at a level learnt from."""

Step = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""Moves states `[B, ...]` from one share of the schedule `[B]` to another, with labels `[B]` or none."""


def shifted(share: Tensor, shift: float) -> Tensor:
    """The level of a flow model at a share of the schedule, 1 at its start and 0 at its end."""
    return shift * share / (1 + (shift - 1) * share)


def euler(problem: Problem, cfg: float) -> Step:
    """One plain step of a network."""

    def step(x: Tensor, share: Tensor, end: Tensor, label: Tensor | None) -> Tensor:
        sigma, below = shifted(share, problem.shift), shifted(end, problem.shift)
        ratio = column(below / sigma, x)
        return ratio * x + (1 - ratio) * problem.guided(x, sigma, cfg, label)

    return step


def midpoint(problem: Problem, cfg: float) -> Step:
    """A step of second order."""
    plain = euler(problem, cfg)

    def step(x: Tensor, share: Tensor, end: Tensor, label: Tensor | None) -> Tensor:
        sigma, below = shifted(share, problem.shift), shifted(end, problem.shift)
        between = (sigma + below) / 2
        back = between / (problem.shift - (problem.shift - 1) * between)
        middle = plain(x, share, back, label)
        velocity = (middle - problem.guided(middle, between, cfg, label)) / column(between, x)
        return x + column(below - sigma, x) * velocity

    return step


def twice(plain: Step) -> Step:
    """Two steps over the halves."""

    def step(x: Tensor, share: Tensor, end: Tensor, label: Tensor | None) -> Tensor:
        half = (share + end) / 2
        return plain(plain(x, share, half, label), half, end, label)

    return step


def leading(student: Problem, teacher: Step, steps: int) -> Loss:
    """The student's error against its teacher's step over 1 / steps of the schedule."""

    def loss(clean: Tensor, label: Tensor, generator: torch.Generator) -> Tensor:
        share = LOWEST + (1 - LOWEST) * torch.rand(len(clean), generator=generator)
        own = torch.rand(len(clean), generator=generator) < 0.5
        share = torch.where(own, (share * steps).ceil() / steps, share)
        end = (share - 1 / steps).clamp_min(0)
        sigma, below = shifted(share, student.shift), shifted(end, student.shift)
        x = noisy(student, clean, sigma, torch.randn(clean.shape, generator=generator))
        ratio = column(below / sigma, x)
        aim = (teacher(x, share, end, label) - ratio * x) / (1 - ratio)
        return error(student, x, sigma, label, aim).mean()

    return loss


def student(name: str) -> None:
    """Train a student, its own teacher before it."""
    origin, steps = STUDENTS[name]
    before = f"{origin}_{2 * steps}steps"
    if before in STUDENTS and not weights_file(before).exists():
        student(before)
    source = load(before if before in STUDENTS else origin)
    teacher = twice(euler(source, 1.0)) if before in STUDENTS else midpoint(source, CFG)
    made = continued(name, source)
    make(made, leading(made, teacher, steps), STUDENT_STEPS, RATE)


def expert(name: str) -> None:
    """Go on training a network above or below the boundary."""
    origin, part = EXPERTS[name]

    def draw(problem: Problem, count: int, generator: torch.Generator) -> Tensor:
        many = levels(problem, 32 * count, generator)
        return many[(many >= BOUNDARY) == (part == "high")][:count]

    made = continued(name, load(origin))
    make(made, denoising(made, draw), EXPERT_STEPS, RATE)


def continued(name: str, source: Problem) -> Problem:
    """A network that starts as another."""
    made = fresh(name)
    made.module.load_state_dict(source.module.state_dict())
    return made


def main() -> None:
    torch.set_num_threads(1)
    for name in asked(__doc__, [*STUDENTS, *EXPERTS]):
        torch.manual_seed(SEED)
        (student if name in STUDENTS else expert)(name)


if __name__ == "__main__":
    main()
