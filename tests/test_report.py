"""The record of a run: its figures, its cost where nobody asks, and the node that shows it."""

import io
import json
import math
from types import ModuleType
from typing import Any

import core_runs
import pytest
import torch
from comfy_host.client import Client, PromptError
from comfy_host.prompts import SUBJECT, Info, around
from core_runs import SIGMAS, rms
from demo_runs import Linked, lml, run, tiny_inputs
from PIL import Image
from problems import mixture, noise
from torch import Tensor

from lml_sampler import LMLSettings, Recorder
from lml_sampler.diagnostics import StepReport

STATE = noise(3, 8) * 8
model = mixture().denoise


def record(sigmas: Tensor = SIGMAS, **options: Any) -> tuple[Tensor, list[StepReport]]:
    """The end of a run, and what was recorded of it."""
    recorder = Recorder()
    result = core_runs.run(model, STATE, sigmas, extra_args={"seed": 1}, recorder=recorder, **options)
    return result, recorder.read()


CASES = [
    {},
    {"scheme": "ddim"},
    {"scheme": "dpmsolver++", "order": 3, "target": "increment", "start_percent": 0.4},
    {"scheme": "ddim", "damping_mode": "absolute", "arithmetic": "released_float32", "damping": 1e-3, "kappa": 1e-5},
    {"kappa": 0.0},
    {"eta": 0.5, "end_percent": 0.5},
]


@pytest.mark.parametrize("fields", CASES, ids=str)
def test_recording_changes_nothing_and_sees_every_step(fields: dict[str, Any]) -> None:
    result, steps = record(**fields)
    assert torch.equal(result, core_runs.run(model, STATE, SIGMAS, extra_args={"seed": 1}, **fields))
    assert [step.sigma for step in steps] == SIGMAS[:-1].tolist() and steps[-1].sigma_next == 0
    for step in steps:
        assert step.model_seconds > 0 and step.sampler_seconds > 0
        for name in ("length", "across", "turn", "rotation", "gain", "damping", "trust"):
            values = getattr(step, name)
            assert values is None or (len(values) == 3 and all(map(math.isfinite, values))), name


def test_the_figures_are_those_of_the_vectors() -> None:
    """Compared with the noise predictions of the model at the states of the callback."""
    states = []
    settings = {"scheme": "ddim", "damping_mode": "relative", "damping": 2.0}
    _, steps = record(callback=lambda now: states.append(now["x"]), **settings)
    noises = [(x - model(x, s.expand(3))) / s for x, s in zip(states, SIGMAS, strict=False)]
    assert steps[0].rotation is None and steps[0].notes
    for step, before, here, x, after, low in zip(
        steps[1:], noises, noises[1:], states[1:], states[2:], SIGMAS[2:], strict=False
    ):
        followed = (after - x) / (low - step.sigma)
        angle = torch.rad2deg(torch.acos(torch.cosine_similarity(followed, here)))
        turn = torch.rad2deg(torch.acos(torch.cosine_similarity(before, here)))
        assert torch.allclose(torch.tensor(step.length, dtype=torch.float64), here.norm(dim=1))
        assert torch.allclose(torch.tensor(step.rotation, dtype=torch.float64), angle, atol=1e-4)
        assert torch.allclose(torch.tensor(step.turn, dtype=torch.float64), turn, atol=1e-4)
        assert step.damping == [3.0] * 3  # λ + 1
        tangent = torch.tan(torch.deg2rad(turn))
        across = before - here * ((before * here).sum(1) / (here * here).sum(1))[:, None]
        assert torch.allclose(torch.tensor(step.across, dtype=torch.float64), across.norm(dim=1))
        assert (tangent > 0).all() and all(gain > 0 for gain in step.gain)


def test_what_is_left_out_is_said() -> None:
    _, steps = record()
    assert "no step before" in steps[0].notes[0]
    assert all(not step.notes and 0 < min(step.trust) <= max(step.trust) <= 1 for step in steps[1:])
    _, steps = record(start_percent=0.5)
    assert [any("start_percent" in note for note in step.notes) for step in steps] == [True] * 3 + [False] * 3
    _, steps = record(scheme="dpmsolver++", order=2)
    assert "order 1 in place of 2" in steps[0].notes and not steps[2].notes
    _, steps = record(kappa=0.0)
    assert all("neutral" in step.notes[0] and step.length is None for step in steps)


def test_a_call_that_tells_nothing_new_is_named(pack: ModuleType) -> None:
    """A level that comes almost twice; leaving it out costs less than leaving out any call after it."""
    wasteful = torch.cat([SIGMAS[:3], SIGMAS[2:3] * 0.98, SIGMAS[3:]])
    for sigmas, wasted in ((wasteful, [4]), (SIGMAS, [])):
        report = pack.nodes.report.reporting.Report(LMLSettings(), record(sigmas)[1])
        assert report.wasted() == wasted
        assert ("came of call 4" in report.conclusion()) == bool(wasted)
    fine = torch.cat([torch.logspace(math.log10(8), -3, 4000, dtype=torch.float64), torch.zeros(1)])
    exact = core_runs.run(model, STATE, fine, kappa=0.0)

    def error_without(call: int) -> float:
        return rms(core_runs.run(model, STATE, torch.cat([wasteful[: call - 1], wasteful[call:]])) - exact)

    assert error_without(4) < min(map(error_without, (5, 6, 7)))


