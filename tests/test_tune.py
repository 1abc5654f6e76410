"""Tune with the shipped models in the real ComfyUI."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from comfy_host.client import Client, PromptError
from comfy_host.prompts import SUBJECT, Info, around
from core_runs import rms
from demo_runs import Linked, around_the_model, built_in, custom, lml, model_calls, never_called, run, tiny_inputs

from lml_sampler import LMLSettings

# deis of ComfyUI uses what NumPy deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")


SMALL = {"seed": 5, "steps": 3, "cfg": 4.0, "reference_steps": 12, "evaluations": 8, "seeds": 1}
CALLS = 12 + 3 * (6 + 8)
"""Model calls that they take at most: the reference, ComfyUI's samplers, the search."""


def tune(pack: ModuleType, linked: Linked, **options: Any) -> tuple[Any, ...]:
    return run(pack.nodes.tune.LMLTune, linked, **(SMALL | options))


def errors_in(report: str) -> dict[str, float]:
    rows = [line.rsplit(None, 1) for line in report.splitlines() if line.startswith("  ")]
    return {name.strip(): float(error) for name, error in rows}


@pytest.mark.parametrize("variant", ["eps", "flow"])
def test_the_report_is_what_the_samplers_do(pack: ModuleType, user_folder: Path, variant: str) -> None:
    """Its errors are those of KSampler and LMLKSampler, measured here once more."""
    linked = tiny_inputs(variant, batch=2)
    sampler, tuned, plot, report = tune(pack, linked, seeds=2)
    errors = errors_in(report)
    references = [built_in(linked, "dpmpp_2m", seed, 12, 4.0) for seed in (5, 6)]

    def measured(latent: Any) -> float:
        distances = [rms(latent(5 + k) - reference) for k, reference in enumerate(references)]
        return sum(distances) / 2

    for name in ("euler", "uni_pc"):
        expected = measured(lambda seed, name=name: built_in(linked, name, seed, 3, 4.0))
        assert errors[name] == pytest.approx(expected, abs=2e-5)
    best = measured(lambda seed: lml(pack, linked, seed=seed, steps=3, cfg=4.0, settings=tuned))
    plain = measured(lambda seed: lml(pack, linked, seed=seed, steps=3, cfg=4.0))
    (key,) = [name for name in errors if name.startswith("LML tuned")]
    assert key == f"LML tuned: λ {tuned.damping:g}" and errors[key] == pytest.approx(best, abs=2e-5)
    assert best <= plain
    verdict = report.splitlines()[0]
    share = abs(1 - errors[key] / errors["euler"])
    assert verdict.startswith(f"λ {tuned.damping:g}: ") and verdict.endswith(" than euler.") and len(verdict) < 40
    assert int(verdict.split()[2]) == pytest.approx(100 * share, abs=1)
    assert sampler.extra_options["settings"] == tuned
    assert plot.shape == (1, 470, 564, 3) and plot.std() > 0.05


@pytest.mark.parametrize(
    ("variant", "options"),
    [
        ("flow", {"scheduler": "sgm_uniform", "denoise": 0.1, "steps": 4, "reference_steps": 10}),
        ("flow", {"scheduler": "normal", "denoise": 1 / 3, "steps": 2, "reference_steps": 12}),
        ("eps", {"scheduler": "sgm_uniform", "denoise": 0.3, "steps": 6, "reference_steps": 15}),
    ],
)
def test_the_reference_takes_no_step_of_rounding(
    pack: ModuleType, user_folder: Path, variant: str, options: dict[str, Any]
) -> None:
    """Both schedules meet at the first level, but for its last digit: the reference was NaN, or noise amplified."""
    linked, host = tiny_inputs(variant), pack.nodes.host
    levels, fine = (
        host.schedule(linked["model"], options["scheduler"], options[steps], options["denoise"])
        for steps in ("steps", "reference_steps")
    )
    assert (levels[0] / fine - 1).abs().min() < 1e-6
    errors = errors_in(tune(pack, linked, **options)[3])
    below = torch.cat([levels[:1], fine[fine < levels[0] * (1 - 1e-6)]])
    reference = custom(linked, host.built_in_sampler("dpmpp_2m"), below, seed=5)
    euler = custom(linked, host.built_in_sampler("euler"), levels, seed=5)
    assert errors["euler"] == pytest.approx(rms(euler - reference), abs=2e-5)


def test_nothing_is_measured_twice(pack: ModuleType, user_folder: Path) -> None:
    linked = tiny_inputs()
    first = tune(pack, linked)
    again = tune(pack, linked)
    assert again[1] == first[1] and model_calls(again[3]) == 0 < model_calls(first[3])
    assert torch.equal(again[2], first[2])
    other = tune(pack, linked, steps=2)  # the reference serves again, the errors do not
    assert 0 < model_calls(other[3]) <= 2 * (6 + 8)
    assert len(list(user_folder.rglob("*.safetensors"))) == 1


