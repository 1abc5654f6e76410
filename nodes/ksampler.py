"""KSampler and KSampler (Advanced) with LML in place of the sampler list."""

from typing import Any

from comfy_api.latest import io

from ..lml_sampler import LMLSettings
from . import choice, host, inputs

MAX_STEPS = 10000


def _seed(name: str, changing: bool = True) -> io.Input:
    return io.Int.Input(
        name,
        default=0,
        min=0,
        max=0xFFFFFFFFFFFFFFFF,
        control_after_generate=changing,
        tooltip="The random seed of the noise.",
    )


def _model() -> io.Input:
    return io.Model.Input("model", tooltip="The model that denoises the latent: any that KSampler takes.")


def _run_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "steps",
            default=8,
            min=1,
            max=MAX_STEPS,
            tooltip="Number of steps, one model call each. LML is made for 5 to 20.",
        ),
        io.Float.Input(
            "cfg",
            default=7.0,
            min=0.0,
            max=100.0,
            step=0.1,
            round=0.01,
            tooltip="Classifier-free guidance: how closely the picture follows the prompt. 1 switches it off.",
        ),
        io.Combo.Input(
            "scheduler",
            options=host.scheduler_names(),
            default="normal",
            tooltip="How the noise falls over the steps.",
        ),
        io.Conditioning.Input("positive", tooltip="What the picture should show."),
        io.Conditioning.Input("negative", tooltip="What the picture should not show."),
        io.Latent.Input("latent_image", tooltip="The latent to denoise; its noise mask, if any, is respected."),
    ]


def common_inputs(changing_seed: bool = True) -> list[io.Input]:
    """KSampler's inputs but for the sampler, in its order; whether the page may change the seed after each run."""
    return [
        _model(),
        _seed("seed", changing_seed),
        *_run_inputs(),
        io.Float.Input(
            "denoise",
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Share of the noise that is added and removed; below 1 keeps the structure of the latent "
            "(image to image).",
        ),
    ]


class LMLKSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLKSampler",
            display_name="LML KSampler",
            category="model/sampling",
            description="KSampler with Levenberg-Marquardt-Langevin: sharper pictures from 5 to 20 steps at no extra "
            "model call. Replace KSampler with it and leave the defaults.",
            search_aliases=inputs.SEARCH_ALIASES,
            inputs=[
                *common_inputs(),
                *inputs.preset_inputs(),
                *inputs.strength_inputs(),
                *inputs.scheme_inputs(),
                inputs.settings_input(),
            ],
            outputs=[io.Latent.Output(tooltip="The denoised latent.")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        seed: int,
        steps: int,
        cfg: float,
        scheduler: str,
        positive: Any,
        negative: Any,
        latent_image: dict[str, Any],
        denoise: float,
        preset: str,
        strength: float,
        settings: LMLSettings | None = None,
        **values: Any,
    ) -> io.NodeOutput:
        sampler = host.sampler(choice.choose(preset, strength, values, settings, model=model, steps=steps).settings)
        sigmas = host.schedule(model, scheduler, steps, denoise)
        return io.NodeOutput(host.sample(model, sampler, sigmas, seed, cfg, positive, negative, latent_image))


class LMLKSamplerAdvanced(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLKSamplerAdvanced",
            display_name="LML KSampler (Advanced)",
            category="model/sampling",
            description="KSampler (Advanced) with Levenberg-Marquardt-Langevin: a part of the steps, with or without "
            "noise at the start and at the end.",
            search_aliases=inputs.SEARCH_ALIASES,
            inputs=[
                _model(),
                io.Combo.Input(
                    "add_noise",
                    options=["enable", "disable"],
                    default="enable",
                    advanced=True,
                    tooltip="disable: the latent already carries its noise (the second part of a split run).",
                ),
                _seed("noise_seed"),
                *_run_inputs(),
                io.Int.Input(
                    "start_at_step",
                    default=0,
                    min=0,
                    max=MAX_STEPS,
                    advanced=True,
                    tooltip="First step of the schedule to take.",
                ),
                io.Int.Input(
                    "end_at_step",
                    default=MAX_STEPS,
                    min=0,
                    max=MAX_STEPS,
                    advanced=True,
                    tooltip="Step of the schedule to stop before.",
                ),
                io.Combo.Input(
                    "return_with_leftover_noise",
                    options=["disable", "enable"],
                    default="disable",
                    advanced=True,
                    tooltip="enable: leave the noise of the steps not taken in the latent, for another sampler.",
                ),
                *inputs.preset_inputs(),
                *inputs.strength_inputs(),
                *inputs.scheme_inputs(),
                inputs.settings_input(),
            ],
            outputs=[io.Latent.Output(tooltip="The denoised latent, or the partly denoised one.")],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        add_noise: str,
        noise_seed: int,
        steps: int,
        cfg: float,
        scheduler: str,
        positive: Any,
        negative: Any,
        latent_image: dict[str, Any],
        start_at_step: int,
        end_at_step: int,
        return_with_leftover_noise: str,
        preset: str,
        strength: float,
        settings: LMLSettings | None = None,
        **values: Any,
    ) -> io.NodeOutput:
        sampler = host.sampler(choice.choose(preset, strength, values, settings, model=model, steps=steps).settings)
        sigmas = host.schedule(model, scheduler, steps)
        if end_at_step < len(sigmas) - 1:
            sigmas = sigmas[: end_at_step + 1]
            if return_with_leftover_noise == "disable":
                sigmas[-1] = 0
        sigmas = sigmas[start_at_step:]
        if len(sigmas) < 2:
            return io.NodeOutput(latent_image)
        return io.NodeOutput(
            host.sample(
                model,
                sampler,
                sigmas,
                noise_seed,
                cfg,
                positive,
                negative,
                latent_image,
                add_noise=add_noise == "enable",
            )
        )