@pytest.mark.parametrize("start", [1.0, 1.03])
def test_pure_noise_and_above_is_a_level_like_any_other(start: float) -> None:
    """A flow that begins at or a little above sigma 1, as MultiplySigmas makes it."""
    recorder, sigmas = Recorder(), torch.tensor([start, 1.0, 0.7, 0.3, 0.0][start == 1.0 :])
    core_runs.run(lambda x, s: 0.3 * x, STATE, sigmas, parametrization="flow", recorder=recorder)
    first, *others = recorder.read()
    assert first.news is None and all(math.isfinite(news) and news > 0 for step in others for news in step.news or [])
    assert all(step.news is not None for step in others)


def test_a_recorder_is_for_one_run() -> None:
    recorder = Recorder()
    core_runs.run(model, STATE, SIGMAS, recorder=recorder)
    with pytest.raises(RuntimeError, match="make a new one for each run"):
        core_runs.run(model, STATE, SIGMAS, recorder=recorder)
    assert len(recorder.read()) == 6


@pytest.fixture(scope="module")
def linked(pack: ModuleType) -> Linked:
    return tiny_inputs(batch=2)


@pytest.mark.every_host
def test_the_node_samples_like_the_sampler_and_reports(pack: ModuleType, linked: Linked) -> None:
    latent, plot, text, data = run(pack.nodes.report.LMLReport, linked, seed=3, steps=5)
    assert torch.equal(latent["samples"], lml(pack, linked, seed=3, steps=5))
    assert plot.shape[2:] == (564, 3) and 1050 < plot.shape[1] < 1250 and plot.std() > 0.05
    assert text.count(" to ") >= 5 and "Step 1: there is no step before" in text
    content = json.loads(data)
    assert content["settings"]["scheme"] == "auto" and len(content["steps"]) == 5
    assert all(len(step["length"]) == 2 for step in content["steps"])


def test_the_conclusion_is_about_the_run(pack: ModuleType, linked: Linked) -> None:
    text, data = run(pack.nodes.report.LMLReport, linked, seed=3, steps=5)[2:]
    steps = json.loads(data)["steps"]
    turns = [sum(step["turn"]) / 2 if step["turn"] else 0 for step in steps]
    first = text.splitlines()[0]
    assert first.startswith(f"The path turns most before step {turns.index(max(turns)) + 1}, by {max(turns):.2g}°; ")
    assert "LML bends 4 of 5 steps" in first and first.endswith("% of the time.")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 5, "kappa": 0.0}, "κ is 0: this is the plain sampler"),
        ({"steps": 1}, "One step: there is no turn"),
    ],
)
def test_a_run_without_a_turn_says_why(pack: ModuleType, linked: Linked, options: dict[str, Any], message: str) -> None:
    assert run(pack.nodes.report.LMLReport, linked, **options)[2].startswith(message)


def test_a_run_that_rises_says_so(pack: ModuleType) -> None:
    recorder = Recorder()
    core_runs.run(mixture().denoise, noise(2, 8), torch.tensor([0.5, 1.0, 2.0]), recorder=recorder)
    report = pack.nodes.report.reporting.Report(recorder.settings, recorder.read())
    assert report.conclusion().startswith("The noise level does not fall: every step is plain")


@pytest.mark.every_host
def test_any_guider_sampler_and_sigmas_are_reported(pack: ModuleType, linked: Linked) -> None:
    from comfy_extras.nodes_custom_sampler import CFGGuider, Noise_RandomNoise

    host = pack.nodes.host
    guider = CFGGuider.execute(linked["model"], linked["positive"], linked["negative"], 4.0).result[0]
    sigmas = host.schedule(linked["model"], "karras", 4)
    scheme = {"scheme": "dpmsolver", "order": 3}
    sampler, settings = run(pack.nodes.samplers.LMLSampler, {}, scheme=scheme)
    inputs = {"guider": guider, "sampler": sampler, "sigmas": sigmas, "latent_image": linked["latent_image"]}
    latent, _, text, data = run(pack.nodes.report.LMLReportCustom, {}, noise=Noise_RandomNoise(3), **inputs)
    assert json.loads(data)["settings"]["scheme"] == "dpmsolver" and len(json.loads(data)["steps"]) == 4
    assert "order 1 in place of 3" in text
    expected = lml(pack, linked, seed=3, steps=4, cfg=4.0, scheduler="karras", settings=settings)
    assert torch.equal(latent["samples"], expected)
    with pytest.raises(ValueError, match=r"sampler is sample_euler.* Connect LML Sampler"):
        other = inputs | {"sampler": host.built_in_sampler("euler")}
        run(pack.nodes.report.LMLReportCustom, {}, noise=Noise_RandomNoise(3), **other)
    with pytest.raises(ValueError, match=r"latent_image has shape \[0, 3, 8, 8\], which holds nothing"):
        empty = inputs | {"latent_image": {"samples": torch.zeros(0, 3, 8, 8)}}
        run(pack.nodes.report.LMLReportCustom, {}, noise=Noise_RandomNoise(3), **empty)


def test_a_run_without_a_step_is_named(pack: ModuleType, linked: Linked) -> None:
    with pytest.raises(ValueError, match="no step to report: denoise is 0"):
        run(pack.nodes.report.LMLReport, linked, denoise=0.0)


@pytest.mark.every_host
def test_the_report_is_shown_on_the_node(server: Client, info: Info) -> None:
    prompt = around(info, "LMLReport", {"steps": 4})
    result = server.run(prompt)
    assert "rotation" in result.outputs[SUBJECT]["text"][0]
    (plot,) = result.images["subject_1"]
    last = Image.open(io.BytesIO(result.previews[-1][result.previews[-1].index(b"\xff\xd8\xff") :]))
    assert plot.width == 564 and last.size == (1024, 599)  # one panel has taken the place of the preview
    prompt[SUBJECT]["inputs"]["cfg"] = -1.0
    with pytest.raises(PromptError, match="smaller than min"):
        server.run(prompt)
