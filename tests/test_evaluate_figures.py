"""The figures of evaluations are those of the libraries."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluate import measures
from evaluate.errors import EvaluationError
from evaluate.features import LITE, Extractor, load, save


@pytest.fixture(scope="module")
def clouds() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    mix = generator.normal(size=(24, 24))
    real, mine = generator.normal(size=(300, 24)) @ mix, generator.normal(size=(90, 24)) @ mix * 1.1 + 0.2
    return real.astype(np.float32), mine.astype(np.float32)


def test_resampling_nothing_gives_the_figure_of_the_library(clouds: tuple[np.ndarray, np.ndarray]) -> None:
    real, mine = clouds
    for features in (mine, mine[:20]):  # more pictures than features, and fewer
        whole = [np.arange(len(features))]
        score = measures.Frechet(real).score(features, whole)
        assert score.resampled[0] == pytest.approx(score.value, rel=1e-6) and score.value > 1
        kid = measures.kid(features, real[: len(features)], whole)
        assert kid.resampled[0] == pytest.approx(kid.value, rel=1e-6)


def test_a_paired_difference_is_surer_than_its_parts(clouds: tuple[np.ndarray, np.ndarray]) -> None:
    real, mine = clouds
    picked = measures.picks(len(mine), 60)
    frechet = measures.Frechet(real)
    one, other = frechet.score(mine, picked), frechet.score(mine * 1.01, picked)
    assert one.half_width and other.minus(one).half_width < one.half_width / 4
    assert measures.mean(np.ones(5), measures.picks(5, 9)).half_width == 0


def test_features_of_another_extractor_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "x.npz", np.zeros((3, 2), np.float32), "inception-v3-compat, layer 2048, torch-fidelity 0.4.0")
    with pytest.raises(
        EvaluationError, match=r"holds features of inception-v3-compat.*; these are of efficientnet-lite0"
    ):
        load(tmp_path / "x.npz", Extractor(LITE).identity)
    with pytest.raises(EvaluationError, match=r"extractor is 'mine'; known are .*efficientnet-lite0"):
        Extractor("mine")
    with pytest.raises(EvaluationError, match=r"--weights is .*none.pth, which is not there"):
        Extractor(LITE, tmp_path / "none.pth")


def test_clip_scores_and_cmmd_by_a_local_model(tmp_path: Path) -> None:
    from evaluate.clip import Clip, cmmd
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizerFast

    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vocabulary = {
        "<|startoftext|>": 0,
        "<|endoftext|>": 1,
        **{chr(c) + end: n for n, (c, end) in enumerate([(c, end) for c in range(97, 123) for end in ("", "</w>")], 2)},
    }
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizerFast(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"), model_max_length=16)
    text = small | {"vocab_size": len(vocabulary), "max_position_embeddings": 16, "eos_token_id": 1, "bos_token_id": 0}
    config = CLIPConfig(text_config=text, vision_config=small | {"image_size": 32, "patch_size": 8}, projection_dim=8)
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(tmp_path)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    CLIPProcessor(processor, tokenizer).save_pretrained(tmp_path)
    clip = Clip(tmp_path)
    generator = np.random.default_rng(0)
    some = [generator.integers(0, 256, (40, 32, 3), dtype=np.uint8) for _ in range(20)]
    embedded = clip.pictures(some)
    assert embedded.shape == (20, 8) and np.allclose((embedded**2).sum(1), 1)
    scores = clip.scores((picture, text) for picture, text in zip(some, ["a red cat", "dog"] * 10, strict=True))
    assert scores.shape == (20,) and (scores >= 0).all() and (scores <= 100).all() and scores.std() > 0
    assert cmmd(embedded, embedded).value == pytest.approx(0, abs=1e-9) and cmmd(embedded, -embedded).value > 1
    with pytest.raises(EvaluationError, match="holds no CLIP model"):
        Clip(tmp_path / "none")
