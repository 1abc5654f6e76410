"""The presets of the pack: their names, what they are for, and which settings fit which kind of model."""

from typing import NamedTuple

from ...lml_sampler import LMLSettings
from ...lml_sampler.presets import paper

AUTO, PAPER, PAPER_SD, PAPER_FLUX = "auto", "paper", "paper: Stable Diffusion", "paper: FLUX"
BUILT_IN = (AUTO, PAPER, PAPER_SD, PAPER_FLUX)
"""Names of all built-in presets, in the order in which they are offered."""

AUTO_WHY = "auto: the defaults of LML, for every image size and number of steps. For a distilled model set κ to 0.25."
PAPER_WHY = (
    "The correction is small in units of the step; the published λ, taken literally, turns the picture to static."
)


class Choice(NamedTuple):
    """Settings and the reason for them."""

    settings: LMLSettings
    why: str


def built_in(name: str, flow: bool | None) -> Choice:
    """The settings of a built-in preset; `flow`: whether the model predicts a flow velocity, None if not known.

    Raises:
        ValueError: an unknown name; `paper` needs the model and there is none; a preset for models of another kind.
    """
    if name not in BUILT_IN:
        raise ValueError(f"preset is {name!r}; choose one of {', '.join(BUILT_IN)}.")
    if name == AUTO:
        return Choice(LMLSettings(), AUTO_WHY)
    wanted = {PAPER: flow, PAPER_SD: False, PAPER_FLUX: True}[name]
    if wanted is None:
        raise ValueError(
            f"preset is {name!r}, which depends on the model, but no model is connected. "
            f"Connect model, or choose {PAPER_SD!r} or {PAPER_FLUX!r}."
        )
    if flow is not None and flow != wanted:
        kind, fits = ("a flow model", PAPER_FLUX) if flow else ("not a flow model", PAPER_SD)
        raise ValueError(f"preset is {name!r}, but this is {kind}. Choose {fits!r} or {AUTO!r}.")
    scheme = "Euler on the velocity" if wanted else "DPM-Solver of order 3"
    return Choice(paper(wanted), f"{name}: {scheme}. {PAPER_WHY}")
