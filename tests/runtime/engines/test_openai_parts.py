"""What the remote engine is made of: events, spelled ids, places, answers."""

import re
import ssl
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import aiohttp
import anyio
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.runtime.engines.breaker import Breaker
from frontrunner.runtime.engines.openai.completion_stream import DeltaStream, Heard
from frontrunner.runtime.engines.openai.http import described
from frontrunner.runtime.engines.openai.placeholder_ids import (
    Conversation,
    read_parts,
    spell,
    spell_conversation,
    spell_piece,
)
from frontrunner.runtime.engines.openai.request_slots import RequestSlots
from frontrunner.runtime.engines.openai.sse_decoder import EventDecoder, EventTooLong
from frontrunner.runtime.engines.openai.wire import (
    BadAnswer,
    Capabilities,
    Delta,
    completion_body,
    read_event,
)
from frontrunner.runtime.engines.protocol import FinishReason, Generation, Sampling

from ...backends import until

LIMIT = 4096


# ── events ────────────────────────────────────────────────────────────────────────────────────


def by_the_standard(stream: bytes) -> list[bytes]:
    """The standard's algorithm on the whole stream at once."""
    events: list[bytes] = []
    data: list[bytes] = []
    for line in re.split(rb"\r\n|\r|\n", stream.removeprefix(b"\xef\xbb\xbf"))[:-1]:
        if not line:
            if data:
                events.append(b"\n".join(data))
            data = []
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif line == b"data":
            data.append(b"")
    return events


pieces = st.sampled_from(
    [
        *(b"data:", b"data: ", b"data", b"{}", b"x", b" ", b"\xef\xbb\xbf", b"\xc3"),
        *(b"\r", b"\n", b"\r\n", b"\n\n", b":", b": ping\n", b"event: a\n", b"id: 1\n"),
    ]
)


@settings(max_examples=examples(1_000))
@given(st.lists(pieces, max_size=30).map(b"".join), st.lists(st.integers(0, 60), max_size=8))
@example(b"\xef\xbb\xbfdata: a\r\n\r\n", [1, 11, 12])
@example(b"data: a\r\rdata: b\r\n\r\n", [8, 9, 19])
def test_events_are_the_same_however_the_stream_is_cut(stream: bytes, cuts: list[int]) -> None:
    decoder = EventDecoder(LIMIT)
    events: list[bytes] = []
    places = sorted({0, len(stream), *(c for c in cuts if c < len(stream))})
    for begin, end in pairwise(places):
        events += decoder.feed(stream[begin:end])
    assert events == by_the_standard(stream)


@pytest.mark.parametrize("stream", [b"x" * 9, b"data: 12\ndata: 12\ndata: 12\n"])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_what_is_too_long_is_refused_before_it_is_kept(stream: bytes, size: int) -> None:
    decoder = EventDecoder(8)

    def feed() -> None:
        for begin in range(0, len(stream), size):
            decoder.feed(stream[begin : begin + size])

    with pytest.raises(EventTooLong):
        feed()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "text",
                    "delta",
                    "content",
                    "token_ids",
                    "finish_reason",
                    "logprobs",
                    "top_logprobs",
                    "error",
                    "reasoning",
                    "message",
                    "token",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=examples(500))
@given(st.binary(max_size=40) | json_values.map(orjson.dumps), st.booleans())
def test_whatever_an_event_says_it_is_read_or_refused(data: bytes, token_ids: bool) -> None:
    try:
        delta = read_event(data, token_ids=token_ids)
    except BadAnswer:
        return
    if delta is not None:
        chunk = delta.chunk(Sampling(logprobs=5))
        assert (delta.token_ids is not None) == token_ids
        assert all(type(i) is int and i >= 0 for i in chunk.token_ids)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", FinishReason.STOP),
        ("tool_calls", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("abort", FinishReason.ERROR),
        ("content_filter", FinishReason.ERROR),
        (None, None),
    ],
)
def test_reasons_of_other_servers_have_their_place(
    reason: str | None, finish: FinishReason | None
) -> None:
    data = orjson.dumps({"choices": [{"text": "a", "finish_reason": reason}]})
    assert read_event(data, token_ids=False) == Delta("a", 1, None, finish)


