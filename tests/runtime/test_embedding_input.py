"""What programs hand to a runtime: options by name, and messages as they have them."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

import pytest
from openai.types.chat import (
    ChatCompletionMessage,
    ChatCompletionMessageParam,
    ChatCompletionUserMessageParam,
)
from pydantic import BaseModel

from frontrunner.runtime.errors import BadRequest, EmptyQuestion
from frontrunner.runtime.prompts.messages import plain_messages
from frontrunner.runtime.racing.race_options import RaceOptions, RawPrompt, check_options

from .race_harness import WatchedEngine, says
from .test_runtime import running

# ── options ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("deadlin", "deadline"),
        ("branch", "branches"),
        ("maxtokens", "max_tokens"),
        ("min_branch", "min_branches"),
        ("temprature", "temperature"),
        ("answer", "answers"),
        ("raceid", "race_id"),
    ],
)
async def test_an_option_that_is_misspelt_is_refused_with_what_was_meant(
    option: str, meant: str
) -> None:
    engine = WatchedEngine([says("a", 1)])
    call: dict[str, Any] = {option: 5.0}
    async with running(engine) as runtime:
        for refused in (runtime.solve("?", **call), runtime.stream("?", **call).__aenter__()):
            with pytest.raises(BadRequest, match=f"{option}: .* did you mean '{meant}'") as caught:
                await refused
            assert caught.value.param == option
    assert engine.requests == []


def test_an_option_like_no_other_is_refused_with_a_list() -> None:
    with pytest.raises(BadRequest, match="zzz: there is no such option; there are deadline, "):
        check_options({"deadline": 5.0, "zzz": 1})


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"strategy": "majorty"}, "strategy"),
        ({"parameters": {"stp": 1}}, "parameters"),
        ({"parameters": {"branches": 1}}, "parameters"),
        ({"answers": "number"}, "answers.kind"),
        ({"answers": {"tolerance": 2}}, "answers.tolerance"),
        ({"answers": {"kin": "text"}}, "answers"),
        ({"tools": [{}]}, "tools"),
        ({"tools": [{"type": "function", "function": {"description": "d"}}]}, "tools"),
        ({"tools": [{"type": "function", "name": "f", "parameters": [1]}]}, "tools"),
    ],
)
async def test_an_option_that_does_not_go_is_named(options: Any, param: str) -> None:
    async with running(WatchedEngine([says("a", 1)])) as runtime:
        with pytest.raises(BadRequest) as caught:
            await runtime.solve("?", **options)
    assert caught.value.param == param
    assert "Value error" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("deadline", "5"),
        ("deadline", True),
        ("deadline", [5]),
        ("deadline", Decimal(5)),
        ("temperature", Fraction(1, 2)),
        ("branches", 2.5),
        ("branches", "4"),
        ("min_branches", "1"),
        ("seed", "x"),
        ("strategy", 3),
        ("race_id", 7),
        ("max_tokens", "9"),
        ("temperature", "hot"),
        ("stop", "END"),
        ("stop", [1]),
        ("parallel_tool_calls", "yes"),
    ],
)
async def test_an_option_of_another_type_is_refused_by_name(option: str, value: Any) -> None:
    engine = WatchedEngine([says("a", 1)])
    call: dict[str, Any] = {option: value}
    async with running(engine) as runtime:
        with pytest.raises(BadRequest, match=f"^{option}: ") as caught:
            await runtime.solve("?", **call)
        assert caught.value.param == option
    assert engine.requests == []


def test_every_option_may_be_none() -> None:
    check_options(dict.fromkeys(RaceOptions.__annotations__))


async def test_a_race_may_not_be_called_like_one_that_runs() -> None:
    engine = WatchedEngine([says("a", 1)])
    async with running(engine) as runtime:
        async with runtime.stream("?", branches=1, race_id="mine"):
            for refused in (
                runtime.solve("?", race_id="mine"),
                runtime.stream("?", race_id="mine").__aenter__(),
            ):
                with pytest.raises(BadRequest, match="'mine' runs already") as caught:
                    await refused
                assert caught.value.param == "race_id"
        assert runtime.admission_load().racing == 0
        await runtime.solve("?", branches=1, race_id="mine")
    assert len(engine.requests) <= 2


# ── messages ──────────────────────────────────────────────────────────────────────────────────

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": [1]}'}}


def test_text_parts_become_one_text() -> None:
    messages: list[ChatCompletionMessageParam] = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "2 + "}, {"type": "text", "text": "2?"}],
        },
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "user", "content": "Please."},
    ]
    assert plain_messages(messages) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "2 + 2?"},
        {"role": "assistant", "content": "No."},
        {"role": "user", "content": "Please."},
    ]


async def test_parts_reach_the_model_as_their_text() -> None:
    engine = WatchedEngine([says("a", 1)])
    asked: ChatCompletionUserMessageParam = {
        "role": "user",
        "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "2 + 2?"}],
    }
    async with running(engine) as runtime:
        await runtime.solve([asked], branches=1)
        async with runtime.stream(iter([asked]), branches=1) as events:
            assert [event async for event in events]
    assert {request.prompt for request in engine.requests} == {engine.encode("What is 2 + 2?")}


def test_replies_of_the_openai_package_go_back_as_they_came() -> None:
    reply = ChatCompletionMessage.model_validate(
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "hm"}
    )
    refusal = ChatCompletionMessage(role="assistant", content=None, refusal="I will not.")
    plain = plain_messages(
        [
            {"role": "user", "content": "call f"},
            reply,
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "3"}]},
            refusal,
        ]
    )
    data = {"name": "f", "arguments": {"x": [1]}}
    assert plain[1:] == [
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "hm",
            "tool_calls": [{"id": "c1", "type": "function", "function": data}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
        {"role": "assistant", "content": "I will not."},
    ]
    # What is plain already stays so.
    assert plain_messages(plain) == plain


def test_calls_of_other_times_and_kinds_are_told_as_calls_of_functions() -> None:
    plain: Any = plain_messages(
        [
            {"role": "user", "content": "go"},
            {"role": "assistant", "function_call": {"name": "f", "arguments": ""}},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"type": "custom", "id": "c", "custom": {"name": "g", "input": "i"}}
                ],
            },
            {"role": "function", "name": "f", "content": "3"},
        ]
    )
    assert plain[1]["tool_calls"] == [
        {"type": "function", "function": {"name": "f", "arguments": {}}}
    ]
    assert plain[2]["tool_calls"] == [
        {"type": "function", "id": "c", "function": {"name": "g", "arguments": {"input": "i"}}}
    ]
    assert plain[3]["role"] == "tool"


USER: Mapping[str, Any] = {"role": "user", "content": "hi"}


def user(content: Any) -> list[Any]:
    return [USER, {"role": "user", "content": content}]


def assistant(**fields: Any) -> list[Any]:
    return [USER, {"role": "assistant", "content": "", **fields}]


class Unrelated(BaseModel):
    text: str = "hi"


IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}
NOT_TEXT: list[tuple[Any, str, str]] = [
    (user([{"type": "text", "text": "see"}, IMAGE]), "messages[1].content[1]", "image_url"),
    (user([{"type": "input_image"}]), "messages[1].content[0]", "input_image"),
    (user([{"type": "input_audio", "input_audio": {}}]), "messages[1].content[0]", "input_audio"),
    (user([{"type": "file", "file": {}}]), "messages[1].content[0]", "file"),
    (user([{"text": "no type"}]), "messages[1].content[0].type", "must say"),
    (user([{"type": "text"}]), "messages[1].content[0].text", "not None"),
    (user([{"type": "text", "text": 3}]), "messages[1].content[0].text", "not int"),
    (user(["text"]), "messages[1].content[0]", "not str"),
    (user(3), "messages[1].content", "not int"),
    (user(b"hi"), "messages[1].content", "not bytes"),
    (user({"type": "text", "text": "hi"}), "messages[1].content", "not dict"),
    (user(None), "messages[1].content", "missing"),
    ([USER, {"role": "tool"}], "messages[1].content", "text is missing"),
    ([USER, "hi"], "messages[1]", "not str"),
    ([USER, None], "messages[1]", "not None"),
    ([USER, ("user", "hi")], "messages[1]", "not tuple"),
    ([USER, ChatCompletionMessage], "messages[1]", "not "),
    ([USER, Unrelated()], "messages[1].role", "who speaks"),
    ([{"content": "hi"}], "messages[0].role", "who speaks"),
    ([{"role": 3, "content": "hi"}], "messages[0].role", "who speaks"),
    (assistant(audio={"id": "a"}), "messages[1].audio", "audio"),
    (assistant(tool_calls="f()"), "messages[1].tool_calls", "not str"),
    (assistant(tool_calls=[3]), "messages[1].tool_calls[0]", "not int"),
    (assistant(tool_calls=[{"type": "mcp"}]), "messages[1].tool_calls[0].type", "mcp"),
    (assistant(tool_calls=[{"id": "c"}]), "messages[1].tool_calls[0].function", "not None"),
    (
        assistant(tool_calls=[{"function": {"name": "f", "arguments": "{"}}]),
        "messages[1].tool_calls[0].function.arguments",
        "not JSON",
    ),
    (
        assistant(tool_calls=[{"function": {"name": "f", "arguments": "[1]"}}]),
        "messages[1].tool_calls[0].function.arguments",
        "JSON object",
    ),
    (
        assistant(
            tool_calls=[{"function": {"name": "f", "arguments": '{"a":' * 99 + "1" + "}" * 99}}]
        ),
        "messages[1].tool_calls[0].function.arguments",
        "deeper than 64",
    ),
    (USER, "messages", "not dict"),
    (b"hi", "messages", "not bytes"),
    (42, "messages", "not int"),
    (None, "messages", "not None"),
]


@pytest.mark.parametrize(
    ("question", "param", "words"), NOT_TEXT, ids=[str(n) for n in range(len(NOT_TEXT))]
)
async def test_what_is_not_text_is_refused_with_its_place(
    question: Any, param: str, words: str
) -> None:
    engine = WatchedEngine([])
    async with running(engine) as runtime:
        with pytest.raises(BadRequest) as caught:
            await runtime.solve(question)
    assert caught.value.param == param
    assert str(caught.value).startswith(f"{param}: ")
    assert words in str(caught.value)
    assert engine.requests == []


@pytest.mark.parametrize(
    "question",
    ["", " \n", [], iter(()), [{"role": "user"}], [{"role": "user", "content": []}]],
)
def test_a_conversation_that_says_nothing_is_empty(question: Any) -> None:
    with pytest.raises(EmptyQuestion):
        plain_messages(cast(Iterable[Any], question))


async def test_a_bare_prompt_stays_as_it_is() -> None:
    engine = WatchedEngine([says("a", 1)])
    async with running(engine) as runtime:
        await runtime.solve(RawPrompt((1, 2, 3)), branches=1)
    assert engine.requests[0].prompt == (1, 2, 3)
