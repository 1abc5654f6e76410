"""Published settings, as data."""

from typing import Literal, get_args

from .settings import LMLSettings

Family = Literal["sd", "sd2", "flux"]

PAPER_KAPPA = 1e-5
"""The paper fixes "a very small value" and does not give it. The released default, 0, is the identity."""

LOWER_ORDER_BELOW = 15
"""Steps below which the released solvers end with lower orders."""


def paper(family: Family, steps: int) -> LMLSettings:
    """The published method: Algorithm 1 on order-3 DPM-Solver for SD 1.5 and SD 2, on Euler for FLUX.

    The published lambda is absolute, for latents of 64 x 64 (SD) and of 1024 x 1024 pixels (FLUX); SD was published
    for 5 to 15 steps, lambda 0.001, but 0.0008 for SD 2 at 15.

    Args:
        family: `sd` (1.5), `sd2` or `flux`.
        steps: number of steps of the run, 1 or more.

    Raises:
        ValueError: an unknown family, or no step.

    Source: arXiv 2505.24222, Algorithm 1, tables and appendix.
    """
    if family not in get_args(Family):
        raise ValueError(f"family is {family!r}; choose one of {', '.join(get_args(Family))}.")
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be 1 or more.")
    if family == "flux":
        return LMLSettings(scheme="ddim", target="velocity", damping_mode="absolute", damping=1e-2, kappa=PAPER_KAPPA)
    return LMLSettings(
        scheme="dpmsolver",
        order=3,
        damping_mode="absolute",
        damping=8e-4 if family == "sd2" and steps >= 15 else 1e-3,
        kappa=PAPER_KAPPA,
        lower_order_final=steps < LOWER_ORDER_BELOW,
    )
