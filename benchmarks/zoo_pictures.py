"""`make zoo-pictures`: samples of zoo networks by LML, euler and dpmpp_2m beside the converged ones, for the page.

Of the half that no rule was chosen on; the same noise, labels and schedule for all.
"""

from comfy_host.install import ROOT
from PIL import Image
from quality.grid import SEED, Condition
from quality.running import load_quietly
from torch import Tensor
from zoo.reference import sheet

CALLS = 8
COUNT = 10
SHOWN = (
    Condition("shapes_flow", "flow", 5.0, 3.0, "simple"),
    Condition("digits_x0", "ve", None, 3.0, "simple"),
    Condition("flower_v", "ve", None, 1.0, "simple"),
    Condition("curves_eps", "ve", None, 1.0, "simple"),
)
SAMPLERS = {"LML": "lml", "euler": "euler", "dpmpp_2m": "dpmpp_2m"}
PICTURE = ROOT / "docs" / "images" / "zoo.png"


def rows(condition: Condition) -> dict[str, Tensor]:
    """One row a sampler, `[COUNT, ...]` each and on one scale of brightness, by what stands above it."""
    from comfy.samplers import sampler_object
    from quality.entries import entries
    from quality.probing import sigmas
    from quality.zoo_problem import ZooProblem

    problem = ZooProblem(condition.problem, condition.shift, condition.cfg, COUNT, SEED)
    levels = sigmas(problem.model_patcher, entries()["euler"], condition.scheduler, CALLS)
    samples = {f"{title}, {CALLS} calls": problem.run(sampler_object(name), levels) for title, name in SAMPLERS.items()}
    converged = problem.converged().float()
    low, high = converged.quantile(0.002), converged.quantile(0.998)
    return {
        f"{condition.problem}, {title}": ((many - low) / (high - low)).clamp(0, 1).view_as(problem.noise)
        for title, many in ({f"CFG {condition.cfg:g}, converged": converged} | samples).items()
    }


def main() -> None:
    load_quietly()
    sheet(PICTURE, {title: samples for condition in SHOWN for title, samples in rows(condition).items()})
    Image.open(PICTURE).convert("RGB").quantize(192).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
