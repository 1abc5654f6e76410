"""The presets of the pack: their names, what they are for, and which settings fit which kind of model."""

from typing import NamedTuple

from ...lml_sampler import LMLSettings
from ...lml_sampler.presets import paper

AUTO, PAPER, PAPER_SD, PAPER_FLUX = "auto", "paper", "paper: Stable Diffusion", "paper: FLUX"
BUILT_IN = (AUTO, PAPER, PAPER_SD, PAPER_FLUX)
"""Names of all built-in presets, in the order in which they are offered."""

AUTO_WHY = "auto: the defaults of LML. They fit every model, image size and number of steps."
PAPER_WHY = (
    "The correction is small in units of the step; the published λ and κ, taken literally, turn the picture to static."
)


class Choice(NamedTuple):
    """Settings and the reason for them."""

    settings: LMLSettings
    why: str


def built_in(name: str, flow: bool | None) -> Choice:
    """The settings of a built-in preset.

    Args:
        name: one of `BUILT_IN`.
        flow: whether the model predicts a flow velocity, None if that is not known.

    Raises:
        ValueError: an unknown name; `paper` needs the model and there is none; a preset for models of another kind.
    """
    if name not in BUILT_IN:
        raise ValueError(f"preset is {name!r}; choose one of {', '.join(BUILT_IN)}.")
    if name == AUTO:
        return Choice(LMLSettings(), AUTO_WHY)
    if name == PAPER and flow is None:
        raise ValueError(
            f"preset is {name!r}, which depends on the model, but no model is connected. "
            f"Connect model, or choose {PAPER_SD!r} or {PAPER_FLUX!r}."
        )
    if name == PAPER_FLUX and flow is False:
        raise ValueError(f"preset is {name!r}, but this is not a flow model. Choose {PAPER_SD!r} or {AUTO!r}.")
    if name == PAPER_SD and flow is True:
        raise ValueError(f"preset is {name!r}, but this is a flow model. Choose {PAPER_FLUX!r} or {AUTO!r}.")
    chosen_flow = name == PAPER_FLUX or (name == PAPER and flow is True)
    scheme = "Euler on the velocity" if chosen_flow else "DPM-Solver of order 3"
    return Choice(paper(chosen_flow), f"{name}: {scheme}. {PAPER_WHY}")
