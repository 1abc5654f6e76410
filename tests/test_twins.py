"""The nodes beside ComfyUI's own samplers and nodes: with κ 0, or with the same settings, the same picture."""

from functools import partial
from types import ModuleType
from typing import Any

import demo_runs
import pytest
import torch
from demo_runs import QUICK, Linked, custom, demo_inputs, latent, run, tiny_inputs
from torch import Tensor

pytestmark = pytest.mark.every_host
lml, built_in = partial(demo_runs.lml, **QUICK), partial(demo_runs.built_in, **QUICK)


def lml_advanced(pack: ModuleType, linked: Linked, **options: Any) -> Tensor:
    options = {"noise_seed": 1, "steps": 6, "cfg": 4.0} | options
    return run(pack.nodes.samplers.LMLKSamplerAdvanced, linked, **options)[0]["samples"]


@pytest.mark.parametrize(
    ("twin", "options"),
    [
        ("dpmpp_2m_sde", {"order": 2}),
        ("dpmpp_2m_sde_heun", {"order": 2, "solver_type": "heun"}),
        ("dpmpp_3m_sde", {"order": 3, "solver_type": "heun"}),
    ],
)
def test_kappa_zero_is_the_multistep_twin(pack: ModuleType, demo: Linked, twin: str, options: dict[str, Any]) -> None:
    """ComfyUI's multistep solvers without noise, whose coefficients are float32; dpmpp_2m itself is for eps models."""
    import comfy.samplers

    model = demo["model"]
    sigmas = pack.nodes.host.schedule(model, "lml", 8)
    settings = pack.lml_sampler.LMLSettings(scheme="dpmsolver++", kappa=0.0, **options)
    result = custom(demo, pack.nodes.host.sampler(settings), sigmas)
    expected = custom(demo, comfy.samplers.ksampler(twin, {"eta": 0.0}), sigmas)
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)
    if twin == "dpmpp_2m_sde" and model.model.model_type.name == "EPS":
        torch.testing.assert_close(result, built_in(demo, "dpmpp_2m", steps=8), atol=2e-5, rtol=1e-4)


def check_ancestral_twin(pack: ModuleType, demo: Linked) -> None:
    """The same noise from the same seed as ComfyUI's euler_ancestral."""
    sampler = pack.nodes.host.sampler(pack.lml_sampler.LMLSettings(eta=1.0, kappa=0.0))
    result = custom(demo, sampler, pack.nodes.host.schedule(demo["model"], "lml", 5))
    torch.testing.assert_close(result, built_in(demo, "euler_ancestral"), atol=2e-5, rtol=1e-4)


def test_ancestral_noise_is_that_of_euler_ancestral(pack: ModuleType, demo: Linked) -> None:
    check_ancestral_twin(pack, demo)


def test_the_noise_scale_of_a_flow_model_is_respected(pack: ModuleType) -> None:
    import copy

    demo = demo_inputs(pack, "flow", batch=2)
    model = demo["model"]
    scaled = copy.deepcopy(model.get_model_object("model_sampling"))
    if not hasattr(scaled, "set_noise_scale"):
        return  # an older ComfyUI, without such models
    scaled.set_noise_scale(0.8)
    demo["model"] = model.clone()
    demo["model"].add_object_patch("model_sampling", scaled)
    assert torch.equal(lml(pack, demo, kappa=0.0), built_in(demo, "euler"))
    check_ancestral_twin(pack, demo)


@pytest.mark.parametrize("kind", ["eps", "flow"])
@pytest.mark.parametrize("denoise", [0.0, 0.1, 0.6, 1.0])
def test_kappa_zero_is_euler_with_every_schedule(pack: ModuleType, kind: str, denoise: float) -> None:
    linked = tiny_inputs(kind, batch=2)
    linked |= latent(lml(pack, linked))
    for scheduler in pack.nodes.host.scheduler_names():
        options = {"scheduler": scheduler, "denoise": denoise}
        assert torch.equal(lml(pack, linked, kappa=0.0, **options), built_in(linked, "euler", **options)), scheduler


