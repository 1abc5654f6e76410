"""The presets of the user: files that are written whole, read with care, and named safely."""

import dataclasses
import json
import os
import time
import unicodedata
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lml_sampler import LMLSettings


@pytest.fixture(scope="module")
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


def test_others_may_read_what_is_saved(files: ModuleType, tmp_path: Path) -> None:
    """Whoever the system lets read new files of this person: a preset is there to be shared."""
    (tmp_path / "new").touch()
    path, _ = files.save(tmp_path, "mine", LMLSettings(), "", replace=False)
    assert path.stat().st_mode == (tmp_path / "new").stat().st_mode


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "a/b", "a\\b", "../up", "..", ".hidden", "C:x", "nul", "CON.json", "com1", "LPT²", "dot.", "end "),
        *("a\nb", "a" * 61, "λ" * 101, "\x00", "auto", "Auto", "PAPER", "paper", "paper: FLUX", "a*b", "a|b"),
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
    content(settings={"damping": 10**400}): r"damping \(λ\) is inf",
    content(settings={"kappa_curve": [[0, 10**400]]}): "kappa_curve has the factor 1000",
    content(settings={"kappa_curve": [[0, "1"]]}): "kappa_curve has '1', which is no number",
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
    assert ".." not in str(caught.value)
    (warning,) = files.warnings(tmp_path)
    assert warning == str(caught.value)


@given(
    settings=st.dictionaries(
        st.sampled_from([field.name for field in dataclasses.fields(LMLSettings)]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(-(10**400)),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
            max_leaves=6,
        ),
    )
)
def test_no_content_keeps_the_nodes_away(files: ModuleType, settings: dict[str, Any]) -> None:
    """ComfyUI loads the pack only if this raises nothing else."""
    with suppress(ValueError):
        assert isinstance(files.parse(json.loads(content(settings=settings)))[1], str)


def test_an_old_editor_and_any_script_may_be_used(files: ModuleType, tmp_path: Path) -> None:
    for name in ("नमस्ते", "สวัสดี", "café"):
        files.save(tmp_path, name, LMLSettings(kappa=0.5), "", replace=False)
        assert loaded(files, tmp_path, name) == LMLSettings(kappa=0.5)
    (tmp_path / "old.json").write_text(content(), "utf-8-sig")
    assert loaded(files, tmp_path, "old") == LMLSettings(kappa=0.5) and files.warnings(tmp_path) == []
    with pytest.raises(ValueError, match=r"note is .* half a character"):
        files.save(tmp_path, "new", LMLSettings(), "\ud83d", replace=False)


def test_a_name_as_macos_writes_it_is_the_same_name(files: ModuleType, tmp_path: Path) -> None:
    """There an accent stands behind its letter; a file that was copied from there keeps that."""
    path = tmp_path / unicodedata.normalize("NFD", "café.json")
    path.write_text(content())
    assert files.names(tmp_path) == ["café"] and files.warnings(tmp_path) == []
    assert loaded(files, tmp_path, "café") == LMLSettings(kappa=0.5)
    assert files.save(tmp_path, "café", LMLSettings(), "", replace=True) == (path, True)
    assert [*tmp_path.iterdir()] == [path] and loaded(files, tmp_path, "café") == LMLSettings()


def test_files_with_impossible_names_are_not_offered(files: ModuleType, tmp_path: Path) -> None:
    for name in ("auto.json", "nul.json", "notes.txt", ".mine.json.part", ".hidden.json"):
        (tmp_path / name).write_text(content())
    assert files.names(tmp_path) == []
    found = files.warnings(tmp_path)
    assert len(found) == 2 and all("Rename the file" in warning for warning in found)
    with pytest.raises(ValueError, match=r"there is no file .*gone\.json.*Choose another preset"):
        files.load(tmp_path, "gone")
