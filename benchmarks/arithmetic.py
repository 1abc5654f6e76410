"""`make bench-arithmetic`: how far the released float32 arithmetic is from the exact correction.

Writes the table of docs/method.md, and its plot.
"""

from pathlib import Path

import torch
from comfy_host.install import ROOT
from matplotlib.figure import Figure
from pages import markdown, renew

from lml_sampler import correct
from lml_sampler.solvers.released import correct_released

PAGE = ROOT / "docs" / "method.md"
PLOT = ROOT / "docs" / "images" / "arithmetic.png"
LATENTS = {
    "SD 1.5, 512²": (4, 64, 64),
    "SDXL, 1024², FLUX, 512²": (4, 128, 128),
    "FLUX, 1024²": (16, 128, 128),
}
DAMPINGS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
KAPPA = 0.0  # the released default: the exact result is the step itself
REPEATS = 8


def cosine(shape: tuple[int, ...], damping: float) -> float:
    """Mean cosine between the two results for standard normal steps that turn by a tenth."""
    generator = torch.Generator().manual_seed(0)
    step = torch.randn(REPEATS, *shape, generator=generator)
    previous = step + 0.1 * torch.randn(step.shape, generator=generator)
    exact = correct(step.double(), previous.double(), damping, KAPPA)
    released = correct_released(step, previous, damping, KAPPA).double()
    return torch.nn.functional.cosine_similarity(exact.flatten(1), released.flatten(1)).mean().item()


def draw(values: dict[str, list[float]], path: Path) -> None:
    figure = Figure(figsize=(7, 4), dpi=100, layout="constrained")
    axes = figure.subplots()
    for name, cosines in values.items():
        axes.semilogx(DAMPINGS, cosines, marker="o", label=name)
    axes.set(xlabel="λ (absolute)", ylabel="cosine to the exact result", ylim=(-0.05, 1.05))
    axes.set_title(f"The released formula in float32, κ = {KAPPA:g}")
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)


def main() -> None:
    values = {name: [cosine(shape, damping) for damping in DAMPINGS] for name, shape in LATENTS.items()}
    head = ["latent", *(f"λ = {damping:g}" for damping in DAMPINGS)]
    table = markdown([head, *([name, *(f"{value:.3f}" for value in row)] for name, row in values.items())])
    renew(PAGE, "arithmetic", table)
    draw(values, PLOT)
    print(table)


if __name__ == "__main__":
    main()
