"""What no engine can be sent is refused by its parameter's name, before anything starts."""

from dataclasses import asdict
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backends import run_virtual

from frontrunner.runtime.errors import BadRequest, Overloaded
from frontrunner.runtime.racing.race_options import RawPrompt
from frontrunner.runtime.runtime import Runtime

from .race_harness import WatchedEngine, says

HALF = "a \ud800 b"


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def holding_itself() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["a"] = value
    return value


def tool(**more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", **more}}


OPTIONS: list[tuple[str, Any]] = [
    ("deadline", 1e19),
    ("deadline", 10**400),
    ("deadline", float("nan")),
    ("top_k", 2**70),
    ("top_k", 2**31),
    ("stop", [""]),
    ("stop", [HALF]),
    ("stop", ["x"] * 10_000),
    ("race_id", HALF),
    ("race_id", "x" * 1_000),
    ("strategy", HALF),
    ("parameters", {"stop": HALF}),
    ("parameters", {5: 1}),
    ("parameters", 5),
    ("parameters", nested(5_000)),
    ("answers", 5),
    ("answers", HALF),
    ("answers", {"kind": "json", "json_schema": nested(5_000)}),
    ("answers", {"kind": "json", "json_schema": holding_itself()}),
    ("tools", 5),
    ("tools", [5]),
    ("tools", [tool(parameters=holding_itself())]),
    ("tools", [tool(parameters={"x": object()})]),
    ("tools", [tool(description=HALF)]),
    ("tool_choice", 5),
    ("tool_choice", nested(5_000)),
    ("instruction", HALF),
    ("template_arguments", {"a": HALF}),
    ("template_arguments", {5: 1}),
    ("branches", 2**70),
    ("min_branches", 2**70),
]


@pytest.mark.parametrize(("name", "value"), OPTIONS)
async def test_an_option_that_cannot_be_sent_is_refused_by_name(name: str, value: Any) -> None:
    engine = WatchedEngine([says("1", 1.0)])
    options: Any = {"branches": 2, "deadline": 10.0, name: value}
    async with Runtime(engine) as runtime:
        with pytest.raises(BadRequest, match=name) as refused:
            await runtime.solve("?", **options)
    assert refused.value.param in (name, None)
    str(refused.value).encode()
    assert engine.requests == []


def call(**function: Any) -> list[dict[str, Any]]:
    made = {"id": "1", "type": "function", "function": {"name": "f", **function}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "user", "content": "?"},
    ]


QUESTIONS: list[Any] = [
    HALF,
    [{"role": "user", "content": HALF}],
    [{"role": HALF, "content": "?"}],
    [{"role": "user", "content": "?", "name": HALF}],
    [{"role": "user", "content": "?", "x": [{"y": HALF}]}],
    [{"role": "user", "content": "?", 5: 6}],
    [{"role": "user", "content": [{"type": "text", "text": HALF}]}],
    [42],
    [[("role", "user")]],
    call(arguments=f'{{"a": {"[" * 300}{"]" * 300}}}'),
    call(arguments=nested(5_000)),
    call(arguments={"a": HALF}),
    RawPrompt(HALF),
    RawPrompt((2**70,)),
    RawPrompt((-1,)),
    RawPrompt((1.5,)),  # type: ignore[arg-type]
    RawPrompt((True,)),
    RawPrompt(("a",)),  # type: ignore[arg-type]
    RawPrompt(5),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("question", QUESTIONS, ids=range(len(QUESTIONS)))
async def test_a_question_that_cannot_be_sent_is_refused(question: Any) -> None:
    engine = WatchedEngine([says("1", 1.0)])
    async with Runtime(engine) as runtime:
        with pytest.raises(BadRequest, match=r"^(messages|prompt)") as refused:
            await runtime.solve(question, branches=2, deadline=10.0)
    str(refused.value).encode()
    assert engine.requests == []


NUMBERS = st.one_of(
    st.integers(-(2**80), 2**80),
    st.floats(),
    st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**63, 1e19, 1e-300]),
)
TEXTS = st.one_of(st.text(max_size=8), st.sampled_from(["", HALF, "\0", "\udfff", "x" * 300]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=5,
)
ANY_OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "deadline": NUMBERS,
        "seed": NUMBERS,
        "max_tokens": NUMBERS,
        "temperature": NUMBERS,
        "top_p": NUMBERS,
        "top_k": NUMBERS,
        "stop": st.lists(TEXTS, max_size=3),
        "race_id": TEXTS,
        "branches": st.one_of(NUMBERS, st.integers(1, 4)),
        "tools": VALUES,
        "tool_choice": VALUES,
        "template_arguments": VALUES,
        "parameters": VALUES,
        "answers": VALUES,
        "instruction": TEXTS,
    },
)
ANY_QUESTION = st.one_of(
    TEXTS,
    VALUES,
    st.lists(
        st.fixed_dictionaries(
            {"role": st.one_of(st.just("user"), VALUES), "content": st.one_of(TEXTS, VALUES)},
            optional={"name": VALUES, "tool_calls": VALUES, "x": VALUES},
        ),
        max_size=2,
    ),
    st.builds(RawPrompt, st.one_of(TEXTS, st.lists(NUMBERS, max_size=3).map(tuple))),
)


@given(ANY_QUESTION, ANY_OPTIONS)
def test_whatever_is_asked_is_refused_or_can_be_sent(question: Any, options: Any) -> None:
    engine = WatchedEngine([says("1", 0.01)])

    async def ask() -> None:
        async with Runtime(engine) as runtime:
            try:
                await runtime.solve(question, **options)
            except (BadRequest, Overloaded) as error:
                str(error).encode()
                assert engine.requests == []

    run_virtual(ask)
    for request in engine.requests:
        orjson.dumps(asdict(request))  # of 64-bit numbers and UTF-8, like msgpack
        assert request.sampling.top_k < 2**31
        assert "" not in request.sampling.stop
        assert all(0 <= token < 2**31 for token in request.prompt)
