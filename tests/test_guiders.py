"""The sampler hears the answers and nothing else: guiders that give the same answers give the same picture."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from core_runs import rms
from demo_runs import custom, tiny_inputs
from torch import Tensor

KINDS = ["EPS", "FLOW"]
BATCH = 8
SAME = {"rtol": 0, "atol": 2e-4}
"""Answers that differ by the rounding of their arithmetic."""

Guider = Any


@pytest.fixture(scope="module")
def models(toys: ModuleType) -> dict[str, Any]:
    return {kind: toys.toy(kind) for kind in KINDS}


def sample(guided: Guider, name: str = "lml", steps: int = 8) -> Tensor:
    import comfy.sample
    import comfy.samplers

    model = guided.model_patcher
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", steps)
    latent = torch.zeros(BATCH, 4, 4, 4)
    noise = comfy.sample.prepare_noise(latent, 3)
    return guided.sample(noise, latent, comfy.samplers.sampler_object(name), sigmas, disable_pbar=True, seed=3)


def guider(kind: Any, model: Any, positive: Any, negative: Any, cfg: float | Tensor) -> Guider:
    made = kind(model)
    made.set_conds(positive, negative)
    made.set_cfg(cfg)
    return made


def cfg_guider(model: Any, positive: Any, negative: Any, cfg: float) -> Guider:
    import comfy.samplers

    return guider(comfy.samplers.CFGGuider, model, positive, negative, cfg)


def node(name: str, *args: Any) -> Any:
    """What a node of ComfyUI gives."""
    import comfy_extras.nodes_custom_sampler as custom
    import comfy_extras.nodes_perpneg as perpneg
    import comfy_extras.nodes_video_model as video

    for module in (custom, perpneg):
        if hasattr(module, name):
            return getattr(module, name).execute(*args).result[0]
    return video.NODE_CLASS_MAPPINGS[name]().patch(*args)[0]


def hooked(model: Any, post: Callable[[dict[str, Any]], Tensor], disable: bool = False) -> Any:
    model = model.clone()
    model.set_model_sampler_post_cfg_function(post, disable_cfg1_optimization=disable)
    return model


def own_arithmetic(model: Any, positive: Any, negative: Any, cfg: float | Tensor, every: int = 1) -> Guider:
    """A guider of another pack, which never calls ComfyUI's `cfg_function`, or on every second call.

    `cfg` is one for all, or one for each of the batch, `[BATCH, 1, 1, 1]`.
    """
    import comfy.samplers

    class Own(comfy.samplers.CFGGuider):
        calls = 0

        def predict_noise(self, x: Tensor, timestep: Tensor, model_options: Any = None, seed: Any = None) -> Tensor:
            self.calls += 1
            if self.calls % every:
                return super().predict_noise(x, timestep, model_options, seed)
            conds = [self.conds["positive"], self.conds["negative"]]
            with_prompt, without = comfy.samplers.calc_cond_batch(self.inner_model, conds, x, timestep, model_options)
            return without + (with_prompt - without) * self.cfg

    return guider(Own, model, positive, negative, cfg)


def cached(model: Any, positive: Any, negative: Any, cfg: float) -> Guider:
    """An accelerator that answers every third call with the answer before."""
    import comfy.samplers

    class Cached(comfy.samplers.CFGGuider):
        calls, last = 0, torch.empty(0)

        def predict_noise(self, x: Tensor, timestep: Tensor, model_options: Any = None, seed: Any = None) -> Tensor:
            self.calls += 1
            if self.calls % 3:
                self.last = super().predict_noise(x, timestep, model_options, seed)
            return self.last

    return guider(Cached, model, positive, negative, cfg)


Maker = Callable[[Any, ModuleType], Guider]


def usual(model: Any, toys: ModuleType) -> Guider:
    return cfg_guider(model, toys.prompt(1, 2), toys.prompt(), 4.0)


def post_cfg_at_one(model: Any, toys: ModuleType) -> Guider:
    """As PAG, SLG, SEG and STG do: at CFG 1, the guidance added in a hook."""

    def add(given: dict[str, Any]) -> Tensor:
        return given["uncond_denoised"] + 4 * (given["denoised"] - given["uncond_denoised"])

    return cfg_guider(hooked(model, add, True), toys.prompt(1, 2), toys.prompt(), 1.0)


def video(name: str) -> tuple[Maker, Maker]:
    """The video guidance runs from one scale to another over the frames; here the batch is the frames."""
    frames = torch.linspace(0, 1, BATCH).view(-1, 1, 1, 1)
    share = frames if "Linear" in name else 2 * (frames - (frames + 0.5).floor()).abs()
    return (
        lambda m, t: cfg_guider(node(name, m, 1.0), t.prompt(1, 2), t.prompt(), 5.0),
        lambda m, t: own_arithmetic(m, t.prompt(1, 2), t.prompt(), 1 + (5 - 1) * share),
    )


TWINS: dict[str, tuple[Maker, Maker]] = {
    "BasicGuider, CFG 1": (
        lambda m, t: node("BasicGuider", m, t.prompt(1)),
        lambda m, t: cfg_guider(m, t.prompt(1), t.prompt(), 1.0),
    ),
    "BasicGuider, the same prompts": (
        lambda m, t: node("BasicGuider", m, t.prompt(1)),
        lambda m, t: cfg_guider(m, t.prompt(1), t.prompt(1), 5.0),
    ),
    "DualCFG, the first prompt unused": (
        lambda m, t: node("DualCFGGuider", m, t.prompt(0), t.prompt(1, 2), t.prompt(), 0.0, 4.0, "regular"),
        usual,
    ),
    "DualCFG, equal scales": (
        lambda m, t: node("DualCFGGuider", m, t.prompt(1, 2), t.prompt(3), t.prompt(), 4.0, 4.0, "regular"),
        usual,
    ),
    "DualCFG nested": (
        lambda m, t: node("DualCFGGuider", m, t.prompt(1, 2), t.prompt(3), t.prompt(), 1.0, 4.0, "nested"),
        usual,
    ),
    "PerpNeg without a negative": (
        lambda m, t: node("PerpNegGuider", m, t.prompt(1, 2), t.prompt(3), t.prompt(), 4.0, 0.0),
        usual,
    ),
    "DualModel of one model": (
        lambda m, t: node(
            "DualModelGuider", m, t.prompt(1, 2), 4.0, t.toy("FLOW" if is_flow(m) else "EPS"), t.prompt()
        ),
        usual,
    ),
    "own arithmetic": (lambda m, t: own_arithmetic(m, t.prompt(1, 2), t.prompt(), 4.0), usual),
    "own arithmetic now and then": (lambda m, t: own_arithmetic(m, t.prompt(1, 2), t.prompt(), 4.0, every=2), usual),
    "guidance in a hook at CFG 1": (post_cfg_at_one, usual),
    "a hook that changes nothing": (lambda m, t: usual(hooked(m, lambda given: given["denoised"]), t), usual),
    "a hook that changes nothing at CFG 1": (
        lambda m, t: cfg_guider(hooked(m, lambda given: given["denoised"], True), t.prompt(1, 2), t.prompt(), 1.0),
        lambda m, t: cfg_guider(m, t.prompt(1, 2), t.prompt(), 1.0),
    ),
    **{name: video(name) for name in ("VideoLinearCFGGuidance", "VideoTriangleCFGGuidance")},
}
"""By name: two guiders that answer the same to every call."""


def is_flow(model: Any) -> bool:
    import comfy.model_sampling

    return isinstance(model.get_model_object("model_sampling"), comfy.model_sampling.CONST)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TWINS)
def test_the_same_answers_give_the_same_picture(models: dict[str, Any], toys: ModuleType, name: str, kind: str) -> None:
    one, other = (make(models[kind], toys) for make in TWINS[name])
    torch.testing.assert_close(sample(one, "euler"), sample(other, "euler"), **SAME)  # they are twins
    torch.testing.assert_close(sample(one), sample(other), **SAME)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [4, 8, 20])
def test_cfg_moves_the_picture_as_it_moves_that_of_others(
    models: dict[str, Any], toys: ModuleType, kind: str, steps: int
) -> None:
    """CFG 1 is not another rule than 1.0001."""

    def moved(name: str, cfg: float) -> float:
        pictures = [
            sample(cfg_guider(models[kind], toys.prompt(1, 2), toys.prompt(), scale), name, steps)
            for scale in (1.0, cfg)
        ]
        return (pictures[0] - pictures[1]).abs().max().item()

    for cfg in (1.0001, 1.001):
        assert moved("lml", cfg) <= 3 * moved("dpmpp_2m", cfg) + 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_answers_from_a_cache_are_not_made_worse(
    models: dict[str, Any], toys: ModuleType, kind: str, cfg: float
) -> None:
    arguments = models[kind], toys.prompt(1, 2), toys.prompt(), cfg
    exact = sample(cfg_guider(*arguments), "heun", 120)
    for steps in (6, 8, 12, 20):
        lml, euler = (rms(sample(cached(*arguments), name, steps) - exact) for name in ("lml", "euler"))
        assert lml <= 1.1 * euler, steps


@pytest.mark.every_host
def test_what_the_model_answers_without_guidance_is_heard(pack: ModuleType) -> None:
    """It is what the model answers at CFG 1, where there is nothing to hear; the caller's options stay as they are."""
    import comfy.samplers

    host, linked = pack.nodes.host, tiny_inputs(batch=2)
    sigmas = host.schedule(linked["model"], "lml", 4)

    def listen(cfg: float) -> tuple[Tensor, Tensor | None, Tensor | None]:
        heard: list[Any] = []

        def sampler(model: Any, x: Tensor, sigmas: Tensor, extra_args: dict[str, Any], **_: Any) -> Tensor:
            before = {**extra_args["model_options"]}
            conditional = host.Conditional(extra_args)
            answer = model(x, sigmas[0] * x.new_ones(len(x)), **conditional.extra_args)
            heard.extend((answer, conditional.take(), conditional.take()))
            assert extra_args["model_options"] == before
            return answer

        custom(linked, comfy.samplers.KSAMPLER(sampler), sigmas, cfg=cfg)
        return heard[0], heard[1], heard[2]

    unguided, *nothing = listen(1.0)
    guided, part, again = listen(4.0)
    assert nothing == [None, None]
    assert part is not None and again is None
    torch.testing.assert_close(part, unguided, rtol=0, atol=1e-4)  # a batch twice as large rounds differently
    assert (guided - part).norm() > 0.01 * part.norm()
