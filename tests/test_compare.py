"""LML Compare in the real ComfyUI: what it shows is what the two samplers make."""

from itertools import count
from types import ModuleType
from typing import Any

import pytest
import torch
from core_runs import rms
from demo_runs import (
    QUICK,
    SAMPLER_WARNINGS,
    Linked,
    around_the_model,
    built_in,
    decoded,
    lml,
    never_called,
    run,
    tiny_inputs,
)
from torch import Tensor

pytestmark = pytest.mark.every_host


@pytest.fixture(scope="module")
def linked() -> Linked:
    return tiny_inputs(batch=2)


def compare(pack: ModuleType, linked: Linked, **options: Any) -> tuple[Any, ...]:
    return run(pack.nodes.compare.LMLCompare, linked, **(QUICK | options))


@pytest.mark.parametrize(
    ("sampler", "steps", "fewer", "calls"),
    [("euler", 5, 5, 5), ("uni_pc", 5, 5, 5), ("heun", 5, 3, 5), ("heunpp2", 5, 2, 3), ("seeds_3", 4, 2, 4)],
)
def test_both_pictures_are_those_of_the_samplers(
    pack: ModuleType, linked: Linked, sampler: str, steps: int, fewer: int, calls: int
) -> None:
    """A sampler of several calls a step takes fewer steps, of which the last makes one call. The calls are counted."""
    own, other, difference, text = compare(pack, linked, sampler_name=sampler, steps=steps)
    latents = lml(pack, linked, **QUICK | {"steps": steps}), built_in(linked, sampler, **QUICK | {"steps": fewer})
    for shown, latent in zip((own, other), latents, strict=True):
        torch.testing.assert_close(shown, decoded(pack, linked, latent))
    torch.testing.assert_close(difference, (4 * (own - other).abs()).clamp(0, 1))
    made = f"LML in {steps} steps ({steps} calls) and {sampler} in {fewer} steps ({calls} calls)"
    assert text == f"{made} differ by {rms(own - other):.1%} (RMS)."


@pytest.mark.filterwarnings(*SAMPLER_WARNINGS)
def test_every_sampler_makes_the_calls_that_it_is_said_to_make(pack: ModuleType, linked: Linked) -> None:
    """Counted. dpm_adaptive chooses its own steps."""
    import comfy.samplers

    calls: list[int] = []

    def counted(apply: Any, given: dict[str, Any]) -> Tensor:
        calls.append(1)
        return apply(given["input"], given["timestep"], **given["c"])

    def made(name: str, steps: int) -> int:
        calls.clear()
        built_in(around_the_model(linked, counted), name, seed=1, steps=steps, cfg=1.0, scheduler="normal")
        return len(calls)

    for name in set(comfy.samplers.SAMPLER_NAMES) - {"dpm_adaptive"}:
        few, many = made(name, 4), made(name, 6)
        assert many - few == 2 * pack.nodes.host.calls_a_step(name), name
        assert many <= 5 * pack.nodes.host.calls_a_step(name) + 1, name


def test_a_scheduler_that_fails_at_the_steps_of_the_other_is_named(pack: ModuleType, linked: Linked) -> None:
    """Before LML has made its picture for nothing. ComfyUI's kl_optimal divides 0 by 0 at one step."""
    with pytest.raises(ValueError, match=r"scheduler is 'kl_optimal', which fails at this number of steps \(1\)"):
        compare(pack, never_called(linked), scheduler="kl_optimal", steps=2, sampler_name="heun")


def test_a_vae_that_makes_sound_is_named(pack: ModuleType, linked: Linked) -> None:
    class Sound(torch.nn.Module):
        def decode(self, latents: Tensor) -> Tensor:
            return latents[:, :2].flatten(2)

    vae = pack.nodes.host.diffusers.vae(Sound(), pack.nodes.host.diffusers.Space(3))
    with pytest.raises(ValueError, match="vae makes something of 2 channels, as sound has them; a picture has 3"):
        compare(pack, linked, vae=vae)


def test_the_picture_by_lml_is_kept_where_the_other_fails(pack: ModuleType, linked: Linked) -> None:
    calls = count()

    def breaks(forward: Any, given: dict[str, Any]) -> Tensor:
        if next(calls) >= QUICK["steps"]:
            raise RuntimeError("the model broke")
        return forward(given["input"], given["timestep"], **given["c"])

    own, other, difference, text = compare(pack, around_the_model(linked, breaks))
    assert text == "euler failed: the model broke"
    assert torch.equal(own, decoded(pack, linked, lml(pack, linked, **QUICK)))
    assert other.shape == own.shape and difference.count_nonzero() == 0
