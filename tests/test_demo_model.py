"""The demo model: what it draws, how its weights are kept, what is said if they are gone."""

from pathlib import Path
from types import ModuleType

import pytest
import torch
from core_runs import rms
from demo_runs import built_in, demo_inputs
from safetensors.torch import load_file, save_file
from shapes import recognise
from stones import draw

pytestmark = pytest.mark.every_host


def test_a_missing_or_broken_demo_model_names_the_file_and_the_remedy(
    pack: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = pack.nodes.demo.model
    file = tmp_path / demo.FILE.relative_to(demo.FILE.parents[3])
    file.parent.mkdir(parents=True)
    monkeypatch.setattr(demo, "FILE", file)
    remedy = "git checkout -- nodes/demo/weights/stones.safetensors"
    with pytest.raises(ValueError, match=rf"stones\.safetensors cannot be used: .*{remedy}"):
        demo.load("eps")
    file.write_bytes(b"not a model")
    with pytest.raises(ValueError, match=remedy):
        demo.load("eps")
    save_file({"wrong": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match=remedy):
        demo.load("eps")


def test_the_shipped_weights_are_packed_as_others_would_be(pack: ModuleType) -> None:
    demo = pack.nodes.demo.model
    shipped = load_file(demo.FILE)
    again = demo.pack(demo.unpack(shipped))
    assert shipped.keys() == again.keys() and shipped["out.2.weight"].dtype == torch.int8
    for name, value in shipped.items():
        torch.testing.assert_close(again[name], value)


def test_both_variants_are_one_denoiser(pack: ModuleType) -> None:
    """On a flow path x = (1 - s) x0 + s n it is the denoiser of x / (1 - s) at the noise level s / (1 - s)."""
    demo = pack.nodes.demo.model
    eps, flow = (demo.load(variant).model for variant in demo.VARIANTS)
    sigma = eps.model_sampling.sigmas[torch.tensor([20, 400, 999])]
    share = sigma / (1 + sigma)
    noisy = (0.25 + sigma.square()).sqrt().view(-1, 1, 1, 1) * torch.randn(
        3, 3, demo.SIZE, demo.SIZE, generator=torch.Generator().manual_seed(0)
    )
    tokens = demo.tokens(torch.tensor([0, 1, 3]), torch.tensor([0, 2, 5]))
    with torch.inference_mode():
        clean = eps.apply_model(noisy, sigma, c_crossattn=tokens)
        same = flow.apply_model((1 - share).view(-1, 1, 1, 1) * noisy, share, c_crossattn=tokens)
    torch.testing.assert_close(same, clean, atol=1e-4, rtol=1e-3)


def test_a_few_steps_of_euler_are_recognisable(pack: ModuleType) -> None:
    """The shipped model draws what it is asked for: at least 23 of 24 shapes and colors."""
    labels = torch.arange(24)
    for variant in pack.nodes.demo.model.VARIANTS:
        linked = demo_inputs(pack, variant, len(labels))
        linked["positive"] = [[pack.nodes.demo.model.tokens(labels % 4, labels % 6), {}]]
        result = built_in(linked, "euler", seed=1, steps=12, cfg=3.0, scheduler="normal")
        shapes_seen, colors_seen = recognise(linked["vae"].decode(result).movedim(-1, 1) * 2 - 1)
        shapes_right, colors_right = (shapes_seen == labels % 4).sum(), (colors_seen == labels % 6).sum()
        assert shapes_right >= 23 and colors_right >= 23, (variant, shapes_right, colors_right)


def test_strong_guidance_from_pure_noise_is_not_followed_too_far(pack: ModuleType) -> None:
    """There it asks for far too much and comes back; who repeats that change in full ends further off than dpmpp_2m."""
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    inputs = demo_inputs(pack, "flow", 4)
    (inputs["model"],) = ModelSamplingSD3().patch(inputs["model"], 1.0)
    finished = built_in(inputs, "dpmpp_2m", 1, 100, 7.0, "simple")
    lml, euler, second = (
        rms(built_in(inputs, name, 1, 20, 7.0, "simple") - finished) for name in ("lml", "euler", "dpmpp_2m")
    )
    assert lml < 0.4 * euler and lml < second


def test_the_drawn_pictures_are_recognisable() -> None:
    """The judge of the test above knows the data itself."""
    labels = torch.arange(480)
    pictures = draw(labels % 4, labels % 6, torch.Generator().manual_seed(77))
    shapes_seen, colors_seen = recognise(pictures)
    assert (shapes_seen == labels % 4).float().mean() > 0.98
    assert torch.equal(colors_seen, labels % 6)
