"""The strength over the run: neutral curves, windows, bad input, and the node with ComfyUI's curve widget."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from comfy_host.runs import demo_inputs, lml
from problems import mixture
from torch import Tensor

from lml_sampler import LMLSettings, Recorder, sample_lml

MIXTURE = mixture()
SIGMAS = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5, 0.2, 0.0], dtype=torch.float64)
STATE = torch.randn(3, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 8
SCHEMES = [
    {},
    {"scheme": "ddim", "damping_mode": "relative"},
    {"scheme": "dpmsolver++", "order": 2, "target": "increment", "damping_mode": "absolute"},
]


def run(**fields: Any) -> Tensor:
    return sample_lml(MIXTURE.denoise, STATE, SIGMAS, disable=True, settings=LMLSettings(**fields))


@pytest.mark.parametrize("fields", SCHEMES, ids=str)
def test_what_curves_mean(fields: dict[str, Any]) -> None:
    plain = run(**fields)
    assert torch.equal(run(strength_curve=((0.0, 1.0), (1.0, 1.0)), **fields), plain)
    assert torch.equal(run(strength_curve=((0.5, 0.4),), **fields), run(strength=0.4, **fields))
    window = run(strength_curve=((0.0, 1.0), (0.49, 1.0), (0.5, 0.0)), **fields)
    assert torch.equal(window, run(end_percent=0.5, **fields))
    fading = run(strength_curve=((0.0, 0.2), (1.0, 2.0)), **fields)
    assert not torch.allclose(fading, plain)


def test_each_step_has_its_strength() -> None:
    settings = LMLSettings(scheme="ddim", damping_mode="relative", strength_curve=((0.0, 0.0), (1.0, 1.0)))
    recorder = Recorder()
    sample_lml(MIXTURE.denoise, STATE, SIGMAS, disable=True, settings=settings, recorder=recorder)
    steps = recorder.read()
    assert "the strength curve is 0 here" in steps[0].notes
    assert [step.damping[0] for step in steps[1:]] == pytest.approx([6 / k for k in range(1, 6)])


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        (((0.0, 1.0), (0.0, 2.0)), "must rise within"),
        (((-0.1, 1.0),), "must rise within"),
        (((0.0, -1.0),), "finite and from 0 up"),
        (((0.0, float("nan")),), "finite and from 0 up"),
        ((1.0, 2.0), "no list of points"),
        (((0.0, "much"),), "no list of points"),
    ],
)
def test_bad_curves_are_named(curve: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"strength_curve .*{message}"):
        LMLSettings(strength_curve=curve)


def test_the_node_reads_the_widget(pack: ModuleType, tmp_path: Path) -> None:
    node = pack.nodes.strength_curve.LMLStrengthCurve
    linked = demo_inputs(pack)
    flat = node.execute({"points": [[0, 1], [1, 1]], "interpolation": "monotone_cubic"}).result[1]
    assert flat == pack.lml_sampler.LMLSettings()
    settings = node.execute({"points": [[0, 1], [0.5, 0.2], [1, 0]], "interpolation": "linear"}).result[1]
    assert settings.strength_factor(1, 4) == pytest.approx(0.6) and settings.strength_factor(3, 4) == pytest.approx(0.1)
    assert not torch.equal(lml(pack, linked, settings=settings), lml(pack, linked))
    assert torch.equal(lml(pack, linked, settings=flat), lml(pack, linked))
    files = pack.nodes.preset_files
    files.save(tmp_path, "faded", settings, "", False)
    assert files.load(tmp_path, "faded").settings == settings
    assert "strength_curve of 101 points" in files.load(tmp_path, "faded").why
    for wrong in ({"points": "no"}, {}, 5):
        with pytest.raises(ValueError, match=r"curve is .* no curve"):
            node.execute(wrong)


def test_a_curve_that_is_not_finite_is_named(pack: ModuleType) -> None:
    """ComfyUI's smooth curve divides by the distance of two points."""
    points = [[0.0, 1.0], [2e-313, 0.9], [1.0, 0.5]]
    node = pack.nodes.strength_curve.LMLStrengthCurve
    with pytest.raises(ValueError, match=r"curve is .*2e-313.* no value at some shares of the steps.*Move them apart"):
        node.execute({"points": points, "interpolation": "monotone_cubic"})
    assert node.execute({"points": points, "interpolation": "linear"}).result[1].strength_curve
