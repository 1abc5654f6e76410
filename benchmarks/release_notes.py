"""Print the changelog of one version, for the registry; fail if the version is not ready to be published."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def release_notes(root: Path, version: str) -> str:
    """The section of CHANGELOG.md for a version.

    Raises:
        ValueError: pyproject.toml or CITATION.cff have another version, or the changelog has no dated section for it.
    """
    for name, pattern in (("pyproject.toml", r'^version = "(.+)"$'), ("CITATION.cff", r"^version: (.+)$")):
        (stated,) = re.findall(pattern, (root / name).read_text(), re.MULTILINE)
        if stated != version:
            raise ValueError(f"{name} says version {stated}, the tag says {version}. Set both to the same.")
    heading = rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)\n"
    section = re.search(heading + r"(.*?)(?=^## |\Z)", (root / "CHANGELOG.md").read_text(), re.MULTILINE | re.DOTALL)
    if section is None or not section[1].strip():
        raise ValueError(
            f'CHANGELOG.md has no dated section "## {version} (YYYY-MM-DD)". Write what is new, and date it.'
        )
    return section[1].strip()


if __name__ == "__main__":
    try:
        print(release_notes(ROOT, sys.argv[1]))
    except ValueError as error:
        sys.exit(str(error))
