"""Run the host part of the suite in every supported ComfyUI and print a table; `host_matrix.py 0.16.3` runs one."""

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from comfy_host.install import HOSTS, ROOT, Place, SetupError, install, place_of
from pages import markdown

MARKER = "every_host"
"""Of whole test files and of single tests: what depends on the host where versions differ."""


def suite() -> list[Path]:
    """The test files with that marker: others need not even be importable in every ComfyUI."""
    return sorted(path for path in (ROOT / "tests").glob("test_*.py") if f"mark.{MARKER}" in path.read_text())


def run_suite(place: Place) -> list[str]:
    """Run the suite with a ComfyUI, showing its output, and give a row of the table."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [place.python, "-m", "pytest", "-q", "-m", MARKER, f"--junitxml={report}", *map(str, suite())]
        subprocess.run(command, cwd=ROOT, env=os.environ | {"COMFYUI_PATH": str(place.comfyui)})
        if not report.exists():
            return [place.version, "did not run", "", ""]
        counts = next(ElementTree.parse(report).iter("testsuite"))
    failed = int(counts.get("failures", 0)) + int(counts.get("errors", 0))
    passed = int(counts.get("tests", 0)) - failed - int(counts.get("skipped", 0))
    return [place.version, str(passed), str(failed), f"{time.monotonic() - started:.0f} s"]


def main() -> None:
    rows = []
    try:
        for place in [place_of(version) for version in sys.argv[1:] or HOSTS]:
            install(place)
            rows.append(run_suite(place))
    except SetupError as error:
        sys.exit(f"\n{error}")
    print(f"\n{markdown([['ComfyUI', 'passed', 'failed', 'time'], *rows])}")
    if any(failed != "0" for _, _, failed, _ in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
