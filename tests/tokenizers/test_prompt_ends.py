"""Streams of vLLM's behind a prompt that ends within a character, with the demo's tokenizer."""

from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest

from frontrunner.runtime.engines.vllm.prompt_characters import correct_prompt_ends, whole_characters

pytestmark = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")

PROMPT = "The secret is 42: "
TEXT = "林檎 and 🍎"


@pytest.fixture(scope="module")
def plain() -> Any:
    """The demo's tokenizer: a character of others than ASCII is as many tokens as bytes."""
    import transformers

    from frontrunner.runtime.engines.vllm.start import model_folder

    return transformers.AutoTokenizer.from_pretrained(model_folder("demo"))


def text_behind(tokenizer: Any, prompt: list[int], ids: list[int]) -> str:
    from vllm import SamplingParams
    from vllm.v1.engine.detokenizer import IncrementalDetokenizer

    correct_prompt_ends()
    correct_prompt_ends()  # which does no more than once
    request: Any = SimpleNamespace(
        request_id="r", sampling_params=SamplingParams(), prompt_token_ids=prompt
    )
    stream = IncrementalDetokenizer.from_new_request(tokenizer, request)
    stream.update(ids, False)
    return stream.get_next_output_text(True, True)


def test_the_character_is_told_and_nothing_before_it(plain: Any) -> None:
    begun, ids = plain.encode(PROMPT), plain.encode(TEXT)
    for cut in range(len(ids)):
        told = len(plain.decode(ids[:cut]).rstrip("\ufffd"))
        assert text_behind(plain, begun + ids[:cut], ids[cut:]) == TEXT[told:]


def test_a_prompt_that_ends_in_no_text_is_not_told(plain: Any) -> None:
    broken = plain.encode("🍎")[:1] * 50
    text = text_behind(plain, plain.encode(PROMPT) + broken, plain.encode(" So be it."))
    assert text == " So be it."


def test_an_empty_prompt_and_one_of_a_character_begun(plain: Any) -> None:
    ids = plain.encode(TEXT)
    assert text_behind(plain, [], ids) == TEXT
    # Nothing whole comes before it, so its bytes are no character.
    assert "\ufffd" not in text_behind(plain, ids[:3], ids[3:])


@pytest.mark.parametrize(("tail", "whole"), [("", 4), ("x", 4), ("xx", 4), ("x" * 40, 0)])
def test_where_the_last_whole_character_ends(tail: str, whole: int) -> None:
    def decode(ids: Any) -> str:
        return "".join("a" if token < 4 else "\ufffd" for token in ids)

    prompt = [0, 1, 2, 3, *range(4, 4 + len(tail))]
    assert whole_characters(decode, prompt) == whole