def test_the_list_entry_is_the_node_with_its_defaults(pack: ModuleType, demo: Linked) -> None:
    assert torch.equal(built_in(demo, "lml"), lml(pack, demo))


def test_the_sampler_node_serves_the_custom_samplers(pack: ModuleType, demo: Linked) -> None:
    from comfy_extras.nodes_custom_sampler import CFGGuider, Noise_RandomNoise, SamplerCustomAdvanced

    model, positive, negative, empty, _ = demo.values()
    sampler, _ = run(pack.nodes.samplers.LMLSampler, {})
    sigmas = pack.nodes.host.schedule(model, "lml", 5)
    expected = lml(pack, demo)
    assert torch.equal(custom(demo, sampler, sigmas), expected)
    guider = CFGGuider.execute(model, positive, negative, 4.0).result[0]
    advanced = SamplerCustomAdvanced.execute(Noise_RandomNoise(1), guider, sampler, sigmas, empty).result[0]
    assert torch.equal(advanced["samples"], expected)


def test_two_halves_with_leftover_noise_make_one_run(pack: ModuleType, demo: Linked) -> None:
    """With kappa 0 exactly; a corrected run forgets its last step at the seam."""
    whole = lml_advanced(pack, demo, kappa=0.0)
    for kappa in (0.0, 0.7):
        first = lml_advanced(pack, demo, kappa=kappa, end_at_step=3, return_with_leftover_noise="enable")
        second = lml_advanced(pack, demo | latent(first), kappa=kappa, add_noise="disable", start_at_step=3)
        if kappa == 0:
            torch.testing.assert_close(second, whole, atol=1e-5, rtol=1e-4)
        assert second.isfinite().all() and not torch.allclose(first, second)


def test_advanced_without_leftover_noise_ends_clean(pack: ModuleType, demo: Linked) -> None:
    import nodes

    model, positive, negative, empty, _ = demo.values()
    arguments = (model, "enable", 1, 6, 4.0, "euler", "lml", positive, negative, empty, 0, 4, "disable")
    expected = nodes.KSamplerAdvanced().sample(*arguments)[0]["samples"]
    assert torch.equal(lml_advanced(pack, demo, kappa=0.0, end_at_step=4), expected)


def test_an_empty_latent_is_sampled_as_ksampler_does(pack: ModuleType) -> None:
    linked = tiny_inputs(batch=0)
    assert lml(pack, linked).shape == built_in(linked, "euler").shape == (0, 3, 8, 8)


def test_no_step_is_the_latent_in_the_form_that_the_model_takes(pack: ModuleType) -> None:
    """As in KSampler (Advanced): an empty latent has 4 channels, whatever the model has."""
    linked = tiny_inputs(batch=2) | latent(torch.zeros(2, 4, 8, 8))
    channels = linked["model"].model.latent_format.latent_channels
    for window in ({"start_at_step": 6}, {"end_at_step": 0}, {"start_at_step": 4, "end_at_step": 3}):
        samples = lml_advanced(pack, linked, **window)
        assert samples.shape[1] == channels != 4 and samples.count_nonzero() == 0


@pytest.mark.parametrize("kind", ["eps", "flow"])
def test_comfyui_tells_the_smallest_level(pack: ModuleType, kind: str) -> None:
    import comfy.samplers

    host, linked = pack.nodes.host, tiny_inputs(kind)
    sigmas = host.schedule(linked["model"], "karras", 6)  # its last step begins at the smallest level

    def ended(function: Any) -> Tensor:
        return custom(linked, comfy.samplers.KSAMPLER(function), sigmas)

    def told(sigma_min: float) -> Tensor:
        path = "flow" if kind == "flow" else "ve"
        return ended(partial(pack.lml_sampler.sample_lml, parametrization=path, sigma_min=sigma_min))

    smallest = float(linked["model"].get_model_object("model_sampling").sigma_min)
    assert torch.equal(ended(host.sample_lml), told(smallest))
    assert not torch.equal(ended(host.sample_lml), told(0.0))
