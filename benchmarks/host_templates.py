"""Every way of sampling in ComfyUI's own workflow templates, by lml in the place of their sampler, as a table.

Each is run on a small exact model of its kind; `host_templates.py FOLDER` reads the workflow files of another folder.
Exit code 1: euler samples one, and lml does not.
"""

import gc
import logging
import sys
from collections import Counter
from pathlib import Path

from comfy_host import templates
from comfy_host.inprocess import load_pack
from comfy_host.server import definitions
from comfy_host.templates import Combination
from pages import markdown


def attempt(combination: Combination, name: str) -> str:
    """What is wrong with a run; "" if nothing is."""
    from comfy_host import combinations

    try:
        result = combinations.run(combination, name)
    except Exception as error:  # of whatever kind: it is told in the table
        return f"{error or type(error).__name__}".splitlines()[0]
    return "" if result.isfinite().all() else "the result is not finite"


def kind_of(combination: Combination) -> str:
    """A row of the table."""
    parts = [combination.sampler.type, combination.kind.lower()]
    parts += ["video and sound"] * combination.packed + ["second of two experts"] * (combination.before is not None)
    return ", ".join(parts)


def report(found: dict[Combination, list[str]]) -> list[str]:
    """The table; then what was refused."""
    kinds, run, refused = Counter(map(kind_of, found)), Counter(), []
    for combination, files in found.items():
        wrong = attempt(combination, "lml")
        run[kind_of(combination)] += not wrong
        if wrong:
            refused.append(f"{files[0]}: lml: {wrong}; euler: {attempt(combination, 'euler') or 'runs'}")
    rows = [[kind, str(kinds[kind]), str(run[kind])] for kind in sorted(kinds)]
    all_of_them = ["all", str(kinds.total()), str(run.total())]
    return [markdown([["sampler, kind", "combinations", "run"], *rows, all_of_them]), *refused]


def main() -> None:
    logging.disable(logging.WARNING)  # the templates also have nodes that only ComfyUI's services offer
    info = definitions()
    load_pack()
    from comfy.utils import set_progress_bar_enabled

    set_progress_bar_enabled(False)
    gc.freeze()  # ComfyUI collects garbage before most runs, which would each time look through all that was imported
    files, found, unread = templates.collect(Path(sys.argv[1]) if len(sys.argv) > 1 else templates.folder(), info)
    print(f"{files} files, {sum(map(len, found.values()))} samplers, {len(found)} combinations")
    lines = report(found)
    print(*lines, *unread, sep="\n")
    if any(line.endswith("euler: runs") for line in lines):
        sys.exit(1)


if __name__ == "__main__":
    main()
