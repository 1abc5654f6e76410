"""The sampler hears the answers and nothing else: guiders that give the same answers give the same picture."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from core_runs import rms
from demo_runs import custom, tiny_inputs
from torch import Tensor
from toy_runs import Guider, guided, guider_of, prompt, sample, scheduled

KINDS = ["EPS", "FLOW"]
BATCH = 8
SAME = {"rtol": 0, "atol": 2e-4}
"""Answers that differ by the rounding of their arithmetic."""


@pytest.fixture(scope="module")
def models(toys: ModuleType) -> dict[str, Any]:
    return {kind: toys.toy(kind) for kind in KINDS}


def picture(guider: Guider, name: str = "lml", steps: int = 8) -> Tensor:
    sigmas = scheduled(guider.model_patcher, "normal", steps)
    return sample(guider, name, sigmas, torch.zeros(BATCH, 4, 4, 4))


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


def own_arithmetic(model: Any, cfg: float | Tensor, every: int = 1) -> Guider:
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

    return guider_of(Own, model, cfg)


def cached(model: Any, cfg: float) -> Guider:
    """An accelerator that answers every third call with the answer before."""
    import comfy.samplers

    class Cached(comfy.samplers.CFGGuider):
        calls, last = 0, torch.empty(0)

        def predict_noise(self, x: Tensor, timestep: Tensor, model_options: Any = None, seed: Any = None) -> Tensor:
            self.calls += 1
            if self.calls % 3:
                self.last = super().predict_noise(x, timestep, model_options, seed)
            return self.last

    return guider_of(Cached, model, cfg)


Maker = Callable[[Any], Guider]


def usual(model: Any) -> Guider:
    return guided(model, 4.0)


def post_cfg_at_one(model: Any) -> Guider:
    """As PAG, SLG, SEG and STG do: at CFG 1, the guidance added in a hook."""

    def add(given: dict[str, Any]) -> Tensor:
        return given["uncond_denoised"] + 4 * (given["denoised"] - given["uncond_denoised"])

    return guided(hooked(model, add, True), 1.0)


def video(name: str) -> tuple[Maker, Maker]:
    """The video guidance runs from one scale to another over the frames; here the batch is the frames."""
    frames = torch.linspace(0, 1, BATCH).view(-1, 1, 1, 1)
    share = frames if "Linear" in name else 2 * (frames - (frames + 0.5).floor()).abs()
    return lambda m: guided(node(name, m, 1.0), 5.0), lambda m: own_arithmetic(m, 1 + (5 - 1) * share)


TWINS: dict[str, tuple[Maker, Maker]] = {
    "BasicGuider, CFG 1": (
        lambda m: node("BasicGuider", m, prompt(1)),
        lambda m: guided(m, 1.0, prompt(1)),
    ),
    "BasicGuider, the same prompts": (
        lambda m: node("BasicGuider", m, prompt(1)),
        lambda m: guided(m, 5.0, prompt(1), prompt(1)),
    ),
    "DualCFG, the first prompt unused": (
        lambda m: node("DualCFGGuider", m, prompt(0), prompt(1, 2), prompt(), 0.0, 4.0, "regular"),
        usual,
    ),
    "DualCFG, equal scales": (
        lambda m: node("DualCFGGuider", m, prompt(1, 2), prompt(3), prompt(), 4.0, 4.0, "regular"),
        usual,
    ),
    "DualCFG nested": (
        lambda m: node("DualCFGGuider", m, prompt(1, 2), prompt(3), prompt(), 1.0, 4.0, "nested"),
        usual,
    ),
    "PerpNeg without a negative": (
        lambda m: node("PerpNegGuider", m, prompt(1, 2), prompt(3), prompt(), 4.0, 0.0),
        usual,
    ),
    "DualModel of one model": (lambda m: node("DualModelGuider", m, prompt(1, 2), 4.0, m.clone(), prompt()), usual),
    "own arithmetic": (lambda m: own_arithmetic(m, 4.0), usual),
    "own arithmetic now and then": (lambda m: own_arithmetic(m, 4.0, every=2), usual),
    "guidance in a hook at CFG 1": (post_cfg_at_one, usual),
    "a hook that changes nothing": (lambda m: usual(hooked(m, lambda given: given["denoised"])), usual),
    "a hook that changes nothing at CFG 1": (
        lambda m: guided(hooked(m, lambda given: given["denoised"], True), 1.0),
        lambda m: guided(m, 1.0),
    ),
    **{name: video(name) for name in ("VideoLinearCFGGuidance", "VideoTriangleCFGGuidance")},
}
"""By name: two guiders that answer the same to every call."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TWINS)
def test_the_same_answers_give_the_same_picture(models: dict[str, Any], name: str, kind: str) -> None:
    one, other = (make(models[kind]) for make in TWINS[name])
    torch.testing.assert_close(picture(one, "euler"), picture(other, "euler"), **SAME)  # they are twins
    torch.testing.assert_close(picture(one), picture(other), **SAME)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [4, 8, 20])
def test_cfg_moves_the_picture_as_it_moves_that_of_others(models: dict[str, Any], kind: str, steps: int) -> None:
    """CFG 1 is not another rule than 1.0001."""

    def moved(name: str, cfg: float) -> float:
        one, other = (picture(guided(models[kind], scale), name, steps) for scale in (1.0, cfg))
        return (one - other).abs().max().item()

    for cfg in (1.0001, 1.001):
        assert moved("lml", cfg) <= 3 * moved("dpmpp_2m", cfg) + 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cfg", [1.0, 4.0])
def test_answers_from_a_cache_are_not_made_worse(models: dict[str, Any], kind: str, cfg: float) -> None:
    exact = picture(guided(models[kind], cfg), "heun", 120)
    for steps in (6, 8, 12, 20):
        lml, euler = (rms(picture(cached(models[kind], cfg), name, steps) - exact) for name in ("lml", "euler"))
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
