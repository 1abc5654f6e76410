"""LML around any sampler: the rule on a hand-written sampler, every sampler of the real ComfyUI, a measured gain."""

import dataclasses
from functools import partial
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
import torch
from problems import mixture, noise
from torch import Tensor

from lml_sampler import LMLSettings, correct, sample_lml, wrap_sampler

SIGMAS = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5, 0.2, 0.0], dtype=torch.float64)
FLOW_SIGMAS = torch.tensor([1.0, 0.9, 0.7, 0.4, 0.2, 0.0], dtype=torch.float64)
GAINS = [
    ("euler", {}, 0.9),
    ("sa_solver", {"tau_func": lambda sigma: 0.0}, 0.95),
    ("dpmpp_2s_ancestral", {"eta": 0.0}, 0.95),
    ("heunpp2", {}, 0.98),
]
"""Samplers, their options, and the ratio of distances that LML with a relative gain of 0.3 stays below."""
WARNINGS = ("ignore:To copy construct from a tensor", "ignore:Should have tb<=t1", "ignore:__array_wrap__")
"""Of ComfyUI's own samplers: dpm_fast, the SDE samplers, ipndm_v and deis."""
LASTING: dict[str, Any] = {"damping_mode": "relative", "damping": 0.0, "kappa": 0.3}
RELATIVE = LMLSettings(**LASTING)  # a damping of just |u|^2: a gain of 0.3


def euler(model: Any, x: Tensor, sigmas: Tensor, extra_args: Any = None, **_: Any) -> Tensor:
    for here, target in pairwise(sigmas):
        denoised = model(x, here.expand(len(x)), **(extra_args or {}))
        x = x + (x - denoised) / here * (target - here)
    return x


def seen_by(levels: list[float], settings: LMLSettings, kind: str = "ve", **extra: Any) -> list[tuple[Tensor, Tensor]]:
    """The plain and the corrected noise predictions of a sampler that calls the model at these sigmas."""
    problem, pairs = mixture(kind), []

    def visitor(model: Any, x: Tensor, sigmas: Tensor, **_: Any) -> Tensor:
        for step, level in enumerate(levels):
            sigma = torch.full([len(x)], level, dtype=x.dtype)
            state = x * level + 0.1 * step
            alpha = 1 - level if kind == "flow" else 1.0
            plain, corrected = problem.denoise(state, sigma), model(state, sigma, **extra)
            pairs.append(tuple((state - alpha * denoised) / level for denoised in (plain, corrected)))
        return x

    sigmas = torch.tensor([*sorted({round(level, 3) for level in levels}, reverse=True), 0.0])
    wrap_sampler(visitor, settings, kind)(lambda x, sigma, **_: problem.denoise(x, sigma), noise(3, 8), sigmas)
    return pairs


@pytest.mark.parametrize("kind", ["ve", "flow"])
@pytest.mark.parametrize(
    "settings", [LMLSettings(), RELATIVE, LMLSettings(start_percent=0.3, end_percent=0.7)], ids=str
)
def test_around_euler_it_is_lml_of_order_one(kind: str, settings: LMLSettings) -> None:
    sigmas = SIGMAS if kind == "ve" else FLOW_SIGMAS
    model, x = mixture(kind).denoise, noise(4, 8) * sigmas[0]
    wrapped = wrap_sampler(euler, settings, kind)(model, x, sigmas)
    own = dataclasses.replace(settings, scheme="ddim")
    torch.testing.assert_close(wrapped, sample_lml(model, x, sigmas, disable=True, settings=own, parametrization=kind))
    assert not torch.allclose(wrapped, euler(model, x, sigmas), rtol=1e-3)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([4, 2, 1], [None, 0, 1]),  # one call a step
        ([4, 2, 2, 1, 1], [None, 0, 0, 2, 2]),  # Heun, PECE
        ([4, 2, 2 * (1 + 1e-6), 1], [None, 0, 0, 2]),  # the same level through exp and log
        ([4, 3, 2, 1.5], [None, 0, 1, 2]),  # stages inside a step
        ([4, 2, 1, 2, 1], [None, 0, 1, 0, 3]),  # Heun++
        ([4, 2, 1, 0.5, 4, 2], [None, 0, 1, 2, None, 4]),  # a restart from the top
        ([4, 2, 1, 0.5, 0.2, 2], [None, 0, 1, 2, 3, None]),  # further back than it remembers
    ],
)
@pytest.mark.parametrize("kind", ["ve", "flow"])
def test_which_call_is_the_previous_one(levels: list[float], expected: list[int | None], kind: str) -> None:
    if kind == "flow":
        levels = [level / 5 for level in levels]
    pairs = seen_by(levels, RELATIVE, kind)
    for (plain, corrected), previous in zip(pairs, expected, strict=True):
        if previous is None:
            assert torch.equal(corrected, plain)
        else:
            energy = plain.square().sum(1)
            torch.testing.assert_close(corrected, correct(plain, pairs[previous][0], energy, 0.3), rtol=1e-6, atol=1e-8)


