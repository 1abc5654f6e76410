"""κ over the run: neutral curves, windows, bad input, and the node with its shapes and ComfyUI's curve widget."""

from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import core_runs
import pytest
import torch
from demo_runs import lml, tiny_inputs
from problems import mixture, noise

from lml_sampler import LMLSettings, Recorder

STATE = noise(3, 8) * 8
run = partial(core_runs.run, mixture().denoise, STATE)
SCHEMES = [
    {},
    {"scheme": "ddim", "damping_mode": "relative"},
    {"scheme": "dpmsolver++", "order": 2, "target": "increment", "damping_mode": "absolute"},
]


@pytest.mark.parametrize("fields", SCHEMES, ids=str)
def test_a_curve_of_ones_a_constant_and_a_window_are_what_they_say(fields: dict[str, Any]) -> None:
    plain = run(**fields)
    assert torch.equal(run(kappa_curve=((0.0, 1.0), (1.0, 1.0)), **fields), plain)
    assert torch.equal(run(kappa_curve=((0.5, 0.4),), **fields), run(kappa=0.4, **fields))
    window = run(kappa_curve=((0.0, 1.0), (0.49, 1.0), (0.5, 0.0)), **fields)
    assert torch.equal(window, run(end_percent=0.5, **fields))
    fading = run(kappa_curve=((0.0, 0.2), (1.0, 1.0)), **fields)
    assert not torch.allclose(fading, plain)


def test_where_the_curve_is_zero_no_arithmetic_is_noise() -> None:
    released = {"scheme": "ddim", "damping_mode": "absolute", "arithmetic": "released_float32", "damping": 1e-3}
    for kappa in (0.0, 1e-5):
        assert torch.equal(run(kappa=kappa, kappa_curve=((0.0, 0.0),), **released), run(scheme="ddim", kappa=0.0))


def test_each_step_has_its_kappa() -> None:
    recorder = Recorder()
    rising = ((0.0, 0.0), (1.0, 1.0))
    run(scheme="ddim", damping_mode="relative", kappa_curve=rising, recorder=recorder)
    steps = recorder.read()
    assert "the κ curve is 0 here" in steps[0].notes
    gains = [step.gain[0] for step in steps[1:]]
    assert gains == sorted(gains) and 0 < gains[0] < 0.2 and gains[-1] < 0.9


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        (((0.0, 1.0), (0.0, 0.5)), "must rise within"),
        (((-0.1, 1.0),), "must rise within"),
        (((0.0, -1.0),), r"within \[0, 1\]"),
        (((0.0, float("nan")),), r"within \[0, 1\]"),
        (((0.0, 1.5),), r"within \[0, 1\]"),
        ((1.0, 2.0), "no list of points"),
        (((0.0, "1"),), "has '1', which is no number"),
        (((0.0, 1.0), (True, 0.0)), "has True, which is no number"),
        (((0, 10**400),), r"within \[0, 1\]"),
    ],
)
def test_bad_curves_are_named(curve: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"kappa_curve .*{message}"):
        LMLSettings(kappa_curve=curve)


def curve_of(pack: ModuleType, **shape: Any) -> Any:
    """The settings that LML κ Curve makes of a shape."""
    return pack.nodes.samplers.LMLKappaCurve.execute(shape).result[1]


@pytest.mark.parametrize(("shape", "middle"), [("linear", 0.6), ("smooth", 0.6), ("early", 0.4), ("late", 0.8)])
def test_the_node_goes_from_start_to_end(pack: ModuleType, shape: str, middle: float) -> None:
    assert curve_of(pack, shape=shape, start=1.0, end=1.0) == pack.lml_sampler.LMLSettings()
    settings = curve_of(pack, shape=shape, start=1.0, end=0.2)
    factors = [settings.kappa_factor(step, 101) for step in range(101)]
    assert factors[0] == 1 and factors[100] == pytest.approx(0.2) and factors[50] == pytest.approx(middle, abs=1e-3)
    assert factors == sorted(factors, reverse=True)
    linked = tiny_inputs()
    assert not torch.equal(lml(pack, linked, settings=settings), lml(pack, linked))


@pytest.mark.parametrize(("name", "value"), [("start", 2.0), ("end", -0.1), ("end", float("nan"))])
def test_an_end_that_is_out_of_range_is_named(pack: ModuleType, name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be from 0 to 1"):
        curve_of(pack, **({"shape": "smooth", "start": 1.0, "end": 1.0} | {name: value}))


def test_the_node_reads_the_widget(pack: ModuleType, tmp_path: Path) -> None:
    if pack.nodes.samplers.kappa_curve.CurveInput is None:
        return  # a ComfyUI that cannot evaluate curves does not offer them
    flat = curve_of(pack, shape="drawn", curve={"points": [[0, 1], [1, 1]], "interpolation": "monotone_cubic"})
    assert flat == pack.lml_sampler.LMLSettings()
    points = {"points": [[0, 1], [0.5, 0.2], [1, 0]], "interpolation": "linear"}
    settings = curve_of(pack, shape="drawn", curve=points)
    assert settings.kappa_factor(1, 5) == pytest.approx(0.6) and settings.kappa_factor(3, 5) == pytest.approx(0.1)
    files = pack.nodes.presets.files
    files.save(tmp_path, "faded", settings, "", False)
    assert files.load(tmp_path, "faded").settings == settings
    assert "kappa_curve of 101 points" in files.load(tmp_path, "faded").why
    for wrong in ({"points": "no"}, {}, 5):
        with pytest.raises(ValueError, match=r"curve is .* no curve"):
            curve_of(pack, shape="drawn", curve=wrong)


def test_a_curve_that_is_not_finite_is_named(pack: ModuleType) -> None:
    """ComfyUI's smooth curve divides by the distance of two points."""
    points = [[0.0, 1.0], [2e-313, 0.9], [1.0, 0.5]]
    if pack.nodes.samplers.kappa_curve.CurveInput is None:
        return
    with pytest.raises(ValueError, match=r"curve is .*2e-313.* no value at some shares of the steps.*Move them apart"):
        curve_of(pack, shape="drawn", curve={"points": points, "interpolation": "monotone_cubic"})
    assert curve_of(pack, shape="drawn", curve={"points": points, "interpolation": "linear"}).kappa_curve
