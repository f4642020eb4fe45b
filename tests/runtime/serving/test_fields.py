"""Every field of OpenAI's requests is honoured, refused by name, or ignored and reported."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pytest
from openai.types import completion_create_params
from openai.types.chat import chat_completion_stream_options_param
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import (
    response_create_params,
    response_input_param,
    response_text_config_param,
)
from pydantic import BaseModel
from typing_extensions import is_typeddict

from frontrunner.runtime.serving.openai.chat import ChatRequest
from frontrunner.runtime.serving.openai.completions import CompletionRequest
from frontrunner.runtime.serving.requests.ignored_fields import (
    CHAT,
    COMPLETIONS,
    ITEMS,
    RESPONSES,
    Fields,
    as_markdown,
    ignored_fields,
)
from frontrunner.runtime.serving.responses.bodies import ResponseBody

from .conftest import Serve, Served

QUESTION: Any = [{"role": "user", "content": "What is 6 times 7?"}]
#: By path: the table, the model, OpenAI's types, and a body that asks for nothing special.
APIS: dict[str, tuple[Fields, type[BaseModel], list[Any], dict[str, Any]]] = {
    "v1/chat/completions": (
        CHAT,
        ChatRequest,
        [chat_create_params.CompletionCreateParamsStreaming],
        {"messages": QUESTION},
    ),
    "v1/completions": (
        COMPLETIONS,
        CompletionRequest,
        [completion_create_params.CompletionCreateParamsStreaming],
        {"prompt": "6 times 7 is"},
    ),
    "v1/responses": (
        RESPONSES,
        ResponseBody,
        [response_create_params.ResponseCreateParamsStreaming],
        {"input": "What is 6 times 7?"},
    ),
}
#: Fields with parts of their own fates.
PARTS: list[tuple[Fields, str, Any]] = [
    (CHAT, "stream_options", chat_completion_stream_options_param.ChatCompletionStreamOptionsParam),
    (
        COMPLETIONS,
        "stream_options",
        chat_completion_stream_options_param.ChatCompletionStreamOptionsParam,
    ),
    (RESPONSES, "text", response_text_config_param.ResponseTextConfigParam),
]
#: Something that a field may be sent with, where "x" is not.
VALUES: dict[str, Any] = {
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "top_logprobs": 2,
    "best_of": 4,
    "store": True,
    "metadata": {"a": "b"},
    "include": ["reasoning.encrypted_content"],
    "modalities": ["text", "audio"],
    "stream_options.include_obfuscation": True,
    "max_tool_calls": 3,
}
BESIDE = {"stream_options.include_obfuscation": {"stream": True}}


def fields_of(kind: Any) -> set[str]:
    return {name for base in (kind,) for name in get_type_hints(base)}


@pytest.mark.parametrize("path", APIS)
def test_the_table_has_every_field_of_the_package(path: str) -> None:
    table, _, kinds, _ = APIS[path]
    missing = {name for kind in kinds for name in fields_of(kind)} - table.keys()
    assert not missing, f"say in ignored.py what becomes of {sorted(missing)}"


@pytest.mark.parametrize(("table", "name", "kind"), PARTS)
def test_the_table_has_every_part(table: Fields, name: str, kind: Any) -> None:
    assert {f"{name}.{part}" for part in fields_of(kind)} <= table.keys()


def test_the_table_has_every_kind_of_item_that_it_does_not_refuse() -> None:
    known = {
        kind
        for union in get_args(response_input_param.ResponseInputItemParam)
        for kind in tags(union)
    }
    assert ITEMS.keys() <= known
    assert {"message", "item_reference", "web_search_call"} <= known


def tags(item: Any) -> set[str]:
    """The values that ``type`` of a typed dictionary may have."""
    assert is_typeddict(item)
    found, left = set[str](), [get_type_hints(item).get("type")]
    while left:
        hint = left.pop()
        if isinstance(hint, str):
            found.add(hint)
        elif get_origin(hint) in (Union, UnionType, Annotated) or get_args(hint):
            left += get_args(hint)
    return found


@pytest.mark.parametrize("path", APIS)
def test_what_is_honoured_is_in_the_model(path: str) -> None:
    table, model, _, _ = APIS[path]
    honoured = {n for n, field in table.items() if field.fate == "honoured" and "." not in n}
    assert honoured <= model.model_fields.keys()


def test_a_field_that_is_honoured_and_not_in_the_model_is_reported() -> None:
    class Forgetful(BaseModel, extra="allow"):
        model: str | None = None

    body = Forgetful.model_validate({"model": "m", "stop": "x"})
    assert ignored_fields(body, CHAT) == ("stop",)


async def post(served: Served, path: str, more: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    body = {**APIS[path][3], "frontrunner": {"branches": 2, "deadline": 2}, **more}
    async with served.http.post(path, json=body) as response:
        if body.get("stream"):
            text = await response.text()
            told = next(line for line in reversed(text.splitlines()) if '"ignored"' in line)
            return response.status, json.loads(told.removeprefix("data: "))
        return response.status, await response.json()


def sent(name: str) -> dict[str, Any]:
    whole, _, part = name.partition(".")
    value = VALUES.get(name, "x")
    return {whole: {part: value} if part else value, **BESIDE.get(name, {})}


def with_fate(fate: str) -> list[tuple[str, str]]:
    return [
        (path, name)
        for path, (table, *_) in APIS.items()
        for name, field in table.items()
        if field.fate == fate
    ]


@pytest.mark.parametrize(("path", "name"), with_fate("refused"))
async def test_what_is_refused_is_named(serve: Serve, path: str, name: str) -> None:
    async with serve() as served:
        status, told = await post(served, path, sent(name))
        assert status == 400
        assert told["error"]["param"] == name
        assert name in told["error"]["message"]
        assert not served.engine.requests


@pytest.mark.parametrize("path", APIS)
async def test_what_is_no_object_is_told_so(serve: Serve, path: str) -> None:
    async with serve() as served:
        async with served.http.post(path, json=[]) as response:
            error = (await response.json())["error"]
            assert (response.status, error["message"]) == (400, "an object is expected")
        status, told = await post(served, path, {"frontrunner": 5})
        assert (status, told["error"]["param"]) == (400, "frontrunner")
        assert told["error"]["message"] == "frontrunner: an object is expected"


async def test_what_is_ignored_is_reported(serve: Serve) -> None:
    async with serve() as served:
        for path, name in with_fate("ignored"):
            status, told = await post(served, path, sent(name))
            assert status == 200, (path, name, told)
            assert told["frontrunner"]["ignored"] == [name]


async def test_values_that_ask_for_nothing_are_neither(serve: Serve) -> None:
    async with serve() as served:
        for path, (table, *_) in APIS.items():
            for name, field in table.items():
                if field.fate == "honoured" or "." in name:
                    continue
                for value in (None, *field.default):
                    status, told = await post(served, path, {name: value})
                    assert status == 200, (path, name, value, told)
                    assert told["frontrunner"]["ignored"] == []


@pytest.mark.parametrize("path", APIS)
async def test_fields_that_nobody_knows_are_reported(serve: Serve, path: str) -> None:
    extras = {"min_p": 0.1, "ignore_eos": {"really": True}, "nothing": None}
    async with serve() as served:
        status, told = await post(served, path, extras)
        assert status == 200
        assert told["frontrunner"]["ignored"] == ["min_p", "ignore_eos"]
        many = {f"field{i:03}" + "x" * 500: 1 for i in range(100)}
        _, told = await post(served, path, many)
        names = told["frontrunner"]["ignored"]
        assert names[-1] == "and 36 more"
        assert len(names) == 65
        assert max(map(len, names)) == 128


@pytest.mark.parametrize("path", APIS)
async def test_top_k_is_honoured(serve: Serve, path: str) -> None:
    async with serve() as served:
        for asked, drawn in ((20, 20), (-1, 0), (0, 0)):
            served.engine.requests.clear()
            status, told = await post(served, path, {"top_k": asked})
            assert status == 200
            assert told["frontrunner"]["ignored"] == []
            assert served.engine.requests[0].sampling.top_k == drawn
        status, told = await post(served, path, {"top_k": -2})
        assert (status, told["error"]["param"]) == (400, "top_k")


async def test_log_probabilities_are_not_included(serve: Serve) -> None:
    async with serve() as served:
        include = ["message.output_text.logprobs"]
        status, told = await post(served, "v1/responses", {"include": include})
        assert (status, told["error"]["param"]) == (400, "include")


def test_the_document_is_current() -> None:
    document = Path(__file__).parents[3] / "docs" / "fields.md"
    assert document.read_text() == as_markdown(), "write it again, as it says"