def test_a_call_belongs_to_the_step_it_is_in() -> None:
    window = LMLSettings(damping_mode="relative", kappa=0.3, start_percent=0.5, end_percent=1.0)
    touched = [not torch.equal(*pair) for pair in seen_by([4, 3.9994, 2, 1.5, 1], window)]
    assert touched == [False, False, False, True, True]


def test_a_flow_model_at_sigma_one_and_any_model_at_sigma_zero() -> None:
    def visitor(model: Any, x: Tensor, sigmas: Tensor, **_: Any) -> Tensor:
        return torch.stack([model(x, sigma.expand(len(x))) for sigma in sigmas])

    for kind, levels in (("flow", [1.0, 0.5, 1.0, 0.0, 0.5]), ("ve", [1.0, 0.0, 0.5])):
        x, sigmas, model = noise(2, 8), torch.tensor(levels, dtype=torch.float64), mixture(kind).denoise

        def guarded(x: Tensor, sigma: Tensor, model: Any = model) -> Tensor:
            return model(x, sigma) if sigma[0] > 0 else x

        result, plain = (sampler(guarded, x, sigmas) for sampler in (wrap_sampler(visitor, RELATIVE, kind), visitor))
        assert result.isfinite().all()
        for level, one, other in zip(levels, result, plain, strict=True):
            assert torch.equal(one, other) == (level in (0.0, 1.0)), (kind, level)


def test_a_mask_leaves_out_and_does_not_count() -> None:
    mask = torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0], dtype=torch.float64)
    plain, corrected = seen_by([4, 2], RELATIVE, denoise_mask=mask)[1]
    first = seen_by([4, 2], RELATIVE)[0][0]
    assert torch.equal(corrected[:, 4:], plain[:, 4:])
    alone = correct(plain[:, :4], first[:, :4], plain[:, :4].square().sum(1), 0.3)
    torch.testing.assert_close(corrected[:, :4], alone)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_dtype_and_changing_shapes(dtype: torch.dtype) -> None:
    def grower(model: Any, x: Tensor, sigmas: Tensor, **_: Any) -> Tensor:
        for sigma in sigmas[:-1]:
            x = torch.cat([model(x, sigma.expand(len(x))), x.new_ones(len(x), 1)], 1)
            assert x.dtype == dtype
        return x

    model = lambda x, sigma: (x / (1 + sigma[:, None] ** 2)).to(x.dtype)  # noqa: E731
    assert wrap_sampler(grower)(model, noise(2, 8).to(dtype), SIGMAS.float()).isfinite().all()


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"scheme is 'dpmsolver\+\+', but around another sampler only"):
        wrap_sampler(euler, LMLSettings(scheme="dpmsolver++"))
    with pytest.raises(ValueError, match="parametrization is 'edm'"):
        wrap_sampler(euler, LMLSettings(), "edm")  # pyright: ignore[reportArgumentType]


class ExactNetwork(torch.nn.Module):
    """The exact mixture as the network of a ComfyUI model: predicts the noise, v or the flow velocity."""

    def __init__(self, sigmas: Tensor, prediction: str, **_: Any) -> None:
        super().__init__()
        self.dtype, self.sigmas, self.prediction = torch.float32, sigmas.double(), prediction

    def forward(self, x: Tensor, timestep: Tensor, **_: Any) -> Tensor:
        state, flow = x.flatten(1).double(), self.prediction == "flow"
        sigma = (timestep.double() / 1000 if flow else self.sigmas[timestep.long()])[:, None]
        scale = 1 if flow else (sigma**2 + 1).sqrt()  # ComfyUI scales the input of the other models
        state = state * scale
        denoised = mixture("flow" if flow else "ve").denoise(state, sigma[:, 0])
        if self.prediction == "v":
            output = (state / scale**2 - denoised) * scale / sigma
        else:
            output = (state - denoised) / sigma
        return output.reshape(x.shape).to(x.dtype)


def exact_model(pack: ModuleType, prediction: str) -> Any:
    """MODEL of the real ComfyUI around an `ExactNetwork`."""
    from comfy.model_base import BaseModel, ModelType
    from comfy.model_patcher import ModelPatcher

    cpu, host = torch.device("cpu"), pack.nodes.host
    config = host.pixels.PixelModelConfig({})
    config.set_inference_dtype(torch.float32, None)
    kind = {"eps": ModelType.EPS, "v": ModelType.V_PREDICTION, "flow": ModelType.FLOW}[prediction]
    network = partial(ExactNetwork, host.discrete_sigmas(), prediction)
    return ModelPatcher(BaseModel(config, kind, device=cpu, unet_model=network), cpu, cpu)


