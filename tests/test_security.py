"""What the pack may not do: no network, no processes, no evaluated text, safetensors alone, no writing elsewhere.

The running ComfyUI of the other tests is watched as well: see `server` in conftest.py.
"""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import audit

ROOT = Path(__file__).parents[1]
SHIPPED = sorted([ROOT / "__init__.py", *(ROOT / "nodes").rglob("*.py"), *(ROOT / "lml_sampler").rglob("*.py")])
IMPORTS = {
    *("torch", "numpy", "safetensors", "PIL", "scipy", "tqdm"),
    *("comfy", "comfy_api", "comfy_execution", "comfyui_version", "folder_paths", "latent_preview", "node_helpers"),
    *("nodes", "server"),
    *("collections", "contextlib", "copy", "dataclasses", "datetime", "enum", "functools", "hashlib", "importlib"),
    *("inspect", "io", "itertools", "json", "logging", "math", "operator", "os", "pathlib", "platform", "re"),
    *("statistics", "string", "tempfile", "textwrap", "time", "types", "typing", "unicodedata", "uuid"),
}
"""Of ComfyUI's packages, of ComfyUI, of Python."""
FORBIDDEN = {"eval", "exec", "compile", "__import__", "globals", "breakpoint"}
FORBIDDEN_OF = {
    "os": {"system", "popen", "fork", "execv", "execve", "spawnl", "spawnv", "posix_spawn", "startfile"},
    "torch": {"load", "hub", "jit", "package", "manual_seed", "set_default_dtype", "set_default_device"},
    "numpy": {"load", "fromfile", "memmap"},
    "np": {"load", "fromfile", "memmap"},
    "importlib": {"reload"},
    "random": {"seed"},
}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_source_asks_for_nothing_dangerous(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        where = f"{path.name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= IMPORTS, where
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert str(node.module).split(".")[0] in IMPORTS, where
        elif isinstance(node, ast.Name):
            assert node.id not in FORBIDDEN, where
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.attr not in FORBIDDEN_OF.get(node.value.id, ()), where
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "import_module":
            assert all(isinstance(argument, ast.Constant) for argument in node.args), where


MISDEEDS = {
    "socket.connect": "import socket; socket.socket().connect_ex(('127.0.0.1', 9))",
    "socket.getaddrinfo": "import socket; socket.getaddrinfo('localhost', 80)",
    "subprocess.Popen": "import subprocess; subprocess.run(['true'])",
    "os.system": "import os; os.system('true')",
    "os.fork": "import os; os.fork() or os._exit(0)",
    "exec": "exec('1')",
    "compile": "eval('1 + 1')",
    "pickle.find_class": "import pickle, pathlib; pickle.loads(pickle.dumps(pathlib.PurePosixPath('x')))",
    "open": "open('elsewhere.txt', 'w')",
    "os.mkdir": "import os; os.mkdir('elsewhere')",
    "os.rename": "import os; os.rename('user/there', 'elsewhere')",
    "os.remove": "import os; os.remove('there')",
}
HARMLESS = {
    "output": "open('output/picture.txt', 'w').close()",
    "user": "import os; os.makedirs('user/presets'); os.rename('user/there', 'user/presets/here')",
    "reading": "open('there').read()",
    "importing": "import dataclasses, colorsys; dataclasses.make_dataclass('D', ['a'])",
}


def act(folder: Path, line: str) -> str:
    """Run a line as code of a pack in `folder`/pack, and give what the watch found."""
    for name in ("pack", "output", "temp", "user"):
        (folder / name).mkdir()
    (folder / "there").touch()
    (folder / "user" / "there").touch()
    code = folder / "pack" / "code.py"
    code.write_text(line)
    environment = os.environ | audit(folder, folder / "pack")
    subprocess.run([sys.executable, str(code)], cwd=folder, env=environment, check=True)
    return (folder / "audit.log").read_text()


@pytest.mark.parametrize("event", MISDEEDS)
def test_the_watch_sees_misdeeds(tmp_path: Path, event: str) -> None:
    assert f"code.py:1: {event} " in act(tmp_path, MISDEEDS[event])


@pytest.mark.parametrize("line", HARMLESS.values(), ids=HARMLESS)
def test_the_watch_lets_the_harmless_pass(tmp_path: Path, line: str) -> None:
    assert act(tmp_path, line) == ""
