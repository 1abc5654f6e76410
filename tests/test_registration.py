"""The entry `lml` in ComfyUI's lists: once, last, and only if it is wanted."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.every_host


def test_registration_is_additive_and_idempotent(pack: ModuleType) -> None:
    import comfy.samplers
    import nodes

    assert comfy.samplers.SAMPLER_NAMES.count("lml") == 1
    assert comfy.samplers.SAMPLER_NAMES[0] == "euler" and comfy.samplers.SAMPLER_NAMES[-1] == "lml"
    assert asyncio.run(nodes.load_custom_node(str(Path(pack.__file__).parent)))
    assert comfy.samplers.SAMPLER_NAMES.count("lml") == 1


@pytest.mark.parametrize(("value", "listed"), [("0", False), ("1", True)])
def test_the_list_entry_can_be_left_out(value: str, listed: bool) -> None:
    benchmarks = Path(__file__).parents[1] / "benchmarks"
    code = (
        "from comfy_host.inprocess import load_pack; load_pack(); import comfy.samplers; "
        "print('lml' in comfy.samplers.SAMPLER_NAMES)"
    )
    environment = os.environ | {"PYTHONPATH": str(benchmarks), "LML_REGISTER_KSAMPLER": value}
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert process.stdout.strip().splitlines()[-1:] == [str(listed)], process.stderr
