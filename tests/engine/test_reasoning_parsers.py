"""vLLM's reasoning parsers, asked for the marks of a thinking; no engine runs."""

from typing import Any

import pytest

from frontrunner.runtime.config import ThinkingSettings
from frontrunner.runtime.engines.reasoning_parsers import reasoning_marks
from frontrunner.runtime.engines.vllm.reasoning import reasoning_arguments
from frontrunner.runtime.errors import EngineStartError

TAGS: dict[str, Any] = {"start": "<think>", "end": "</think>"}


class Tokenizer:
    """As much of one as parsers look at."""

    def __init__(self, *marks: str) -> None:
        self._vocabulary = {mark: number for number, mark in enumerate(marks)}

    def get_vocab(self) -> dict[str, int]:
        return self._vocabulary


@pytest.mark.parametrize(
    ("parser", "marks"),
    [
        ("deepseek_r1", ("<think>", "</think>")),
        ("qwen3", ("<think>", "</think>")),
        ("seed_oss", ("<seed:think>", "</seed:think>")),
    ],
)
def test_a_parser_says_its_marks(parser: str, marks: tuple[str, str]) -> None:
    assert reasoning_marks(parser, lambda: Tokenizer(*marks)) == marks


@pytest.mark.parametrize(
    ("parser", "said"),
    [
        ("deepseek_r9", r"no reasoning parser 'deepseek_r9'; it has .*deepseek_r1"),
        ("deepseek_r1", r"does not fit this model's tokenizer"),
        ("openai_gptoss", r"does not say its marks: set thinking\.start"),
    ],
)
def test_one_that_cannot_is_refused(parser: str, said: str) -> None:
    with pytest.raises(EngineStartError, match=said):
        reasoning_marks(parser, Tokenizer)


@pytest.mark.parametrize(
    ("thinking", "marks"),
    [
        (TAGS, None),
        (
            {**TAGS, "token_budget": 9},
            {"reasoning_start_str": "<think>", "reasoning_end_str": "</think>"},
        ),
        ({"parser": "qwen3", "token_budget": 9}, {"reasoning_parser": "qwen3"}),
        (
            {"channels": True, "token_budget": 9},
            {
                "reasoning_start_str": "<|channel|>analysis<|message|>",
                "reasoning_end_str": "<|end|>",
            },
        ),
    ],
)
def test_vllm_is_told_of_marks_where_there_is_a_budget(
    thinking: dict[str, Any], marks: dict[str, str] | None
) -> None:
    told = reasoning_arguments(ThinkingSettings(**thinking))
    if marks is None:
        assert told == {}
        return
    config = told["reasoning_config"]
    assert {key: getattr(config, key) for key in marks} == marks
