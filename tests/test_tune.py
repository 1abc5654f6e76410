"""Tune: the search by itself, then with the shipped models in the real ComfyUI."""

import copy
import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from comfy_host.client import Client, PromptError
from demo_runs import Linked, built_in, demo_inputs, lml, run
from hypothesis import given
from hypothesis import strategies as st

# deis of ComfyUI uses what NumPy deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")


@pytest.fixture(scope="module")
def tuning(pack: ModuleType) -> ModuleType:
    return pack.nodes.tune.tuning


def settings(pack: ModuleType, **fields: Any) -> Any:
    return pack.lml_sampler.LMLSettings(**fields)


# --- The search


@given(best=st.floats(0, 1), sharp=st.floats(0.1, 100), budget=st.integers(8, 20))
def test_the_search_finds_the_bottom_of_a_valley(pack: ModuleType, best: float, sharp: float, budget: int) -> None:
    tuning = pack.nodes.tune.tuning
    axis = tuning.parameter("κ", settings(pack))
    calls = []

    def error(candidate: str, value: float) -> float:
        calls.append(value)
        return 1 - 1 / (1 + sharp * (value - best) ** 2)

    trials = tuning.search(["one"], axis, 1.0, error, budget)
    assert len(calls) == len(trials) <= budget and len(set(calls)) == len(calls)
    assert trials[0].value == 1.0
    found = tuning.best_of(trials)
    # The scan alone comes within 0.25. Values told apart by two decimals are steps, which may end Brent's early.
    assert abs(found.value - best) <= 0.1


def test_the_search_chooses_among_candidates(pack: ModuleType, tuning: ModuleType) -> None:
    axis = tuning.parameter("κ", settings(pack))
    bottoms = {"a": (0.9, 0.5), "b": (0.2, 0.1), "c": (0.5, 0.3)}

    def error(candidate: str, value: float) -> float:
        place, depth = bottoms[candidate]
        return depth + (value - place) ** 2

    trials = tuning.search(list(bottoms), axis, 0.7, error, 20)
    assert tuning.best_of(trials).candidate == "b" and abs(tuning.best_of(trials).value - 0.2) < 0.02
    assert len(trials) <= 20 and {trial.candidate for trial in trials} == set(bottoms)


def test_the_search_survives_what_breaks_up(pack: ModuleType, tuning: ModuleType) -> None:
    axis = tuning.parameter("λ", settings(pack))
    trials = tuning.search(["a"], axis, 1.0, lambda _, value: math.inf if value < 3 else value, 12)
    assert 3 <= tuning.best_of(trials).value < 10
    broken = tuning.search(["a"], axis, 1.0, lambda *_: math.nan, 10)
    with pytest.raises(RuntimeError, match=r"None of .* settings gave a finite picture"):
        tuning.best_of(broken)


@pytest.mark.parametrize("name", ["κ", "λ"])
@given(place=st.floats(0, 1))
def test_places_and_values_fit(pack: ModuleType, name: str, place: float) -> None:
    axis = pack.nodes.tune.tuning.parameter(name, settings(pack))
    value = axis.value(place)
    assert axis.low * (1 - 1e-9) <= value <= axis.high * (1 + 1e-9)
    assert axis.value(min(max(axis.place(value), 0), 1)) == pytest.approx(value, rel=1e-3)
    assert axis.of(axis.put(settings(pack), value)) == value


# --- The cache


def test_the_cache_outlives_the_process_and_damage(pack: ModuleType, tmp_path: Path) -> None:
    cache_of = pack.nodes.tune.cache.Cache
    first = cache_of(tmp_path, "key", "reference")
    first.keep_error("euler", 3, 0.25)
    first.keep_error("euler", 4, math.inf)
    first.keep_reference(3, torch.arange(6.0).view(1, 6))
    again = cache_of(tmp_path, "key", "reference")
    assert (again.error("euler", 3), again.error("euler", 4), again.error("deis", 3)) == (0.25, math.inf, None)
    assert torch.equal(again.reference(3), torch.arange(6.0).view(1, 6)) and again.reference(4) is None
    other = cache_of(tmp_path, "other", "reference")
    assert other.error("euler", 3) is None and other.reference(3) is not None
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-3])
    damaged = cache_of(tmp_path, "key", "reference")
    assert damaged.error("euler", 3) is None and damaged.reference(3) is None
    in_memory = cache_of(None, "", "")
    in_memory.keep_error("euler", 1, 0.5)
    assert in_memory.error("euler", 1) == 0.5 and in_memory.reference(1) is None


def test_the_cache_does_not_grow_for_ever(pack: ModuleType, tmp_path: Path) -> None:
    cache = pack.nodes.tune.cache.Cache(tmp_path, "key", "reference")
    for seed in range(40):
        cache.keep_reference(seed, torch.zeros(1, 1))
    assert len(list(tmp_path.glob("*.safetensors"))) == pack.nodes.tune.cache.KEPT_REFERENCES


