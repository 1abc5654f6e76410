"""LML Wrap Sampler around the samplers of the real ComfyUI."""

import inspect
from types import ModuleType
from typing import Any

import pytest
import torch
from core_runs import LASTING, rms
from demo_runs import SAMPLER_WARNINGS, custom, latent, run
from torch import Tensor

GAINS = [
    ("euler", {}, 0.9),
    ("sa_solver", {"tau_func": lambda sigma: 0.0}, 0.95),
    ("dpmpp_2s_ancestral", {"eta": 0.0}, 0.95),
    ("heunpp2", {}, 0.98),
]
"""Samplers, their options, and the ratio of distances that LML with a gain of 0.3 and λ 0 stays below."""


@pytest.fixture(scope="module", params=["EPS", "V_PREDICTION", "FLOW"])
def model(request: pytest.FixtureRequest, toys: ModuleType) -> Any:
    return toys.toy(request.param, channels=2)


def sample(
    pack: ModuleType, model: Any, sampler: Any, steps: int = 4, batch: int = 2, mask: Tensor | None = None
) -> Tensor:
    from comfy_host import toy

    nothing = toy.prompt()
    empty = latent(torch.full((batch, 2, 2, 2), 0.1), **({} if mask is None else {"noise_mask": mask}))
    linked = {"model": model, "positive": nothing, "negative": nothing, **empty}
    return custom(linked, sampler, pack.nodes.host.schedule(model, "normal", steps), cfg=1.0)


def wrap(pack: ModuleType, sampler: Any, **options: Any) -> Any:
    return run(pack.nodes.samplers.LMLWrapSampler, {}, sampler=sampler, **options)[0]


@pytest.mark.every_host
@pytest.mark.filterwarnings(*SAMPLER_WARNINGS)
def test_every_sampler_of_the_list_is_wrapped_and_with_kappa_zero_is_itself(pack: ModuleType, model: Any) -> None:
    import comfy.samplers

    for name in set(comfy.samplers.SAMPLER_NAMES) - {"lml"}:
        inner = comfy.samplers.sampler_object(name)
        bare = sample(pack, model, inner)
        assert torch.equal(sample(pack, model, wrap(pack, inner, kappa=0.0)), bare), name
        for damping in (1.0, 0.0):
            corrected = sample(pack, model, wrap(pack, inner, damping=damping))
            assert corrected.isfinite().all(), name
            assert torch.equal(sample(pack, model, wrap(pack, inner, damping=damping)), corrected), name
        assert not torch.allclose(corrected, bare, atol=1e-4), name


@pytest.mark.filterwarnings(*SAMPLER_WARNINGS)
@pytest.mark.parametrize("name", ["uni_pc", "heun", "dpmpp_sde", "euler_ancestral"])
def test_neither_mask_nor_noise_is_touched(pack: ModuleType, model: Any, name: str) -> None:
    import comfy.samplers

    inner = comfy.samplers.sampler_object(name)
    bare = sample(pack, model, inner)
    torch.testing.assert_close(sample(pack, model, wrap(pack, inner, damping=100.0)), bare, atol=0.1, rtol=0.1)
    mask = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]])
    inside = mask.bool()[:, None].expand_as(bare)
    bare, corrected = (sample(pack, model, sampler, mask=mask) for sampler in (inner, wrap(pack, inner, damping=0.0)))
    assert torch.equal(corrected[~inside], bare[~inside])
    assert not torch.allclose(corrected[inside], bare[inside], atol=1e-4)


def test_the_inner_sampler_stays_and_its_options_go_along(pack: ModuleType) -> None:
    import comfy.samplers

    inner = comfy.samplers.ksampler("euler", {"s_noise": 0.9}, {"random": True})
    function = inner.sampler_function
    wrapped = wrap(pack, inner)
    assert inner.sampler_function is function and wrapped.sampler_function.__name__ == "lml_sample_euler"
    assert wrapped.extra_options == {"s_noise": 0.9} and wrapped.inpaint_options == {"random": True}


