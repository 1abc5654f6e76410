"""Presets of the user: one JSON file each, in ComfyUI's user folder.

    {"format": "lml-sampler preset", "version": 1, "note": "for my portraits", "settings": {"kappa": 0.8}}

Fields that `settings` leaves out have their defaults.
"""

import dataclasses
import json
import logging
import math
import re
import unicodedata
from pathlib import Path
from typing import Any

from ...lml_sampler import LMLSettings
from .. import host
from ..inputs.choice import describe
from .built_in import BUILT_IN, Choice

FORMAT = "lml-sampler preset"
VERSION = 1
ENDING = ".json"
MAX_LENGTH = 60
MAX_BYTES = 200
MAX_FILE_BYTES = 100_000
RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)[\d¹²³])(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices."""

log = logging.getLogger(__name__)


def check_name(name: str) -> str:
    """The name in the form in which it is stored.

    Raises:
        ValueError: it cannot be a file name everywhere, or it is that of a built-in preset.
    """
    name = _composed(name)
    remedy = "Use letters, digits, spaces and any of _ - . ( ) + , and start with a letter or a digit."
    if not re.match(r"\w", name) or not all(map(_fits_a_name, name)) or name.endswith((" ", ".")):
        raise ValueError(f"name is {name!r}; it cannot be the name of a preset. {remedy}")
    if len(name) > MAX_LENGTH or len(name.encode()) > MAX_BYTES:
        raise ValueError(f"name is {name!r}, {len(name)} characters long; use {MAX_LENGTH} at most.")
    if RESERVED.fullmatch(name):
        raise ValueError(f"name is {name!r}, which some systems reserve. Choose another name.")
    if name.casefold() in {built_in.casefold() for built_in in BUILT_IN}:
        raise ValueError(f"name is {name!r}, which is a built-in preset. Choose another name.")
    return name


def _composed(name: str) -> str:
    """A name with its accents in the letters; macOS writes them behind the letters in the names of files."""
    return unicodedata.normalize("NFC", name)


def _fits_a_name(letter: str) -> bool:
    """Vowel signs and accents of their own, as Hindi and Thai have them, are marks (M), not letters."""
    return letter.isalnum() or letter in "_ .()+,-" or unicodedata.category(letter).startswith("M")


def names(folder: Path) -> list[str]:
    """The presets in a folder, by their file names, good or broken; [] if there is no folder."""
    found = []
    for path in _files(folder):
        try:
            found.append(check_name(path.stem))
        except ValueError:
            continue  # `warnings` tells
    return found


def warnings(folder: Path) -> list[str]:
    """What is wrong with the files of a folder, one line a file."""
    found = []
    for path in _files(folder):
        try:
            check_name(path.stem)
            load(folder, path.stem)
        except ValueError as error:
            found.append(str(error) if str(path) in str(error) else f"{path}: {error} Rename the file.")
    return found


def load(folder: Path, name: str) -> Choice:
    """Read a preset.

    Raises:
        ValueError: it is missing or broken; the message names the file, the field and the remedy.
    """
    name = check_name(name)
    path = next((path for path in _files(folder) if _composed(path.stem) == name), folder / (name + ENDING))
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"it has {path.stat().st_size} bytes, too many for a preset")
        settings, note = parse(json.loads(path.read_text("utf-8-sig")))
    except FileNotFoundError as error:
        raise ValueError(
            f"preset is {name!r}, but there is no file {path}. Choose another preset, or put the file back."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error).rstrip(".")
        raise ValueError(
            f"The preset {path} cannot be used: {reason}. Correct the file, save the preset again, or delete it."
        ) from error
    return Choice(settings, f"{name}: your preset{f' ({note})' if note else ''}. {describe(settings)}")


def parse(data: Any) -> tuple[LMLSettings, str]:
    """Settings and note from the content of a preset file.

    Raises:
        ValueError: names the field.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f'the field format is not "{FORMAT}"')
    if data.get("version") != VERSION:
        raise ValueError(
            f"the field version is {data.get('version')!r}, but this version of LML Sampler reads {VERSION}"
        )
    note = data.get("note", "")
    if not isinstance(note, str):
        raise ValueError(f"the field note is {note!r}, which is not a text")
    values = data.get("settings")
    if not isinstance(values, dict):
        raise ValueError("the field settings is missing or not an object")
    defaults = dataclasses.asdict(LMLSettings())
    return LMLSettings(**{key: _checked(key, value, defaults) for key, value in values.items()}), note


def _checked(key: str, value: Any, defaults: dict[str, Any]) -> Any:
    if key not in defaults:
        raise ValueError(f"the field settings.{key} is unknown; known are {', '.join(defaults)}")
    wanted = type(defaults[key])
    if wanted is float and type(value) is int:
        return float(value) if abs(value) < 1e300 else math.inf  # which no field takes
    if wanted is tuple and type(value) is list:
        return tuple(tuple(point) if type(point) is list else point for point in value)
    if type(value) is not wanted:
        kind = {bool: "true or false", int: "a whole number", float: "a number", tuple: "a list"}.get(wanted, "a text")
        raise ValueError(f"the field settings.{key} is {value!r}, which is not {kind}")
    return value


def save(folder: Path, name: str, settings: LMLSettings, note: str, replace: bool) -> tuple[Path, bool]:
    """Write a preset, whole or not at all. Gives its path and whether anything had to be written.

    Raises:
        ValueError: the name cannot be used, another preset has it and `replace` is off, or the note is too long.
        OSError: the file could not be written; see `host.files.write`.
    """
    path = folder / (check_name(name) + ENDING)
    content = {"format": FORMAT, "version": VERSION, "note": note, "settings": dataclasses.asdict(settings)}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        length = len(text.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"note is {note!r}, which holds half a character. Type it again.") from error
    if length > MAX_FILE_BYTES:
        raise ValueError(
            f"note has {len(note)} characters, which make a preset of more than {MAX_FILE_BYTES} bytes. Shorten it."
        )
    same = next((other for other in _files(folder) if _composed(other.stem).casefold() == path.stem.casefold()), None)
    if same is not None:
        if same.read_text("utf-8", errors="replace") == text:
            return same, False
        if not replace:
            raise ValueError(
                f"name is {name!r}, but the preset {same} has it and holds something else. "
                "Choose another name, or switch replace on."
            )
    host.files.write(same or path, text.encode())
    return same or path, True


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ENDING and not path.name.startswith("."))
    except OSError:  # not there yet, or not readable: there are no presets, and ComfyUI starts
        return []
