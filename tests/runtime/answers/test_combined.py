"""Calls of tools beside answers of another kind."""

from typing import Any

import pytest

from frontrunner.runtime.answers import Equivalence, make_extractor
from frontrunner.runtime.answers.combined import (
    ToolCall,
    call_extractor,
    make_clusters,
    read_calls,
    with_calls,
)
from frontrunner.runtime.answers.equivalence.rules import DEFAULT_RULES
from frontrunner.runtime.config import AnswerSettings

TOOLS: Any = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
CALL = '<tool_call>{"name": "add", "arguments": {"a": 1.0}}</tool_call>'
ANSWER = '{"arguments":{"a":1},"name":"add"}'


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        ("boxed", CALL, ANSWER),
        ("boxed", "\\boxed{7}", "7"),
        ("boxed", f"\\boxed{{7}} {CALL}", ANSWER),
        ("boxed", f"<think>{CALL}</think>\\boxed{{7}}", "7"),
        ("boxed", "Hello", None),
        ("boxed", f"\\boxed{{7}} {CALL.replace('add', 'sub')}", None),
        ("last_number", CALL[:-20], None),
        ("json", '{"b": 2}', '{"b":2}'),
        ("json", CALL, ANSWER),
        ("json", CALL[:-14], None),
        ("text", CALL, ANSWER),
        ("text", "Hello", None),
    ],
)
def test_a_call_comes_before_an_answer(kind: str, text: str, answer: str | None) -> None:
    extractor = with_calls(make_extractor(AnswerSettings(kind=kind)), TOOLS)
    assert extractor.find(text) == answer
    assert bool(read_calls(answer)) == (answer == ANSWER)


def test_what_is_forcible_and_voted_on_is_the_kinds() -> None:
    boxed, text = (make_extractor(AnswerSettings(kind=kind)) for kind in ("boxed", "text"))
    assert with_calls(boxed, TOOLS).forcible
    assert with_calls(boxed, TOOLS).voted
    assert not with_calls(text, TOOLS).voted
    assert not call_extractor(TOOLS).forcible


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "",
        "7",
        "[]",
        '{"arguments":{}}',
        '{"arguments":[],"name":"f"}',
        '{"arguments":{},"name":5}',
        '{"arguments":{},"name":"f","more":1}',
        '{"arguments":{},"name":"f"',
        '[{"arguments":{},"name":"f"},7]',
    ],
)
def test_what_is_no_call(answer: str | None) -> None:
    assert read_calls(answer) == []


def test_calls_are_read_as_they_were_written() -> None:
    many = '[{"arguments":{"n":12345678901234567890123},"name":"f"},{"arguments":{},"name":"g"}]'
    assert read_calls(many) == [
        ToolCall("f", '{"n":12345678901234567890123}'),
        ToolCall("g", "{}"),
    ]
    assert call_extractor(TOOLS, several=False).find(CALL + CALL.replace("1", "2")) == ANSWER


async def test_a_call_equals_no_answer() -> None:
    extractor = with_calls(make_extractor(AnswerSettings()), TOOLS)
    clusters = make_clusters(extractor, Equivalence(None), DEFAULT_RULES)
    assert await clusters.assign("1/2") == "1/2"
    assert await clusters.assign("0.5") == "1/2"
    assert await clusters.assign(ANSWER) == ANSWER
    other = '{"arguments":{"a":2},"name":"add"}'
    assert clusters.assign_now(other) == other
    assert clusters.assign_now("\\frac12") == "1/2"


class CountedTools(list[Any]):
    """Tools that count how often they are read."""

    read = 0

    def __iter__(self) -> Any:
        self.read += 1
        return super().__iter__()


@pytest.mark.parametrize("required", [True, False], ids=["required", "auto"])
def test_tools_are_read_once_for_all_branches(required: bool) -> None:
    tools = CountedTools(TOOLS)
    boxed = make_extractor(AnswerSettings())
    extractor = call_extractor(tools) if required else with_calls(boxed, tools)
    for text in (CALL, "\\boxed{7}", CALL, "<tool_call>{"):
        extractor.find(text)
    assert tools.read == 1
