"""`make bench-rank`, `make bench-sde`: do the paper's two proposals beyond rank one do better than what the pack has?

rank    A Hessian of the last r noise predictions (D.4), see `beyond.rank`, under three schemes. Every row has the
        gain kappa / lambda (kappa = 1) and the damping (relative, adaptive) that are best for it in the mean over all
        cells. Geometric means of RMS and Fréchet distance to the converged solution, relative to rank one under the
        same scheme; `by cell` lets both choose gain and damping anew in every cell.
sde     The reverse SDE with preconditioned noise (Eq. 9), see `beyond.noise`, beside `eta`, whose noise is isotropic,
        and beside ComfyUI's samplers that add noise. Geometric means of the Fréchet distance: to the data without
        guidance, to the converged solution of the ODE with it.

Both take the exact problems of `bench_quality` (digits and patches, VE and flow, CFG 1, 4 and 7) at 5, 8, 12 and 20
model calls, and about a quarter of an hour on one core.
"""

import argparse
import itertools
from collections import defaultdict
from functools import partial
from typing import Any, NamedTuple

from bench_quality import load_quietly
from comfy_host.inprocess import load_pack
from quality.summary import AUTO, geometric_mean, table
from tqdm import tqdm

from lml_sampler.damping import TURN_SENSITIVITY

GAINS: dict[tuple[str, int], tuple[float, ...]] = {
    ("ddim", 1): (0.05, 0.1, 0.2, 0.4, 0.8),
    ("dpmsolver++", 2): (0.025, 0.05, 0.1, 0.2),
    ("dpmsolver++", 3): (0.025, 0.05, 0.1, 0.2),
}
"""What is tried under each scheme and order."""
SENSITIVITIES = {"relative": 0.0, "adaptive": TURN_SENSITIVITY}
VARIANTS = ("aged", "orthogonal", "differences")

ETAS = (0.3, 0.5, 1.0)
FORMS = ("isotropic", "unit", "matched", "loud")
KAPPAS = (1.0, 0.1)
"""kappa = lambda: the gain is 1 with all of them, the noise is not the same."""
PEERS = ("euler_ancestral", "dpmpp_2s_ancestral", "dpmpp_2m_sde", "dpmpp_3m_sde", "er_sde", "sa_solver")
SDE_SAMPLES = 1000

Figures = dict[Any, dict[Any, Any]]
"""The measures by sampler and cell."""


class Row(NamedTuple):
    """One form of the correction under one scheme."""

    scheme: str
    order: int
    rank: int
    variant: str = "plain"

    def candidates(self) -> list[tuple[float, str]]:
        """The gains and dampings to choose from; at rank 0 they do nothing."""
        found = list(itertools.product(GAINS[self.scheme, self.order], SENSITIVITIES))
        return found if self.rank else found[:1]


def rank_rows() -> list[Row]:
    plain = [Row(scheme, order, rank) for scheme, order in GAINS for rank in range(5)]
    variants = [Row("ddim", 1, rank, variant) for variant in VARIANTS for rank in (2, 3)]
    return plain[:5] + variants + plain[5:]


def measure_rank() -> Figures:
    """The figures of every candidate of every row, by (row, candidate)."""
    from beyond.cells import CELLS, run, run_entry
    from beyond.rank import sample_rank

    figures: Figures = defaultdict(dict)
    for cell in tqdm(CELLS):
        figures[AUTO, None][cell] = run_entry(cell, AUTO)
        for row in rank_rows():
            for gain, mode in row.candidates():
                setting = {"damping": 1 / gain, "kappa": 1.0, "sensitivity": SENSITIVITIES[mode]}
                sampler = partial(sample_rank, path=cell[0].path, **row._asdict(), **setting)
                figures[row, (gain, mode)][cell] = run(cell, sampler)
    return figures


