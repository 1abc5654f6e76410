"""Presets: they make pictures, are chosen by name and model, and find their way through a running ComfyUI."""

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import core_runs
import pytest
import torch
from comfy_host.client import Client, PromptError
from conftest import BROKEN, PRESETS
from core_runs import PLAIN, SECOND, flow_shift_3, karras, rms
from demo_runs import lml, run, tiny_inputs
from problems import guided, mixture, noise

from lml_sampler import LMLSettings
from lml_sampler.presets import paper, published

OWN = ("auto", "paper", "paper: Stable Diffusion", "paper: FLUX")


@pytest.mark.parametrize("cfg", [1.0, 5.0])
@pytest.mark.parametrize("kind", ["ve", "flow"])
@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_a_preset_is_not_further_from_the_picture_than_its_plain_scheme(preset: str, kind: str, cfg: float) -> None:
    settings = paper(kind == "flow") if preset == "paper" else LMLSettings()
    schedule = flow_shift_3 if kind == "flow" else karras
    model, start = guided(mixture(kind), cfg), noise(64, 8, seed=5) * schedule(1)[0]

    def picture(steps: int, settings: LMLSettings) -> torch.Tensor:
        return core_runs.run(model, start, schedule(steps), settings=settings, parametrization=kind)

    converged = picture(400, LMLSettings(**SECOND))
    for steps in range(5, 21):
        apart, plain = (
            rms(picture(steps, each) - converged) for each in (settings, dataclasses.replace(settings, **PLAIN))
        )
        assert 0 < apart <= 1.2 * plain, steps


def test_bad_input_of_the_published_numbers_is_named() -> None:
    with pytest.raises(ValueError, match="family is 'dalle'; choose one of sd, sd2"):
        published("dalle", 8)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="steps is 0"):
        published("sd", 0)


@pytest.mark.parametrize(
    ("name", "flow", "expected"),
    [
        ("auto", None, LMLSettings()),
        ("paper", True, paper(True)),
        ("paper", False, paper(False)),
        ("paper: FLUX", True, paper(True)),
        ("paper: FLUX", None, paper(True)),
        ("paper: Stable Diffusion", False, paper(False)),
        ("paper: Stable Diffusion", None, paper(False)),
    ],
)
def test_a_name_and_a_kind_of_model_give_settings(
    pack: ModuleType, name: str, flow: bool | None, expected: LMLSettings
) -> None:
    chosen = pack.nodes.presets.built_in.built_in(name, flow)
    assert dataclasses.asdict(chosen.settings) == dataclasses.asdict(expected)
    assert chosen.why.startswith(f"{name}: ") and (name == "auto" or "static" in chosen.why)


