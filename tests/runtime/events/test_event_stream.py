from collections.abc import Callable

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.events.event_stream import EventStream
from frontrunner.runtime.events.types import BranchForcing, BranchProgressed, BranchStarted, Event

from ...backends import every_backend, run_virtual


def progressed(branch: int, text: str, *, forced: bool = False, at: float = 0.0) -> Event:
    return BranchProgressed(at, branch, text, 1, forced)


def started(branch: int) -> Event:
    return BranchStarted(0.0, branch, None)


async def read_all(stream: EventStream) -> list[Event]:
    return [event async for event in stream]


@every_backend
async def test_events_are_read_in_the_order_they_were_written() -> None:
    stream, written = EventStream(), [started(n) for n in range(5)]
    for event in written:
        stream.push(event)
    stream.close()
    assert await read_all(stream) == written


@every_backend
async def test_a_reader_that_keeps_up_gets_every_piece() -> None:
    stream, read = EventStream(), list[Event]()

    async def reader() -> None:
        async for event in stream:
            read.append(event)

    written = [progressed(0, "a"), progressed(0, "b"), started(1), progressed(0, "c")]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader)
        for event in written:
            await anyio.wait_all_tasks_blocked()
            stream.push(event)
        stream.close()
    assert read == written


async def test_a_slow_reader_gets_the_progress_of_each_branch_joined() -> None:
    stream = EventStream()
    for at, text in enumerate("abc"):
        stream.push(progressed(0, text, at=float(at)))
        stream.push(progressed(1, text.upper(), at=float(at)))
    stream.close()
    assert await read_all(stream) == [
        BranchProgressed(2.0, 0, "abc", 3, False),
        BranchProgressed(2.0, 1, "ABC", 3, False),
    ]


async def test_the_text_of_a_forced_answer_is_joined_by_itself() -> None:
    stream = EventStream()
    stream.push(progressed(0, "a"))
    stream.push(progressed(0, "b", forced=True))
    stream.push(progressed(0, "c", forced=True))
    stream.close()
    assert await read_all(stream) == [
        BranchProgressed(0.0, 0, "a", 1, False),
        BranchProgressed(0.0, 0, "bc", 2, True),
    ]


async def test_progress_is_not_joined_across_another_event() -> None:
    stream = EventStream()
    forcing = BranchForcing(1.0, 0, 1)
    for event in (progressed(0, "a"), forcing, progressed(0, "b")):
        stream.push(event)
    stream.close()
    assert await read_all(stream) == [progressed(0, "a"), forcing, progressed(0, "b")]


async def test_what_is_written_after_the_end_is_dropped() -> None:
    stream = EventStream()
    stream.push(started(0))
    stream.close()
    stream.push(started(1))
    stream.push(progressed(0, "late"))
    stream.close()
    assert await read_all(stream) == [started(0)]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


@every_backend
async def test_a_reader_who_waits_is_woken_by_the_end() -> None:
    stream, read = EventStream(), list[Event]()

    async def reader() -> None:
        read.extend(await read_all(stream))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader)
        await anyio.wait_all_tasks_blocked()
        stream.close()
    assert read == []


@every_backend
@pytest.mark.parametrize("write", [started, lambda n: progressed(n, "a")], ids=["start", "text"])
async def test_cancelling_a_read_loses_nothing(write: Callable[[int], Event]) -> None:
    stream = EventStream()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anext, stream)
            await anyio.wait_all_tasks_blocked()
            # The event and the cancellation come at once.
            stream.push(write(0))
            scope.cancel()
    stream.push(write(1))
    stream.close()
    rest = await read_all(stream)
    assert rest[-1] == write(1)
    assert len(rest) in (1, 2)


async def test_cancelling_a_waiting_read_leaves_the_next_event_for_the_next_reader() -> None:
    stream = EventStream()
    for _ in range(3):
        with anyio.move_on_after(1):
            await anext(stream)
    stream.push(started(0))
    assert await anext(stream) == started(0)


writes = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["text", "text", "text", "start", "read"])),
    max_size=60,
)


@given(writes)
def test_however_slow_the_reader_text_and_order_of_each_branch_are_kept(
    actions: list[tuple[int, str]],
) -> None:
    """``read`` lets the reader take one event; all else is written meanwhile."""
    stream, read, written = EventStream(), list[Event](), list[Event]()

    async def run() -> None:
        for number, (branch, action) in enumerate(actions):
            if action == "read":
                with anyio.move_on_after(0.001):
                    read.append(await anext(stream))
                continue
            event = progressed(branch, f"{number},") if action == "text" else started(branch)
            written.append(event)
            stream.push(event)
        stream.close()
        read.extend(await read_all(stream))

    run_virtual(run)

    def story(events: list[Event], branch: int) -> str:
        """All of a branch, its text joined and its other events in between."""
        mine = (e for e in events if isinstance(e, BranchProgressed | BranchStarted))
        return "".join(
            e.text if isinstance(e, BranchProgressed) else "|" for e in mine if e.branch == branch
        )

    def others(events: list[Event]) -> list[Event]:
        return [event for event in events if not isinstance(event, BranchProgressed)]

    for branch in range(3):
        assert story(read, branch) == story(written, branch)
    assert others(read) == others(written)
    # What waits is bounded by the other events and the reads, however much text there is.
    reads = sum(action == "read" for _, action in actions)
    assert len(read) <= 4 * (len(others(written)) + reads + 1)
