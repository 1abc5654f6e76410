"""`make zoo-pictures`: samples of zoo networks by LML, euler and dpmpp_2m beside the converged ones, for the page.

Of the half that no rule was chosen on; the same noise, labels and schedule for all.
"""

from bench_distilled import run
from comfy_host.install import ROOT
from pages import shrink
from quality.grid import SEED
from quality.running import load_quietly
from torch import Tensor
from zoo.reference import sheet

CALLS = 8
COUNT = 10
SHOWN = (("shapes_flow", 5.0, 3.0), ("digits_x0", None, 3.0), ("flower_v", None, 1.0), ("curves_eps", None, 1.0))
"""Networks, the shift of a flow, CFG."""
SAMPLERS = {"LML": "lml", "euler": "euler", "dpmpp_2m": "dpmpp_2m"}
PICTURE = ROOT / "docs" / "images" / "zoo.png"


def rows(network: str, shift: float | None, cfg: float) -> dict[str, Tensor]:
    """One row a sampler, `[COUNT, ...]` each and on one scale of brightness, by what stands above it."""
    from quality.zoo_problem import ZooProblem

    problem = ZooProblem(network, shift, cfg, COUNT, SEED)
    converged = problem.converged().float().view_as(problem.noise)
    low, high = converged.quantile(0.002), converged.quantile(0.998)
    made = {f"{title}, {CALLS} calls": run(problem, name, CALLS) for title, name in SAMPLERS.items()}
    return {
        f"{network}, {title}": ((samples - low) / (high - low)).clamp(0, 1)
        for title, samples in ({f"CFG {cfg:g}, converged": converged} | made).items()
    }


def main() -> None:
    load_quietly()
    sheet(PICTURE, {title: samples for shown in SHOWN for title, samples in rows(*shown).items()})
    shrink(PICTURE, 192)


if __name__ == "__main__":
    main()
