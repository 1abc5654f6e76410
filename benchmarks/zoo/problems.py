"""The networks of the zoo: `ZOO` lists them and `load` loads them.

Rules of the sampler are chosen on the half "choose" and only reported on the half "report"; this was fixed before the
first network was trained. Each half has a UNet and three other networks, a mixer and a transformer among them; an eps,
a v, an x0 and a flow network; two with guidance; grey and colour or sound; sparse and dense, wide and narrow data.
"""

import argparse
import os
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file

from .denoiser import Problem, Spec
from .nets import DiT, Mixer, UNet

GUIDED = (1.0, 3.0, 6.0)

ZOO: dict[str, Spec] = {
    "fashion_flow": Spec(
        "choose", partial(DiT, patch=4, width=96, depth=4), "fashion", "flow", (1, 32, 32), 0.8,
        shift=3.0, classes=10, cfgs=GUIDED, steps=3500,
    ),
    "china_v": Spec(
        "choose", partial(UNet, patch=2, widths=(32, 64, 96)), "china", "v", (3, 32, 32), 0.5, 15.0, 0.03,
    ),
    "stars_eps": Spec(
        "choose", partial(Mixer, patch=4, width=96, depth=5), "stars", "eps", (1, 32, 32), 0.1, 150.0, 0.005,
        sigma_data=0.3, steps=2500,
    ),
    "tones_x0": Spec(
        "choose", partial(UNet, patch=4, widths=(48, 96, 128)), "tones", "x0", (1, 256), 2.0, 50.0, 0.06,
        classes=8, cfgs=GUIDED, steps=2500,
    ),
    "shapes_flow": Spec(
        "report", partial(UNet, patch=2, widths=(32, 64, 96)), "shapes", "flow", (3, 32, 32), 1.0,
        shift=5.0, classes=24, cfgs=GUIDED, steps=3500,
    ),
    "flower_v": Spec(
        "report", partial(DiT, patch=8, width=128, depth=5), "flower", "v", (3, 64, 64), 0.3, 30.0, 0.01,
        sigma_data=1.0, steps=1600,
    ),
    "curves_eps": Spec(
        "report", partial(UNet, patch=2, widths=(32, 64, 96)), "curves", "eps", (1, 32, 32), 0.2, 80.0, 0.01,
        steps=2500,
    ),
    "digits_x0": Spec(
        "report", partial(Mixer, patch=2, width=96, depth=4), "digits", "x0", (1, 16, 16), 1.5, 100.0, 0.05,
        classes=10, cfgs=GUIDED, steps=2500,
    ),
}  # fmt: skip

STUDENTS = {
    f"{teacher}_{steps}steps": (teacher, steps) for teacher in ("shapes_flow", "fashion_flow") for steps in (8, 4)
}
"""Networks that solve their teacher's guided path in a few steps, from `distill`: (teacher, steps)."""

EXPERTS = {f"shapes_flow_{part}": ("shapes_flow", part) for part in ("high", "low")}
"""Copies of a network that know the levels above, or below, `distill.BOUNDARY` best: (original, part)."""


def asked(description: str | None, names: Iterable[str]) -> list[str]:
    """The names of networks on the command line; all of them if there are none."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(names)} (default: all)")
    return parser.parse_args().names or list(names)


def folder() -> Path:
    """Where the zoo keeps what it makes: LML_ZOO, or `.zoo` in the project."""
    return Path(os.environ.get("LML_ZOO", Path(__file__).parents[2] / ".zoo"))


def weights_file(name: str) -> Path:
    """Where the weights of a network are kept."""
    return folder() / f"{name}.safetensors"


def spec_of(name: str) -> Spec:
    """What a network is; a student is its teacher with the guidance inside."""
    if name in STUDENTS:
        return replace(ZOO[STUDENTS[name][0]], cfgs=(1.0,))
    return ZOO[EXPERTS[name][0] if name in EXPERTS else name]


def fresh(name: str) -> Problem:
    """A network with first weights, from torch's random generator."""
    spec = spec_of(name)
    return Problem(name, spec, spec.network(spec.shape, spec.classes))


def load(name: str) -> Problem:
    """A trained network, ready to sample from.

    Raises:
        FileNotFoundError: it is not trained yet.
    """
    problem, path = fresh(name), weights_file(name)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run `make zoo`, or set LML_ZOO to the folder that has it")
    problem.module.load_state_dict(load_file(path))
    problem.module.eval().requires_grad_(False)
    with safe_open(path, "pt") as file:
        problem.facts = file.metadata()
    return problem
