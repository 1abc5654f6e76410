"""The nodes that choose, explain and keep presets."""

from typing import Any

from comfy_api.latest import io, ui

from ..lml_sampler import LMLSettings
from . import choice, host, inputs, preset_files

SEARCH_ALIASES = ["lml", "preset", "settings", "paper", "levenberg", "marquardt", "langevin"]


class LMLPreset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLPreset",
            display_name="LML Preset",
            category="model/sampling/LML",
            description="Chooses the settings of LML, says why, and hands them to any number of samplers.",
            search_aliases=SEARCH_ALIASES,
            inputs=[
                *inputs.preset_inputs(),
                io.Int.Input(
                    "steps",
                    default=8,
                    min=1,
                    max=10000,
                    tooltip="Number of steps of the run: the published settings depend on it.",
                ),
                *inputs.strength_inputs(),
                *inputs.scheme_inputs(),
                *inputs.expert_inputs(),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="The model of the run. With it the preset paper finds the family by itself.",
                ),
            ],
            outputs=[
                io.Sampler.Output(tooltip="For the sampler input of SamplerCustom(Advanced)."),
                inputs.Settings.Output(
                    display_name="settings", tooltip="For the settings input of the LML samplers and LML Save Preset."
                ),
                io.String.Output(display_name="text", tooltip="What was chosen, and why."),
            ],
        )

    @classmethod
    def execute(cls, preset: str, strength: float, steps: int, model: Any = None, **values: Any) -> io.NodeOutput:
        chosen = choice.choose(preset, strength, values, model=model, steps=steps)
        text = chosen.why
        if model is not None:
            text = f"The model predicts {host.families.prediction(model)}. {text}"
        if strength != 1:
            text += f" Strength {strength:g}."
        host.running.show_text(text)
        return io.NodeOutput(host.sampler(chosen.settings), chosen.settings, text, ui=ui.PreviewText(text))


class LMLSavePreset(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLSavePreset",
            display_name="LML Save Preset",
            category="model/sampling/LML",
            description="Keeps settings under a name, for the preset list of the LML nodes and for sharing.",
            search_aliases=[*SEARCH_ALIASES, "save"],
            is_output_node=True,
            inputs=[
                inputs.Settings.Input("settings", tooltip="Settings of LML Preset or LML Tune."),
                io.String.Input(
                    "name",
                    default="",
                    tooltip="Name of the preset: letters, digits, spaces and _ - . ( ) + , up to 60. Not that of a "
                    "built-in preset.",
                ),
                io.String.Input(
                    "note",
                    default="",
                    multiline=True,
                    tooltip="What it is for: shown with the preset.",
                ),
                io.Boolean.Input(
                    "replace",
                    default=False,
                    advanced=True,
                    tooltip="Off: a preset of yours that has the name already is left as it is, and the node fails. "
                    "On: it is replaced.",
                ),
            ],
            outputs=[io.String.Output(display_name="text", tooltip="Where the preset was written.")],
        )

    @classmethod
    def validate_inputs(cls, name: str | None) -> bool | str:
        if name is None:  # connected: not known yet
            return True
        try:
            preset_files.check_name(name)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, settings: LMLSettings, name: str, note: str, replace: bool) -> io.NodeOutput:
        path, written = preset_files.save(host.running.user_folder("presets"), name, settings, note, replace)
        text = f"{'Saved' if written else 'Saved already'}: {path}. Press R to see it in the lists."
        host.running.show_text(text)
        return io.NodeOutput(text, ui=ui.PreviewText(text))
