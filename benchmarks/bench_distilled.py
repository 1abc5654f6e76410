"""`make bench-distilled`: LML on networks of few steps, and on a pair of experts. Wants `make zoo zoo-distill` first.

Students
    Networks that were trained to go their teacher's guided path in 4 or 8 steps, with the guidance inside: CFG 1, the
    schedule `simple`, 1 to 8 calls. Squared Fréchet distance of a classifier's features, to pictures of the data and to
    the teacher's converged pictures, 256 samples; less that of euler with a 95 % interval over resampled noises.
Experts
    One network for high noise and one for low noise, as in Wan 2.2. Two runs, one an expert, that meet at the boundary
    as two LML KSampler (Advanced) do, beside one run that changes the network on the way: the second run has not seen
    what the first one has. RMS distance to the converged solution of the pair.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from comfy_host.inprocess import load_pack
from comfy_host.install import ROOT
from numpy.typing import NDArray
from pages import markdown, shrink
from quality.running import load_quietly
from quality.store import FOLDER
from torch import Tensor
from zoo.data import examples
from zoo.denoiser import Problem
from zoo.distill import BOUNDARY, CFG
from zoo.problems import EXPERTS, STUDENTS, folder, load, weights_file
from zoo.reference import COUNT, sheet

from lml_sampler import LMLSettings

TEACHER = "shapes_flow"
IMAGES = ROOT / "docs" / "images"
PUPILS = [name for name, (teacher, _) in STUDENTS.items() if teacher == TEACHER]
SAMPLES = 256
SEED = 5
CALLS = (1, 2, 4, 6, 8)
EXPERT_CALLS = (4, 8, 12, 20)
EXPERT_SAMPLES = 16
CONVERGED_STEPS = 50
PICTURES = 10_000
"""Of the data: most to train the classifier with, the last fifth to measure against."""
RESAMPLES = 200
GENTLE = 0.25
"""The κ that our workflows of distilled models have."""
LML = (f"lml, κ {GENTLE}", "lml")
SAMPLERS = ("euler", "lcm", *LML)

Array = NDArray[np.float64]


def schedule(problem: Any, steps: int) -> Tensor:
    """`simple`, as people run such models."""
    from quality.entries import entries
    from quality.probing import sigmas

    return sigmas(problem.model_patcher, entries()["euler"], "simple", steps)


def sampling(sampler: str) -> Any:
    """The SAMPLER of a name: of ComfyUI's list, or LML with the gentle κ."""
    import comfy.samplers

    if sampler == LML[0]:
        return load_pack().nodes.host.sampler(LMLSettings(kappa=GENTLE))
    return comfy.samplers.sampler_object(sampler)


def run(problem: Any, sampler: str, steps: int) -> Tensor:
    """One run from the problem's noise, `[B, ...]`."""
    return problem.run(sampling(sampler), schedule(problem, steps)).view_as(problem.noise)


