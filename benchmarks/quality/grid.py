"""Which cells are measured: conditions x samplers x numbers of model calls. Plain data, no ComfyUI."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

Problem = Literal["digits", "patches", "network", "shapes_flow", "flower_v", "curves_eps", "digits_x0"]
"""The last four are the half of the zoo that no rule was chosen on."""
Path = Literal["ve", "flow"]

AUTO = "LML auto"
"""The default."""
SEED = 0
"""Of the start noise, of the labels and of the samplers that add noise, the same in every cell."""

CFGS = (1.0, 4.0, 7.0)
ZOO_CFGS = (1.0, 3.0, 6.0)
SCHEDULERS = ("normal", "karras", "simple", "beta", "sgm_uniform")
CALLS = (5, 6, 8, 10, 12, 15, 20, 30, 50)
NETWORK_CALLS = (5, 8, 12, 20)
QUICK_CALLS = (5, 8, 12)
QUICK_NETWORK_CALLS = (5, 8)
SAMPLES: dict[Problem, int] = {"digits": 256, "patches": 256, "network": 10}
ZOO_SAMPLES = 16
COST: dict[Problem, float] = {"digits": 1.0, "patches": 1.3}
NETWORK_COST = 20.0
"""Of a model call, measured; for the progress bar."""

EXACT_PATHS: tuple[tuple[Path, float | None], ...] = (("ve", None), ("flow", 1.15), ("flow", 3.0))
NETWORK_PATHS: tuple[tuple[Path, float | None], ...] = (("ve", None), ("flow", None))
PROBLEMS: tuple[tuple[Problem, tuple[tuple[Path, float | None], ...], tuple[float, ...], int], ...] = (
    ("digits", EXACT_PATHS, CFGS, 2),
    ("patches", EXACT_PATHS, CFGS, 1),
    ("network", NETWORK_PATHS, CFGS, 1),
    ("shapes_flow", (("flow", 5.0), ("flow", 8.0)), ZOO_CFGS, 1),
    ("digits_x0", (("ve", None),), ZOO_CFGS, 1),
    ("curves_eps", (("ve", None),), (1.0,), 2),
    ("flower_v", (("ve", None),), (1.0,), 2),
)
"""Each problem with its paths, its CFG and how many schedulers each path meets at each of them."""
ZOO = ("shapes_flow", "digits_x0", "curves_eps", "flower_v")


class Condition(NamedTuple):
    """All that a user sets but the sampler and the steps."""

    problem: Problem
    path: Path
    """`ve`: x = x0 + sigma noise (eps models); `flow`: x = (1 - sigma) x0 + sigma noise."""
    shift: float | None
    """Of the flow schedule; None where there is none or it is the network's own."""
    cfg: float
    scheduler: str

    @property
    def family(self) -> Literal["exact", "demo", "zoo"]:
        """What the problem is: known exactly, one of the pack's demo networks, or a network of the zoo."""
        if self.problem in ("digits", "patches"):
            return "exact"
        return "demo" if self.problem == "network" else "zoo"

    @property
    def exact(self) -> bool:
        return self.family == "exact"

    @property
    def samples(self) -> int:
        return SAMPLES.get(self.problem, ZOO_SAMPLES)

    @property
    def guided(self) -> bool:
        return self.cfg != 1

    @property
    def guidance(self) -> str:
        return "guided" if self.guided else "no guidance"

    @property
    def name(self) -> str:
        shift = "" if self.shift is None else f" shift {self.shift:g}"
        return f"{self.problem}, {self.path}{shift}, CFG {self.cfg:g}, {self.scheduler}"

    @property
    def solution(self) -> "Condition":
        """What decides the converged solution: neither schedule nor shift does."""
        return self._replace(shift=None, scheduler="")


class Task(NamedTuple):
    """The cells that one sampler has under one condition."""

    condition: Condition
    entry: str
    calls: tuple[int, ...]

    @property
    def cost(self) -> float:
        return sum(self.calls) * COST.get(self.condition.problem, NETWORK_COST)


@dataclass(frozen=True)
class Names:
    """The samplers, as far as the choice of cells depends on them."""

    peers: tuple[str, ...]
    lml: tuple[str, ...]
    stochastic: frozenset[str]
    quick_lml: frozenset[str]

    @property
    def converging(self) -> list[str]:
        """The default, and the peers that end where the model leads: those that add noise and the CFG++ ones do not."""
        return [*(name for name in self.peers if name not in self.stochastic and "cfg_pp" not in name), AUTO]

    def chosen(self, condition: Condition, quick: bool) -> list[str]:
        """The samplers under a condition: a call of a network is dear."""
        if not condition.exact:
            return self.converging
        return [*self.peers, *(name for name in self.lml if not quick or name in self.quick_lml)]


def conditions() -> list[Condition]:
    """Every problem, path and CFG; the schedulers take turns, so that each meets each of them."""
    turn = itertools.cycle(SCHEDULERS)
    result = []
    for problem, paths, cfgs, share in PROBLEMS:
        for (path, shift), cfg in itertools.product(paths, cfgs):
            result += [Condition(problem, path, shift, cfg, next(turn)) for _ in range(share)]
    return result


def quick_conditions() -> list[Condition]:
    """One condition of each problem and path, guided two times of three."""
    everything = conditions()
    wanted = [("digits", "ve", 4), ("digits", "flow", 7), ("patches", "ve", 7), ("patches", "flow", 1)]
    wanted += [("network", "ve", 4), ("network", "flow", 1), ("shapes_flow", "flow", 3), ("digits_x0", "ve", 6)]
    return [next(c for c in everything if (c.problem, c.path, c.cfg) == choice) for choice in wanted]


def tasks(names: Names, quick: bool) -> Iterator[Task]:
    """All cells; the quick ones are among the others, the same in every respect."""
    for condition in quick_conditions() if quick else conditions():
        calls = calls_of(condition, quick)
        for name in names.chosen(condition, quick):
            yield Task(condition, name, calls)


def calls_of(condition: Condition, quick: bool) -> tuple[int, ...]:
    """The numbers of model calls that are allowed under a condition."""
    if quick:
        return QUICK_CALLS if condition.exact else QUICK_NETWORK_CALLS
    return CALLS if condition.exact else NETWORK_CALLS
