"""KSampler and KSampler (Advanced) with LML in place of the sampler list."""

from typing import Any

from comfy_api.latest import io

from ...lml_sampler import LMLSettings
from .. import choice, host, inputs


class LMLKSampler(choice.Corrected):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLKSampler",
            display_name="LML KSampler",
            category=inputs.CATEGORY,
            description="Use it in place of KSampler and keep the defaults. In 5 to 20 steps it comes closer to the "
            "finished picture, with no extra model call.",
            search_aliases=inputs.SAMPLER_ALIASES,
            inputs=[*inputs.ksampler_inputs(), *inputs.correction_inputs(), inputs.settings_input()],
            outputs=[io.Latent.Output(tooltip="The denoised latent.")],
        )

    @classmethod
    @host.running.says_why
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
        damping: float,
        kappa: float,
        settings: LMLSettings | None = None,
    ) -> io.NodeOutput:
        sampler = choice.sampler_of(settings, damping, kappa, model)
        sigmas = host.schedule(model, scheduler, steps, denoise)
        return io.NodeOutput(host.sample(model, sampler, sigmas, seed, cfg, positive, negative, latent_image))


def _step_number(name: str, default: int, tooltip: str) -> io.Input:
    return io.Int.Input(name, default=default, min=0, max=inputs.MAX_STEPS, advanced=True, tooltip=tooltip)


class LMLKSamplerAdvanced(choice.Corrected):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLKSamplerAdvanced",
            display_name="LML KSampler (Advanced)",
            category=inputs.CATEGORY,
            description="KSampler (Advanced) with LML: samples a part of the steps, with or without noise at the "
            "start and at the end.",
            search_aliases=[*inputs.SEARCH_ALIASES, "ksampler advanced", "two experts", "refiner"],
            inputs=[
                inputs.model(),
                io.Combo.Input(
                    "add_noise",
                    options=["enable", "disable"],
                    default="enable",
                    advanced=True,
                    tooltip="disable: the latent has its noise already (the second part of a run in two parts).",
                ),
                inputs.seed("noise_seed"),
                *inputs.run_inputs(),
                _step_number("start_at_step", 0, "The first step to take."),
                _step_number("end_at_step", inputs.MAX_STEPS, "The step to stop before."),
                io.Combo.Input(
                    "return_with_leftover_noise",
                    options=["disable", "enable"],
                    default="disable",
                    advanced=True,
                    tooltip="enable: the noise of the steps not taken stays in the latent, for the next sampler.",
                ),
                *inputs.correction_inputs(),
                inputs.settings_input(),
            ],
            outputs=[io.Latent.Output(tooltip="The denoised latent, or the partly denoised one.")],
        )

    @classmethod
    @host.running.says_why
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
        damping: float,
        kappa: float,
        settings: LMLSettings | None = None,
    ) -> io.NodeOutput:
        sampler = choice.sampler_of(settings, damping, kappa, model)
        sigmas = host.schedule(model, scheduler, steps)
        if end_at_step < len(sigmas) - 1:
            sigmas = sigmas[: end_at_step + 1]
            if return_with_leftover_noise == "disable":
                sigmas[-1] = 0
        sigmas = sigmas[start_at_step:]
        if len(sigmas) < 2:
            return io.NodeOutput(latent_image)
        noisy = add_noise == "enable"
        return io.NodeOutput(
            host.sample(model, sampler, sigmas, noise_seed, cfg, positive, negative, latent_image, add_noise=noisy)
        )
