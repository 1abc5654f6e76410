"""Presets: those of the pack, the published numbers, the choice on the nodes, the user's own files."""

import dataclasses
import json
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
from problems import Denoiser, Mixture, mixture, noise
from torch import Tensor

from lml_sampler import LMLSettings, sample_lml
from lml_sampler.presets import AUTO, BUILT_IN, PAPER, PAPER_FLUX, PAPER_SD, built_in, published

CONVERGED = 400


def test_published_figures() -> None:
    assert [published("sd", steps).damping for steps in (5, 10, 15)] == [1e-3] * 3
    assert [published("sd2", steps).damping for steps in (10, 15)] == [1e-3, 8e-4]
    assert published("flux", 28).damping == 1e-2 and published("flux", 28).target == "velocity"
    assert published("sd", 14).lower_order_final and not published("sd", 15).lower_order_final
    assert published("sd", 10).damping_mode == "absolute" and published("sd", 10).order == 3


# --- Every preset makes a picture


def guided(problem: Mixture, cfg: float) -> Denoiser:
    """Classifier-free guidance towards the first two points."""
    condition = problem._replace(points=problem.points[:2])

    def denoise(x: Tensor, sigma: Tensor, **_: object) -> Tensor:
        free = problem.denoise(x, sigma)
        return free + cfg * (condition.denoise(x, sigma) - free)

    return denoise


def schedule(kind: str, steps: int) -> Tensor:
    """eps: even timesteps of SD. v: karras over the same range. flow: shift 3."""
    if kind == "flow":
        even = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
        return 3 * even / (1 + 2 * even)
    if kind == "v":
        even = torch.linspace(0, 1, steps, dtype=torch.float64)
        levels = (14.6 ** (1 / 7) + even * (0.03 ** (1 / 7) - 14.6 ** (1 / 7))) ** 7
    else:
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        product = torch.cumprod(1 - betas, 0)
        levels = ((1 - product) / product).sqrt()[torch.linspace(999, 0, steps).round().long()]
    return torch.cat([levels, torch.zeros(1, dtype=torch.float64)])


def picture(kind: str, cfg: float, steps: int, settings: LMLSettings) -> Tensor:
    flow = "flow" if kind == "flow" else "ve"
    sigmas = schedule(kind, steps)
    x = noise(64, 8, seed=5) * sigmas[0]
    return sample_lml(guided(mixture(flow), cfg), x, sigmas, disable=True, settings=settings, parametrization=flow)


@pytest.mark.parametrize("cfg", [1.0, 5.0])
@pytest.mark.parametrize("kind", ["eps", "v", "flow"])
@pytest.mark.parametrize("preset", BUILT_IN)
def test_a_preset_is_not_further_from_the_picture_than_its_plain_scheme(preset: str, kind: str, cfg: float) -> None:
    flow = kind == "flow"
    if preset in (PAPER_SD, PAPER_FLUX) and flow != (preset == PAPER_FLUX):
        with pytest.raises(ValueError, match=f"preset is '{preset}', but this is .*a flow model. Choose "):
            built_in(preset, flow)
        return
    settings = built_in(preset, flow).settings
    plain = dataclasses.replace(settings, kappa=0.0)
    converged = picture(kind, cfg, CONVERGED, LMLSettings(scheme="dpmsolver++", order=2, kappa=0.0))

    def apart(steps: int, chosen: LMLSettings) -> float:
        return (picture(kind, cfg, steps, chosen) - converged).square().mean().sqrt().item()

    for steps in range(5, 21):
        assert 0 < apart(steps, settings) <= 1.2 * apart(steps, plain), steps


def test_the_published_numbers_are_not_small() -> None:
    """Why the presets do not take them: at the size of SD's latent they turn the step around, whatever the picture."""
    x = noise(2, 4, 64, 64, seed=1) * 14.6
    problem = mixture()

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return problem.denoise(x.reshape(-1, 8), sigma.repeat_interleave(2048)).reshape(x.shape)

    def run_with(settings: LMLSettings) -> Tensor:
        return sample_lml(model, x, schedule("eps", 8), disable=True, settings=settings)

    plain = run_with(dataclasses.replace(published("sd", 8), kappa=0.0))
    preset = run_with(built_in(PAPER_SD, False).settings)
    literal = run_with(published("sd", 8))
    assert (preset - plain).norm() < 0.05 * plain.norm() < 0.3 * (literal - plain).norm()


def test_what_a_preset_is_for_is_said() -> None:
    assert built_in(PAPER, True).settings == built_in(PAPER_FLUX, None).settings
    assert built_in(PAPER, False).settings == built_in(PAPER_SD, None).settings
    assert built_in(AUTO, None).settings == LMLSettings()
    assert "static" in built_in(PAPER, True).why and built_in(AUTO, True).why.startswith("auto: ")
    with pytest.raises(ValueError, match=r"preset is 'paper'.*no model is connected\. Connect model, or choose"):
        built_in(PAPER, None)
    with pytest.raises(ValueError, match="preset is 'best'; choose one of auto, paper"):
        built_in("best", None)


def test_bad_input_of_the_published_numbers_is_named() -> None:
    with pytest.raises(ValueError, match="family is 'dalle'; choose one of sd, sd2"):
        published("dalle", 8)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="steps is 0"):
        published("sd", 0)


# --- The user's files


@pytest.fixture
def files(pack: ModuleType) -> ModuleType:
    return pack.nodes.presets.files


