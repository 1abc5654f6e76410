"""A small sentencepiece model: UMT5 keeps its tokenizer in the file of its weights."""

import io

import torch
from torch import Tensor

from .text_encoders import UMT5_TOKENS

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def sentencepiece_model() -> Tensor:
    """`[N]` bytes: single characters and pairs of letters, with the ids of UMT5 for padding, end and unknown."""
    import sentencepiece

    words = [one + other for one in LETTERS for other in LETTERS]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(words), LETTERS, LETTERS.upper(), "0123456789 ,.;:!?()'-"]),
        model_writer=model,
        model_type="bpe",
        vocab_size=UMT5_TOKENS,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    return torch.frombuffer(bytearray(model.getvalue()), dtype=torch.uint8)
