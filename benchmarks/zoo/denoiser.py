"""A network as a sampler sees it: a denoiser on a VE or a flow path, with guidance."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Spec:
    """One network: its layers, its data and its path.

    Attributes:
        network: makes the module from `shape` and `classes`.
        target: what the module predicts.
        shape: of one sample.
        width: root mean square of the data about zero.
        sigma_data: width that the module's scales assume; None: `width`.
        sigma_min, sigma_max: range of VE levels that it is trained on.
        shift: of the schedule of a flow network.
        classes: number of labels; 0: trained without labels.
        cfgs: guidance scales to measure.
        steps: of training.
    """

    half: Literal["choose", "report"]
    network: Callable[..., nn.Module]
    data: str
    target: Literal["eps", "v", "x0", "flow"]
    shape: tuple[int, ...]
    width: float
    sigma_max: float = 1.0
    sigma_min: float = 0.0
    sigma_data: float | None = None
    shift: float = 1.0
    classes: int = 0
    cfgs: tuple[float, ...] = (1.0,)
    steps: int = 3000
    batch: int = 32


def scales(target: str, sigma: Tensor, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:
    """`c_in, c_skip, c_out` of denoised = c_skip x + c_out network(c_in x) (arXiv 2206.00364, equation 7).

    With s = sigma and d = sigma_data: eps is (x - x0) / s, v is (d^2 x - (s^2 + d^2) x0) / (s d sqrt(s^2 + d^2)), x0 is
    x0 / d, and a flow predicts n - x0 on x = (1 - s) x0 + s n.
    """
    one, zero = torch.ones_like(sigma), torch.zeros_like(sigma)
    if target == "flow":
        return one, one, -sigma
    norm = (sigma**2 + sigma_data**2).sqrt()
    skip, out = {
        "eps": (one, -sigma),
        "v": (sigma_data**2 / norm**2, -sigma * sigma_data / norm),
        "x0": (zero, sigma_data * one),
    }[target]
    return 1 / norm, skip, out


@dataclass
class Problem:
    """A network as a denoiser; see `Spec` for what is not listed.

    Attributes:
        parametrization: "ve": x = x0 + sigma n; "flow": x = (1 - sigma) x0 + sigma n.
        module: the network.
        facts: what is known of its training.
    """

    name: str
    spec: Spec
    module: nn.Module
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def parametrization(self) -> Literal["ve", "flow"]:
        return "flow" if self.spec.target == "flow" else "ve"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.spec.shape

    @property
    def shift(self) -> float:
        """The schedule's shift of a flow network; 1 on a VE path."""
        return self.spec.shift

    @property
    def sigma_max(self) -> float:
        return self.spec.sigma_max

    @property
    def sigma_min(self) -> float:
        """The lowest level above 0; that of a flow network as ComfyUI has it: the first of 1,000 shifted levels."""
        return self.spec.sigma_min or self.shift / (999 + self.shift)

    @property
    def sigma_data(self) -> float:
        return self.spec.sigma_data or self.spec.width

    def level(self, sigma: Tensor) -> Tensor:
        """What the network is told of the noise: sigma of a flow, else its place in the range on a log scale."""
        if self.parametrization == "flow":
            return sigma
        low, high = torch.tensor([self.sigma_min, self.sigma_max]).log()
        return (sigma.clamp_min(self.sigma_min).log() - low) / (high - low)

    def predict(self, x: Tensor, sigma: Tensor, label: Tensor) -> Tensor:
        """The module's own answer for a state `[B, ...]` at levels `[B]`; label `classes`: none."""
        c_in, _, _ = scales(self.spec.target, column(sigma, x), self.sigma_data)
        return self.module(c_in * x, self.level(sigma), label)

    @torch.no_grad()
    def denoise(self, x: Tensor, sigma: Tensor | float, label: Tensor | None = None) -> Tensor:
        """E[x0 | x] in float32, given back in x's dtype: sigma a number or `[B]`, label `[B]` or None for none."""
        state, sigma = x.float(), torch.as_tensor(sigma, dtype=torch.float32).expand(len(x))
        label = torch.full((len(x),), self.spec.classes) if label is None else label
        _, skip, out = scales(self.spec.target, column(sigma, state), self.sigma_data)
        return (skip * state + out * self.predict(state, sigma, label)).to(x.dtype)

    def guided(self, x: Tensor, sigma: Tensor | float, cfg: float, labels: Tensor | None) -> Tensor:
        """The denoised state with classifier-free guidance: none + cfg (labelled - none)."""
        if labels is None or cfg == 1:
            return self.denoise(x, sigma, labels)
        sigma = torch.as_tensor(sigma, dtype=torch.float32).expand(len(x))
        both = torch.cat([labels, torch.full_like(labels, self.spec.classes)])
        labelled, none = self.denoise(torch.cat([x, x]), torch.cat([sigma, sigma]), both).chunk(2)
        return none + cfg * (labelled - none)

    def labels(self, count: int) -> Tensor | None:
        """Labels of `count` samples, every seventh class in turn so that few show many; None without classes."""
        return 7 * torch.arange(count) % self.spec.classes if self.spec.classes else None

    def start(self, count: int, seed: int = 17) -> Tensor:
        """The noise that a run starts from, `[count, *shape]`: sigma_max n, or n on a flow path."""
        noise = torch.randn((count, *self.shape), generator=torch.Generator().manual_seed(seed))
        return self.sigma_max * noise


def column(values: Tensor, x: Tensor) -> Tensor:
    """`[B]` as `[B, 1, ...]`, to be multiplied with x."""
    return values.view(-1, *[1] * (x.ndim - 1))
