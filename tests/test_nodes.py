"""The nodes with the real ComfyUI in this process: its schedulers, models, masks, guidance and control nets."""

from types import ModuleType
from typing import Any

import pytest
import torch
from demo_runs import widget_values
from torch import Tensor

pytestmark = pytest.mark.every_host

Latent = dict[str, Any]


@pytest.fixture(scope="module", params=["eps", "flow"])
def demo(request: pytest.FixtureRequest, pack: ModuleType) -> tuple[Any, Any, Any]:
    """MODEL, positive, negative of a demo model."""
    model, positive, negative, *_ = pack.nodes.demo.LMLDemoModel.execute(request.param, "star", "blue", 1).result
    return model, positive, negative


def empty(batch: int = 2) -> Latent:
    return {"samples": torch.zeros(batch, 3, 32, 32)}


def lml(pack: ModuleType, demo: tuple[Any, Any, Any], latent: Latent, **options: Any) -> Tensor:
    """Run LMLKSampler with its own defaults."""
    chosen = {"seed": 1, "steps": 5, "cfg": 4.0} | options
    return execute(pack.nodes.samplers.LMLKSampler, demo, latent, chosen)


def lml_advanced(pack: ModuleType, demo: tuple[Any, Any, Any], latent: Latent, **options: Any) -> Tensor:
    chosen = {"noise_seed": 1, "steps": 6, "cfg": 4.0} | options
    return execute(pack.nodes.samplers.LMLKSamplerAdvanced, demo, latent, chosen)


def execute(node: Any, demo: tuple[Any, Any, Any], latent: Latent, options: dict[str, Any]) -> Tensor:
    model, positive, negative = demo
    linked = {"model": model, "positive": positive, "negative": negative, "latent_image": latent}
    return node.execute(**linked, **(widget_values(node) | options)).result[0]["samples"]


def built_in(demo: tuple[Any, Any, Any], latent: Latent, sampler: str, **options: Any) -> Tensor:
    """ComfyUI's own KSampler."""
    import nodes

    model, positive, negative = demo
    chosen = {"seed": 1, "steps": 5, "cfg": 4.0, "scheduler": "lml", "denoise": 1.0} | options
    seed, steps, cfg, scheduler, denoise = (chosen[k] for k in ("seed", "steps", "cfg", "scheduler", "denoise"))
    (result,) = nodes.KSampler().sample(
        model, seed, steps, cfg, sampler, scheduler, positive, negative, latent, denoise=denoise
    )
    return result["samples"]


def test_kappa_zero_is_euler_bit_for_bit(pack: ModuleType, demo: tuple[Any, Any, Any]) -> None:
    assert torch.equal(lml(pack, demo, empty(), kappa=0.0), built_in(demo, empty(), "euler"))
    assert not torch.allclose(lml(pack, demo, empty()), built_in(demo, empty(), "euler"))


@pytest.mark.parametrize(
    ("twin", "options"),
    [
        ("dpmpp_2m_sde", {"order": 2}),
        ("dpmpp_2m_sde_heun", {"order": 2, "solver_type": "heun"}),
        ("dpmpp_3m_sde", {"order": 3, "solver_type": "heun"}),
    ],
)
def test_kappa_zero_is_the_multistep_twin(
    pack: ModuleType, demo: tuple[Any, Any, Any], twin: str, options: dict[str, Any]
) -> None:
    """ComfyUI's multistep solvers without noise, whose coefficients are float32; dpmpp_2m itself is for eps models."""
    import comfy.samplers
    from comfy_extras.nodes_custom_sampler import SamplerCustom

    model, positive, negative = demo
    sigmas = pack.nodes.host.schedule(model, "lml", 8)

    def custom(sampler: Any) -> Tensor:
        arguments = (model, True, 1, 4.0, positive, negative, sampler, sigmas, empty())
        return SamplerCustom.execute(*arguments).result[0]["samples"]

    settings = pack.lml_sampler.LMLSettings(scheme="dpmsolver++", kappa=0.0, **options)
    result = custom(pack.nodes.host.sampler(settings))
    expected = custom(comfy.samplers.ksampler(twin, {"eta": 0.0}))
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)
    if twin == "dpmpp_2m_sde" and model.model.model_type.name == "EPS":
        torch.testing.assert_close(result, built_in(demo, empty(), "dpmpp_2m", steps=8), atol=2e-5, rtol=1e-4)


