"""Every kind of model that ComfyUI samples: its own classes around a few layers, and its own patches."""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import FULL
from demo_runs import Linked, built_in, lml, tiny_model
from torch import Tensor
from toy_runs import guided, sample, scheduled

from lml_sampler import LMLSettings

pytestmark = pytest.mark.every_host

STEPS = 6
IMAGE = (4, 8, 8)
RANKS = {"audio": (4, 24), "image": IMAGE, "video": (4, 3, 8, 8)}
FLOWS = ("FLOW", "FLUX", "FLOW_AV")
"""Model types whose states are (1 - sigma) x0 + sigma noise, of older and newer ComfyUI."""
Shape = tuple[int, ...]
NARROW = (torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
Model = tuple[Any, Any]
"""A MODEL and the CONDITIONING to sample it with."""


@pytest.fixture(scope="module")
def build(pack: ModuleType) -> Callable[..., Model]:
    """Makes a MODEL of a type, with weights of a dtype, for latents of a shape without the batch."""
    return partial(tiny_model().model, shape=IMAGE)


def linked(model: Model, latent: dict[str, Any]) -> Linked:
    """With an empty negative."""
    patcher, positive = model
    return {"model": patcher, "positive": positive, "negative": [[torch.zeros(1, 2, 4), {}]], "latent_image": latent}


def run(pack: ModuleType, model: Model, latent: dict[str, Any], **options: Any) -> Any:
    return lml(pack, linked(model, latent), **({"seed": 1, "steps": STEPS, "cfg": 3.0} | options))


def euler(model: Model, latent: dict[str, Any], scheduler: str = "lml", steps: int = STEPS) -> Any:
    return built_in(linked(model, latent), "euler", 1, steps, 3.0, scheduler)


def latent_of(shape: Shape, batch: int = 2) -> dict[str, Any]:
    return {"samples": torch.zeros(batch, *shape)}


def check(pack: ModuleType, model: Model, latent: dict[str, Any]) -> None:
    """Finite, not the plain sampler; with kappa 0 the plain sampler bit for bit; the same twice; batch = singles."""
    result = run(pack, model, latent)
    assert result.isfinite().all() and result.std() > 1e-3
    plain = euler(model, latent)
    assert torch.equal(run(pack, model, latent, kappa=0.0), plain)
    assert not torch.allclose(result, plain, rtol=1e-6, atol=1e-6)
    assert torch.equal(run(pack, model, latent), result)
    for k in range(len(result)):
        alone = run(pack, model, {"samples": latent["samples"][k : k + 1], "batch_index": [k]})
        torch.testing.assert_close(alone, result[k : k + 1], atol=1e-4, rtol=1e-3)
    multistep = run(pack, model, latent, settings=LMLSettings(scheme="dpmsolver++", order=2))
    assert multistep.isfinite().all()


def test_every_model_type_of_the_host(pack: ModuleType, build: Callable[..., Model], subtests: pytest.Subtests) -> None:
    from comfy.model_base import ModelType

    for kind in ModelType.__members__:
        with subtests.test(kind):
            check(pack, build(kind), latent_of(IMAGE))


def test_where_a_run_begins_tells_what_its_sigmas_mean(pack: ModuleType, build: Callable[..., Model]) -> None:
    """Models that go from one picture to another have the class of the flows, and none of their states."""
    from comfy import model_sampling
    from comfy.model_base import ModelType

    class ByVelocity(model_sampling.ModelSamplingDiscreteFlow, model_sampling.CONST):
        """As in newer ComfyUI: the whole way to the picture, from the one before."""

        def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
            return model_input - model_output

        def noise_scaling(self, sigma: Tensor, noise: Tensor, latent_image: Tensor, *_: Any) -> Tensor:
            return latent_image

    known = {kind: build(kind)[0].get_model_object("model_sampling") for kind in ModelType.__members__}
    means = {kind: pack.nodes.host.families.parametrization(sampling) for kind, sampling in known.items()}
    assert {kind for kind, meaning in means.items() if meaning == "flow"} == set(FLOWS) & set(known)
    assert pack.nodes.host.families.parametrization(ByVelocity()) == "ve"
    patcher, positive = build("FLOW")
    patcher.add_object_patch("model_sampling", ByVelocity())
    picture = {"samples": torch.randn(2, *IMAGE, generator=torch.Generator().manual_seed(9))}
    check(pack, (patcher, positive), picture)
    once = run(pack, (patcher, positive), picture, steps=1)
    assert torch.equal(once, euler((patcher, positive), picture, steps=1))


@pytest.mark.parametrize("kind", ["FLOW", "EPS"])
def test_a_latent_that_has_its_noise_already_goes_the_same_way(pack: ModuleType, toys: ModuleType, kind: str) -> None:
    """The way back of an inversion: its model samplings take the latent as it is."""
    fresh, back = toys.toy(kind), toys.toy(kind)
    usual = fresh.get_model_object("model_sampling")

    class AsItIs(type(usual)):
        def noise_scaling(self, sigma: Tensor, noise: Tensor, latent_image: Tensor, *_: Any) -> Tensor:
            return latent_image

    back.add_object_patch("model_sampling", AsItIs(back.model.model_config))
    sampling = back.get_model_object("model_sampling")
    assert pack.nodes.host.families.parametrization(sampling) == pack.nodes.host.families.parametrization(usual)
    sigmas, noise = scheduled(fresh, "lml", 8), torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(5))
    assert torch.equal(scheduled(back, "lml", 8), sigmas)
    state = usual.noise_scaling(sigmas[0], noise, torch.zeros_like(noise), True)
    expected = sample(guided(fresh), "lml", sigmas, torch.zeros_like(noise), noise)
    assert torch.equal(sample(guided(back), "lml", sigmas, state, noise), expected)


