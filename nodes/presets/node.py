"""The nodes that choose, explain and keep presets."""

from typing import Any

from comfy_api.latest import io, ui

from ...lml_sampler import LMLSettings
from .. import host, inputs
from ..inputs import choice
from . import files
from .built_in import AUTO, BUILT_IN, PAPER, Choice, built_in

SEARCH_ALIASES = [*inputs.SEARCH_ALIASES, "preset", "settings", "paper"]

NOT_CONNECTED = object()
"""In place of an input that is not there; ComfyUI gives None for one that another node will give."""


def choose(preset: str, model: Any = None) -> Choice:
    """The settings of a built-in preset or of one of the user's.

    Raises:
        ValueError: there is none of that name, its file is broken, or it is not for such a model.
    """
    if not isinstance(preset, str) or preset in BUILT_IN:
        return built_in(preset, None if model is None else host.families.is_flow(model))
    return files.load(host.files.user_folder("presets"), preset)


class LMLPreset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLPreset",
            display_name="LML Preset",
            category=inputs.CATEGORY,
            description="Chooses settings by name, says why, and gives them to any number of LML nodes.",
            search_aliases=SEARCH_ALIASES,
            inputs=[
                io.Combo.Input(
                    "preset",
                    options=[*BUILT_IN, *files.names(host.files.user_folder("presets"))],
                    default=AUTO,
                    tooltip="auto: right for most models; for a distilled one set κ to 0.25. paper: the paper's scheme "
                    "with a small correction; connect the model for it. Then your own, from LML Save Preset.",
                ),
                *inputs.correction_inputs(),
                io.Model.Input(
                    "model", optional=True, tooltip="The model of the run. paper needs it, to see its kind."
                ),
            ],
            outputs=[
                inputs.sampler_output(),
                inputs.settings_output(),
                io.String.Output(display_name="text", tooltip="What was chosen, and why."),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        preset: str | None = None,
        damping: float | None = None,
        kappa: float | None = None,
        model: Any = NOT_CONNECTED,
    ) -> bool | str:
        choice.check_factors(damping, kappa)
        if preset is not None and (preset != PAPER or model is NOT_CONNECTED):  # else it is read from the model
            choose(preset)
        return True

    @classmethod
    def fingerprint_inputs(cls, preset: str | None = None, **_: Any) -> Any:
        """What the preset holds: ComfyUI keeps the outputs of a node as long as this stays the same."""
        if preset is None:  # connected, and not known yet
            return float("nan")
        return preset if preset in BUILT_IN else repr(choose(preset))

    @classmethod
    @host.running.says_why
    def execute(cls, preset: str, damping: float, kappa: float, model: Any = None) -> io.NodeOutput:
        chosen = choose(preset, model)
        settings = choice.scaled(chosen.settings, damping, kappa, model)
        text = f"{choice.summary(settings)}\n{chosen.why}"
        host.running.show_text(text)
        return io.NodeOutput(host.sampler(settings), settings, text, ui=ui.PreviewText(text))


class LMLSavePreset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLSavePreset",
            display_name="LML Save Preset",
            category=inputs.CATEGORY,
            description="Saves settings under a name, for the list of LML Preset and to share.",
            search_aliases=[*SEARCH_ALIASES, "save"],
            is_output_node=True,
            inputs=[
                inputs.Settings.Input("settings", tooltip="Settings of LML Sampler, LML Tune or LML κ Curve."),
                io.String.Input(
                    "name",
                    default="",
                    tooltip="Name of the preset: letters, digits, spaces and _ - . ( ) + , up to 60. The "
                    "built-in presets keep their names.",
                ),
                io.String.Input("note", default="", multiline=True, tooltip="What it is for: shown with the preset."),
                io.Boolean.Input(
                    "replace",
                    default=False,
                    advanced=True,
                    tooltip="Off: if you have a preset of that name, it stays as it is and the node fails. On: "
                    "it is replaced.",
                ),
            ],
            outputs=[io.String.Output(display_name="text", tooltip="Where the preset was written.")],
        )

    @classmethod
    def validate_inputs(cls, name: str | None = None) -> bool | str:
        if name is not None:  # else it is connected, and not known yet
            files.check_name(name)
        return True

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> float:
        """Never the same: what was saved may be gone or changed. (`math.nan` is one object, and equal to itself.)"""
        return float("nan")

    @classmethod
    @host.running.says_why
    def execute(cls, settings: LMLSettings, name: str, note: str, replace: bool) -> io.NodeOutput:
        path, written = files.save(host.files.user_folder("presets"), name, settings, note, replace)
        text = f"{'Saved' if written else 'Saved already'}: {path}. Press R to see it in the lists."
        host.running.show_text(text)
        return io.NodeOutput(text, ui=ui.PreviewText(text))
