"""Presets as data: the settings of the pack, the published ones, and what was published for which models."""

from typing import Literal, NamedTuple, get_args

from .settings import LMLSettings

Family = Literal["sd", "sd2", "sdxl", "sd3", "flux", "video"]

PAPER_KAPPA = 1e-5
"""The paper fixes "a very small value" and does not give it. The released default, 0, is the identity."""

LOWER_ORDER_BELOW = 15
"""Steps below which the released solvers end with lower orders."""


class Entry(NamedTuple):
    """What the paper says about a family of models."""

    label: str
    """The family as people call it."""
    base: Literal["sd", "sd2", "flux"] | None
    """The published family whose settings are used; None: that of the model's parametrization."""
    note: str
    """What was published, or why the base stands in."""


FAMILIES: dict[Family, Entry] = {
    "sd": Entry(
        "SD 1.5", "sd", "Published for SD 1.5 at 512 x 512, 5 to 15 steps, CFG 7 to 7.5 (0.006 on T2I-CompBench)."
    ),
    "sd2": Entry("SD 2", "sd2", "Published for SD-2-base at 512 x 512, 5 to 15 steps, CFG 7 to 7.5."),
    "sdxl": Entry(
        "SDXL",
        "sd",
        "Nothing was published for SDXL; these are the settings of SD 1.5, the closest. λ is absolute, so in a latent "
        "of 1024 x 1024 pixels it damps 4 times less.",
    ),
    "sd3": Entry("SD3", "flux", "Nothing was published for SD3; these are the settings of FLUX, the closest."),
    "flux": Entry("FLUX", "flux", "Published for FLUX at 1024 x 1024."),
    "video": Entry(
        "video",
        None,
        "Nothing was published for video; these are the settings of FLUX for flow models and of SD 1.5 for the "
        "others. λ is absolute and a video latent is large, so it damps less.",
    ),
}

AUTO, PAPER, CUSTOM = "auto", "paper", "custom"
PAPER_NAMES: dict[str, Family] = {f"{PAPER}: {entry.label}": family for family, entry in FAMILIES.items()}
"""Names of the presets of one family."""
BUILT_IN = (AUTO, PAPER, *PAPER_NAMES, CUSTOM)
"""Names of all built-in presets, in the order in which they are offered."""

AUTO_WHY = (
    "auto: the defaults of LML. They are measured in units of the step, so they fit every model, image size and number "
    "of steps; strength is the one knob."
)


class Choice(NamedTuple):
    """Settings and the reason for them."""

    settings: LMLSettings
    why: str


def paper(family: Family, steps: int, flow: bool | None = None) -> LMLSettings:
    """The published method: Algorithm 1 on order-3 DPM-Solver for SD 1.5 and SD 2, on Euler for FLUX.

    The published lambda is absolute, for latents of 64 x 64 (SD) and of 1024 x 1024 pixels (FLUX); SD was published
    for 5 to 15 steps, lambda 0.001, but 0.0008 for SD 2 at 15. Nothing was published for the other families: see
    `FAMILIES` for what stands in.

    Args:
        family: one of `FAMILIES`.
        steps: number of steps of the run, 1 or more.
        flow: whether the model predicts a flow velocity, if that is known; it decides for `video`.

    Raises:
        ValueError: an unknown family, or no step.

    Source: arXiv 2505.24222, Algorithm 1, tables and appendix.
    """
    if family not in get_args(Family):
        raise ValueError(f"family is {family!r}; choose one of {', '.join(get_args(Family))}.")
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be 1 or more.")
    base = FAMILIES[family].base or ("sd" if flow is False else "flux")
    if base == "flux":
        return LMLSettings(
            scheme="ddim", order=1, target="velocity", damping_mode="absolute", damping=1e-2, kappa=PAPER_KAPPA
        )
    return LMLSettings(
        scheme="dpmsolver",
        order=3,
        damping_mode="absolute",
        damping=8e-4 if base == "sd2" and steps >= 15 else 1e-3,
        kappa=PAPER_KAPPA,
        lower_order_final=steps < LOWER_ORDER_BELOW,
    )


def is_paper(name: str) -> bool:
    """Whether a preset is one of the paper's, which depend on the steps and on the model."""
    return name == PAPER or name in PAPER_NAMES


def choose_paper(name: str, steps: int, family: Family | None, flow: bool | None) -> Choice:
    """The settings of one of the paper's presets for a run.

    Args:
        name: `paper`, or one of `PAPER_NAMES`.
        steps: number of steps of the run, 1 or more.
        family: that of the model, None if it is none of `FAMILIES` or not known.
        flow: whether the model predicts a flow velocity, None if that is not known.

    Raises:
        ValueError: `paper` needs the model and there is none; or see `paper`.
    """
    chosen: Family | None = PAPER_NAMES[name] if name in PAPER_NAMES else family
    if chosen is not None:
        settings, note = paper(chosen, steps, flow), FAMILIES[chosen].note
        if FAMILIES[chosen].base in ("sd", "sd2") and not 5 <= steps <= 15:
            note += f" For {steps} steps nothing was published; λ is that of the nearest number."
        label = FAMILIES[chosen].label
    elif flow is not None:
        closest: Family = "flux" if flow else "sd"
        settings, label = paper(closest, steps), "another model"
        note = f"Nothing was published for this model; these are the settings of {FAMILIES[closest].label}."
    else:
        names = ", ".join(repr(choice) for choice in PAPER_NAMES)
        raise ValueError(
            f"preset is {name!r}, which reads the family from the model, but no model is connected. "
            f"Connect model, or choose one of {names}."
        )
    return Choice(settings, f"{name} for {label}: λ {settings.damping:g}, as {_scheme(settings)}. {note}")


def _scheme(settings: LMLSettings) -> str:
    return "Euler on the velocity" if settings.target == "velocity" else f"{settings.scheme} of order {settings.order}"
