"""Which tokens are numbers."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

import numpy as np

from .sentence_templates import BEGINS

_DIGIT: Final = re.compile("[0-9]")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """(vocabulary,) int32 each; see ``sentence_templates`` for ``digits``. ``spaced`` and ``plain``
    give a number's token with and without a space before it, or the token itself if there is
    none."""

    digits: Any
    spaced: Any
    plain: Any

    @property
    def arrays(self) -> tuple[Any, Any, Any]:
        """All of them."""
        return self.digits, self.spaced, self.plain

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
    def reader(cls, model_config: Any) -> Callable[[], Self]:
        """What reads the vocabulary of a vLLM ``ModelConfig``, which takes up to seconds.

        The tokenizer is loaded here, which imports modules; the reader may run in another thread.
        None of the tokens is a number if the model has no tokenizer.
        """
        size = model_config.get_vocab_size()
        if model_config.skip_tokenizer_init:
            return partial(cls.of_texts, (), size)
        from vllm.tokenizers import cached_tokenizer_from_config

        tokenizer = cached_tokenizer_from_config(model_config)
        if tokenizer is None:
            return partial(cls.of_texts, (), size)
        return partial(cls._of_tokenizer, tokenizer, size)

    @classmethod
    def _of_tokenizer(cls, tokenizer: Any, size: int) -> Self:
        # Only what is written with a digit can be a number: decoding all would take a second.
        named: dict[str, int] = tokenizer.get_vocab()
        texts = [""] * max(size, len(tokenizer), 1 + max(named.values(), default=-1))
        for name, token in named.items():
            if _DIGIT.search(name):
                texts[token] = tokenizer.decode([token])
        return cls.of_texts(texts, size)