def loaded(files: ModuleType, folder: Path, name: str) -> LMLSettings:
    """The settings of a preset; ComfyUI has a copy of the core of its own."""
    return LMLSettings(**dataclasses.asdict(files.load(folder, name).settings))


def test_a_preset_is_read_back_as_it_was_saved(files: ModuleType, tmp_path: Path) -> None:
    settings = LMLSettings(scheme="dpmsolver", order=2, damping=1e-8, kappa=1 / 3, end_percent=0.9)
    folder = tmp_path / "not" / "there" / "yet"
    assert files.names(folder) == [] and files.warnings(folder) == []
    path, written = files.save(folder, "Köln λ (2)", settings, "für Porträts", replace=False)
    assert written and files.names(folder) == ["Köln λ (2)"]
    why = files.load(folder, "Köln λ (2)").why
    assert loaded(files, folder, "Köln λ (2)") == settings and "für Porträts" in why and "order 2" in why
    assert [entry.name for entry in folder.iterdir()] == [path.name]


def test_saving_again_needs_permission(files: ModuleType, tmp_path: Path) -> None:
    first, second = LMLSettings(), LMLSettings(kappa=0.5)
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
        *("a" * 61, "λ" * 101, "\x00", "auto", "Auto", "PAPER", "paper", "paper: FLUX", "a*b", "a|b"),
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
    assert dataclasses.asdict(settings) == dataclasses.asdict(LMLSettings())
    assert text.splitlines()[0] == "preset auto · λ 1 · κ 1 · scheme auto"
    for variant, scheme in (("eps", "dpmsolver 3"), ("flow", "ddim")):
        model = pack.nodes.demo.model.load(variant)
        settings, text = preset_of(pack, preset="paper", model=model, kappa=0.5, damping=2.0)
        base = built_in(PAPER, variant == "flow").settings
        assert (settings.kappa, settings.damping) == (base.kappa / 2, 2 * base.damping)
        assert f"scheme {scheme}" in text.splitlines()[0] and "static" in text
    with pytest.raises(ValueError, match="no model is connected"):
        preset_of(pack, preset="paper")
    with pytest.raises(ValueError, match="not a flow model"):
        preset_of(pack, preset=PAPER_FLUX, model=pack.nodes.demo.model.load("eps"))


def run_ksampler(pack: ModuleType, **inputs: Any) -> torch.Tensor:
    return lml(pack, demo_inputs(pack), **({"steps": 5, "cfg": 4.0} | inputs))


@pytest.mark.parametrize("preset", [AUTO, PAPER_SD, "mine"])
def test_damping_and_kappa_act_on_every_preset(pack: ModuleType, user_folder: Path, preset: str) -> None:
    """Continuously, and the same on the node that chooses as on the one that samples."""
    mine = pack.lml_sampler.LMLSettings(scheme="ddim", kappa=0.8)
    pack.nodes.presets.files.save(user_folder, "mine", mine, "", False)
    settings, _ = preset_of(pack, preset=preset)
    as_it_is = run_ksampler(pack, settings=settings)
    plain = run_ksampler(pack, settings=settings, kappa=0.0)
    for factors in ({"damping": 3.0}, {"kappa": 0.5}):
        changed, _ = preset_of(pack, preset=preset, **factors)
        picture = run_ksampler(pack, settings=settings, **factors)
        assert torch.equal(picture, run_ksampler(pack, settings=changed))
        assert not torch.equal(picture, as_it_is)
        near = {name: value * 0.999999 for name, value in factors.items()}
        torch.testing.assert_close(run_ksampler(pack, settings=settings, **near), picture, atol=1e-3, rtol=1e-3)
        assert (picture - plain).norm() < (as_it_is - plain).norm()
    for bad, message in (({"damping": -1.0}, "from 0 to 100"), ({"kappa": 1.1}, "from 0 to 1")):
        with pytest.raises(ValueError, match=message):
            run_ksampler(pack, settings=settings, **bad)


def test_settings_for_flow_models_are_refused_elsewhere(pack: ModuleType) -> None:
    settings, _ = preset_of(pack, preset=PAPER_FLUX)
    with pytest.raises(ValueError, match=r"correct the velocity .* not a flow model\. Choose the preset auto"):
        run_ksampler(pack, settings=settings)


def save_prompt(**inputs: Any) -> dict[str, Any]:
    return {
        "1": {"class_type": "LMLPreset", "inputs": {"preset": "auto", "kappa": 0.42}},
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
        assert result.outputs["1"]["text"][0].startswith("preset auto · λ 1 · κ 0.42 · scheme auto\n")
        options = client.object_info()["LMLPreset"]["input"]["required"]["preset"][1]["options"]
        assert options == [*BUILT_IN, "broken", "from the page"]
        for bad in ("../x", "auto", ""):
            with pytest.raises(PromptError, match="name is "):
                client.run(client.filled(save_prompt(name=bad)))
        use = save_prompt(name="copy")
        use["1"]["inputs"] = {"preset": "broken"}
        with pytest.raises(PromptError, match=r"broken\.json cannot be used.*settings.kapa.*Correct the file"):
            client.run(client.filled(use))
        use["1"]["inputs"] = {"preset": "from the page"}
        assert "a note" in client.run(client.filled(use)).outputs["1"]["text"][0]
    assert sorted(path.name for path in folder.iterdir()) == ["broken.json", "copy.json", "from the page.json"]
