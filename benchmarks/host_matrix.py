"""Run the host part of the suite in every supported ComfyUI and print a table; `host_matrix.py 0.16.3` runs one."""

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from comfy_host.install import HOSTS, ROOT, Place, SetupError, install, place_of

SUITE = (
    "test_server.py",
    "test_nodes.py",
    "test_demo_model.py",
    "test_diffusers.py",
    "test_zoo.py",
    "test_faults.py",
    "test_neighbours.py",
    "test_ends.py::test_comfyui_tells_the_smallest_level",
    "test_preset_nodes.py::test_presets_in_a_running_comfyui",
    "test_report.py::test_the_node_samples_like_the_sampler_and_reports",
    "test_report.py::test_any_guider_sampler_and_sigmas_are_reported",
    "test_report.py::test_the_report_is_shown_on_the_node",
    "test_sweep.py::test_the_cells_are_the_pictures_of_the_samplers",
    "test_sweep.py::test_a_failed_cell_leaves_the_others",
    "test_sweep.py::test_a_sweep_in_a_running_comfyui",
    "test_sweep.py::test_cancelling_ends_a_sweep",
    "test_tune.py::test_the_fingerprint_is_of_the_content",
    "test_tune.py::test_the_fingerprint_does_not_depend_on_loading",
    "test_tune.py::test_code_has_no_fingerprint",
    "test_tune.py::test_a_cancelled_search_goes_on_where_it_was",
    "test_tune.py::test_tune_in_a_running_comfyui",
    "test_wrapper.py::test_every_sampler_of_the_list",
)
"""What depends on the host: whole files, and of the others the tests that touch it where versions differ."""


def run_suite(place: Place) -> str:
    """Run the suite with a ComfyUI, showing its output, and give a line of the table."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            place.python,
            "-m",
            "pytest",
            "-q",
            f"--junitxml={report}",
            *(f"{ROOT}/tests/{name}" for name in SUITE),
        ]
        subprocess.run(command, cwd=ROOT, env=os.environ | {"COMFYUI_PATH": str(place.comfyui)})
        if not report.exists():
            return f"| {place.version} | did not run | | |"
        suite = next(ElementTree.parse(report).iter("testsuite"))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    passed = int(suite.get("tests", 0)) - failed - int(suite.get("skipped", 0))
    return f"| {place.version} | {passed} | {failed} | {time.monotonic() - started:.0f} s |"


def main() -> None:
    lines = []
    try:
        for place in [place_of(version) for version in sys.argv[1:] or HOSTS]:
            install(place)
            lines.append(run_suite(place))
    except SetupError as error:
        sys.exit(f"\n{error}")
    print("\n| ComfyUI | passed | failed | time |\n| --- | --- | --- | --- |", *lines, sep="\n")
    if any(line.split("|")[3].strip() != "0" for line in lines):
        sys.exit(1)


if __name__ == "__main__":
    main()