def students() -> str:
    """The table of the students; a sheet of the pictures of each goes beside their weights."""
    from quality.measures import Frechet
    from quality.network import Features
    from quality.zoo_problem import ZooProblem

    pictures, labels = examples(load(TEACHER).spec.data)
    pictures, labels = pictures[:PICTURES].float(), labels[:PICTURES]
    features = Features(pictures[: PICTURES * 4 // 5], labels[: PICTURES * 4 // 5], SEED)
    taught = run(ZooProblem(TEACHER, None, CFG, SAMPLES, SEED), "dpmpp_2m", CONVERGED_STEPS)
    to = {"data": pictures[PICTURES * 4 // 5 :], "teacher": taught}
    distances = {name: Frechet(features(samples.flatten(1))) for name, samples in to.items()}
    rows = [["student", "calls", "distance to the", *SAMPLERS, *(f"{name} - euler" for name in LML)]]
    for name in PUPILS:
        problem, shown = ZooProblem(name, None, 1.0, SAMPLES, SEED), {"teacher, converged": taught}
        for calls in CALLS:
            made = {sampler: run(problem, sampler, calls) for sampler in SAMPLERS}
            shown |= {f"{sampler}, {calls}": samples for sampler, samples in made.items()}
            seen = {sampler: features(samples.flatten(1)) for sampler, samples in made.items()}
            for target, distance in distances.items():
                spans = [difference(distance, seen[sampler], seen["euler"]) for sampler in LML]
                figures = [f"{distance(seen[sampler]):.1f}" for sampler in SAMPLERS]
                rows.append(
                    [name, str(calls), target, *figures, *(f"{low:+.1f} to {high:+.1f}" for low, high in spans)]
                )
        sheet(folder() / "sheets" / f"{name}_samplers.png", {label: many[:COUNT] for label, many in shown.items()})
    return markdown(rows)


def picture() -> None:
    """The student of 4 steps at its 4 calls, for the page."""
    from quality.zoo_problem import ZooProblem

    problem = ZooProblem(PUPILS[-1], None, 1.0, COUNT, SEED)
    teacher = run(ZooProblem(TEACHER, None, CFG, COUNT, SEED), "dpmpp_2m", CONVERGED_STEPS)
    rows = {f"{sampler}, 4 calls": run(problem, sampler, 4) for sampler in ("euler", *LML)}
    sheet(IMAGES / "distilled.png", {f"the teacher, {CONVERGED_STEPS} calls with guidance": teacher, **rows})
    shrink(IMAGES / "distilled.png", 128)


def difference(distance: Callable[[Array], float], ours: Array, theirs: Array) -> tuple[float, float]:
    """95 % interval of our distance less theirs, both over the same resampled noises."""
    picks = np.random.default_rng(SEED).integers(0, len(ours), (RESAMPLES, len(ours)))
    low, high = np.quantile([distance(ours[pick]) - distance(theirs[pick]) for pick in picks], (0.025, 0.975))
    return float(low), float(high)


def pair_of_experts() -> Any:
    """Both experts as one problem: one above the boundary, one from there on."""
    from quality.zoo_problem import ZooProblem

    high, low = (load(name) for name in EXPERTS)

    def expert(sigma: float) -> Problem:
        return high if sigma >= BOUNDARY else low

    class Pair(ZooProblem):
        def conditional(self, x: Tensor, sigma: float) -> Tensor:
            return expert(sigma).denoise(x, sigma, self.labels)

        def unconditional(self, x: Tensor, sigma: float) -> Tensor:
            return expert(sigma).denoise(x, sigma)

    return Pair(TEACHER, None, CFG, EXPERT_SAMPLES, SEED)


def two_runs(pair: Any, sampler: str, steps: int) -> Tensor:
    """The run, broken off where the other expert takes over and begun anew there."""
    sigmas = schedule(pair, steps)
    above = int((sigmas >= BOUNDARY).sum())
    latent = pair.run(sampling(sampler), sigmas[: above + 1])
    return pair.run(sampling(sampler), sigmas[above:], latent).view_as(pair.noise)


def experts() -> str:
    """The table of the pair of experts."""
    pair = pair_of_experts()
    converged = run(pair, "dpmpp_2m", 8 * CONVERGED_STEPS)
    rows = [["calls", "euler", "dpmpp_2m, one run", "dpmpp_2m, two runs", "lml, one run", "lml, two runs"]]
    for calls in EXPERT_CALLS:
        ends = [run(pair, "euler", calls)]
        for sampler in ("dpmpp_2m", "lml"):
            ends += [run(pair, sampler, calls), two_runs(pair, sampler, calls)]
        rows.append([str(calls), *(f"{(end - converged).square().mean().sqrt():.4f}" for end in ends)])
    return markdown(rows)


def main() -> None:
    lacking = [name for name in (TEACHER, *PUPILS, *EXPERTS) if not weights_file(name).exists()]
    if lacking:
        sys.exit(f"{', '.join(lacking)} missing. `make zoo zoo-distill` trains them.")
    load_quietly()
    text = f"{students()}\n\n{experts()}\n"
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "distilled.md").write_text(text, "utf-8")
    picture()
    print(text)


if __name__ == "__main__":
    main()