# --- What decides the hash


@pytest.mark.every_host
def test_the_fingerprint_is_of_the_content(pack: ModuleType) -> None:
    fingerprint, demo_model = pack.nodes.host.fingerprint, pack.nodes.demo.model
    model = demo_model.load("eps")
    first = fingerprint.of_model(model)
    assert first == fingerprint.of_model(demo_model.load("eps")) == fingerprint.of_model(model.clone())
    assert first != fingerprint.of_model(demo_model.load("flow"))
    changed = demo_model.load("eps")
    next(changed.model.diffusion_model.parameters()).data.mul_(1.001)
    assert first != fingerprint.of_model(changed)
    key = "diffusion_model.input_blocks.0.0.weight"
    patched = [model.clone() for _ in range(3)]
    for clone, (strength, value) in zip(patched, ((1.0, 0.0), (1.0, 0.1), (0.5, 0.1)), strict=True):
        weight = torch.full_like(model.model.state_dict()[key], value)
        assert clone.add_patches({key: (weight,)}, strength)
    assert len({first, *(fingerprint.of_model(clone) for clone in patched)}) == 4
    sampling = copy.deepcopy(model.get_model_object("model_sampling"))
    sampling.set_sigmas(sampling.sigmas * 1.01)
    shifted = model.clone()
    shifted.add_object_patch("model_sampling", sampling)
    assert fingerprint.of_model(shifted) != first


@pytest.mark.every_host
def test_the_fingerprint_does_not_depend_on_loading(pack: ModuleType) -> None:
    """While a LoRA is loaded, its weights are in the model's."""
    fingerprint = pack.nodes.host.fingerprint
    linked = demo_inputs(pack)
    key = "diffusion_model.input_blocks.0.0.weight"
    patched = linked["model"].clone()
    patched.add_patches({key: (torch.full_like(patched.model.state_dict()[key], 0.1),)}, 1.0)
    before = fingerprint.of_model(patched), fingerprint.of_model(linked["model"])
    lml(pack, linked | {"model": patched}, steps=1)
    assert (fingerprint.of_model(patched), fingerprint.of_model(linked["model"])) == before


@pytest.mark.every_host
def test_code_has_no_fingerprint(pack: ModuleType) -> None:
    fingerprint = pack.nodes.host.fingerprint
    model = pack.nodes.demo.model.load("eps")
    model.set_model_unet_function_wrapper(lambda *_: None)
    with pytest.raises(fingerprint.NoFingerprint, match="it holds a function"):
        fingerprint.of_model(model)
    values = [torch.ones(2), {"a": 1}], [torch.ones(2), {"a": 1.5}], [torch.zeros(2), {"a": 1}], [torch.ones(1, 2), {}]
    assert len({fingerprint.of(value) for value in values}) == 4


# --- The node


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ComfyUI with a user folder of its own."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "user_directory", str(tmp_path))
    return tmp_path


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
    linked = demo_inputs(pack, variant, batch=2)
    sampler, tuned, plot, report = tune(pack, linked, seeds=2)
    errors = errors_in(report)
    references = [built_in(linked, "dpmpp_2m", seed, 12, 4.0) for seed in (5, 6)]

    def measured(latent: Any) -> float:
        distances = [(latent(5 + k) - reference).square().mean().sqrt() for k, reference in enumerate(references)]
        return float(sum(distances) / 2)

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
    linked, host = demo_inputs(pack, variant), pack.nodes.host
    model, positive, negative, latent, _ = linked.values()
    levels, fine = (
        host.schedule(model, options["scheduler"], options[steps], options["denoise"])
        for steps in ("steps", "reference_steps")
    )
    assert (levels[0] / fine - 1).abs().min() < 1e-6
    errors = errors_in(tune(pack, linked, **options)[3])
    below = torch.cat([levels[:1], fine[fine < levels[0] * (1 - 1e-6)]])
    with torch.no_grad():
        reference, euler = (
            host.sample(model, host.built_in_sampler(name), sigmas, 5, 4.0, positive, negative, latent)["samples"]
            for name, sigmas in (("dpmpp_2m", below), ("euler", levels))
        )
    assert errors["euler"] == pytest.approx((euler - reference).square().mean().sqrt().item(), abs=2e-5)


def test_nothing_is_measured_twice(pack: ModuleType, user_folder: Path) -> None:
    linked = demo_inputs(pack)
    first = tune(pack, linked)
    again = tune(pack, linked)
    assert again[1] == first[1] and "0 model calls" in again[3] and "0 model calls" not in first[3]
    assert torch.equal(again[2], first[2])
    other = tune(pack, linked, steps=2)  # the reference serves again, the errors do not
    calls = int(other[3].split(" model calls")[0].split()[-1])
    assert 0 < calls <= 2 * (6 + 8)
    assert len(list(user_folder.rglob("*.safetensors"))) == 1


