"""In the graphs that people build: every shift and size, schedule, packed latent and precision that euler samples."""

from types import ModuleType
from typing import Any

import pytest
import torch
from core_runs import rms
from torch import Tensor
from toy_runs import guided, sample, scheduled

KINDS = ["EPS", "V_PREDICTION", "FLOW"]
SHIFTS = [index / 100 for index in range(1, 10001)]
FLUX_SIZES = [(width, height) for width in range(256, 2049, 64) for height in range(width, 2049, 64)]
SIZES = [(512, 512), (832, 1216), (1024, 1024), (1344, 768), (2048, 2048)]


@pytest.fixture(scope="module")
def models(toys: ModuleType) -> dict[str, Any]:
    return {kind: toys.toy(kind) for kind in KINDS} | {"packed": toys.toy("FLOW", packed=True, shift=2.37)}


def shifted(model: Any, shift: float) -> Any:
    import comfy_extras.nodes_model_advanced as advanced

    return advanced.ModelSamplingSD3().patch(model, shift)[0]


def sized(model: Any, width: int, height: int) -> Any:
    import comfy_extras.nodes_model_advanced as advanced

    return advanced.ModelSamplingFlux().patch(model, 1.15, 0.5, width, height)[0]


def test_every_shift_and_size_is_a_flow_from_pure_noise(pack: ModuleType, models: dict[str, Any]) -> None:
    """Where rounding puts the largest sigma, a float above 1 or below, changes neither the kind nor the first level."""
    families, level_of = pack.nodes.host.families, pack.lml_sampler.parametrization.level_of
    largest = set()
    for patch, values in ((shifted, [(shift,) for shift in SHIFTS]), (sized, FLUX_SIZES)):
        for value in values:
            sampling = patch(models["FLOW"], *value).get_model_object("model_sampling")
            sigma = float(sampling.sigma_max)
            assert families.parametrization(sampling) == "flow" and level_of(sigma, "flow").alpha == 0, value
            assert 0 < families.smallest_sigma(sampling) < 1
            largest.add(sigma)
    assert min(largest) < 1 < max(largest)  # both of them happen


@pytest.mark.parametrize("patch", ["shift", "size"])
def test_neighbours_are_neighbouring_pictures(models: dict[str, Any], patch: str) -> None:
    """Of the sampler's making there is no jump: a hundred times as near is at least thirty times as close."""
    latent, model = torch.zeros(8, 4, 4, 4), models["FLOW"]
    places = [0.5, 1.32, 1.57, 2.14, 4.03, 4.82, 8.06, 16.03, 40.0] if patch == "shift" else SIZES

    def picture(name: str, place: Any, step: float) -> Tensor:
        patched = shifted(model, place + step) if patch == "shift" else sized(model, place[0] + 800 * step, place[1])
        return sample(guided(patched), name, scheduled(patched, "simple", 8), latent)

    def moved(name: str, place: Any, step: float) -> float:
        return rms(picture(name, place, step) - picture(name, place, 0.0))

    moves = [moved("lml", place, 0.01) for place in places]
    assert max(moves) <= 3 * max(moved("dpmpp_2m", place, 0.01) for place in places) + 1e-4
    for place, whole in zip(places, moves, strict=True):
        # A large shift keeps the levels near pure noise, where the data is read from lengths that hardly differ.
        rounding = 5e-7 * place if patch == "shift" else 1e-6
        assert moved("lml", place, 0.001) <= 0.2 * whole + rounding
        assert moved("lml", place, 0.0001) <= 0.03 * whole + rounding


@pytest.mark.parametrize("kind", KINDS)
def test_lml_samples_what_euler_samples(models: dict[str, Any], kind: str) -> None:
    """Every scheduler, from 1 to 100 steps and from the whole picture to its last hundredth."""
    import comfy.samplers

    model, latent = models[kind], torch.full((1, 4, 4, 4), 0.3)
    wrong = []
    for scheduler in comfy.samplers.SCHEDULER_NAMES:
        for steps, denoise in ((1, 1.0), (1, 0.01), (2, 0.5), (7, 1.0), (21, 0.02), (100, 0.3)):
            try:
                sigmas = scheduled(model, scheduler, steps, denoise)
                runs = sample(guided(model), "euler", sigmas, latent).isfinite().all()
            except (ValueError, IndexError, RuntimeError, AssertionError, ZeroDivisionError):  # not for euler either
                continue
            if runs and not sample(guided(model), "lml", sigmas, latent).isfinite().all():
                wrong.append((scheduler, steps, denoise))
    assert not wrong


@pytest.mark.parametrize("factor", [1.03, 0.97, 1.2])
@pytest.mark.parametrize("kind", KINDS)
def test_of_sigmas_that_were_multiplied_lml_comes_about_as_close_as_euler(
    models: dict[str, Any], kind: str, factor: float
) -> None:
    """A flow model's sigma may then be above 1."""
    sigmas, latent = scheduled(models[kind], "simple", 12) * factor, torch.zeros(2, 4, 4, 4)
    lml, euler = (sample(guided(models[kind]), name, sigmas, latent) for name in ("lml", "euler"))
    exact = sample(guided(models[kind]), "euler", scheduled(models[kind], "simple", 200), latent)
    assert (lml - exact).norm() <= 1.5 * (euler - exact).norm()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [10, 25])
def test_flipped_sigmas_lead_back(models: dict[str, Any], kind: str, steps: int) -> None:
    """Unsample with FlipSigmas, sample again: the picture comes back as close as by euler, or closer.

    From the flow's first sigma up the one step is so long that its error, which both share, is nearly all of it.
    """
    from comfy_extras.nodes_custom_sampler import FlipSigmas

    model = models[kind]
    sigmas = scheduled(model, "simple", steps, 0.6)
    picture = sample(guided(model), "lml", scheduled(model, "simple", 20), torch.zeros(2, 4, 4, 4))

    def back(name: str) -> float:
        (flipped,) = FlipSigmas.execute(sigmas).result
        noisy = sample(guided(model, 1.0), name, flipped, picture, torch.zeros_like(picture))
        again = sample(guided(model, 1.0), name, sigmas, noisy, torch.zeros_like(picture))
        return (again - picture).norm().item()

    assert back("lml") <= (1.1 if kind == "FLOW" else 0.6) * back("euler")


@pytest.mark.parametrize("length", [0, 3, 64])
def test_sound_beside_a_video_does_not_change_it(toys: ModuleType, models: dict[str, Any], length: int) -> None:
    from comfy.nested_tensor import NestedTensor

    parts = [torch.zeros(1, 4, 2, 4, 4), torch.zeros(1, 4, length)]
    noises = [torch.randn(part.shape, generator=torch.Generator().manual_seed(part.numel())) for part in parts]
    sigmas = scheduled(models["packed"], "simple", 8)
    both = sample(guided(models["packed"]), "lml", sigmas, NestedTensor(parts), NestedTensor(noises)).unbind()
    model = toys.toy("FLOW", shift=2.37)
    for index in range(2):
        alone = sample(guided(model), "lml", sigmas, parts[index], noises[index])
        torch.testing.assert_close(both[index], alone, rtol=0, atol=1e-6)
