"""Which tokens are numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .templates import BEGINS


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """(vocabulary,) int32 each; see ``templates`` for ``digits``. ``spaced`` and ``plain`` give a
    number's token with and without a space before it, or the token itself if there is none."""

    digits: Any
    spaced: Any
    plain: Any

    @classmethod
    def of_texts(cls, texts: Iterable[str], size: int) -> Self:
        """``texts``: what each token is decoded to, in the tokens' order; ``size``: at least so
        many tokens are known, as a model may have more than its tokenizer."""
        listed = list(texts)
        size = max(size, len(listed))
        digits = np.full(size, -1, dtype=np.int32)
        numbers: dict[str, int] = {}
        forms: dict[tuple[str, bool], int] = {}
        for token, text in enumerate(listed):
            bare = text.removeprefix(" ")
            if bare.isascii() and bare.isdigit():
                number = numbers.setdefault(bare, len(numbers))
                digits[token] = number + (BEGINS if bare != text else 0)
                forms.setdefault((bare, bare != text), token)
        spaced = np.arange(size, dtype=np.int32)
        plain = spaced.copy()
        for token in map(int, np.flatnonzero(digits >= 0)):
            bare = listed[token].removeprefix(" ")
            spaced[token] = forms.get((bare, True), token)
            plain[token] = forms.get((bare, False), token)
        return cls(digits, spaced, plain)

    @classmethod
    def of_model(cls, model_config: Any) -> Self:
        """Of a vLLM ``ModelConfig``; none of the tokens is a number if it has no tokenizer."""
        size = model_config.get_vocab_size()
        if model_config.skip_tokenizer_init:
            return cls.of_texts([], size)
        from vllm.tokenizers import cached_tokenizer_from_config

        tokenizer = cached_tokenizer_from_config(model_config)
        if tokenizer is None:
            return cls.of_texts([], size)
        known = range(len(tokenizer))
        return cls.of_texts((tokenizer.decode([token]) for token in known), size)