def check_ancestral_twin(pack: ModuleType, demo: tuple[Any, Any, Any]) -> None:
    """The same noise from the same seed as ComfyUI's euler_ancestral."""
    from comfy_extras.nodes_custom_sampler import SamplerCustom

    model, positive, negative = demo
    sampler = pack.nodes.host.sampler(pack.lml_sampler.LMLSettings(eta=1.0, kappa=0.0))
    sigmas = pack.nodes.host.schedule(model, "lml", 5)
    result = SamplerCustom.execute(model, True, 1, 4.0, positive, negative, sampler, sigmas, empty()).result[0]
    torch.testing.assert_close(result["samples"], built_in(demo, empty(), "euler_ancestral"), atol=2e-5, rtol=1e-4)


def test_ancestral_noise_is_that_of_euler_ancestral(pack: ModuleType, demo: tuple[Any, Any, Any]) -> None:
    check_ancestral_twin(pack, demo)


def test_the_noise_scale_of_a_flow_model_is_respected(pack: ModuleType) -> None:
    import copy

    model, positive, negative, *_ = pack.nodes.demo.LMLDemoModel.execute("flow", "star", "blue", 1).result
    scaled = copy.deepcopy(model.get_model_object("model_sampling"))
    if not hasattr(scaled, "set_noise_scale"):
        return  # an older ComfyUI, without such models
    scaled.set_noise_scale(0.8)
    model = model.clone()
    model.add_object_patch("model_sampling", scaled)
    demo = model, positive, negative
    assert torch.equal(lml(pack, demo, empty(), kappa=0.0), built_in(demo, empty(), "euler"))
    check_ancestral_twin(pack, demo)


def test_the_list_entry_is_the_node_with_its_defaults(pack: ModuleType, demo: tuple[Any, Any, Any]) -> None:
    assert torch.equal(built_in(demo, empty(), "lml"), lml(pack, demo, empty()))


def test_the_sampler_node_serves_the_custom_samplers(pack: ModuleType, demo: tuple[Any, Any, Any]) -> None:
    from comfy_extras.nodes_custom_sampler import CFGGuider, Noise_RandomNoise, SamplerCustom, SamplerCustomAdvanced

    model, positive, negative = demo
    node = pack.nodes.samplers.LMLSampler
    sampler = node.execute(**widget_values(node)).result[0]
    sigmas = pack.nodes.host.schedule(model, "lml", 5)
    custom = SamplerCustom.execute(model, True, 1, 4.0, positive, negative, sampler, sigmas, empty()).result[0]
    assert torch.equal(custom["samples"], lml(pack, demo, empty()))
    guider = CFGGuider.execute(model, positive, negative, 4.0).result[0]
    advanced = SamplerCustomAdvanced.execute(Noise_RandomNoise(1), guider, sampler, sigmas, empty()).result[0]
    assert torch.equal(advanced["samples"], custom["samples"])


def test_every_scheduler_works(pack: ModuleType, demo: tuple[Any, Any, Any]) -> None:
    for scheduler in pack.nodes.host.scheduler_names():
        for steps in (1, 2, 5, 13):
            chosen = {"scheduler": scheduler, "steps": steps}
            if chosen == {"scheduler": "kl_optimal", "steps": 1}:  # ComfyUI divides 0 by 0 there
                with pytest.raises(ValueError, match=r"sigmas\[0\] is nan.* more steps"):
                    lml(pack, demo, empty(1), **chosen)
                continue
            assert lml(pack, demo, empty(1), **chosen).isfinite().all(), chosen
            plain = lml(pack, demo, empty(1), kappa=0.0, **chosen)
            assert torch.equal(plain, built_in(demo, empty(1), "euler", **chosen)), chosen


@pytest.mark.parametrize("scheme", ["dpmsolver", "dpmsolver++"])
@pytest.mark.parametrize("order", [2, 3])
def test_higher_orders_work(pack: ModuleType, demo: tuple[Any, Any, Any], scheme: str, order: int) -> None:
    settings = pack.lml_sampler.LMLSettings(scheme=scheme, order=order, kappa=0.7)
    result = lml(pack, demo, empty(1), settings=settings, steps=8, cfg=1.0)
    assert result.isfinite().all() and 0.05 < result.std() < 1.5


