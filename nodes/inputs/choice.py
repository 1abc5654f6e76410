"""From the inputs of a node to the settings of a run, and what a node says about them."""

import dataclasses
from typing import Any

from comfy_api.latest import io

from ...lml_sampler import LMLSettings
from ...lml_sampler.sampler import DEFAULT_SETTINGS
from .. import host
from .widgets import MAX_DAMPING


def scaled(settings: LMLSettings | None, damping: float, kappa: float, model: Any = None) -> LMLSettings:
    """Settings with the factors of a node on λ and κ; without settings those of the preset auto.

    Raises:
        ValueError: a factor is out of range, or the settings are not for such a model, if there is one.
    """
    check_factors(damping, kappa)
    base = DEFAULT_SETTINGS if settings is None else settings
    if model is not None and base.target == "velocity" and not host.families.is_flow(model):
        raise ValueError(
            "The settings correct the velocity (target 'velocity'), but this is not a flow model. "
            "Choose the preset auto or paper: Stable Diffusion, or the target score."
        )
    return dataclasses.replace(base, damping=base.damping * damping, kappa=base.kappa * kappa)


def check_factors(damping: float | None, kappa: float | None) -> None:
    """Raise ValueError for a factor that is out of range; None is one that another node will give."""
    if damping is not None and not 0 <= damping <= MAX_DAMPING:
        raise ValueError(
            f"damping (λ) is {damping}; it must be from 0 to {MAX_DAMPING:g}. 1 takes λ as the settings have it."
        )
    if kappa is not None and not 0 <= kappa <= 1:
        raise ValueError(f"kappa (κ) is {kappa}; it must be from 0 to 1. 1 takes κ as the settings have it.")


class Corrected(io.ComfyNode):
    """A node with λ and κ, of which it says before the run what is out of range.

    The check raises, though it could also return a text: ComfyUI's toast shows the sentence of an error. For a text the
    toast says nothing, and each input that is looked at counts as an error.
    """

    @classmethod
    def validate_inputs(cls, damping: float | None = None, kappa: float | None = None) -> bool | str:
        check_factors(damping, kappa)
        return True


def summary(settings: LMLSettings) -> str:
    """The values of a run in one line."""
    if settings.neutral:
        return f"κ 0: plain {scheme_name(settings)}"
    name = (
        "preset auto" if dataclasses.replace(settings, damping=1.0, kappa=1.0) == DEFAULT_SETTINGS else "own settings"
    )
    # With spaces that do not break: a node is narrow.
    parts = [name, f"λ\xa0{settings.damping:.3g}", f"κ\xa0{settings.kappa:.3g}", f"scheme {scheme_name(settings)}"]
    return "\xa0· ".join(parts + ([settings.damping_mode] if settings.scheme != "auto" else []))


def scheme_name(settings: LMLSettings) -> str:
    """Scheme and order in words."""
    return f"{settings.scheme} {settings.order}" if settings.order > 1 else settings.scheme


def describe(settings: LMLSettings) -> str:
    """What of the settings differs from the defaults, in words."""
    defaults = dataclasses.asdict(LMLSettings())
    changed = [
        f"{name} {_in_words(value)}" for name, value in dataclasses.asdict(settings).items() if value != defaults[name]
    ]
    return f"Other than the defaults: {', '.join(changed)}." if changed else "All settings are the defaults."


def _in_words(value: Any) -> str:
    if isinstance(value, tuple):
        return f"of {len(value)} points"
    return f"{value:g}" if isinstance(value, float) else str(value)