@pytest.mark.every_host
@pytest.mark.filterwarnings(*SAMPLER_WARNINGS)
def test_who_asks_a_wrapped_sampler_for_its_options_learns_those_of_the_inner_one(
    pack: ModuleType, toys: ModuleType
) -> None:
    """A node that gives a sampler its own noise looks for `noise_sampler` first, and else goes without a word."""
    import comfy.samplers

    model = toys.toy("EPS", channels=2)
    for name in set(comfy.samplers.SAMPLER_NAMES) - {"lml"}:
        inner = comfy.samplers.sampler_object(name)
        wrapped = wrap(pack, inner)
        assert inspect.signature(wrapped.sampler_function) == inspect.signature(inner.sampler_function), name

    plain, own = (
        sample(pack, model, wrap(pack, comfy.samplers.ksampler("euler_ancestral", options)))
        for options in ({}, {"noise_sampler": lambda sigma, sigma_next: torch.zeros(2, 2, 2, 2)})
    )
    assert own.isfinite().all() and not torch.allclose(own, plain, atol=1e-3)


@pytest.mark.every_host
def test_a_node_around_lml_that_hides_the_model_is_named(pack: ModuleType) -> None:
    """Who samples inside a sampler of its own has to hand on what ComfyUI gave it; plain samplers do without."""
    import comfy.samplers

    lml, euler = map(comfy.samplers.sampler_object, ("lml", "euler"))
    state, sigmas = torch.randn(2, 3, 4, 4), torch.tensor([1.0, 0.5, 0.0])

    def hidden(x: Tensor, sigma: Tensor, **_: Any) -> Tensor:
        return x / 2

    assert euler.sampler_function(hidden, state, sigmas).isfinite().all()
    for sampler in (lml, wrap(pack, euler)):
        with pytest.raises(ValueError, match="is a function of another node, which hides what kind of model it is"):
            sampler.sampler_function(hidden, state, sigmas)


def test_a_sampler_of_another_kind_is_named(pack: ModuleType) -> None:
    import comfy.samplers

    class Own(comfy.samplers.Sampler):
        pass

    with pytest.raises(ValueError, match="sampler is a Own, which calls the model in a way of its own"):
        wrap(pack, Own())
    for lml in (comfy.samplers.sampler_object("lml"), pack.nodes.host.sampler(pack.lml_sampler.LMLSettings())):
        with pytest.raises(ValueError, match="sampler is lml, which has the correction already"):
            wrap(pack, lml)


@pytest.mark.filterwarnings(*SAMPLER_WARNINGS)
def test_as_the_node_begins_it_brings_euler_closer_and_takes_no_sampler_further_off(
    pack: ModuleType, model: Any
) -> None:
    """RMS distance to the converged solution, 5 steps, no guidance. dpm_adaptive ends within its own tolerance."""
    import comfy.samplers

    solution = sample(pack, model, comfy.samplers.ksampler("heun"), steps=300, batch=100)
    for name in set(comfy.samplers.SAMPLER_NAMES) - {"lml"}:
        inner = comfy.samplers.sampler_object(name)
        bare, corrected = (
            rms(sample(pack, model, sampler, steps=5, batch=100) - solution) for sampler in (inner, wrap(pack, inner))
        )
        assert corrected < (0.95 if name == "euler" else 1.05) * bare + 0.005, name


@pytest.mark.parametrize(("name", "options", "bound"), GAINS)
def test_it_brings_a_sampler_closer_to_the_solution(
    pack: ModuleType, toys: ModuleType, name: str, options: dict[str, Any], bound: float
) -> None:
    """RMS distance to the converged solution, 5 steps, no guidance, over that of the bare sampler."""
    import comfy.samplers

    model, inner = toys.toy("FLOW", channels=2), comfy.samplers.ksampler(name, options)
    solution = sample(pack, model, comfy.samplers.ksampler("heun"), steps=300, batch=500)
    bare, corrected = (
        rms(sample(pack, model, sampler, steps=5, batch=500) - solution)
        for sampler in (inner, pack.nodes.host.wrapped_sampler(inner, pack.lml_sampler.LMLSettings(**LASTING)))
    )
    assert corrected < bound * bare