def test_a_batch_equals_its_singles(pack: ModuleType, demo: tuple[Any, Any, Any]) -> None:
    together = lml(pack, demo, empty(3))
    for k in range(3):
        alone = lml(pack, demo, empty(1) | {"batch_index": [k]})
        torch.testing.assert_close(alone, together[k : k + 1], atol=1e-3, rtol=1e-3)


def test_image_to_image_stays_near_the_image(pack: ModuleType, demo: tuple[Any, Any, Any]) -> None:
    picture = {"samples": lml(pack, demo, empty(1))}
    distance = {
        denoise: (lml(pack, demo, picture, seed=5, denoise=denoise) - picture["samples"]).pow(2).mean().sqrt().item()
        for denoise in (0.0, 0.1, 1.0)
    }
    assert distance[0.0] == 0 and 0 < distance[0.1] < 0.7 * distance[1.0]


def test_inpainting_keeps_what_the_mask_leaves_out(pack: ModuleType, demo: tuple[Any, Any, Any]) -> None:
    picture = lml(pack, demo, empty(1))
    mask = torch.zeros(1, 32, 32)
    mask[:, 8:24, 8:24] = 1
    masked = {"samples": picture, "noise_mask": mask}
    result = lml(pack, demo, masked, seed=9)
    outside = (mask == 0)[:, None].expand_as(picture)
    torch.testing.assert_close(result[outside], picture[outside], atol=1e-5, rtol=1e-5)
    assert (result - picture)[~outside].abs().mean() > 0.02
    euler = built_in(demo, masked, "euler", seed=9)
    assert not torch.allclose(result[~outside], euler[~outside])


def test_two_halves_with_leftover_noise_make_one_run(pack: ModuleType, demo: tuple[Any, Any, Any]) -> None:
    """With kappa 0 exactly; a corrected run forgets its last step at the seam."""
    whole = lml_advanced(pack, demo, empty(), kappa=0.0)
    for kappa in (0.0, 0.7):
        first = lml_advanced(
            pack, demo, empty(), kappa=kappa, end_at_step=3, return_with_leftover_noise="enable", noise_seed=1
        )
        second = lml_advanced(pack, demo, {"samples": first}, kappa=kappa, add_noise="disable", start_at_step=3)
        if kappa == 0:
            torch.testing.assert_close(second, whole, atol=1e-5, rtol=1e-4)
        assert second.isfinite().all() and not torch.allclose(first, second)


def test_advanced_without_leftover_noise_ends_clean(pack: ModuleType, demo: tuple[Any, Any, Any]) -> None:
    import nodes

    model, positive, negative = demo
    expected = nodes.KSamplerAdvanced().sample(
        model, "enable", 1, 6, 4.0, "euler", "lml", positive, negative, empty(), 0, 4, "disable"
    )[0]["samples"]
    assert torch.equal(lml_advanced(pack, demo, empty(), kappa=0.0, end_at_step=4), expected)
    untouched = empty()
    assert lml_advanced(pack, demo, untouched, start_at_step=6) is untouched["samples"]
    assert lml_advanced(pack, demo, untouched, end_at_step=0) is untouched["samples"]


