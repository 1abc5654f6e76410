"""`make bench-quality`: is LML better than the sampler you use, at your number of model calls?

What is measured
    Every sampler of the installed ComfyUI at its defaults (but the `_gpu` twins and `ddim`, which is `euler`),
    `sa_solver` with eta 0 through its node, three of the literature that ComfyUI lacks, and LML: the default
    (`LML auto`), the paper's setting, fixed gains, and LML around four samplers. A budget counts model calls, not
    steps: a sampler gets the largest number of steps that stays within it; one that needs more (`dpm_adaptive`) has no
    figures there.
On what
    digits    scikit-learn's handwritten digits as a Gaussian mixture with the exact denoiser, 256 samples; guidance
              between exact class-conditional and unconditional denoisers. ve and flow (shift 1.15, 3), CFG 1, 4, 7,
              two schedulers each, 5 to 50 calls.
    patches   8 x 8 x 3 patches of the photographs that scikit-learn ships, classes by k-means; the same with one
              scheduler each.
    network   the pack's demo model in ComfyUI, as eps and flow, 10 pictures, CFG 1, 4, 7, one scheduler each, 5 to 20
              calls; without the samplers that add noise, the `cfg_pp` ones and our variants, as a call is dear.
    zoo       the reported half of the zoo (`make zoo`): flow with shift 5 and 8, eps, v and x0, CFG 1, 3, 6 where the
              network has classes, 16 samples, 5 to 20 calls; the same samplers. Left out, and said, while the
              networks are not trained.
    The schedulers normal, karras, simple, beta and sgm_uniform take turns over the conditions. All runs are in
    float32, from the same noise.
Figures of a cell
    rms                RMS distance to the converged solution from the same noise, with a 95 % bootstrap interval
    median             the distance of the median sample
    frechet_converged  squared Fréchet distance to the converged samples: of pixels on the exact problems, of the
                       features of a small trained classifier on the demo models (10 pictures: an indication, no more)
    frechet_data       the same to the data

`--quick` runs a part of the same cells. What is finished is kept in `.quality/` and not run again until the samplers,
the benchmark, ComfyUI or torch change; end a run with Ctrl-C and go on later. The full run also writes the pictures
and the summary of docs/measurements.md.
"""

import argparse
import json
import time

from comfy_host.install import ROOT
from pages import renew
from quality import plots, summary
from quality.grid import AUTO, ZOO, tasks
from quality.running import load_quietly, measured, trained
from quality.store import FOLDER, Record

PAGE = ROOT / "docs" / "measurements.md"
IMAGES = ROOT / "docs" / "images"


def report(records: list[Record]) -> str:
    """The summary as Markdown."""
    blocks = summary.blocks(records)
    conditions = len({condition for condition, _ in blocks})
    return "\n\n".join(
        [
            f"{len(records)} cells, {conditions} conditions. Ratios below 1: {AUTO} is closer. The best "
            "peer is the best of ComfyUI's samplers and of three that it lacks in that very cell, chosen afterwards; "
            "the place is by the same mean among all samplers, each the same one in all cells of the group.",
            summary.group_table(blocks),
            summary.single_table(blocks),
            "How often a sampler is worse than euler in RMS; the eight that are seldom worse by more than a tenth:",
            summary.harm_table(blocks),
            "The cells where it is furthest behind the best peer (RMS):",
            summary.loss_table(blocks),
        ]
    )


def condition_tables(records: list[Record]) -> str:
    """All figures as Markdown, condition by condition."""
    parts = []
    for condition in dict.fromkeys(map(summary.condition_of, records)):
        mine = [record for record in records if summary.condition_of(record) == condition]
        parts.append(f"## {condition.name}")
        for measure in ("rms", "frechet_converged", "frechet_data"):
            parts += [f"`{measure}`", summary.condition_table(mine, measure)]
    return "\n\n".join(parts) + "\n"


def write(records: list[Record], quick: bool, about: Record) -> None:
    """JSON, tables and pictures; a full run also renews the page."""
    (FOLDER / "quality.json").write_text(json.dumps({**about, "cells": records}, indent=1))
    text, blocks = report(records), summary.blocks(records)
    parts = [text, "Every sampler against the best peer:", summary.ranking_table(blocks), condition_tables(records)]
    (FOLDER / "quality.md").write_text("\n\n".join(parts))
    pictures = FOLDER if quick else IMAGES
    plots.heatmap(blocks, pictures / "quality_heatmap.png")
    plots.convergence(blocks, pictures / "quality_convergence.png")
    if not quick:
        renew(PAGE, "quality", text)
    print(text, f"\nAll figures: {FOLDER / 'quality.md'} and quality.json. Pictures: {pictures}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a part of the cells, in under 3 minutes")
    quick = parser.parse_args().quick
    start = time.monotonic()
    load_quietly()
    from quality import work
    from quality.probing import names

    zoo = trained(ZOO)
    wanted = [task for task in tasks(names(), quick) if zoo or task.condition.family != "zoo"]
    records = measured(wanted)
    about = {"versions": work.versions(), "seconds": round(time.monotonic() - start), "quick": quick}
    write(records, quick, about)


if __name__ == "__main__":
    main()