def test_confidences_are_those_of_the_likeliest_tokens() -> None:
    top = {"a": -0.5, "b": -1.5, "drawn": -9.0}
    data = orjson.dumps(
        {"choices": [{"text": "a", "token_ids": [7], "logprobs": {"top_logprobs": [top]}}]}
    )
    delta = read_event(data, token_ids=True)
    assert delta is not None
    assert delta.chunk(Sampling(logprobs=2)).confidences == (1.0,)
    assert delta.chunk(Sampling()).confidences == ()


@pytest.mark.parametrize(
    "said",
    [
        {"text": "ab", "logprobs": {"token_logprobs": [-0.5, -2.0], "top_logprobs": None}},
        {
            "delta": {"content": "ab"},
            "logprobs": {
                "content": [
                    {"token": "a", "logprob": -0.5, "top_logprobs": []},
                    {"token": "b", "logprob": -2.0, "top_logprobs": []},
                ]
            },
        },
    ],
)
def test_likelihoods_are_those_of_the_tokens_themselves(said: dict[str, Any]) -> None:
    data = orjson.dumps({"choices": [{"token_ids": [7, 8], **said}]})
    delta = read_event(data, token_ids=True)
    assert delta is not None
    assert delta.chunk(Sampling(likelihoods=True)).confidences == (-0.5, -2.0)
    both = Delta.merged([delta, delta])
    assert both.chunk(Sampling(likelihoods=True)).confidences == (-0.5, -2.0, -0.5, -2.0)
    assert delta.chunk(Sampling()).confidences == ()


@pytest.mark.parametrize("vllm", [True, False])
def test_of_likelihoods_no_others_are_asked_for_where_that_is_understood(vllm: bool) -> None:
    request = Generation("r", (1,), 8, Sampling(likelihoods=True))
    able = Capabilities(vllm=vllm, logprobs=True)
    assert completion_body("m", "q", request, able)["logprobs"] == (0 if vllm else 1)
    unable = Capabilities(vllm=vllm)
    assert "logprobs" not in completion_body("m", "q", request, unable)


# ── spelled ids ───────────────────────────────────────────────────────────────────────────────

texts = st.text(max_size=3_000) | st.sampled_from(["é" * 2_000, "\x00", "𝔸" * 700])
tokens = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4).map(tuple)


@given(st.lists(tokens | texts, max_size=5))
def test_ids_can_be_read_back(parts: list[tuple[int, ...] | str]) -> None:
    ids: list[int] = []
    expected: list[tuple[int, ...] | str] = []
    for part in parts:
        if isinstance(part, str):
            ids += spell(part)
            expected += [part] if part else []
        else:
            ids += part
            before = expected.pop() if expected and isinstance(expected[-1], tuple) else ()
            assert not isinstance(before, str)
            expected.append((*before, *part))
    assert read_parts(ids) == expected
    assert str(ids)  # short enough to be printed


def test_a_conversation_can_be_read_back_with_its_tools() -> None:
    messages = [{"role": "user", "content": "Wie groß? " * 400}]
    tools = [{"type": "function", "function": {"name": "f"}}]
    ids = (*spell_conversation(messages, tools), *spell("So"), 7)
    conversation, text, rest = read_parts(ids)
    assert isinstance(conversation, Conversation)
    assert (conversation.messages, conversation.tools) == (messages, tools)
    assert (text, rest) == ("So", (7,))
    assert len(ids) > 1_000  # some as many as it has tokens


@given(texts.filter(bool), st.integers(1, 60), st.data())
def test_a_cut_loses_the_piece_and_nothing_else(text: str, count: int, data: st.DataObject) -> None:
    ids = spell_piece(text, count)
    assert len(ids) >= count
    cut = data.draw(st.integers(0, len(ids) - 1))
    assert read_parts((*ids[:cut], *spell(" after"))) == [" after"]


def test_a_lone_surrogate_is_replaced() -> None:
    assert read_parts(spell("a\ud800b")) == ["a?b"]


# ── places ────────────────────────────────────────────────────────────────────────────────────


