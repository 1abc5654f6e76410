"""ComfyUI's own workflow templates: whatever they sample, and however, lml samples in its place."""

from types import ModuleType

import pytest
from comfy_host import templates
from comfy_host.templates import Combination

FILES, FOUND = templates.collect(templates.folder())


@pytest.fixture(scope="module")
def combinations(settled: None) -> ModuleType:
    from comfy_host import combinations

    return combinations


@pytest.mark.parametrize("combination", FOUND, ids=[files[0].removesuffix(".json") for files in FOUND.values()])
def test_what_a_template_samples(combinations: ModuleType, combination: Combination) -> None:
    result = combinations.run(combination, "lml")
    assert result.isfinite().all() and result.std() > 1e-3


@pytest.mark.parametrize("packed", [False, True])
def test_the_runs_are_of_lml(combinations: ModuleType, packed: bool) -> None:
    combination = next(each for each in FOUND if each.packed == packed and each.sampler.type == "SamplerCustomAdvanced")
    one, other = (combinations.run(combination, name) for name in ("lml", "euler"))
    assert one.shape == other.shape and not one.equal(other)


def test_the_templates_are_read_wholly() -> None:
    assert FILES > 500 and sum(map(len, FOUND.values())) > 250
    assert {"EPS", "V_PREDICTION_EDM", "FLOW", "FLUX"} <= {each.kind for each in FOUND}
    assert all(bool(each.sigmas) == each.sampler.type.startswith("SamplerCustom") for each in FOUND)
    assert all((each.guider is None) == (each.sampler.type != "SamplerCustomAdvanced") for each in FOUND)
    assert any(each.packed for each in FOUND)


def test_two_experts_are_read_one_behind_the_other() -> None:
    first, second = templates.read(templates.folder() / "video_wan2_2_14B_t2v.json")[:2]
    if first.before is not None:
        first, second = second, first
    assert first.before is None and second.before == first
    assert [node.type for node in second.patches] == ["ModelSamplingSD3"] and second.kind == "FLOW"
    assert second.patches[0].values == pytest.approx([5.0])
