"""`make bench-step-cost`: what the samplers themselves cost, with a model that costs nothing.

Time per step on the CPU in one run, as ratios to ComfyUI's `dpmpp_2m`; the correction alone against the released
formula; and the peak memory that a run needs beside its input, in latents.
"""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from comfy_host.inprocess import load_pack
from pages import markdown
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lml_sampler import LMLSettings, correct, sample_lml
from lml_sampler.correction import inner, measure_turn, turn_away
from lml_sampler.solvers.released import correct_released

LATENTS = {
    "SD 1.5, 512²": (1, 4, 64, 64),
    "SDXL, 1024²": (1, 4, 128, 128),
    "FLUX, 1024²": (1, 16, 128, 128),
    "FLUX, 1024², batch 4": (4, 16, 128, 128),
    "video, 480p, 5 s": (1, 16, 21, 60, 104),
}
STEPS = 20
SECONDS = 1.5
"""How long each figure is measured; the fastest run counts."""

Run = Callable[[], Any]


class FreeModel:
    """Answers with tensors that are there already, and looks like ComfyUI's model where its samplers ask."""

    def __init__(self, x: Tensor, model_sampling: Any) -> None:
        self.answers = [0.1 * torch.randn_like(x), 0.1 * torch.randn_like(x)]
        self.calls = 0
        patcher = SimpleNamespace(get_model_object=lambda name: model_sampling)
        inner = SimpleNamespace(model_sampling=model_sampling)
        self.inner_model = SimpleNamespace(model_patcher=patcher, inner_model=inner)

    def __call__(self, x: Tensor, sigma: Tensor, **extra_args: Any) -> Tensor:
        self.calls += 1
        return self.answers[self.calls % 2]


class PeakMemory(TorchDispatchMode):
    """Follows the storages that live at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, Any] = {}
        self.peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                storage = value.untyped_storage()
                self.live[storage.data_ptr()] = (
                    torch.multiprocessing.reductions.StorageWeakRef(storage),
                    storage.nbytes(),
                )
        self.live = {key: entry for key, entry in self.live.items() if not entry[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.live.values()))
        return result


def samplers(x: Tensor, sigmas: Tensor, model_sampling: Any) -> dict[str, Run]:
    """One run of each sampler."""
    import comfy.k_diffusion.sampling as k_diffusion
    from comfy.extra_samplers import uni_pc

    model = FreeModel(x, model_sampling)
    seeded: dict[str, Any] = {"extra_args": {"seed": 1}, "disable": True}

    def lml(**options: Any) -> Run:
        return lambda: sample_lml(model, x, sigmas, settings=LMLSettings(**options), **seeded)

    return {
        "dpmpp_2m": lambda: k_diffusion.sample_dpmpp_2m(model, x, sigmas, **seeded),
        "LML order 1": lml(scheme="ddim", kappa=0.7),
        "LML order 3": lml(scheme="dpmsolver++", order=3, kappa=0.7),
        "LML auto": lml(),
        "euler": lambda: k_diffusion.sample_euler(model, x, sigmas, **seeded),
        "dpmpp_3m_sde, eta 0": lambda: k_diffusion.sample_dpmpp_3m_sde(model, x, sigmas, eta=0.0, **seeded),
        "uni_pc": lambda: uni_pc.sample_unipc(model, x.clone(), sigmas, **seeded),
    }


def corrections(x: Tensor) -> dict[str, Run]:
    """The correction of one step as released, as `correct` does it, and as the loop does it in relative damping."""
    previous = x + 0.1 * torch.randn_like(x)
    energy = inner(previous, previous)
    return {
        "released": lambda: correct_released(x, previous, 1.0, 0.1),
        "correct": lambda: correct(x, previous, 1.0, 0.1),
        "loop": lambda: turn_away(x, measure_turn(x, previous, previous_energy=energy), (1.0, 0.0), 0.1),
    }


def fastest(runs: dict[str, Run]) -> dict[str, float]:
    """Seconds of the fastest call of each, taken in turn so that all see the same machine."""
    best = dict.fromkeys(runs, float("inf"))
    end = time.perf_counter() + SECONDS * len(runs)
    while time.perf_counter() < end:
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def peak_latents(run: Run, x: Tensor) -> float:
    """Peak of the memory made by a run, in sizes of the latent."""
    with PeakMemory() as memory:
        run()
    return memory.peak / x.untyped_storage().nbytes()


@torch.inference_mode()
def main() -> None:
    load_pack()
    import comfy.model_sampling

    model_sampling = comfy.model_sampling.ModelSamplingDiscrete()
    sigmas = torch.cat([torch.logspace(1.16, -1.5, STEPS), torch.zeros(1)])
    torch.set_num_threads(1)
    rows: list[list[str]] = []
    for name, shape in LATENTS.items():
        x = 14 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
        runs = samplers(x, sigmas, model_sampling)
        seconds, alone = fastest(runs), fastest(corrections(x))
        base = seconds["dpmpp_2m"]
        cells = [f"{value / base:.2f}" for value in seconds.values()]
        cells += [f"{alone['released'] / alone[form]:.2f}" for form in ("correct", "loop")]
        rows.append([name, f"{1000 * base / STEPS:.3f}", *cells])
    memory = [f"{peak_latents(run, x):.1f}" for run in runs.values()]
    rows.append(["peak memory, latents", "", *memory, "", ""])
    print(markdown([["latent", "dpmpp_2m, ms a step", *runs, "released / correct", "released / loop"], *rows]))


if __name__ == "__main__":
    main()
