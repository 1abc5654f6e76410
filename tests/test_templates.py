"""ComfyUI's own workflow templates: whatever they sample, and however, lml samples in its place."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from comfy_host import templates
from comfy_host.templates import Collected, Combination

Found = dict[Combination, list[str]]


@pytest.fixture(scope="module")
def combinations(settled: None) -> ModuleType:
    from comfy_host import combinations

    return combinations


@pytest.fixture(scope="module")
def collected(info: dict[str, Any]) -> Collected:
    return templates.collect(templates.folder(), info)


@pytest.fixture(scope="module")
def found(collected: Collected) -> Found:
    return collected.found


def test_lml_samples_what_a_template_samples(combinations: ModuleType, found: Found, subtests: pytest.Subtests) -> None:
    for combination, files in found.items():
        with subtests.test(files[0]):
            result = combinations.run(combination, "lml")
            assert result.isfinite().all() and result.std() > 1e-3


@pytest.mark.parametrize("packed", [False, True])
def test_the_runs_are_of_lml(combinations: ModuleType, found: Found, packed: bool) -> None:
    combination = next(each for each in found if each.packed == packed and each.sampler.type == "SamplerCustomAdvanced")
    one, other = (combinations.run(combination, name) for name in ("lml", "euler"))
    assert one.shape == other.shape and not one.equal(other)


def test_the_templates_are_read_wholly(collected: Collected) -> None:
    files, found, unread = collected
    assert files > 500 and not unread and sum(map(len, found.values())) > 250
    assert {"EPS", "V_PREDICTION_EDM", "FLOW", "FLUX"} <= {each.kind for each in found}
    assert all(bool(each.sigmas) == each.sampler.type.startswith("SamplerCustom") for each in found)
    assert all((each.guider is None) == (each.sampler.type != "SamplerCustomAdvanced") for each in found)
    assert any(each.packed for each in found)


def test_two_experts_are_read_one_behind_the_other(info: dict[str, Any]) -> None:
    first, second = templates.read(templates.folder() / "video_wan2_2_14B_t2v.json", info)[:2]
    if first.before is not None:
        first, second = second, first
    assert first.before is None and second.before == first
    assert [node.type for node in second.patches] == ["ModelSamplingSD3"] and second.kind == "FLOW"
    assert dict(second.patches[0].values) == pytest.approx({"shift": 5.0})


def test_a_file_for_another_comfyui_does_not_end_the_reading(info: dict[str, Any], tmp_path: Path) -> None:
    text = (templates.folder() / "flux_dev_full_text_to_image.json").read_text("utf-8")
    (tmp_path / "known.json").write_text(text, "utf-8")
    older = {name: definition for name, definition in info.items() if name != "KSampler"}
    read = templates.collect(tmp_path, info)
    left = templates.collect(tmp_path, older)
    assert read.found and not read.unread
    assert not left.found and left.unread == ["known.json: KSampler is not in this ComfyUI"]