def test_the_callback_reports_every_step(
    pack: ModuleType, demo: tuple[Any, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.utils

    seen = []
    hook = lambda value, total, preview, **_: seen.append((value, total))  # noqa: E731
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
    monkeypatch.setattr(comfy.utils, "PROGRESS_THROTTLE_MIN_INTERVAL", 0)
    lml(pack, demo, empty(1), steps=4)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_control_net_steers(pack: ModuleType) -> None:
    """A real ControlNet of ComfyUI, with random weights, on a small UNet that takes its residuals."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.ops
    import nodes

    demo_model = pack.nodes.demo.model
    model, positive, negative, *_ = pack.nodes.demo.LMLDemoModel.execute("eps", "star", "blue", 1).result

    class PixelControlNet(comfy.cldm.cldm.ControlNet):
        def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
            return super().forward(torch.nn.functional.pixel_unshuffle(x, 2), *args, **kwargs)

    config = {key: value for key, value in demo_model.UNET.items() if key not in ("out_channels", "legacy")}
    del config["transformer_depth_output"]
    config |= {"hint_channels": 3, "legacy": False, "operations": comfy.ops.disable_weight_init}
    network = PixelControlNet(**config)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05, generator=generator)
    control = comfy.controlnet.ControlNet(network, compression_ratio=4, load_device=model.load_device)
    hint = torch.rand(1, 128, 128, 3, generator=generator)
    (steered,) = nodes.ControlNetApply().apply_controlnet(positive, control, hint, 0.3)
    result = lml(pack, (model, steered, negative), empty(1))
    assert result.isfinite().all()
    assert not torch.allclose(result, lml(pack, (model, positive, negative), empty(1)), atol=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"damping": -1.0}, r"damping \(λ\) is -1.0; it must be from 0 to 100"),
        ({"damping": 101.0}, r"damping \(λ\) is 101.0"),
        ({"damping": float("nan")}, r"damping \(λ\) is nan"),
        ({"kappa": 2.0}, r"kappa \(κ\) is 2.0; it must be from 0 to 1"),
        ({"steps": 0}, "steps is 0; it must be 1 or more"),
        ({"cfg": float("nan")}, "cfg is nan; it must be a number"),
        ({"denoise": float("nan")}, "denoise is nan; it must be a number"),
    ],
)
def test_bad_input_is_named_before_the_model_is_called(
    pack: ModuleType, demo: tuple[Any, Any, Any], options: dict[str, Any], message: str
) -> None:
    model, positive, negative = demo
    called = model.clone()
    called.set_model_unet_function_wrapper(lambda *_: pytest.fail("the model was called"))
    with pytest.raises(ValueError, match=message):
        lml(pack, (called, positive, negative), empty(), **options)


def test_velocity_on_an_eps_model_is_named(pack: ModuleType) -> None:
    from comfy_extras.nodes_custom_sampler import SamplerCustom

    model, positive, negative, *_ = pack.nodes.demo.LMLDemoModel.execute("eps", "star", "blue", 1).result
    sampler = pack.nodes.host.sampler(pack.lml_sampler.LMLSettings(scheme="ddim", target="velocity"))
    sigmas = pack.nodes.host.schedule(model, "lml", 5)
    with pytest.raises(ValueError, match="target is 'velocity', but this is not a flow model"):
        SamplerCustom.execute(model, True, 1, 4.0, positive, negative, sampler, sigmas, empty())


def test_an_empty_schedule_returns_the_latent(pack: ModuleType, demo: tuple[Any, Any, Any]) -> None:
    from comfy_extras.nodes_custom_sampler import SamplerCustom

    model, positive, negative = demo
    sampler = pack.nodes.host.sampler(pack.lml_sampler.LMLSettings())
    latent = {"samples": torch.rand(1, 3, 32, 32)}
    arguments = (model, True, 1, 4.0, positive, negative, sampler, torch.FloatTensor([]), latent)
    assert torch.equal(SamplerCustom.execute(*arguments).result[0]["samples"], latent["samples"])


def test_what_the_model_answers_without_guidance_is_heard(pack: ModuleType, demo: tuple[Any, Any, Any]) -> None:
    """It is what the model answers at CFG 1, where there is nothing to hear; the caller's options stay as they are."""
    import comfy.sample
    import comfy.samplers

    host = pack.nodes.host
    model, positive, negative = demo
    latent = empty()["samples"]

    def listen(cfg: float) -> tuple[Tensor, Tensor | None, Tensor | None]:
        heard: list[Any] = []

        def sampler(model: Any, x: Tensor, sigmas: Tensor, extra_args: dict[str, Any], **_: Any) -> Tensor:
            before = {**extra_args["model_options"]}
            conditional = host.Conditional(extra_args)
            answer = model(x, sigmas[0] * x.new_ones(len(x)), **conditional.extra_args)
            heard.extend((answer, conditional.take(), conditional.take()))
            assert extra_args["model_options"] == before
            return answer

        noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(1))
        ksampler = comfy.samplers.KSAMPLER(sampler)
        sigmas = host.schedule(model, "lml", 4)
        comfy.sample.sample_custom(model, noise, cfg, ksampler, sigmas, positive, negative, latent)
        return heard[0], heard[1], heard[2]

    unguided, *nothing = listen(1.0)
    guided, part, again = listen(4.0)
    assert nothing == [None, None]
    assert part is not None and again is None
    torch.testing.assert_close(part, unguided, rtol=0, atol=1e-4)  # a batch twice as large rounds differently
    assert (guided - part).norm() > 0.01 * part.norm()
