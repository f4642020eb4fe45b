"""Prompts by tokenizers that models are served with."""

import json
from pathlib import Path
from random import Random
from typing import Any
from unicodedata import normalize

import pytest

from frontrunner.runtime.engines.lost_text import check_spelling
from frontrunner.runtime.engines.openai.tokens import LocalTokenizer
from frontrunner.runtime.errors import EngineStartError

from .conftest import make_model_folder
from .texts import LINES, TEXT, turned
from .tokenized_engine import encode, local_tokenizer


@pytest.mark.parametrize("text", [*LINES, TEXT])
def test_tokens_are_those_of_the_library(tokenizer: Any, text: str) -> None:
    assert list(local_tokenizer(tokenizer).encode(text)) == encode(tokenizer, text)


def test_what_fits_is_never_refused_for_its_length(tokenizer: Any) -> None:
    ours, rng = local_tokenizer(tokenizer), Random(4)
    longest = max(tokenizer.get_vocab(), key=len)
    runs = [" " * 500, "\n" * 500, "=" * 500, "\u1f82" * 99, "각" * 99, longest]
    for text in [*runs, *(turned(rng.randrange(len(TEXT)))[:200] for _ in range(99))]:
        # What the composed form makes of the longest is the shortest there is.
        ids = encode(tokenizer, text)
        assert list(ours.encode(text, at_most=len(ids))) == ids


def test_a_raw_prompt_begins_as_the_model_wants_it(family: str, tokenizer: Any) -> None:
    ours = local_tokenizer(tokenizer)
    starts = family in ("llama3.1", "gemma3")
    bare = encode(tokenizer, "Once upon a time")
    start = [tokenizer.bos_token_id] if starts else []
    assert list(ours.encode_prompt("Once upon a time")) == [*start, *bare]
    if starts:
        assert list(ours.encode_prompt(f"{tokenizer.bos_token}Once upon a time")) == [
            *start,
            *bare,
        ]


def test_a_conversation_begins_once(tokenizer: Any) -> None:
    ids = local_tokenizer(tokenizer).encode_chat([{"role": "user", "content": "Hi"}], None)
    assert ids[0] != ids[1]
    if tokenizer.bos_token_id is not None:
        assert ids.count(tokenizer.bos_token_id) <= 1


def test_the_files_are_read_as_they_are(tokenizer: Any) -> None:
    """``transformers`` makes some tokenizers anew from what it takes them for: spaces are lost."""
    composed = normalize("NFC", TEXT) if "NFC" in repr(tokenizer.backend_tokenizer) else TEXT
    assert tokenizer.decode(encode(tokenizer, TEXT)) == composed
    for number, token in list(tokenizer.added_tokens_decoder.items())[:64]:
        assert encode(tokenizer, token.content) == [number]


def test_a_tokenizer_that_loses_text_is_refused(tmp_path: Path) -> None:
    """A byte-level one that the library takes for another kind, by a name in its files."""
    transformers = pytest.importorskip("transformers")
    folder = make_model_folder("deepseek-v3", tmp_path, model_type="llama")
    lossy = transformers.AutoTokenizer.from_pretrained(folder)
    if lossy.decode(encode(lossy, "a b")) != "a b":
        with pytest.raises(EngineStartError, match='set "tokenizer_class": "PreTrained'):
            check_spelling(lossy)
    told = json.loads((folder / "tokenizer_config.json").read_text())
    told["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    mended = transformers.AutoTokenizer.from_pretrained(folder)
    check_spelling(mended)
    assert mended.decode(LocalTokenizer(mended).encode(TEXT)) == TEXT


@pytest.mark.parametrize("back", ["Tomhas3apples.", "Tom\u0120has\u01203 apples", "Tom\u2581has 3"])
def test_what_is_lost_is_shown(back: str) -> None:
    with pytest.raises(EngineStartError, match=r"loses text.*comes back as 'Tom"):
        check_spelling(Losing(back))


def test_what_comes_back_otherwise_is_no_loss() -> None:
    check_spelling(Losing(" tom has 3 apples .\n how many , in all ?"))


class Losing:
    def __init__(self, back: str) -> None:
        self._back = back

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [1]

    def decode(self, ids: list[int]) -> str:
        return self._back
