"""Presets: the published settings, the choice on the nodes, the user's own files."""

import dataclasses
import json
import logging
import os
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from comfy_host.client import PromptError
from comfy_host.runs import demo_inputs, lml, run
from comfy_host.server import comfyui
from problems import mixture

from lml_sampler import LMLSettings, sample_lml
from lml_sampler.presets import BUILT_IN, FAMILIES, PAPER_NAMES, choose_paper, paper


def test_paper_figures() -> None:
    assert [paper("sd", steps).damping for steps in (5, 10, 15)] == [1e-3] * 3
    assert [paper("sd2", steps).damping for steps in (10, 15)] == [1e-3, 8e-4]
    assert paper("flux", 28).damping == 1e-2 and paper("flux", 28).target == "velocity"
    assert paper("sd", 14).lower_order_final and not paper("sd", 15).lower_order_final
    assert paper("sd", 10).damping_mode == "absolute" and paper("sd", 10).order == 3


@pytest.mark.parametrize(("family", "parametrization"), [("sd", "ve"), ("sd2", "ve"), ("flux", "flow")])
def test_paper_runs_and_corrects_a_little(family: Any, parametrization: str) -> None:
    problem = mixture(parametrization)
    sigmas = torch.linspace(0.95, 0, 9, dtype=torch.float64)
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def run(settings: LMLSettings) -> torch.Tensor:
        return sample_lml(problem.denoise, x, sigmas, disable=True, settings=settings, parametrization=parametrization)

    settings = paper(family, 8)
    plain = LMLSettings(
        scheme=settings.scheme, order=settings.order, lower_order_final=settings.lower_order_final, kappa=0.0
    )
    difference = (run(settings) - run(plain)).norm() / run(plain).norm()
    assert 1e-6 < difference < 0.1


def test_nothing_is_passed_off_as_published() -> None:
    for name, family in PAPER_NAMES.items():
        why = choose_paper(name, 8, None, None).why
        assert FAMILIES[family].label in why and why.startswith(name)
        published = FAMILIES[family].base == family
        assert ("Nothing was published" in why) != published, why
        assert paper(family, 8, flow=True).damping in (1e-3, 1e-2)
    assert "For 20 steps nothing was published" in choose_paper("paper: SD 1.5", 20, None, None).why
    assert "nothing" not in choose_paper("paper: SD 1.5", 15, None, None).why.lower()


def test_the_family_may_come_from_the_model() -> None:
    assert choose_paper("paper", 8, "sd2", False).settings == paper("sd2", 8)
    assert choose_paper("paper: FLUX", 8, "sd2", True).settings == paper("flux", 8)  # the name decides
    unknown = choose_paper("paper", 8, None, True)
    assert unknown.settings == paper("flux", 8) and "Nothing was published for this model" in unknown.why
    assert choose_paper("paper", 8, "video", False).settings == paper("sd", 8)
    with pytest.raises(ValueError, match=r"preset is 'paper'.*no model is connected\. Connect model, or choose"):
        choose_paper("paper", 8, None, None)


def test_bad_input_of_the_paper_is_named() -> None:
    with pytest.raises(ValueError, match="family is 'dalle'; choose one of sd, sd2"):
        paper("dalle", 8)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="steps is 0"):
        paper("sd", 0)


# --- The user's files


@pytest.fixture
def files(pack: ModuleType) -> ModuleType:
    return pack.nodes.preset_files


def loaded(files: ModuleType, folder: Path, name: str) -> LMLSettings:
    """The settings of a preset; ComfyUI has a copy of the core of its own."""
    return LMLSettings(**dataclasses.asdict(files.load(folder, name).settings))


def test_a_preset_is_read_back_as_it_was_saved(files: ModuleType, tmp_path: Path) -> None:
    settings = LMLSettings(scheme="dpmsolver", order=2, damping=1e-8, kappa=1 / 3, strength=1.7, end_percent=0.9)
    folder = tmp_path / "not" / "there" / "yet"
    assert files.names(folder) == [] and files.warnings(folder) == []
    path, written = files.save(folder, "Köln λ (2)", settings, "für Porträts", replace=False)
    assert written and files.names(folder) == ["Köln λ (2)"]
    why = files.load(folder, "Köln λ (2)").why
    assert loaded(files, folder, "Köln λ (2)") == settings and "für Porträts" in why and "order 2" in why
    assert [entry.name for entry in folder.iterdir()] == [path.name]