@pytest.fixture(scope="module", params=["eps", "v", "flow"])
def model(request: pytest.FixtureRequest, pack: ModuleType) -> Any:
    return exact_model(pack, request.param)


def sample(
    pack: ModuleType, model: Any, sampler: Any, steps: int = 4, batch: int = 2, mask: Tensor | None = None
) -> Tensor:
    import comfy.sample

    latent, nothing = torch.full((batch, 2, 2, 2), 0.1), [[torch.zeros(1, 1, 1), {}]]
    start, sigmas = comfy.sample.prepare_noise(latent, 1), pack.nodes.host.schedule(model, "normal", steps)
    options = {"noise_mask": mask, "seed": 1, "disable_pbar": True}
    return comfy.sample.sample_custom(model, start, 1.0, sampler, sigmas, nothing, nothing, latent, **options)


def wrap(pack: ModuleType, sampler: Any, **options: Any) -> Any:
    node = pack.nodes.samplers.LMLWrapSampler
    values = {entry.id: entry.default for entry in node.define_schema().inputs if entry.id != "sampler"}
    return node.execute(sampler, **(values | options)).result[0]


@pytest.mark.every_host
@pytest.mark.filterwarnings(*WARNINGS)
def test_every_sampler_of_the_list(pack: ModuleType, model: Any) -> None:
    import comfy.samplers

    for name in comfy.samplers.SAMPLER_NAMES:
        inner = comfy.samplers.sampler_object(name)
        bare = sample(pack, model, inner)
        assert torch.equal(sample(pack, model, wrap(pack, inner, kappa=0.0)), bare), name
        corrected = sample(pack, model, wrap(pack, inner))
        assert corrected.isfinite().all() and not torch.allclose(corrected, bare, atol=1e-4), name
        assert torch.equal(sample(pack, model, wrap(pack, inner)), corrected), name


@pytest.mark.filterwarnings(*WARNINGS)
@pytest.mark.parametrize("name", ["uni_pc", "heun", "dpmpp_sde", "euler_ancestral"])
def test_neither_mask_nor_noise_is_touched(pack: ModuleType, model: Any, name: str) -> None:
    import comfy.samplers

    inner = comfy.samplers.sampler_object(name)
    bare = sample(pack, model, inner)
    assert torch.equal(sample(pack, model, wrap(pack, inner, kappa=0.0)), bare)
    torch.testing.assert_close(sample(pack, model, wrap(pack, inner, damping=100.0)), bare, atol=0.1, rtol=0.1)
    mask = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]])
    inside = mask.bool()[:, None].expand_as(bare)
    bare, corrected = (sample(pack, model, sampler, mask=mask) for sampler in (inner, wrap(pack, inner)))
    assert torch.equal(corrected[~inside], bare[~inside])
    assert not torch.allclose(corrected[inside], bare[inside], atol=1e-4)


def test_the_inner_sampler_stays_and_its_options_go_along(pack: ModuleType) -> None:
    import comfy.samplers

    inner = comfy.samplers.ksampler("euler", {"s_noise": 0.9}, {"random": True})
    function = inner.sampler_function
    wrapped = wrap(pack, inner)
    assert inner.sampler_function is function and wrapped.sampler_function.__name__ == "lml_sample_euler"
    assert wrapped.extra_options == {"s_noise": 0.9} and wrapped.inpaint_options == {"random": True}


def test_a_sampler_of_another_kind_is_named(pack: ModuleType) -> None:
    import comfy.samplers

    class Own(comfy.samplers.Sampler):
        pass

    with pytest.raises(ValueError, match="sampler is a Own, which calls the model in a way of its own"):
        wrap(pack, Own())


@pytest.mark.parametrize(("name", "options", "bound"), GAINS)
def test_it_brings_a_sampler_closer_to_the_solution(
    pack: ModuleType, name: str, options: dict[str, Any], bound: float
) -> None:
    """RMS distance to the converged solution, 5 steps, no guidance, over that of the bare sampler."""
    import comfy.samplers

    model, inner = exact_model(pack, "flow"), comfy.samplers.ksampler(name, options)
    solution = sample(pack, model, comfy.samplers.ksampler("heun"), steps=300, batch=500)
    bare, corrected = (
        (sample(pack, model, sampler, steps=5, batch=500) - solution).square().mean().sqrt()
        for sampler in (inner, pack.nodes.host.wrapped_sampler(inner, pack.lml_sampler.LMLSettings(**LASTING)))
    )
    assert corrected < bound * bare
