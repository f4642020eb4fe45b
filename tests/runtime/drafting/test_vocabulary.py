"""Which tokens are numbers, read from a tokenizer without decoding all of it."""

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("numba")

import numpy as np

from frontrunner.runtime.drafting.vocabulary import Vocabulary

#: As tokenizers name their tokens, and what these are decoded to.
TOKENS = {
    "<pad>": "",
    "1": "1",
    "\u01201": " 1",
    "\u258112": " 12",
    "<0x31>": "1",
    "12": "12",
    "x1": "x1",
    "word": "word",
    "\u00b2": "\u00b2",
}


class Tokenizer:
    """What vLLM has of one."""

    def __init__(self) -> None:
        self.decoded: list[int] = []

    def __len__(self) -> int:
        return len(TOKENS)

    def get_vocab(self) -> dict[str, int]:
        return {name: token for token, name in enumerate(TOKENS)}

    def decode(self, tokens: list[int]) -> str:
        self.decoded += tokens
        return "".join(list(TOKENS.values())[token] for token in tokens)


def test_only_tokens_with_a_digit_are_decoded_and_the_numbers_are_the_same() -> None:
    tokenizer = Tokenizer()
    found = Vocabulary._of_tokenizer(tokenizer, 12)
    told = Vocabulary.of_texts(TOKENS.values(), 12)
    for one, other in zip(found.arrays, told.arrays, strict=True):
        assert np.array_equal(one, other)
    assert np.flatnonzero(found.digits >= 0).tolist() == [1, 2, 3, 4, 5]
    names = list(TOKENS)
    assert tokenizer.decoded == [n for n, name in enumerate(names) if set(name) & set("0123456789")]


def test_a_model_without_a_tokenizer_has_no_numbers() -> None:
    config: Any = SimpleNamespace(skip_tokenizer_init=True, get_vocab_size=lambda: 100)
    found = Vocabulary.reader(config)()
    assert len(found.digits) == 100
    assert (found.digits < 0).all()
    assert found.spaced.tolist() == list(range(100))
