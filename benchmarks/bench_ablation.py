"""`make bench-ablation`: what each term of the scheme `auto` earns.

One term is left out at a time. The error (RMS distance to the converged solution, and the distance of the median
sample) is shown as a ratio to the whole scheme, geometric means over cells: above 1, the term earns its place. The last
column counts the cells that are worse than euler. On exact problems, and on the half of the zoo that rules are chosen
on (`make zoo`), both at 5, 8, 12 and 20 calls.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from pages import markdown
from quality.grid import Condition
from quality.measures import median, rms
from quality.running import load_quietly, trained
from quality.summary import geometric_mean

from lml_sampler import LMLSettings, sample_lml
from lml_sampler.solvers import auto

CALLS = (5, 8, 12, 20)
EXACT = [
    Condition(problem, path, shift, cfg, scheduler)
    for problem in ("digits", "patches")
    for path, shift, scheduler in (("ve", None, "karras"), ("flow", 3.0, "simple"))
    for cfg in (1.0, 4.0)
]
NETWORKS: list[Any] = [
    *(Condition("fashion_flow", "flow", 3.0, cfg, "simple") for cfg in (1.0, 3.0)),
    *(Condition("tones_x0", "ve", None, cfg, "normal") for cfg in (1.0, 3.0)),
    *(
        Condition(name, "ve", None, 1.0, scheduler)
        for name in ("china_v", "stars_eps")
        for scheduler in ("karras", "simple")
    ),
]
GROUPS = {"exact, guided": EXACT[1::2], "exact, no guidance": EXACT[::2], "networks": NETWORKS}

forecast_length = auto._forecast_length


def no_length(*arguments: Any) -> auto.Length:
    length = forecast_length(*arguments)
    return auto.Length(torch.zeros_like(length.shortened), torch.zeros_like(length.ahead), length.width)


LEFT_OUT: dict[str, tuple[dict[str, Any], LMLSettings]] = {
    "nothing": ({}, LMLSettings()),
    "damping (λ = 0)": ({}, LMLSettings(damping=0.0)),
    "hindsight": ({"_hindsight": lambda before, here: 0.0}, LMLSettings()),
    "foresight": ({"_repetition": lambda *levels: 0.0}, LMLSettings()),
    "a limit to foresight by length": ({"_repetition": lambda *levels: 1.0}, LMLSettings()),
    "a limit to foresight by what is left": ({"_lost": lambda left, *sizes: torch.zeros_like(left)}, LMLSettings()),
    "what was missed, carried on": ({"MISSED_AGAIN": 0.0}, LMLSettings()),
    "the length of e": ({"_forecast_length": no_length}, LMLSettings()),
    "agreement of two widths": ({"_agreement": lambda first, second: torch.ones_like(first)}, LMLSettings()),
    "all of it (euler)": ({}, LMLSettings(kappa=0.0)),
}
"""What is put in its place, and the settings."""


class Errors(NamedTuple):
    """Of one cell."""

    rms: float
    median: float


def errors(conditions: list[Condition], settings: LMLSettings) -> Iterator[Errors]:
    """One for each condition and number of calls."""
    import comfy.samplers
    from quality import work
    from quality.entries import entries
    from quality.probing import sigmas

    for condition in conditions:
        problem, target = work.problem_of(condition), work.converged(condition.solution)
        sampling = problem.model_patcher.get_model_object("model_sampling")
        sample = partial(
            sample_lml, settings=settings, parametrization=condition.path, sigma_min=float(sampling.sigma_min)
        )
        sampler = comfy.samplers.KSAMPLER(sample)
        for calls in CALLS:
            levels = sigmas(problem.model_patcher, entries()["euler"], condition.scheduler, calls)
            squares = ((problem.run(sampler, levels).double().numpy() - target) ** 2).mean(1)
            yield Errors(rms(squares), median(squares))


def ablation() -> str:
    """As Markdown."""
    groups = dict(GROUPS)
    if not trained(["fashion_flow", "tones_x0", "china_v", "stars_eps"]):
        del groups["networks"]
    found: dict[str, dict[str, list[Errors]]] = {}
    for name, (replaced, settings) in LEFT_OUT.items():
        with ExitStack() as stack:
            for attribute, value in replaced.items():
                stack.enter_context(patch.object(auto, attribute, value))
            found[name] = {group: list(errors(conditions, settings)) for group, conditions in groups.items()}
    whole, euler = found["nothing"], found["all of it (euler)"]
    rows = [["left out", *(f"{group}, RMS / median" for group in groups), "worse than euler"]]
    for name, mine in found.items():
        worse = [
            ours.rms > plain.rms for group in groups for ours, plain in zip(mine[group], euler[group], strict=True)
        ]
        ratios = (_ratio(mine[group], whole[group]) for group in groups)
        rows.append([name, *ratios, f"{sum(worse)} of {len(worse)}"])
    return markdown(rows)


def _ratio(mine: list[Errors], whole: list[Errors]) -> str:
    pairs = list(zip(mine, whole, strict=True))
    figures = (
        geometric_mean(getattr(a, measure) / getattr(b, measure) for a, b in pairs) for measure in Errors._fields
    )
    return " / ".join(f"{figure:.2f}" for figure in figures)


def main() -> None:
    load_quietly()
    print(ablation())


if __name__ == "__main__":
    main()
