"""KSampler and KSampler (Advanced) with LML in place of the sampler list."""

from typing import Any

from comfy_api.latest import io

from .. import host, inputs
from ..inputs import Job, choice


class LMLKSampler(choice.Corrected):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLKSampler",
            display_name="LML KSampler",
            category=inputs.CATEGORY,
            description="Put LML KSampler in the place of KSampler. Copy seed, CFG and denoise; leave scheduler, λ and "
            "κ as they are. In 5 to 20 steps it comes closer to the finished picture, with no extra model call.",
            search_aliases=inputs.SAMPLER_ALIASES,
            inputs=inputs.job_inputs(changing_seed=True),
            outputs=[io.Latent.Output(tooltip="The denoised latent.")],
        )

    @classmethod
    @host.running.says_why
    def execute(cls, **given: Any) -> io.NodeOutput:
        job = Job(**given)
        return io.NodeOutput(job.sample(_sampler(job), job.sigmas(job.steps)))


def _sampler(job: Job) -> Any:
    """The SAMPLER of a job; what it results in is said in a line on the node."""
    settings = job.scaled()
    host.running.show_text(choice.summary(settings))
    return host.sampler(settings)


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
                _step_number("start_at_step", 0, "The first step to take, counted from 0."),
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
        add_noise: str,
        noise_seed: int,
        start_at_step: int,
        end_at_step: int,
        return_with_leftover_noise: str,
        **given: Any,
    ) -> io.NodeOutput:
        job = Job(seed=noise_seed, denoise=1.0, **given)
        sampler, sigmas = _sampler(job), job.sigmas(job.steps)
        if end_at_step < len(sigmas) - 1:
            sigmas = sigmas[: end_at_step + 1]
            if return_with_leftover_noise == "disable":
                sigmas[-1] = 0
        sigmas = sigmas[start_at_step:]
        if len(sigmas) < 2:
            sigmas = sigmas[:0]  # one level is no step; the latent gets the channels of the model all the same
        return io.NodeOutput(job.sample(sampler, sigmas, add_noise=add_noise == "enable"))
