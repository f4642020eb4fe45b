"""The log of a run: bounded, gap-free, and joined only where nobody has read yet."""

from collections.abc import Mapping
from typing import Any

import anyio
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.runtime.common.json_bytes import json_bytes
from frontrunner.runtime.serving.errors import EventsExpired
from frontrunner.runtime.serving.runs.frames import JsonFrame, TextFrame
from frontrunner.runtime.serving.runs.replay_buffer import LogReader, ReplayBuffer


def text(piece: str, key: str = "t") -> TextFrame:
    def wrap(said: str, tokens: int) -> Mapping[str, Any]:
        return {"key": key, "text": said}

    return TextFrame(piece, wrap, key=key)


def event(name: str, **more: Any) -> JsonFrame:
    return JsonFrame({"event": name}, **more)


async def read(log: ReplayBuffer, after: int = -1) -> list[tuple[int, dict[str, Any]]]:
    return [(n, orjson.loads(f.encode(n))) async for n, f in LogReader(log, after)]


async def test_what_nobody_has_read_is_joined() -> None:
    log = ReplayBuffer(100, 100_000)
    log.extend([text("a"), text("b"), event("x"), text("c"), text("d", "u"), text("e")])
    log.close()
    assert [told for _, told in await read(log)] == [
        {"key": "t", "text": "ab"},
        {"event": "x"},
        {"key": "t", "text": "ce"},
        {"key": "u", "text": "d"},
    ]


async def test_what_was_read_stays_as_it_was() -> None:
    log = ReplayBuffer(100, 100_000)
    log.extend([text("a")])
    reader = LogReader(log)
    first = await reader.batch()
    log.extend([text("b"), text("c")])
    log.close()
    second = await reader.batch()
    assert [(n, f.encode(n)) for n, f in [*first, *second]] == [
        (0, b'{"key":"t","text":"a"}'),
        (1, b'{"key":"t","text":"bc"}'),
    ]
    assert await reader.batch() == []
    assert [n for n, _ in await read(log, after=0)] == [1]


async def test_a_reader_that_fell_out_of_it_is_told() -> None:
    log = ReplayBuffer(3, 100_000)
    late = LogReader(log)
    log.extend(event(str(i)) for i in range(10))
    assert log.first == 7
    with pytest.raises(EventsExpired):
        await late.batch()
    with pytest.raises(EventsExpired):
        LogReader(log, after=2)
    assert [n for n, _ in await LogReader(log, after=6).batch()] == [7, 8, 9]


async def test_the_decision_pushes_nothing_out_and_stays() -> None:
    log = ReplayBuffer(3, 2_000)
    log.extend([text("a" * 500), event("b")])
    final = [text("w" * 5_000), event("c"), event("d"), event("end", terminal=True)]
    log.extend(final, final=True)
    assert log.closed
    log.extend([event("after the end")])
    assert [n for n, _ in await read(log)] == [0, 1, 2, 3, 4, 5]


async def test_readers_wait_and_all_are_woken() -> None:
    log, told = ReplayBuffer(10, 10_000), list[int]()

    async def follow() -> None:
        async for number, _ in LogReader(log):
            told.append(number)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        tasks.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        log.extend([event("x")])
        await anyio.wait_all_tasks_blocked()
        assert told == [0, 0]
        log.close()


pieces = st.one_of(
    st.builds(text, st.text("ab", min_size=1, max_size=3), st.sampled_from(["t", "u"])),
    st.builds(event, st.sampled_from("xy")),
    st.none(),  # the reader reads
)


@settings(max_examples=examples(1_000))
@given(st.lists(pieces, max_size=40))
def test_a_reader_that_keeps_up_misses_nothing(steps: list[TextFrame | JsonFrame | None]) -> None:
    async def run() -> None:
        log = ReplayBuffer(1_000, 1_000_000)
        reader, got = LogReader(log), list[tuple[int, dict[str, Any]]]()
        for step in steps:
            if step is not None:
                log.extend([step])
            elif log.next > len(got):
                got.extend((n, orjson.loads(f.encode(n))) for n, f in await reader.batch())
        log.close()
        got.extend([(n, orjson.loads(f.encode(n))) async for n, f in reader])
        assert [n for n, _ in got] == list(range(len(got)))
        for key in "tu":
            sent = "".join(s.text for s in steps if isinstance(s, TextFrame) and s.key == key)
            assert "".join(d["text"] for _, d in got if d.get("key") == key) == sent
        events = [s.payload["event"] for s in steps if isinstance(s, JsonFrame)]
        assert [d["event"] for _, d in got if "event" in d] == events

    anyio.run(run, backend="trio")


def test_json_says_what_it_can() -> None:
    said = json_bytes({"a": "\ud800", "b": float("inf"), "c": 2**70})
    assert said == b'{"a":"?","b":null,"c":1.1805916207174113e+21}'