def test_saving_again_needs_permission(files: ModuleType, tmp_path: Path) -> None:
    first, second = LMLSettings(), LMLSettings(strength=0.5)
    files.save(tmp_path, "mine", first, "", replace=False)
    assert files.save(tmp_path, "mine", first, "", replace=False)[1] is False
    for name in ("mine", "MINE"):
        with pytest.raises(ValueError, match=r"mine\.json has it and holds something else.*switch replace on"):
            files.save(tmp_path, name, second, "", replace=False)
    assert loaded(files, tmp_path, "mine") == first
    assert files.save(tmp_path, "mine", second, "", replace=True)[1]
    assert loaded(files, tmp_path, "mine") == second


def test_what_could_not_be_read_back_is_not_saved(files: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"note has 99999 characters.*Shorten it"):
        files.save(tmp_path, "mine", LMLSettings(), "x" * 99_999, replace=False)
    assert list(tmp_path.iterdir()) == []
    files.save(tmp_path, "mine", LMLSettings(), "x" * 99_000, replace=False)
    assert loaded(files, tmp_path, "mine") == LMLSettings()


def test_what_a_killed_process_has_left_is_cleared_away(files: ModuleType, tmp_path: Path) -> None:
    for name, age in ((".old.part", 90_000), (".young.part", 60)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    files.save(tmp_path, "mine", LMLSettings(), "", replace=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".young.part", "mine.json"]


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "a/b", "a\\b", "../up", "..", ".hidden", "C:x", "nul", "CON.json", "com1", "dot.", "end ", "a\nb"),
        *("a" * 61, "λ" * 101, "\x00", "auto", "Auto", "CUSTOM", "paper", "paper: FLUX", "a*b", "a|b"),
    ],
)
def test_dangerous_names_are_refused(files: ModuleType, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name is "):
        files.save(tmp_path, name, LMLSettings(), "", replace=True)
    with pytest.raises(ValueError, match="name is "):
        files.load(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def content(**changes: Any) -> str:
    return json.dumps({"format": "lml-sampler preset", "version": 1, "settings": {"kappa": 0.5}} | changes)


BROKEN = {
    "": "Expecting value",
    "[1, 2": "Expecting",
    "[]": "the field format is not",
    "[" * 99_999: "recursion",
    content(format="other"): "the field format is not",
    content(version=2): "the field version is 2",
    content(note=7): "the field note is 7",
    content(settings=None): "the field settings is missing",
    content(settings={"kappa": "high"}): r"the field settings.kappa is 'high', which is not a number",
    content(settings={"kappa": True}): "settings.kappa is True, which is not a number",
    content(settings={"kappa": float("nan")}): r"kappa \(κ\) is nan; it must be within",
    content(settings={"damping": float("inf")}): r"damping \(λ\) is inf",
    content(settings={"kapa": 0.5}): "settings.kapa is unknown; known are scheme",
    content(settings={"order": 1.5}): "settings.order is 1.5, which is not a whole number",
    content(settings={"scheme": ["ddim"]}): "settings.scheme is .'ddim'., which is not a text",
    content(settings={"scheme": "rk4"}): "scheme is 'rk4'; choose one of",
    content(note="x" * 100_001): "too many for a preset",
}


@pytest.mark.parametrize("text", BROKEN, ids=list(range(len(BROKEN))))
def test_a_broken_file_names_itself_the_field_and_the_remedy(files: ModuleType, tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.json").write_text(text)
    assert files.names(tmp_path) == ["mine"]
    with pytest.raises(ValueError, match=BROKEN[text]) as caught:
        files.load(tmp_path, "mine")
    assert str(tmp_path / "mine.json") in str(caught.value) and "Correct the file" in str(caught.value)
    (warning,) = files.warnings(tmp_path)
    assert warning == str(caught.value)


def test_files_with_impossible_names_are_not_offered(files: ModuleType, tmp_path: Path) -> None:
    for name in ("auto.json", "nul.json", "notes.txt", ".mine.json.part", ".hidden.json"):
        (tmp_path / name).write_text(content())
    assert files.names(tmp_path) == []
    found = files.warnings(tmp_path)
    assert len(found) == 2 and all("Rename the file" in warning for warning in found)
    with pytest.raises(ValueError, match=r"there is no file .*gone\.json.*Choose another preset"):
        files.load(tmp_path, "gone")


# --- The nodes


@pytest.fixture
def user_folder(pack: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ComfyUI with a user folder of its own."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "user_directory", str(tmp_path))
    return pack.nodes.host.running.user_folder("presets")


def preset_of(pack: ModuleType, **inputs: Any) -> tuple[LMLSettings, str]:
    _, settings, text = run(pack.nodes.presets.LMLPreset, {}, **inputs)
    return settings, text


def test_the_preset_node_says_what_it_chose(pack: ModuleType) -> None:
    settings, text = preset_of(pack)
    assert dataclasses.asdict(settings) == dataclasses.asdict(LMLSettings()) and text.startswith("auto: ")
    for variant, family in (("eps", "SD 1.5"), ("flow", "FLUX")):
        model = pack.nodes.demo_model.load(variant)
        settings, text = preset_of(pack, preset="paper", model=model, strength=0.5)
        assert f"these are the settings of {family}" in text and "Nothing was published" in text
        assert ("flow velocity" in text) == (variant == "flow") and "Strength 0.5" in text
        assert settings.strength == 0.5 and settings.damping == (1e-2 if variant == "flow" else 1e-3)
    settings, _ = preset_of(pack, preset="custom", kappa=0.25, strength=2.0)
    assert (settings.kappa, settings.strength) == (0.25, 2.0)
    with pytest.raises(ValueError, match="no model is connected"):
        preset_of(pack, preset="paper")


def test_real_configurations_have_their_family(pack: ModuleType) -> None:
    import comfy.supported_models as supported

    families = pack.nodes.host.families
    expected = {
        "SD15": "sd",
        "SD20": "sd2",
        "SDXL": "sdxl",
        "SSD1B": "sdxl",
        "SD3": "sd3",
        "Flux": "flux",
        "FluxSchnell": "flux",
        "WAN22_T2V": "video",
        "HunyuanVideoI2V": "video",
        "HunyuanImage21": None,
        "PixArtAlpha": None,
    }
    for name, family in expected.items():
        kind = getattr(supported, name)

        class Patcher:
            class model:
                model_config = kind({"context_dim": 768} if name.startswith("SD") else {})

        assert families.family(Patcher) == family, name


def run_ksampler(pack: ModuleType, **inputs: Any) -> torch.Tensor:
    return lml(pack, demo_inputs(pack), **({"steps": 5, "cfg": 4.0} | inputs))


def test_strength_acts_on_every_preset(pack: ModuleType, user_folder: Path) -> None:
    pack.nodes.preset_files.save(user_folder, "mine", pack.lml_sampler.LMLSettings(strength=0.5), "", False)
    assert torch.equal(run_ksampler(pack, preset="mine", strength=2.0), run_ksampler(pack))
    assert torch.equal(run_ksampler(pack, preset="mine"), run_ksampler(pack, strength=0.5))
    neutral = run_ksampler(pack, strength=0.0)
    assert torch.equal(neutral, run_ksampler(pack, preset="custom", strength=0.0))
    assert not torch.equal(neutral, run_ksampler(pack))
    one, two = (run_ksampler(pack, preset="paper: SD 1.5", strength=strength) for strength in (1.0, 2.0))
    assert not torch.equal(one, two)


def test_connected_settings_take_the_place_of_the_preset(pack: ModuleType) -> None:
    settings, _ = preset_of(pack, preset="paper: SD 1.5", steps=5)
    expected = run_ksampler(pack, preset="paper: SD 1.5")
    assert torch.equal(run_ksampler(pack, settings=settings), expected)


def test_what_is_not_used_is_said(pack: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        run_ksampler(pack, preset="custom", kappa=0.3)
        run_ksampler(pack)
        assert not caplog.messages
        run_ksampler(pack, kappa=0.3, scheme="dpmsolver")
        preset_of(pack, preset="paper: FLUX", end_percent=0.5)
        run_ksampler(pack, preset="paper", settings=pack.lml_sampler.LMLSettings())
    first, second, third = caplog.messages
    assert "come from the preset 'auto'; not used: kappa 0.3, scheme dpmsolver. Choose the preset 'custom'" in first
    assert "not used: end_percent 0.5" in second
    assert "come from the node at the input settings; not used: preset 'paper'. Disconnect it" in third


@pytest.mark.parametrize("variant", ["eps", "flow"])
def test_the_sampler_node_reads_the_run(pack: ModuleType, variant: str) -> None:
    """Its paper presets learn the number of steps and the model only when they run."""
    from comfy_extras.nodes_custom_sampler import SamplerCustom

    linked = demo_inputs(pack, variant)
    model, positive, negative, latent = (linked[key] for key in ("model", "positive", "negative", "latent_image"))
    for steps in (6, 15):
        sigmas = pack.nodes.host.schedule(model, "normal", steps)

        def custom(sampler: Any, sigmas: torch.Tensor = sigmas) -> torch.Tensor:
            arguments = (model, True, 1, 4.0, positive, negative, sampler, sigmas, latent)
            return SamplerCustom.execute(*arguments).result[0]["samples"]

        lazy = custom(run(pack.nodes.sampler.LMLSampler, {}, preset="paper", strength=0.7)[0])
        inputs = {"preset": "paper", "steps": steps, "model": model, "strength": 0.7}
        assert torch.equal(lazy, custom(run(pack.nodes.presets.LMLPreset, {}, **inputs)[0]))


def save_prompt(**inputs: Any) -> dict[str, Any]:
    return {
        "1": {"class_type": "LMLPreset", "inputs": {"preset": "custom", "kappa": 0.42}},
        "2": {
            "class_type": "LMLSavePreset",
            "inputs": {"settings": ["1", 1], "note": "a note", "replace": False} | inputs,
        },
    }


def test_presets_in_a_running_comfyui(tmp_path: Path) -> None:
    """A broken file does not keep it from starting; a saved preset appears in the lists and works."""
    folder = tmp_path / "user" / "default" / "lml_sampler" / "presets"
    folder.mkdir(parents=True)
    (folder / "broken.json").write_text(content(settings={"kapa": 1}))
    with comfyui(tmp_path) as client:
        log = (tmp_path / "comfyui.log").read_text()
        assert "broken.json cannot be used: the field settings.kapa is unknown" in log
        result = client.run(client.filled(save_prompt(name="from the page")))
        assert result.outputs["2"]["text"][0].startswith("Saved: ")
        assert result.outputs["1"]["text"][0] == "custom: the inputs of the node. Other than the defaults: kappa 0.42."
        for name in ("LMLKSampler", "LMLKSamplerAdvanced", "LMLSampler", "LMLPreset"):
            options = client.object_info()[name]["input"]["required"]["preset"][1]["options"]
            assert options == [*BUILT_IN, "broken", "from the page"]
        for bad in ("../x", "auto", ""):
            with pytest.raises(PromptError, match="name is "):
                client.run(client.filled(save_prompt(name=bad)))
        use = save_prompt(name="copy")
        use["1"]["inputs"] = {"preset": "broken"}
        with pytest.raises(PromptError, match=r"node 1 .*broken\.json cannot be used.*settings.kapa.*Correct the file"):
            client.run(client.filled(use))
        use["1"]["inputs"] = {"preset": "from the page"}
        assert "a note" in client.run(client.filled(use)).outputs["1"]["text"][0]
    assert sorted(path.name for path in folder.iterdir()) == ["broken.json", "copy.json", "from the page.json"]
