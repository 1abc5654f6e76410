"""The trained demo model of the pack in ComfyUI, and a classifier whose features measure their pictures.

To be imported after `load_pack`.
"""

from functools import cache
from typing import Any

import comfy.samplers
import numpy as np
import torch
from comfy_host.inprocess import load_pack
from numpy.typing import NDArray
from shapes import RGB
from sklearn.neural_network import MLPClassifier
from stones import draw
from torch import Tensor

from .grid import Path

SHAPES = 4
COLORS = len(RGB)
TRAINING_PICTURES = 12000
TRAINING_EPOCHS = 25
DATA_PICTURES = 2000


class CountingGuider(comfy.samplers.CFGGuider):
    """ComfyUI's own guider, counting the calls that a sampler makes."""

    calls = 0

    def predict_noise(self, *args: Any, **options: Any) -> Tensor:
        self.calls += 1
        return super().predict_noise(*args, **options)


class NetworkProblem:
    """The demo model, its pictures spread over all shapes and colors.

    Attributes:
        calls: model calls of the last run.
        model_patcher: the MODEL.
    """

    def __init__(self, path: Path, cfg: float, samples: int, seed: int) -> None:
        demo = load_pack().nodes.demo
        variant = {"ve": "eps", "flow": "flow"}[path]
        output = demo.LMLDemoModel.execute(variant, demo.ANY, demo.ANY, samples)
        self.model_patcher, _, negative, latent, _ = output.args
        self.latent = latent["samples"]
        self.shapes, self.colors = torch.arange(samples) % SHAPES, torch.arange(samples) % COLORS
        positive = [[demo.model.tokens(self.shapes, self.colors), {}]]
        self.guider = CountingGuider(self.model_patcher)
        self.guider.set_conds(positive, negative)
        self.guider.set_cfg(cfg)
        self.noise = torch.randn(self.latent.shape, generator=torch.Generator().manual_seed(seed))
        self.seed = seed

    @property
    def calls(self) -> int:
        return self.guider.calls

    def run(self, sampler: Any, sigmas: Tensor) -> Tensor:
        """Sample from the problem's noise; `[B, 3 * 64 * 64]`."""
        self.guider.calls = 0
        with torch.inference_mode():
            result = self.guider.sample(self.noise, self.latent, sampler, sigmas, disable_pbar=True, seed=self.seed)
        return result.flatten(1)

    def data(self) -> Tensor:
        """Drawn pictures of the same shapes and colors, `[2000, 3 * 64 * 64]`."""
        picks = torch.arange(DATA_PICTURES) % len(self.shapes)
        return draw(self.shapes[picks], self.colors[picks], torch.Generator().manual_seed(self.seed + 1)).flatten(1)


class Features:
    """The last hidden layer of a small classifier of coloured pictures, all of one size, shrunk to 16 x 16.

    It names shape and color right in seven of eight new drawn pictures (24 classes).
    """

    def __init__(self, pictures: Tensor, labels: Tensor, seed: int) -> None:
        """Train on pictures `[N, 3, H, W]` with labels `[N]`."""
        self.shape = pictures.shape[1:]
        inputs, classes = _shrunk(pictures), labels.numpy()
        self.network = MLPClassifier((96, 24), learning_rate_init=2e-3, random_state=seed)
        for _ in range(TRAINING_EPOCHS):
            self.network.partial_fit(inputs, classes, classes=np.unique(classes))

    def __call__(self, pictures: Tensor) -> NDArray[np.float64]:
        """Features `[B, 24]` of `[B, 3 * H * W]`."""
        values = _shrunk(pictures.unflatten(1, self.shape))
        for weights, biases in list(zip(self.network.coefs_, self.network.intercepts_, strict=True))[:-1]:
            values = np.maximum(values @ weights + biases, 0)
        return values


@cache
def features(seed: int) -> Features:
    """The classifier of drawn pictures, trained once a process."""
    labels = torch.arange(TRAINING_PICTURES) % (SHAPES * COLORS)
    return Features(draw(labels // COLORS, labels % COLORS, torch.Generator().manual_seed(seed)), labels, seed)


def _shrunk(pictures: Tensor) -> NDArray[np.float64]:
    return torch.nn.functional.adaptive_avg_pool2d(pictures, 16).flatten(1).double().numpy()