def rank_table(figures: Figures) -> str:
    """Markdown."""
    from beyond.cells import CELLS, mean

    def best(row: Any) -> Any:
        return min((key for key in figures if key[0] == row), key=lambda key: mean(figures[key], "rms", CELLS))

    def by_cell(row: Any) -> float:
        found = [figures[key] for key in figures if key[0] == row]
        return geometric_mean(min(cells[cell]["rms"] for cells in found) for cell in CELLS)

    guided = [cell for cell in CELLS if cell[0].guided]
    groups = (CELLS, guided, [cell for cell in CELLS if cell not in guided])
    lines = [["scheme", "rank", "gain", "damping", "RMS", "guided", "not guided", "by cell", "Fréchet"]]
    for row in (*rank_rows(), AUTO):
        one = Row("ddim", 1, 1) if row == AUTO else Row(row.scheme, row.order, 1)
        mine, other = figures[best(row)], figures[best(one)]
        ratios = [mean(mine, "rms", cells) / mean(other, "rms", cells) for cells in groups]
        ratios += [by_cell(row) / by_cell(one)]
        ratios += [mean(mine, "frechet_converged", CELLS) / mean(other, "frechet_converged", CELLS)]
        lines.append([*_head(row, best(row)[1]), *(f"{ratio:.2f}" for ratio in ratios)])
    return table(lines)


def _head(row: Any, chosen: Any) -> list[str]:
    if row == AUTO:
        return ["auto", "", "", ""]
    rank = str(row.rank) if row.variant == "plain" else f"{row.rank}, {row.variant}"
    return [f"{row.scheme} {row.order}", rank, *((f"{chosen[0]:g}", chosen[1]) if row.rank else ("", ""))]


def measure_sde() -> Figures:
    """The figures of other samplers by name, of the forms of noise by (eta, kappa, form)."""
    from beyond.cells import CELLS, run, run_entry
    from beyond.noise import sample_sde
    from quality import work

    pack = load_pack()
    work.SAMPLES |= {"digits": SDE_SAMPLES, "patches": SDE_SAMPLES}
    figures: Figures = defaultdict(dict)
    for cell in tqdm(CELLS):
        for name in ("euler", AUTO, *PEERS):
            figures[name][cell] = run_entry(cell, name)
        for eta in ETAS:
            auto = partial(pack.nodes.host.sample_lml, settings=pack.lml_sampler.LMLSettings(eta=eta))
            figures[f"{AUTO}, eta {eta:g}"][cell] = run(cell, auto)
            for kappa, form in itertools.product(KAPPAS, FORMS):
                sampler = partial(sample_sde, path=cell[0].path, eta=eta, form=form, damping=kappa, kappa=kappa)
                figures[eta, kappa, form][cell] = run(cell, sampler)
    return figures


def sde_tables(figures: Figures) -> str:
    """Markdown: the forms of noise beside each other, then the samplers."""
    from beyond.cells import CALLS, CELLS, mean

    def frechet(key: Any, guided: bool, calls: tuple[int, ...] = CALLS) -> str:
        cells = [cell for cell in CELLS if cell[0].guided == guided and cell[1] in calls]
        return f"{mean(figures[key], 'frechet_converged' if guided else 'frechet_data', cells):.3f}"

    forms = [["eta", "κ = λ", "guided", *FORMS]]
    for eta, kappa, guided in itertools.product(ETAS, KAPPAS, (False, True)):
        distances = [frechet((eta, kappa, form), guided) for form in FORMS]
        forms.append([f"{eta:g}", f"{kappa:g}", "yes" if guided else "no", *distances])
    keys = {key: key for key in figures if isinstance(key, str)}
    keys |= {f"LML ddim, eta {eta:g}": (eta, 1.0, "isotropic") for eta in ETAS}
    samplers = [["sampler", "5 and 8 calls", "12 and 20", "guided, 5 and 8", "guided, 12 and 20"]]
    for name, key in keys.items():
        groups = itertools.product((False, True), ((5, 8), (12, 20)))
        samplers.append([name, *(frechet(key, guided, calls) for guided, calls in groups)])
    return f"{table(forms)}\n\n{table(samplers)}"


def variance_table() -> str:
    """Markdown: the variance that Langevin steps with each form of noise give N(0, 1)."""
    from beyond.noise import langevin_variance

    lines = [["κ = λ", *FORMS]]
    for kappa in KAPPAS:
        lines.append([f"{kappa:g}", *(f"{langevin_variance(form, kappa, kappa):.2f}" for form in FORMS)])
    return table(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("rank", "sde"))
    part = parser.parse_args().part
    load_quietly()
    if part == "rank":
        print(rank_table(measure_rank()))
    else:
        print(f"{sde_tables(measure_sde())}\n\nVariance that Langevin steps give N(0, 1):\n\n{variance_table()}")


if __name__ == "__main__":
    main()
