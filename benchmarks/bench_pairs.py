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

from comfy_host.install import ROOT
from quality import pairs, plots
from quality.grid import AUTO
from quality.running import load_quietly, measured, trained
from quality.store import FOLDER, Record

PAGE = FOLDER / "pairs.md"
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
    if any(setting.path == "flow" for setting, _ in found):
        common, share = " + ".join(pairs.COMMON), pairs.as_close(found, DEFAULT)
        lines += [
            f"{' + '.join(DEFAULT)} as a ratio to {common}, flow models:",
            pairs.common_table(found, DEFAULT),
            f"As close with 8 calls as {common} with 20 (RMS): {share:.0%} of the flow models.",
        ]
    lines += ["The best pair of the cells, chosen afterwards:", pairs.winners_table(found)]
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
    problems = list(dict.fromkeys(setting.problem for setting in pairs.settings()))
    parser.add_argument("--problems", nargs="+", choices=problems, help="these problems alone")
    parser.add_argument("--schedulers", nargs="+", metavar="NAME", help="these schedules alone (and ours, and simple)")
    options = parser.parse_args()
    load_quietly()
    import comfy.samplers
    from quality.probing import names

    schedulers = list(comfy.samplers.SCHEDULER_NAMES)
    for given, known in ((options.peers, names().peers), (options.schedulers, schedulers)):
        for name in set(given or ()) - set(known):
            parser.error(f"{name} is not in this ComfyUI; it has {', '.join(known)}")
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
    text = report(measured(wanted), schedulers)
    PAGE.write_text(text + "\n", "utf-8")
    plot_schedules()
    print(f"{text}\n\nKept in {PAGE}.")


if __name__ == "__main__":
    main()