@pytest.mark.every_host
@pytest.mark.parametrize("after", [20, 40])  # among ComfyUI's samplers, and among the settings
def test_a_cancelled_search_goes_on_where_it_was(
    pack: ModuleType, user_folder: Path, tmp_path_factory: pytest.TempPathFactory, after: int
) -> None:
    import comfy.model_management

    linked = demo_inputs(pack)
    calls = []

    def cancel(*_: Any) -> None:
        calls.append(1)
        if len(calls) == after:
            comfy.model_management.interrupt_current_processing()

    handle = linked["model"].model.diffusion_model.register_forward_hook(cancel)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        tune(pack, linked)
    handle.remove()
    resumed = tune(pack, linked)
    left = int(resumed[3].split(" model calls")[0].split()[-1])
    assert left <= CALLS - after + 12  # at most the run that was cancelled is lost
    import folder_paths

    folder_paths.user_directory = str(tmp_path_factory.mktemp("fresh"))  # the fixture puts it back
    fresh = tune(pack, linked)
    assert fresh[1] == resumed[1] and torch.equal(fresh[2], resumed[2])


def test_what_cannot_be_compared_is_not_kept(pack: ModuleType, user_folder: Path) -> None:
    linked = demo_inputs(pack)
    model = linked["model"].clone()
    model.set_model_unet_function_wrapper(lambda apply, args: apply(args["input"], args["timestep"], **args["c"]))
    report = tune(pack, linked | {"model": model})[3]
    assert "Nothing is kept for the next run: it holds a function" in report
    assert not list(user_folder.rglob("*.*"))


def test_all_schemes_are_tried(pack: ModuleType, user_folder: Path) -> None:
    report = tune(pack, demo_inputs(pack), schemes="try all", parameter="κ", evaluations=20)[3]
    assert "LML tuned: " in report and "κ" in report
    (path,) = user_folder.rglob("*.json")
    measured = [json.loads(name)["scheme"] for name in json.loads(path.read_text()) if name.startswith("{")]
    assert {"ddim", "dpmsolver", "dpmsolver++"} <= set(measured) and len(measured) <= 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"evaluations": 5}, "evaluations is 5; it must be 7 or more for 1 scheme"),
        ({"evaluations": 8, "schemes": "try all"}, r"evaluations is 8; it must be 14 or more for 4 scheme"),
        ({"reference_steps": 5}, "reference_steps is 5; it must be 6 or more"),
        ({"denoise": 0.0}, "steps is 3: the scheduler 'normal' with denoise 0 makes no falling schedule"),
        ({"scheduler": "simple", "steps": 2000, "reference_steps": 5000}, "steps is 2000: the scheduler 'simple'"),
        ({"parameter": "eta"}, "parameter is 'eta'; choose one of λ, κ"),
    ],
)
def test_bad_input_is_named(pack: ModuleType, user_folder: Path, options: dict[str, Any], message: str) -> None:
    linked = demo_inputs(pack)
    linked["model"].set_model_unet_function_wrapper(lambda *_: pytest.fail("the model was called"))
    with pytest.raises(ValueError, match=message):
        tune(pack, linked, **options)


def test_settings_that_add_noise_are_refused(pack: ModuleType, user_folder: Path) -> None:
    with pytest.raises(ValueError, match="The settings add noise"):
        tune(pack, demo_inputs(pack), settings=settings(pack, eta=1.0))


def server_prompt(client: Client, **inputs: Any) -> dict[str, Any]:
    linked = {"model": 0, "positive": 1, "negative": 2, "latent_image": 3}
    prompt = {
        "1": {"class_type": "LMLDemoModel", "inputs": {"batch_size": 1}},
        "2": {"class_type": "LMLTune", "inputs": {key: ["1", slot] for key, slot in linked.items()} | SMALL | inputs},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 2]}},
        "4": {
            "class_type": "LMLKSampler",
            "inputs": {key: ["1", slot] for key, slot in linked.items()} | {"steps": 3, "settings": ["2", 1]},
        },
        "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 4]}},
        "6": {"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}},
    }
    return client.filled(prompt)


@pytest.mark.every_host
def test_tune_in_a_running_comfyui(server: Client) -> None:
    """It feeds a sampler, shows its budget first and its progress over the whole search, and can be cancelled."""
    with pytest.raises(PromptError, match="interrupted"):
        server.run(server_prompt(server, seed=9, reference_steps=5000, scheduler="karras"), cancel=True)
    result = server.run(server_prompt(server))
    assert result.images["3"][0].size == (564, 470)
    assert np.asarray(result.images["6"][0]).std() > 10
    assert "LML tuned: λ" in result.outputs["2"]["text"][0]
    steps = [(value, of) for node, value, of in result.progress if node == "2"]
    assert steps[-1] == (CALLS, CALLS) and all(of == CALLS for _, of in steps)
    texts = [text for node, text in result.texts if node == "2"]
    assert texts[0].startswith(f"At most {CALLS} model calls: 12 for the references") and " than euler." in texts[-1]
    assert len(result.previews) >= 5
