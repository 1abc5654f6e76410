"""The samplers that are compared: those of ComfyUI at their defaults, three that it lacks, and LML in its settings.

To be imported after `load_pack`. Left out of ComfyUI's list: the `_gpu` twins, which differ in where they draw noise,
`ddim`, which is `euler`, and the `lml` that the pack adds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import comfy.samplers
from comfy_extras.nodes_custom_sampler import SamplerSASolver
from comfy_host.inprocess import load_pack

from lml_sampler import LMLSettings
from lml_sampler.presets import paper

from .grid import AUTO
from .published import PUBLISHED

LEFT_OUT = ("ddim", "lml")
SA_SOLVER = "sa_solver, eta 0"
GAINS = (0.2, 0.4)
WRAPPED = ("euler", "dpmpp_2m", "deis", "uni_pc", SA_SOLVER)
PAPER = "LML paper"

Settings = Callable[[bool, int], LMLSettings]


@dataclass(frozen=True)
class Entry:
    """One sampler of the comparison."""

    name: str
    kind: Literal["peer", "lml", "wrapped"]
    inner: str | None = None
    """The sampler of ComfyUI that runs, or that LML is wrapped around."""
    settings: Settings | None = None
    """LML's settings for (flow model, steps)."""

    @property
    def scheduled_as(self) -> str:
        """The sampler whose sigmas KSampler would use: some leave out the last but one."""
        return "euler" if self.inner in (None, SA_SOLVER, *PUBLISHED) else str(self.inner)

    def build(self, model_patcher: Any, flow: bool, steps: int) -> Any:
        """The SAMPLER."""
        if self.settings is None:
            return _peer(str(self.inner), model_patcher)
        settings = self.settings(flow, steps)
        if self.inner is None:
            return load_pack().nodes.host.sampler(settings)
        return load_pack().nodes.host.wrapped_sampler(_peer(self.inner, model_patcher), settings)


def _peer(name: str, model_patcher: Any) -> Any:
    if name in PUBLISHED:
        return comfy.samplers.KSAMPLER(PUBLISHED[name])
    if name != SA_SOLVER:
        return comfy.samplers.sampler_object(name)
    defaults = {"sde_start_percent": 0.2, "sde_end_percent": 0.8, "s_noise": 1.0}
    orders = {"predictor_order": 3, "corrector_order": 4, "use_pece": False, "simple_order_2": False}
    return SamplerSASolver.execute(model_patcher, eta=0.0, **defaults, **orders).args[0]


def _defaults(flow: bool, steps: int) -> LMLSettings:
    return LMLSettings()


def _gain(gain: float) -> Settings:
    """ddim with one gain kappa / (lambda + 1) in every step."""
    settings = LMLSettings(scheme="ddim", damping_mode="relative", damping=0.0, kappa=gain)
    return lambda flow, steps: settings


@cache
def entries() -> dict[str, Entry]:
    """All samplers by name, ComfyUI's first."""
    peers = [name for name in comfy.samplers.SAMPLER_NAMES if name not in LEFT_OUT and not name.endswith("_gpu")]
    found = [Entry(name, "peer", name) for name in (*peers, SA_SOLVER, *PUBLISHED)]
    found.append(Entry(AUTO, "lml", settings=_defaults))
    found.append(Entry(PAPER, "lml", settings=lambda flow, steps: paper(flow)))
    found += [Entry(f"LML ddim, g {gain}", "lml", settings=_gain(gain)) for gain in GAINS]
    found += [Entry(f"LML({name})", "wrapped", name, _defaults) for name in WRAPPED]
    return {entry.name: entry for entry in found}