async def test_places_go_by_priority_then_arrival_and_none_is_lost() -> None:
    slots = RequestSlots(1)
    order: list[str] = []

    async def visit(name: str, priority: int) -> None:
        await slots.acquire(priority)
        order.append(name)
        await anyio.sleep(1)
        slots.release()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(visit, "running", 9)
        await until(lambda: slots.taken == 1)
        for waiting, (name, priority) in enumerate([("late", 5), ("later", 5), ("first", -1)]):
            tasks.start_soon(visit, name, priority)
            await until(lambda waiting=waiting: slots.waiting == waiting + 1)
        with anyio.move_on_after(0.5):
            await visit("gone", -9)
        assert slots.waiting == 3
    assert order == ["running", "first", "late", "later"]
    assert (slots.taken, slots.waiting) == (0, 0)


async def test_a_place_that_comes_as_one_gives_up_goes_to_the_next() -> None:
    slots = RequestSlots(1)
    await slots.acquire(0)
    scope = anyio.CancelScope()
    came = anyio.Event()

    async def giving_up() -> None:
        with scope:
            await slots.acquire(0)
            slots.release()  # where the place was quicker than the cancellation

    async def next_one() -> None:
        await slots.acquire(1)
        came.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(giving_up)
        tasks.start_soon(next_one)
        await until(lambda: slots.waiting == 2)
        slots.release()
        scope.cancel()
        await came.wait()
    slots.release()
    assert (slots.taken, slots.waiting) == (0, 0)


# ── errors ────────────────────────────────────────────────────────────────────────────────────


def described_certificate(message: str) -> str:
    """What is said of a certificate that OpenSSL complains of so."""
    problem = ssl.SSLCertVerificationError(1, f"[SSL] certificate verify failed: {message}")
    problem.verify_message = message
    connection: Any = SimpleNamespace(host="gpu-1", port=443, is_ssl=True, ssl=True)
    return described(aiohttp.ClientConnectorCertificateError(connection, problem))


def test_what_is_wrong_with_a_certificate_is_told_without_the_host() -> None:
    assert described_certificate("self-signed certificate").endswith(
        "its certificate is not trusted (self-signed certificate)"
    )
    said = described_certificate("Hostname mismatch, certificate is not valid for 'gpu-1'.")
    assert said.endswith("its certificate is another host's")


# ── reading ───────────────────────────────────────────────────────────────────────────────────


class Arrived:
    """A connection on which all has arrived before it is read; notes how it is read."""

    connected = True

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.rests: list[int] = []  # bytes that were waiting at each
        self.protocol = self.connection = self.content = self

    async def read(self, most: int) -> bytes:
        read, self._data = self._data[:most], self._data[most:]
        return read

    def pause_reading(self) -> None:
        self.rests.append(len(self._data))

    def resume_reading(self) -> None:
        pass


class Text:
    """A sink that nobody waits for."""

    immediate = False
    catch_up = None

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def put(self, text: str, token_ids: Any, confidences: Any = ()) -> None:
        self.pieces.append(text)

    def put_all(self, texts: Any, token_ids: Any, confidences: Any = ()) -> None:
        self.pieces += texts


def completion_event(text: str, ids: list[int], finish: str | None = None) -> bytes:
    choice = {"text": text, "token_ids": ids, "finish_reason": finish, "padding": "p" * 1000}
    return b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n"


async def test_a_stream_rests_only_once_all_that_came_is_read() -> None:
    tokens = 400
    events = [completion_event("x", [5]) for _ in range(tokens)]
    last = completion_event("", [], "stop")
    connection, sink = Arrived(b"".join(events)), Text()
    request = Generation("r", (1,), 1000, Sampling(), deadline=1e9)
    heard = Heard(lambda seconds, of: None, Breaker(), str)
    stream = DeltaStream(connection, request, heard, token_ids=True)  # type: ignore[arg-type]
    stream._began -= 5  # it has gone on for a while, and rests gladly
    async with anyio.create_task_group() as tasks:

        async def read() -> None:
            assert await stream.put_into(sink, Sampling()) is FinishReason.STOP  # type: ignore[arg-type]

        tasks.start_soon(read)
        await until(lambda: bool(connection.rests))
        assert len(sink.pieces) == tokens
        connection._data = last
    assert set(connection.rests) == {0}