@pytest.mark.parametrize(
    ("kind", "made", "patch"),
    [
        *[(kind, {"shape": shape}, ()) for kind in ("EPS", "FLOW") for shape in RANKS.values()],
        *[(kind, {"dtype": dtype}, ()) for kind in ("EPS", "FLUX") for dtype in NARROW],
        ("EPS", {"zsnr": True}, ()),
        ("V_PREDICTION", {"zsnr": True}, ()),
        ("V_PREDICTION_EDM", {"sigma_data": 0.5, "sigma_max": 80.0, "sigma_min": 0.002}, ()),
        ("FLOW", {"shift": 3.0}, ()),
        ("FLOW", {"shift": 1.73, "multiplier": 1.0}, ()),
        ("FLOW", {"shift": 3.0, "noise_scale": 0.7}, ()),
        ("FLUX", {"shift": 1.15}, ()),
        ("STABLE_CASCADE", {"shift": 2.0}, ()),
        ("FLOW_COSMOS", {"sigma_max": 200.0, "sigma_min": 0.01, "sigma_data": 1.0}, ()),
        *[("EPS", {}, ("ModelSamplingDiscrete", name, False)) for name in ("lcm", "x0", "v_prediction", "img_to_img")],
        ("EPS", {}, ("ModelSamplingDiscrete", "v_prediction", True)),
        *[
            ("EPS", {}, ("ModelSamplingContinuousEDM", name, 80.0, 0.01))
            for name in ("v_prediction", "edm", "edm_playground_v2.5", "eps", "cosmos_rflow")
        ],
        ("EPS", {}, ("ModelSamplingContinuousV", "v_prediction", 500.0, 0.03)),
        ("EPS", {}, ("ModelSamplingStableCascade", 2.0)),
        ("FLOW", {}, ("ModelSamplingSD3", 3.0)),
        ("FLOW", {}, ("ModelSamplingFlux", 1.15, 0.5, 1024, 1024)),
        ("V_PREDICTION", {}, ("RescaleCFG", 0.7)),
    ],
    ids=str,
)
def test_shapes_weights_settings_and_the_patches_of_the_host(
    pack: ModuleType, build: Callable[..., Model], kind: str, made: dict[str, Any], patch: tuple[Any, ...]
) -> None:
    """Models of a kind as they are made, and as a node of ComfyUI changes them: its name and what it is set to."""
    import comfy_extras.nodes_model_advanced as advanced

    patcher, positive = build(kind, **made)
    if patch:
        (patcher,) = getattr(advanced, patch[0])().patch(patcher, *patch[1:])
    check(pack, (patcher, positive), latent_of(made.get("shape", IMAGE)))


@pytest.mark.parametrize("kind", ["EPS", "FLOW"])
def test_audio_and_video_in_one_latent(pack: ModuleType, build: Callable[..., Model], kind: str) -> None:
    from comfy.nested_tensor import NestedTensor

    model = build(kind, shape=RANKS["video"])
    latent = {"samples": NestedTensor([torch.zeros(2, *RANKS["video"]), torch.zeros(2, *RANKS["audio"])])}
    result = run(pack, model, latent).unbind()
    assert [tuple(part.shape) for part in result] == [(2, *RANKS["video"]), (2, *RANKS["audio"])]
    assert all(part.isfinite().all() and part.std() > 1e-3 for part in result)
    plain, expected = run(pack, model, latent, kappa=0.0).unbind(), euler(model, latent).unbind()
    assert all(torch.equal(one, other) for one, other in zip(plain, expected, strict=True))
    assert not torch.allclose(result[0], plain[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["EPS", "FLOW"])
@pytest.mark.parametrize("shape", RANKS.values(), ids=RANKS)
def test_masks(pack: ModuleType, build: Callable[..., Model], shape: Shape, kind: str) -> None:
    picture = torch.randn(2, *shape, generator=torch.Generator().manual_seed(9))
    mask = torch.zeros(1, 1, *shape[1:])
    mask[..., : shape[-1] // 2] = 1
    latent = {"samples": picture, "noise_mask": mask}
    model = build(kind, shape=shape)
    result = run(pack, model, latent)
    outside = mask.expand_as(picture) == 0
    torch.testing.assert_close(result[outside], picture[outside], atol=1e-5, rtol=1e-5)
    assert (result - picture)[~outside].abs().mean() > 0.02
    plain = euler(model, latent)
    assert torch.equal(run(pack, model, latent, kappa=0.0), plain)
    assert not torch.allclose(result[~outside], plain[~outside])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own, on import of its compiler
@pytest.mark.parametrize("backend", ["inductor"] if FULL else ["eager"])  # building C++ takes most of a minute
def test_a_compiled_model(pack: ModuleType, build: Callable[..., Model], backend: str) -> None:
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    patcher, positive = build("EPS")
    compiled = patcher.clone()
    set_torch_compile_wrapper(model=compiled, backend=backend)
    latent = latent_of(IMAGE)
    result, expected = run(pack, (compiled, positive), latent), run(pack, (patcher, positive), latent)
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=1e-4)