@pytest.mark.parametrize(
    ("name", "flow", "message"),
    [
        ("paper: FLUX", False, "preset is 'paper: FLUX', but this is not a flow model. Choose "),
        ("paper: Stable Diffusion", True, "preset is 'paper: Stable Diffusion', but this is a flow model. Choose "),
        ("paper", None, r"preset is 'paper'.*no model is connected\. Connect model, or choose"),
        ("best", None, "preset is 'best'; choose one of auto, paper"),
    ],
)
def test_a_preset_for_other_models_is_refused(pack: ModuleType, name: str, flow: bool | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pack.nodes.presets.built_in.built_in(name, flow)


def preset_of(pack: ModuleType, **inputs: Any) -> tuple[LMLSettings, str]:
    _, settings, text = run(pack.nodes.presets.LMLPreset, {}, **inputs)
    return settings, text


def test_the_preset_node_says_what_it_chose(pack: ModuleType) -> None:
    settings, text = preset_of(pack)
    assert dataclasses.asdict(settings) == dataclasses.asdict(LMLSettings())
    assert text.splitlines()[0] == "preset auto\xa0· λ\xa01\xa0· κ\xa01\xa0· scheme auto"
    for variant, scheme in (("eps", "dpmsolver 3"), ("flow", "ddim")):
        model = pack.nodes.demo.model.load(variant)
        settings, text = preset_of(pack, preset="paper", model=model, kappa=0.5, damping=2.0)
        base = paper(variant == "flow")
        assert (settings.kappa, settings.damping) == (base.kappa / 2, 2 * base.damping)
        assert f"scheme {scheme}" in text.splitlines()[0] and "static" in text


def run_ksampler(pack: ModuleType, **inputs: Any) -> torch.Tensor:
    return lml(pack, tiny_inputs(), **({"steps": 5, "cfg": 4.0} | inputs))


@pytest.mark.parametrize("preset", ["auto", "paper: Stable Diffusion", "mine"])
def test_damping_and_kappa_act_on_every_preset(pack: ModuleType, user_folder: Path, preset: str) -> None:
    """Continuously, and the same on the node that chooses as on the one that samples."""
    mine = pack.lml_sampler.LMLSettings(scheme="ddim", kappa=0.8)
    pack.nodes.presets.files.save(pack.nodes.host.files.user_folder("presets"), "mine", mine, "", False)
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


def test_settings_for_flow_models_are_refused_elsewhere(pack: ModuleType) -> None:
    settings, _ = preset_of(pack, preset="paper: FLUX")
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


@pytest.mark.every_host
def test_presets_in_a_running_comfyui(server: Client) -> None:
    """A broken file has not kept it from starting; a saved preset appears in the lists and works."""
    assert server.folder
    log = (server.folder / "comfyui.log").read_text()
    assert "broken.json cannot be used: the field settings.kapa is unknown" in log
    folder = server.folder / PRESETS
    (folder / "broken.json").write_text(BROKEN)  # others may have cleaned up
    result = server.run(server.filled(save_prompt(name="from the page")))
    assert result.outputs["2"]["text"][0].startswith("Saved: ")
    assert result.outputs["1"]["text"][0].startswith("preset auto\xa0· λ\xa01\xa0· κ\xa00.42\xa0· scheme auto\n")
    options = server.object_info()["LMLPreset"]["input"]["required"]["preset"][1]["options"]
    assert options[: len(OWN)] == [*OWN] and {"broken", "from the page"} < {*options}
    before = sorted(folder.iterdir())
    for bad in ("../x", "auto", ""):
        with pytest.raises(PromptError, match="name is "):
            server.run(server.filled(save_prompt(name=bad)))
    use = save_prompt(name="copy")
    use["1"]["inputs"] = {"preset": "broken"}
    with pytest.raises(PromptError, match=r"broken\.json cannot be used.*settings.kapa.*Correct the file"):
        server.run(server.filled(use))
    assert sorted(folder.iterdir()) == before
    use["1"]["inputs"] = {"preset": "from the page"}
    assert "a note" in server.run(server.filled(use)).outputs["1"]["text"][0]
    assert sorted(folder.iterdir()) == sorted([*before, folder / "copy.json"])


@pytest.mark.every_host
def test_a_file_that_changed_is_read_and_one_that_is_gone_is_written_again(server: Client) -> None:
    """The workflows are the same again, and ComfyUI would answer from what it has kept."""
    assert server.folder
    path = server.folder / PRESETS / "changing.json"
    use = {"1": {"class_type": "LMLPreset", "inputs": {"preset": "changing"}}}
    use["2"] = {"class_type": "PreviewAny", "inputs": {"source": ["1", 2]}}
    for kappa in ("0.3", "0.4"):
        path.write_text(BROKEN.replace('"kapa": 1', f'"kappa": {kappa}'))
        assert f"κ\xa0{kappa}" in server.run(server.filled(use)).outputs["2"]["text"][0]
    for _ in range(2):
        path.unlink()
        saved = server.run(server.filled(save_prompt(name="changing")))
        assert saved.outputs["2"]["text"][0].startswith("Saved: ") and path.exists()
