"""Silence in event streams, and the time-outs that clients tell of."""

from collections.abc import Mapping
from typing import Any

import httpx2
import openai
import pytest
from tests.backends import virtual_asyncio

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines import BranchScript, Piece
from frontrunner.runtime.serving.requests.request_options import deadline_of, read_timeout

from .conftest import Serve, Served

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
#: Branches that say nothing for 50 seconds, and then their answer.
SILENT = BranchScript((Piece(50.0, "It is \\boxed{42}", 4),))
RACE: dict[str, Any] = {"branches": 2, "deadline": 100}


def question(path: str, **fields: Any) -> dict[str, Any]:
    asked = "6 times 7?"
    said = (
        {"input": asked}
        if path == RESPONSES
        else {"messages": [{"role": "user", "content": asked}]}
    )
    return {**said, "stream": True, "frontrunner": RACE, **fields}


async def raw(served: Served, path: str, **headers: str) -> bytes:
    async with served.http.post(path, json=question(path), headers=headers) as response:
        assert response.status == 200
        return await response.read()


@virtual_asyncio
async def test_openais_client_reads_a_response_with_long_silences(serve: Serve) -> None:
    async with serve(SILENT, keep_alive=3.0) as served:
        stream = await served.openai.responses.create(
            model="scripted", input="6 times 7?", stream=True, extra_body={"frontrunner": RACE}
        )
        kinds, text = list[str](), ""
        async for event in stream:
            kinds.append(event.type)
            if event.type == "response.output_text.delta":
                text += event.delta
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert text == "42"


@virtual_asyncio
async def test_openais_client_reads_a_chat_with_long_silences(serve: Serve) -> None:
    async with serve(SILENT, keep_alive=3.0) as served:
        stream = await served.openai.chat.completions.create(
            model="scripted",
            messages=[{"role": "user", "content": "6 times 7?"}],
            stream=True,
            extra_body={"frontrunner": RACE},
        )
        text = ""
        async for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
    assert "42" in text


def events(stream: bytes) -> list[dict[str, str]]:
    """An event stream as the specification reads it: an event without data is none."""
    told, fields = list[dict[str, str]](), dict[str, str]()
    for line in stream.decode().split("\n"):
        if not line:
            if "data" in fields:
                told.append(fields)
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
    return told


@virtual_asyncio
@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_comments_stand_between_events_and_are_none(serve: Serve, path: str) -> None:
    async with serve(SILENT, keep_alive=3.0) as served:
        stream = await raw(served, path)
    comment = b": keep-alive\n" if path == RESPONSES else b": keep-alive\n\n"
    assert stream.count(b": keep-alive") == 50 // 3
    assert stream.count(comment) == 50 // 3
    assert (b": keep-alive\n\n" in stream) == (path == CHAT)
    # With the comments taken out it is a stream like any other, and its events are the same.
    assert events(stream.replace(comment, b"")) == events(stream)
    assert len(events(stream)) > 3
    if path == RESPONSES:
        ids = [int(event["id"]) for event in events(stream)]
        assert ids == list(range(len(ids)))


@virtual_asyncio
@pytest.mark.parametrize(
    ("patience", "comments"), [("8", 12), ("600", 3), ("None", 3), ("0.5", 199)]
)
async def test_comments_come_twice_as_often_as_the_client_needs_them(
    serve: Serve, patience: str, comments: int
) -> None:
    async with serve(SILENT) as served:
        stream = await raw(served, RESPONSES, **{"x-stainless-read-timeout": patience})
    assert abs(stream.count(b": keep-alive") - comments) <= 1


@virtual_asyncio
async def test_openais_client_with_a_short_time_out_reads_a_long_stream(serve: Serve) -> None:
    async with serve(SILENT) as served:
        client = served.openai.with_options(timeout=httpx2.Timeout(30.0, read=4.0))
        stream = await client.responses.create(
            model="scripted", input="6 times 7?", stream=True, extra_body={"frontrunner": RACE}
        )
        last: Any = None
        async for event in stream:
            last = event
    assert last.type == "response.completed"
    assert last.response.output_text == "42"


@virtual_asyncio
async def test_openais_client_with_a_short_time_out_has_a_whole_reply_by_then(serve: Serve) -> None:
    async with serve(SILENT) as served:
        client = served.openai.with_options(timeout=openai.Timeout(30.0, read=4.0))
        response = await client.responses.create(
            model="scripted", input="6 times 7?", extra_body={"frontrunner": RACE}
        )
    assert response.output_text == "7"  # forced


PYTHON, NODE, LITELLM = "x-stainless-read-timeout", "x-stainless-timeout", "x-litellm-timeout"


@pytest.mark.parametrize(
    ("headers", "whole", "streamed"),
    [
        ({}, 10.0, 10.0),
        ({PYTHON: "4"}, 4.0, 10.0),
        ({PYTHON: "4.5"}, 4.5, 10.0),
        ({PYTHON: "600"}, 10.0, 10.0),
        ({PYTHON: "None"}, 10.0, 10.0),
        ({NODE: "3"}, 3.0, 10.0),
        ({NODE: "0"}, 10.0, 10.0),  # less than a second, however much
        ({NODE: "3", PYTHON: "2"}, 2.0, 10.0),
        ({LITELLM: "5.5"}, 5.5, 5.5),
        ({LITELLM: "None"}, 10.0, 10.0),
        ({"x-request-timeout-ms": "2500"}, 2.5, 2.5),
        ({"x-request-timeout-ms": "60000", NODE: "30"}, 30.0, 60.0),
    ],
)
def test_deadlines(headers: Mapping[str, str], whole: float, streamed: float) -> None:
    settings = Settings.from_dict({"race": {"deadline": 10.0}})
    assert deadline_of(None, headers, settings) == whole
    assert deadline_of(None, headers, settings, streams=True) == streamed
    python = headers.get(PYTHON)
    assert read_timeout(headers) == (None if python in (None, "None") else float(python))
