"""`make bench-pairs`: LML with one schedule for all, beside the best pair of a sampler and a schedule of each cell.

On what
    digits, patches    the exact problems of `make bench-quality`, 256 samples: flow of shift 3, 5 and 8 and ve, CFG 1,
                       2.5, 4 and 6, 4 to 50 calls.
    zoo                two networks that no rule was chosen on, flow of shift 3 and 8 and ve, CFG 1 and 4, 16 samples, 4
                       to 20 calls. Left out, and said, while they are not trained (`make zoo`).
With what
    Every sampler and every schedule in the lists of the ComfyUI under COMFYUI_PATH, those of other packs in its
    `custom_nodes` too; without the samplers that add noise and the `cfg_pp` ones, which end elsewhere by design. Calls
    of the model are counted, not steps.

What is finished is kept in `.quality/`, as by `make bench-quality`. `--peers NAME ...`, `--problems NAME ...` and
`--schedulers NAME ...` measure a part, for samplers of another pack for example.
"""

import argparse
import sys

from comfy_host.install import ROOT
from quality import pairs, plots
from quality.grid import AUTO
from quality.running import load_quietly, run, trained
from quality.store import FOLDER, Cells, Record

PAGE = ROOT / ".quality" / "pairs.md"
IMAGES = ROOT / "docs" / "images"
SHOWN = (pairs.OWN_SCHEDULER, "simple", "normal", "karras", "beta")
STEPS = 12
DEFAULT = (AUTO, pairs.OWN_SCHEDULER)


def report(records: list[Record], schedulers: list[str]) -> str:
    """The tables as Markdown."""
    found = pairs.cells(records)
    lines = [f"{len(records)} cells, {len({key for key, _ in found})} settings, {len(schedulers)} schedules."]
    for measure, title in (("rms", "RMS"), ("median", "median sample")):
        lines += [f"{title}, as a ratio to the best pair of each cell:", pairs.pair_table(found, measure, schedulers)]
    lines += [
        f"{' + '.join(DEFAULT)} as a ratio to {' + '.join(pairs.COMMON)}, flow models:",
        pairs.common_table(found, DEFAULT),
        f"As close with 8 calls as {' + '.join(pairs.COMMON)} with 20 (RMS): {pairs.as_close(found, DEFAULT):.0%} of "
        "the flow models.",
        "The best pair of the cells, chosen afterwards:",
        pairs.winners_table(found),
    ]
    return "\n\n".join(lines)


def plot_schedules() -> None:
    """The schedule beside ComfyUI's, for the page."""
    from comfy.samplers import calculate_sigmas
    from quality.bare import model_sampling

    kinds = {"eps (SD)": model_sampling("ve", None), "flow, shift 3": model_sampling("flow", 3.0)}
    panels = {
        title: {name: calculate_sigmas(sampling, name, STEPS).tolist() for name in SHOWN}
        for title, sampling in kinds.items()
    }
    plots.schedules(panels, IMAGES / "schedules.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="+", metavar="NAME", help="these samplers alone")
    parser.add_argument("--problems", nargs="+", metavar="NAME", help="these problems alone")
    parser.add_argument("--schedulers", nargs="+", metavar="NAME", help="these schedules alone (and ours, and simple)")
    options = parser.parse_args()
    load_quietly()
    import comfy.samplers
    from quality import work
    from quality.probing import names

    schedulers = list(comfy.samplers.SCHEDULER_NAMES)
    if options.schedulers:
        wished = {*options.schedulers, pairs.OWN_SCHEDULER, pairs.COMMON[1]}
        schedulers = [name for name in schedulers if name in wished]
    chosen = [*options.peers, pairs.COMMON[0], AUTO] if options.peers else None
    wanted = [
        task
        for task in pairs.tasks(names(), schedulers, trained(pairs.ZOO))
        if (chosen is None or task.entry in chosen)
        and (options.problems is None or task.condition.problem in options.problems)
    ]
    keys = {(task, count): work.cell_key(task.condition, task.entry, count) for task in wanted for count in task.calls}
    kept = Cells(FOLDER / "cells.jsonl")
    try:
        run(wanted, keys, kept)
    except KeyboardInterrupt:
        sys.exit(f"\nEnded. {len(kept.found)} cells are kept in {FOLDER}; run the same command to go on.")
    text = report([kept.found[key] for key in keys.values()], schedulers)
    PAGE.write_text(text + "\n", "utf-8")
    plot_schedules()
    print(f"{text}\n\nKept in {PAGE}.")


if __name__ == "__main__":
    main()
