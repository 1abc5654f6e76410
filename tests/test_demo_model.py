"""The demo model: what it draws, how its weights are kept, what is said if they are gone."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from shapes import draw, recognise

pytestmark = pytest.mark.every_host


@pytest.fixture
def weights(pack: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder in place of that of the demo weights."""
    folder = tmp_path / "nodes" / "demo" / "weights"
    folder.mkdir(parents=True)
    monkeypatch.setattr(pack.nodes.demo.model, "FOLDER", folder)
    yield folder


def test_a_missing_or_broken_demo_model_names_the_file_and_the_remedy(pack: ModuleType, weights: Path) -> None:
    remedy = "git checkout -- nodes/demo/weights/shapes_eps.safetensors"
    with pytest.raises(ValueError, match=rf"shapes_eps\.safetensors cannot be used: .*{remedy}"):
        pack.nodes.demo.model.load("eps")
    file = weights / "shapes_eps.safetensors"
    file.write_bytes(b"not a model")
    with pytest.raises(ValueError, match=remedy):
        pack.nodes.demo.model.load("eps")
    save_file({"wrong": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match=remedy):
        pack.nodes.demo.model.load("eps")


def test_packed_weights_come_back_within_half_a_step(pack: ModuleType) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = {"a.weight": torch.randn(4, 3, 3, 3, generator=generator), "a.bias": torch.randn(4, generator=generator)}
    weights["a.weight"][1] = 0
    packed = pack.nodes.demo.model.pack(weights)
    restored = pack.nodes.demo.model.unpack(packed)
    assert packed["a.weight"].dtype == torch.int8 and restored.keys() == weights.keys()
    assert torch.equal(restored["a.bias"], weights["a.bias"])
    step = weights["a.weight"].abs().flatten(1).amax(1).view(-1, 1, 1, 1) / 127
    assert ((restored["a.weight"] - weights["a.weight"]).abs() <= step * 0.501).all()


def test_a_few_steps_of_euler_are_recognisable(pack: ModuleType) -> None:
    """The shipped models draw what they are asked for: at least 23 of 24 shapes and colors."""
    import nodes

    labels = torch.arange(24)
    for variant in pack.nodes.demo.model.VARIANTS:
        model, _, negative, latent, vae = pack.nodes.demo.LMLDemoModel.execute(
            variant, "any", "any", len(labels)
        ).result
        positive = [[pack.nodes.demo.model.tokens(labels % 4, labels % 6), {}]]
        (result,) = nodes.KSampler().sample(model, 1, 12, 3.0, "euler", "normal", positive, negative, latent)
        shapes_seen, colors_seen = recognise(vae.decode(result["samples"]).movedim(-1, 1) * 2 - 1)
        shapes_right, colors_right = (shapes_seen == labels % 4).sum(), (colors_seen == labels % 6).sum()
        assert shapes_right >= 23 and colors_right >= 23, (variant, shapes_right, colors_right)


def test_the_drawn_pictures_are_recognisable() -> None:
    """The judge of the test above knows the data itself."""
    labels = torch.arange(480)
    pictures = draw(labels % 4, labels % 6, torch.Generator().manual_seed(77))
    shapes_seen, colors_seen = recognise(pictures)
    assert (shapes_seen == labels % 4).float().mean() > 0.98
    assert torch.equal(colors_seen, labels % 6)
