import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.answers import make_extractor
from frontrunner.runtime.config import AnswerSettings
from frontrunner.runtime.thinking import without_thinking


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("all of it", "all of it"),
        ("<think>a</think>b", "b"),
        ("a</think>b", "b"),
        ("<think>a", ""),
        ("a<think>b</think>c<think>d</think>e", "ace"),
        ("a<think>b", "a"),
        ("<think>a</thinking>b</think>c", "c"),
        ("[THINK]a[/THINK]b", "b"),
        ("<seed:think>a</seed:think>b", "b"),
        ("◁think▷a◁/think▷b", "b"),
        ("<|START_THINKING|>a<|END_THINKING|>b", "b"),
        ("<|channel>thought\na<channel|>b", "b"),
        ("<mm:think>a</mm:think>b", "b"),
        ("<ifm|think_fast>a</ifm|think_fast>b", "b"),
        ("<|open|>think<|sep|>a<|close|>think<|sep|>b", "b"),
        ("<|inner_prefix|>a<|inner_suffix|>b", "b"),
        ("<think:6124c78e>a</think:6124c78e>b", "b"),
        ("<Think>a</THINK>b", "b"),
        ("<think >a</think >b", "b"),
        ("a</think:6124c78e>b", "b"),
        ("<think>a</mm:think>b", ""),
        ("Here is my thought process:\na\nHere is my response:\nb", "b"),
        ("Here's my thought process: a", ""),
        ("Look: Here is my response: b", "Look: Here is my response: b"),
        ("analysisWe add.assistantfinalb", "b"),
        ("analysisWe add.", ""),
        ("analysis of b", "analysis of b"),
        ("<think>a</think>b</think>c", "c"),
        ('{"a": "<think>"}', '{"a": "<think>"}'),
        ('{"a": "say </think>"}', '{"a": "say </think>"}'),
        ('<think>"</think>b', "b"),
        ("<|channel|>analysis<|message|>a<|end|><|channel|>final<|message|>b",
         "<|channel|>final<|message|>b"),
        ("<|channel|>analysis<|message|>a", ""),
        ("<|channel|>analysis to=functions.f code<|message|>{}<|call|>",
         "<|channel|>analysis to=functions.f code<|message|>{}<|call|>"),
        ("<|channel|>analysis to=python code<|message|>1<|call|>", "<|call|>"),
        ("<|channel|>analysis<|message|>to=functions.f is next<|end|>b", "b"),
    ],
)  # fmt: skip
def test_what_was_only_thought_is_set_aside(text: str, said: str) -> None:
    assert without_thinking(text) == said


@pytest.mark.parametrize(
    ("kind", "thought", "said", "answer"),
    [
        ("boxed", r"\boxed{5}", r"\boxed{6}", "6"),
        ("last_number", "so 5", "so 6", "6"),
        ("multiple_choice", "the answer is A", "(B)", "B"),
        ("json", '{"a": 1}', '{"a": 2}', '{"a":2}'),
        ("code", "```python\nx = 1\n```", "```python\nx = 2\n```", "x = 2"),
        (
            "tool_call",
            '{"name": "f", "arguments": {}}',
            '{"name": "g", "arguments": {}}',
            '{"arguments":{},"name":"g"}',
        ),
    ],
)
def test_every_kind_reads_what_comes_after_the_thinking(
    kind: str, thought: str, said: str, answer: str
) -> None:
    find = make_extractor(AnswerSettings(kind=kind)).find
    assert find(f"<think>{thought}</think>\n{said}") == answer
    assert find(f"{thought}\n</think>\n\n{said}") == answer
    assert find(f"<think>{thought}</think>\nI cannot tell.") is None
    assert find(f"<think>{thought}") is None


PIECES = ["<think>", "</think>", "a", '"', "\n", "[THINK]", "<|channel|>", "analysis", "<|end|>"]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_nothing_is_said_that_was_not_written(text: str) -> None:
    said = without_thinking(text)
    position = 0
    for character in said:  # what is left is a part of the text, in its order
        position = text.index(character, position) + 1


def test_a_million_tags_take_no_time_to_speak_of() -> None:
    for unit in ("<think>", "</think>", '"<think>', "<|channel|>analysis", "<|channel|>"):
        without_thinking(unit * (1_000_000 // len(unit)))
