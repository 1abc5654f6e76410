"""CLIPScore and CMMD, by a CLIP model of transformers in a folder of this machine."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics.pairwise import rbf_kernel
from torch.nn.functional import normalize

from .errors import EvaluationError
from .measures import Array, Score
from .pictures import Picture, batches

SIGMA = 10.0
SCALE = 1000.0
BATCH = 16
Pair = tuple[Picture, str]


class Clip:
    """A CLIP model: embeddings of length one."""

    def __init__(self, folder: Path) -> None:
        from transformers import CLIPModel, CLIPProcessor

        if not (folder / "config.json").is_file():
            raise EvaluationError(f"--clip is {folder}, which holds no CLIP model of transformers (config.json).")
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model: Any = CLIPModel.from_pretrained(folder, local_files_only=True).to(self._device).eval()
        self._processor: Any = CLIPProcessor.from_pretrained(folder, local_files_only=True)

    def pictures(self, pictures: Iterable[Picture]) -> Array:
        """`[n, d]` of pictures."""
        return np.concatenate([self._pictures(batch) for batch in batches(pictures, BATCH)])

    def scores(self, pairs: Iterable[Pair]) -> Array:
        """CLIPScore of every picture and its prompt: 100 max(cos, 0) (arXiv 2104.08718, without its factor 2.5)."""
        return np.concatenate([self._scores(batch) for batch in batches(pairs, BATCH)])

    @torch.no_grad()
    def _pictures(self, batch: list[Picture]) -> Array:
        inputs = self._processor(images=batch, return_tensors="pt").to(self._device)
        return normalize(_tensor(self._model.get_image_features(**inputs)), dim=-1).double().cpu().numpy()

    @torch.no_grad()
    def _scores(self, batch: list[Pair]) -> Array:
        texts = [text for _, text in batch]
        inputs = self._processor(text=texts, return_tensors="pt", padding=True, truncation=True).to(self._device)
        words = normalize(_tensor(self._model.get_text_features(**inputs)), dim=-1).double().cpu().numpy()
        return 100 * np.maximum((self._pictures([picture for picture, _ in batch]) * words).sum(1), 0)


def _tensor(features: Any) -> torch.Tensor:
    return features if isinstance(features, torch.Tensor) else features.pooler_output


def cmmd(pictures: Array, real: Array) -> Score:
    """The maximum mean discrepancy of CLIP embeddings (CMMD, arXiv 2401.09603), times 1000."""
    pairs = ((pictures, pictures, 1), (real, real, 1), (pictures, real, -2))
    return Score(SCALE * sum(sign * _rbf_mean(x, y) for x, y, sign in pairs), np.empty(0))


def _rbf_mean(x: Array, y: Array) -> float:
    blocks = np.array_split(x, max(1, len(x) // 1000))
    return sum(rbf_kernel(block, y, 1 / (2 * SIGMA**2)).sum() for block in blocks) / (len(x) * len(y))
