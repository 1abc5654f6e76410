"""Presets as numbers: the method of the paper in units of the step, and its numbers as published."""

from typing import Literal, get_args

from .settings import LMLSettings

Family = Literal["sd", "sd2", "flux"]
"""The families for which the paper gives numbers: SD 1.5, SD-2-base, FLUX."""

PUBLISHED_KAPPA = 1e-5
"""The paper fixes "a very small value" and does not give it. The released default, 0, is the identity."""

PAPER_KAPPA, PAPER_FLOW_KAPPA = 0.25, 0.1
"""Gains of 0.001 on order 3 and of 0.05: the "very small value" in units of the step. A gain that does not fall with
the steps costs a scheme of high order its order: with 0.01 DPM-Solver of order 3 is up to 1.5 times further from the
converged picture at CFG 5."""

LOWER_ORDER_BELOW = 15
"""Steps below which the released solvers end with lower orders."""


def paper(flow: bool) -> LMLSettings:
    """The paper's scheme and order with a correction that is small in units of the step, so that it makes a picture.

    Algorithm 1 on DPM-Solver of order 3 for eps and v models, on Euler for flow models. `published` gives the literal
    numbers: with them kappa |u|^2 / lambda is about 65 to 650 in latents of usual size, where the step turns by 70
    degrees or more.
    """
    if flow:
        return LMLSettings(scheme="ddim", target="velocity", kappa=PAPER_FLOW_KAPPA)
    return LMLSettings(scheme="dpmsolver", order=3, kappa=PAPER_KAPPA, lower_order_final=True)


def published(family: Family, steps: int) -> LMLSettings:
    """The published numbers: Algorithm 1 on order-3 DPM-Solver for SD 1.5 and SD 2, on Euler for FLUX.

    The published lambda is absolute, for latents of 64 x 64 (SD) and of 1024 x 1024 pixels (FLUX); SD was published
    for 5 to 15 steps and CFG 7 to 7.5, lambda 0.001, but 0.0008 for SD 2 at 15.

    Args:
        family: one of `Family`.
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
        return LMLSettings(
            scheme="ddim", target="velocity", damping_mode="absolute", damping=1e-2, kappa=PUBLISHED_KAPPA
        )
    return LMLSettings(
        scheme="dpmsolver",
        order=3,
        damping_mode="absolute",
        damping=8e-4 if family == "sd2" and steps >= 15 else 1e-3,
        kappa=PUBLISHED_KAPPA,
        lower_order_final=steps < LOWER_ORDER_BELOW,
    )
