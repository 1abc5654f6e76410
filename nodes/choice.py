"""From the inputs of a node to the settings of a run."""

import dataclasses
import logging
from typing import Any

from ..lml_sampler import LMLSettings
from ..lml_sampler.presets import AUTO, AUTO_WHY, CUSTOM, Choice, choose_paper, is_paper
from ..lml_sampler.sampler import DEFAULT_SETTINGS
from . import host, preset_files

log = logging.getLogger(__name__)


def choose(
    preset: str,
    strength: float,
    values: dict[str, Any],
    connected: LMLSettings | None = None,
    *,
    model: Any = None,
    steps: int = 1,
) -> Choice:
    """The settings that a node's inputs ask for. Logs what was changed on the node and is not used.

    Args:
        preset: a built-in preset, or one of the user's.
        strength: multiplies the strength of the preset.
        values: the inputs for the preset `custom`, by the names of `LMLSettings`.
        connected: settings of another node, in place of the preset.
        model: MODEL, None where there is none.
        steps: number of steps of the run.

    Raises:
        ValueError: names the input, its value, the range and the remedy.
    """
    warn_unused(preset, values, connected)
    return resolve(preset, strength, values, connected, model=model, steps=steps)


def resolve(
    preset: str,
    strength: float,
    values: dict[str, Any],
    connected: LMLSettings | None = None,
    *,
    model: Any = None,
    steps: int = 1,
) -> Choice:
    """`choose` without the log."""
    if connected is not None:
        choice = Choice(connected, f"Settings of the connected node. {preset_files.describe(connected)}")
    elif preset == AUTO:
        choice = Choice(DEFAULT_SETTINGS, AUTO_WHY)
    elif preset == CUSTOM:
        settings = LMLSettings(**values)
        choice = Choice(settings, f"custom: the inputs of the node. {preset_files.describe(settings)}")
    elif is_paper(preset):
        known = model is not None
        choice = choose_paper(
            preset,
            steps,
            host.families.family(model) if known else None,
            host.families.is_flow(model) if known else None,
        )
    else:
        choice = preset_files.load(host.running.user_folder("presets"), preset)
    settings = dataclasses.replace(choice.settings, strength=choice.settings.strength * strength)
    return Choice(settings, choice.why)


def warn_unused(preset: str, values: dict[str, Any], connected: LMLSettings | None) -> None:
    """Log one line that names the inputs that were changed from their defaults and are not used."""
    if preset == CUSTOM and connected is None:
        return
    unused = [f"{key} {value}" for key, value in values.items() if value != getattr(DEFAULT_SETTINGS, key)]
    if connected is not None:
        unused = [f"preset {preset!r}"] * (preset != AUTO) + unused
        source, remedy = "the node at the input settings", "Disconnect it"
    else:
        source, remedy = f"the preset {preset!r}", "Choose the preset 'custom'"
    if unused:
        log.warning(
            "LML Sampler: settings come from %s; not used: %s. %s to use them.", source, ", ".join(unused), remedy
        )