@pytest.mark.every_host
@pytest.mark.parametrize("after", [20, 40])  # among ComfyUI's samplers, and among the settings
def test_a_cancelled_search_ends_at_once_and_goes_on_where_it_was(
    pack: ModuleType, user_folder: Path, after: int
) -> None:
    import comfy.model_management

    linked, calls = tiny_inputs(), []

    def cancel(*_: Any) -> None:
        calls.append(1)
        if len(calls) == after:
            comfy.model_management.interrupt_current_processing()

    handle = linked["model"].model.diffusion_model.register_forward_hook(cancel)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        tune(pack, linked)
    handle.remove()
    assert model_calls(tune(pack, linked)[3]) <= CALLS - after + 12  # at most the run that was cancelled is lost


def test_what_cannot_be_compared_is_not_kept(pack: ModuleType, user_folder: Path) -> None:
    linked = around_the_model(tiny_inputs(), lambda apply, args: apply(args["input"], args["timestep"], **args["c"]))
    report = tune(pack, linked)[3]
    assert "Nothing is kept for the next run: it holds a function" in report
    assert not list(user_folder.rglob("*.*"))


@pytest.mark.parametrize("fields", [{}, {"scheme": "ddim", "damping_mode": "relative", "kappa": 0.5}], ids=str)
def test_all_schemes_are_tried(pack: ModuleType, user_folder: Path, fields: dict[str, Any]) -> None:
    settings = pack.lml_sampler.LMLSettings(**fields)
    report = tune(pack, tiny_inputs(), settings=settings, schemes="try all", parameter="κ", evaluations=20)[3]
    assert "LML tuned: " in report and "κ" in report
    (path,) = user_folder.rglob("*.json")
    measured = [json.loads(name)["scheme"] for name in json.loads(path.read_text()) if name.startswith("{")]
    assert {"auto", "ddim", "dpmsolver", "dpmsolver++"} == set(measured) and len(measured) <= 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"evaluations": 5}, "evaluations is 5; it must be 7 or more for 1 scheme"),
        ({"evaluations": 8, "schemes": "try all"}, r"evaluations is 8; it must be 14 or more for 4 scheme"),
        ({"reference_steps": 5}, "reference_steps is 5; it must be 6 or more"),
        ({"denoise": 0.0}, "steps is 3: the scheduler 'lml' with denoise 0 makes no falling schedule"),
        ({"scheduler": "simple", "steps": 2000, "reference_steps": 5000}, "steps is 2000: the scheduler 'simple'"),
        ({"parameter": "eta"}, "parameter is 'eta'; choose one of λ, κ"),
        ({"settings": LMLSettings(eta=1.0)}, "The settings add noise"),
        ({"kappa": 0.0}, r"parameter is λ, which changes nothing here, .*: steps is 3, kappa \(κ\) 0, .* a κ above 0"),
        ({"steps": 1}, "parameter is λ, which changes nothing here, .*: steps is 1, .* Take 2 steps or more"),
        ({"parameter": "κ", "settings": LMLSettings(end_percent=0.3)}, "parameter is κ, which .* end_percent 0.3"),
    ],
)
def test_bad_input_is_named(pack: ModuleType, user_folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tune(pack, never_called(tiny_inputs()), **options)


@pytest.mark.every_host
def test_tune_in_a_running_comfyui(server: Client, info: Info) -> None:
    """It feeds a sampler, shows its budget first and its progress over the whole search, and can be cancelled."""
    dear = {"seed": 9, "reference_steps": 5000, "scheduler": "karras"}
    with pytest.raises(PromptError, match="interrupted"):
        server.run(around(info, "LMLTune", SMALL | dear), cancel=True)
    tuned = {"class_type": "LMLTune", "inputs": around(info, "LMLTune", SMALL)[SUBJECT]["inputs"]}
    shown = {"class_type": "PreviewImage", "inputs": {"images": ["tuned", 2]}}
    result = server.run(around(info, "LMLKSampler", {"steps": 3, "settings": ["tuned", 1]}, tuned=tuned, shown=shown))
    assert result.images["shown"][0].size == (564, 470)
    assert all(latent.isfinite().all() for latent in result.latents.values()) and result.latents
    assert "LML tuned: λ" in result.outputs["tuned"]["text"][0]
    steps = [(value, of) for node, value, of in result.progress if node == "tuned"]
    assert steps[-1] == (CALLS, CALLS) and all(of == CALLS for _, of in steps)
    texts = [text for node, text in result.texts if node == "tuned"]
    assert texts[0].startswith(f"At most {CALLS} model calls: 12 for the references") and " than euler." in texts[-1]
    assert len(result.previews) >= 5


@pytest.mark.parametrize("damping", [0.0, 1e-310])
def test_a_search_from_no_damping_shows_how_it_goes(server: Client, info: Info, damping: float) -> None:
    """0 is on no logarithmic axis, and for a while it is all that was tried."""
    result = server.run(around(info, "LMLTune", SMALL | {"damping": damping}))
    assert len(result.previews) >= 5
