"""The search for the least error, what it keeps on disk, and how it knows that again."""

import copy
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from demo_runs import demo_inputs, lml
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")


@pytest.fixture(scope="module")
def tuning(pack: ModuleType) -> ModuleType:
    return pack.nodes.tune.tuning


def settings(pack: ModuleType, **fields: Any) -> Any:
    return pack.lml_sampler.LMLSettings(**fields)


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


@given(damping=st.floats(0, 1e4))
def test_the_search_for_a_damping_goes_around_any_that_damps(pack: ModuleType, damping: float) -> None:
    tuning = pack.nodes.tune.tuning
    base = settings(pack, damping=damping)
    axis = tuning.parameter("λ", base)
    start = axis.place(axis.of(base))
    assert start == (pytest.approx(0.5) if damping > 1e-6 else 0)
    trials = tuning.search(["one"], axis, damping, lambda _, value: abs(value - 3), 12)
    assert trials[0].value == damping and len(trials) <= 12


@pytest.mark.parametrize("name", ["κ", "λ"])
@given(place=st.floats(0, 1))
def test_places_and_values_fit(pack: ModuleType, name: str, place: float) -> None:
    axis = pack.nodes.tune.tuning.parameter(name, settings(pack))
    value = axis.value(place)
    assert axis.low * (1 - 1e-9) <= value <= axis.high * (1 + 1e-9)
    assert axis.value(min(max(axis.place(value), 0), 1)) == pytest.approx(value, rel=1e-3)
    assert axis.of(axis.put(settings(pack), value)) == value


@pytest.mark.parametrize(
    ("error", "other", "said"),
    [
        (0.1, 0.2, "50 % closer"),
        (0.2, 0.1, "100 % farther"),
        (0.1, 0.0, "farther"),
        (0.0, 0.0, "no closer"),
        (0.1, math.inf, "closer"),
    ],
)
def test_how_two_errors_compare_in_words(pack: ModuleType, error: float, other: float, said: str) -> None:
    """`... than euler` follows."""
    assert pack.nodes.tune.search.compared(error, other) == said


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


# --- Fingerprints: by what a kept run is known again


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
