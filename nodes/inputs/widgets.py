"""The inputs that the sampler nodes share. Names and order are part of saved workflows: append only."""

from comfy_api.latest import io

from .. import host

CATEGORY = "model/sampling/LML"

Settings = io.Custom("LML_SETTINGS")
"""The io type of `LMLSettings`, between the nodes that choose settings and the samplers."""

SEARCH_ALIASES = ["lml", "levenberg", "marquardt", "langevin"]
SAMPLER_ALIASES = [*SEARCH_ALIASES, "ksampler", "sampler", "few steps", "better euler", "sharper", "quality"]

MAX_STEPS = 10000
MAX_DAMPING = 100.0
"""Of the factor on λ; the correction is gone long before."""
MAX_CFG = 100.0


def model() -> io.Input:
    return io.Model.Input("model", tooltip="The model to sample with: any that KSampler takes.")


def seed(name: str, changing: bool = True) -> io.Input:
    return io.Int.Input(
        name,
        default=0,
        min=0,
        max=0xFFFFFFFFFFFFFFFF,
        control_after_generate=changing,
        tooltip="The random seed of the noise.",
    )


def steps() -> io.Input:
    return io.Int.Input(
        "steps",
        default=8,
        min=1,
        max=MAX_STEPS,
        tooltip="Number of steps, one model call each. LML is made for 5 to 20.",
    )


def batch_size() -> io.Input:
    return io.Int.Input("batch_size", default=4, min=1, max=4096, tooltip="Number of pictures, for the latent output.")


def vae() -> io.Input:
    return io.Vae.Input("vae", tooltip="Decodes the pictures.")


def share(
    name: str, default: float, tooltip: str, display_name: str | None = None, advanced: bool | None = None
) -> io.Input:
    """A number from 0 to 1."""
    return io.Float.Input(
        name,
        default=default,
        min=0.0,
        max=1.0,
        step=0.01,
        display_name=display_name,
        advanced=advanced,
        tooltip=tooltip,
    )


def denoise() -> io.Input:
    return share(
        "denoise",
        1.0,
        "How much noise is added and removed. Below 1, the structure of the latent is kept (image to image).",
    )


def run_inputs() -> list[io.Input]:
    """What KSampler and KSampler (Advanced) have in the middle, but for the sampler."""
    return [
        steps(),
        io.Float.Input(
            "cfg",
            default=7.0,
            min=0.0,
            max=MAX_CFG,
            step=0.1,
            round=0.01,
            tooltip="Classifier-free guidance: how closely the picture follows the prompt. 1 switches it off.",
        ),
        io.Combo.Input(
            "scheduler",
            options=host.scheduler_names(),
            default=host.preferred_scheduler(),
            tooltip="How the noise falls from step to step. lml for most models; for a distilled one the scheduler "
            "that it was made for, mostly simple.",
        ),
        io.Conditioning.Input("positive", tooltip="What the picture should show."),
        io.Conditioning.Input("negative", tooltip="What the picture should not show."),
        io.Latent.Input("latent_image", tooltip="The latent to denoise. Its noise mask is respected."),
    ]


def correction_inputs(of_settings: bool = True) -> list[io.Input]:
    """λ and κ. `of_settings`: they multiply those of a preset or of connected settings; else they are the settings."""
    damping, kappa = "1 is the default.", "How much of the correction is used. 1: all of it;"
    if of_settings:
        damping = "Multiplies λ of the settings: 1 leaves it as it is."
        kappa = "How much of the correction is used: multiplies κ of the settings. 1 leaves it as it is;"
    return [
        io.Float.Input(
            "damping",
            display_name="λ",
            default=1.0,
            min=0.0,
            max=MAX_DAMPING,
            step=0.01,
            tooltip=f"Damping. Larger comes closer to the plain sampler; 0 trusts the correction fully. {damping}",
        ),
        share(
            "kappa",
            1.0,
            f"{kappa} 0 is exactly the plain sampler. A model distilled to few steps (Turbo, Lightning, schnell) "
            "wants 0.25, and the scheduler that it was made for.",
            display_name="κ",
        ),
    ]


def window_inputs() -> list[io.Input]:
    """The part of the run that is corrected."""
    return [
        share(
            "start_percent",
            0.0,
            "The correction starts after this share of the steps. 0: at the first step.",
            advanced=True,
        ),
        share(
            "end_percent",
            1.0,
            "The correction ends after this share of the steps. 1: at the last step.",
            advanced=True,
        ),
    ]


def settings_input() -> io.Input:
    """Settings from another node."""
    return Settings.Input(
        "settings",
        optional=True,
        tooltip="Settings from LML Preset, LML Sampler, LML Tune or LML κ Curve. Without them: the preset auto.",
    )


def job_inputs(*own: io.Input, changing_seed: bool = False) -> list[io.Input]:
    """What a `Job` is made of, with the node's own inputs between KSampler's and those of the correction.

    `changing_seed`: the page may change the seed after each run.
    """
    ksampler = [model(), seed("seed", changing_seed), *run_inputs(), denoise()]
    return [*ksampler, *own, *correction_inputs(), settings_input()]


def settings_output(tooltip: str = "For the settings input of the LML nodes.") -> io.Output:
    return Settings.Output(display_name="settings", tooltip=tooltip)


def sampler_output() -> io.Output:
    return io.Sampler.Output(tooltip="For the sampler input of SamplerCustom and SamplerCustomAdvanced.")
