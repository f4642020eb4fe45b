"""A runtime inside other people's programs: the ways in which they leave a stream."""

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager, suppress
from threading import Thread
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
import sniffio
from anyio.abc import TaskGroup

from frontrunner.runtime.errors import EngineClosed
from frontrunner.runtime.events.event_stream import EventStream
from frontrunner.runtime.events.types import BranchProgressed, Event, RaceDecided
from frontrunner.runtime.racing.race_options import RawPrompt
from frontrunner.runtime.racing.race_stream import RaceStream
from frontrunner.runtime.runtime import Runtime

from ..backends import every_backend, no_tasks_left, tasks_alive, until
from .race_harness import WatchedEngine, says, stalls
from .test_runtime import OwnError, running, settings

BRANCHES = 4


def a_stream(runtime: Runtime) -> RaceStream:
    return runtime.stream("?", branches=BRANCHES, deadline=60.0)


async def read_on(events: AsyncIterator[Event]) -> None:
    async for _ in events:
        pass


async def read_a_stream(runtime: Runtime) -> None:
    async with a_stream(runtime) as events:
        await read_on(events)


async def at_work(events: AsyncGenerator[Event, None] | RaceStream) -> None:
    """Read until every branch has written something."""
    seen = set[int]()
    while len(seen) < BRANCHES:
        event = await anext(events)
        if isinstance(event, BranchProgressed):
            seen.add(event.branch)


async def of_their_own(runtime: Runtime) -> AsyncGenerator[Event, None]:
    """A user's generator over a stream."""
    async with a_stream(runtime) as events:
        async for event in events:
            yield event


async def in_a_task_of_its_own(function: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(function)


# ── ways to leave ─────────────────────────────────────────────────────────────────────────────


async def by_a_break(runtime: Runtime) -> None:
    async with a_stream(runtime) as events:
        async for event in events:
            if isinstance(event, BranchProgressed):
                break


async def by_a_return(runtime: Runtime) -> None:
    async def handler() -> Event | None:
        async with a_stream(runtime) as events:
            async for event in events:
                return event
        return None

    assert await handler() is not None


async def by_an_error(runtime: Runtime) -> None:
    error = OwnError("mine")

    async def fail() -> None:
        async with a_stream(runtime) as events:
            await at_work(events)
            raise error

    with pytest.raises(OwnError) as caught:
        await fail()
    assert caught.value is error
    assert error.__context__ is None


async def by_a_group_of_errors(runtime: Runtime) -> None:
    """As from a task group of the caller's around the stream."""

    async def fail(events: RaceStream) -> None:
        await at_work(events)
        raise OwnError

    async def stay() -> None:
        async with anyio.create_task_group() as tasks, a_stream(runtime) as events:
            tasks.start_soon(fail, events)
            await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await stay()
    (error,) = caught.value.exceptions
    assert isinstance(error, OwnError)


async def by_cancelling_a_scope(runtime: Runtime) -> None:
    with anyio.CancelScope() as scope:
        async with a_stream(runtime) as events:
            await at_work(events)
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught


async def by_cancelling_the_reading_task(runtime: Runtime) -> None:
    reading = anyio.Event()

    async def read() -> None:
        async with a_stream(runtime) as events:
            await at_work(events)
            reading.set()
            while True:
                await anext(events)

    if sniffio.current_async_library() == "trio":
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await reading.wait()
            tasks.cancel_scope.cancel()
        return
    task = asyncio.ensure_future(read())
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def by_cancelling_the_reading_task_again_and_again(runtime: Runtime) -> None:
    """As servers do that lose patience with a handler."""
    if sniffio.current_async_library() == "trio":
        return await by_cancelling_the_reading_task(runtime)

    async def read() -> None:
        async with a_stream(runtime) as events:
            await at_work(events)
            await anyio.sleep_forever()

    task = asyncio.ensure_future(read())
    await until(lambda: runtime.load().running == BRANCHES)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    assert task.cancelled()
    return None


async def by_a_timeout_around(runtime: Runtime) -> None:
    with pytest.raises(TimeoutError), anyio.fail_after(0.05):
        await read_a_stream(runtime)


async def by_a_timeout_inside(runtime: Runtime) -> None:
    async with a_stream(runtime) as events:
        with pytest.raises(TimeoutError), anyio.fail_after(0.05):
            await read_on(events)


async def by_a_timeout_of_asyncio_around(runtime: Runtime) -> None:
    if sniffio.current_async_library() == "trio":
        return await by_a_timeout_around(runtime)

    async def with_a_timeout() -> None:
        async with asyncio.timeout(0.05):
            await read_a_stream(runtime)

    with pytest.raises(TimeoutError):
        await with_a_timeout()
    return None


async def by_a_timeout_of_asyncio_inside(runtime: Runtime) -> None:
    if sniffio.current_async_library() == "trio":
        return await by_a_timeout_inside(runtime)
    async with a_stream(runtime) as events:
        await at_work(events)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(events), 0.01)
    return None


async def by_a_timeout_for_each_event_of_their_generator(runtime: Runtime) -> None:
    events = of_their_own(runtime)

    async def read() -> None:
        while True:
            with anyio.fail_after(0.05):
                await anext(events)

    with pytest.raises(TimeoutError):
        await read()
    await events.aclose()


async def in_another_task(runtime: Runtime) -> None:
    """Entered in one, read in the second, closed in the third."""
    stream = a_stream(runtime)
    await in_a_task_of_its_own(stream.__aenter__)
    await in_a_task_of_its_own(lambda: at_work(stream))
    await in_a_task_of_its_own(stream.aclose)


async def while_another_task_reads(runtime: Runtime) -> None:
    read = list[Event]()

    async def reader(stream: RaceStream) -> None:
        read.extend([event async for event in stream])

    async with a_stream(runtime) as stream, anyio.create_task_group() as tasks:
        tasks.start_soon(reader, stream)
        await until(lambda: runtime.load().running == BRANCHES)
        await stream.aclose()
    assert read
    assert not isinstance(read[-1], RaceDecided)


async def out_of_order_with_other_blocks(runtime: Runtime) -> None:
    """A timeout for entering alone, as with an exit stack."""
    async with AsyncExitStack() as stack:
        with anyio.fail_after(60):
            events = await stack.enter_async_context(a_stream(runtime))
        with anyio.CancelScope():
            await at_work(events)


async def by_closing_their_generator(runtime: Runtime) -> None:
    async with aclosing(of_their_own(runtime)) as events:
        await at_work(events)


async def by_closing_their_generator_in_another_task(runtime: Runtime) -> None:
    events = of_their_own(runtime)
    await in_a_task_of_its_own(lambda: at_work(events))
    await in_a_task_of_its_own(events.aclose)


async def by_dropping_their_generator(runtime: Runtime) -> None:
    async for event in of_their_own(runtime):
        if isinstance(event, BranchProgressed):
            break


async def by_dropping_their_generator_in_a_cycle(runtime: Runtime) -> None:
    cycle: list[Any] = [of_their_own(runtime)]
    cycle.append(cycle)
    await at_work(cycle[0])
    del cycle
    gc.collect()


async def by_dropping_the_stream(runtime: Runtime) -> None:
    stream = a_stream(runtime)
    await stream.__aenter__()
    await at_work(stream)
    del stream


async def by_dropping_the_stream_in_another_thread(runtime: Runtime) -> None:
    """Where the garbage collector may run as well."""
    held = [a_stream(runtime)]
    await held[0].__aenter__()
    await at_work(held[0])
    thread = Thread(target=held.clear)
    thread.start()
    thread.join()


async def by_a_loop_without_a_block(runtime: Runtime) -> None:
    async for event in a_stream(runtime):
        if isinstance(event, BranchProgressed):
            break


async def by_closing_a_loop_without_a_block(runtime: Runtime) -> None:
    async with aclosing(a_stream(runtime)) as events:
        await at_work(events)


async def without_ever_reading(runtime: Runtime) -> None:
    async with a_stream(runtime):
        await until(lambda: runtime.load().running == BRANCHES)


async def without_a_pause(runtime: Runtime) -> None:
    async with a_stream(runtime):
        pass


async def without_entering(runtime: Runtime) -> None:
    a_stream(runtime)
    await a_stream(runtime).aclose()


class Connection:
    """The server's side of an ASGI request whose client leaves after some events."""

    def __init__(self, version: str, sends: int = 8) -> None:
        self.scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": version}}
        self.sends = sends
        self.old = version < "2.4"
        self.left = anyio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await anyio.lowlevel.checkpoint()
        self.sends -= 1
        if self.sends <= 0:
            self.left.set()
            if not self.old:
                raise OSError("the client is gone")

    async def respond(self, runtime: Runtime, *, begun: bool = False) -> None:
        stream = a_stream(runtime)
        if begun:
            await anext(stream)

        async def told() -> AsyncGenerator[str, None]:
            async with aclosing(stream) if begun else stream as events:
                async for event in events:
                    yield event.type

        responses = pytest.importorskip("starlette.responses")
        await responses.StreamingResponse(told())(self.scope, self.receive, self.send)


async def by_a_disconnect_as_of_asgi_2_3(runtime: Runtime) -> None:
    await Connection("2.3").respond(runtime)


async def by_a_disconnect_as_of_asgi_2_4(runtime: Runtime) -> None:
    requests = pytest.importorskip("starlette.requests")
    with suppress(requests.ClientDisconnect):
        await Connection("2.4").respond(runtime)


async def by_a_disconnect_as_of_asgi_2_3_once_it_has_begun(runtime: Runtime) -> None:
    """Begun before the response, so that errors of input become one."""
    await Connection("2.3").respond(runtime, begun=True)


async def by_a_disconnect_as_of_asgi_2_4_once_it_has_begun(runtime: Runtime) -> None:
    requests = pytest.importorskip("starlette.requests")
    with suppress(requests.ClientDisconnect):
        await Connection("2.4").respond(runtime, begun=True)


async def by_a_disconnect_before_the_response(runtime: Runtime) -> None:
    await Connection("2.3", sends=1).respond(runtime, begun=True)


WAYS = (
    by_a_break,
    by_a_return,
    by_an_error,
    by_a_group_of_errors,
    by_cancelling_a_scope,
    by_cancelling_the_reading_task,
    by_cancelling_the_reading_task_again_and_again,
    by_a_timeout_around,
    by_a_timeout_inside,
    by_a_timeout_of_asyncio_around,
    by_a_timeout_of_asyncio_inside,
    by_a_timeout_for_each_event_of_their_generator,
    in_another_task,
    while_another_task_reads,
    out_of_order_with_other_blocks,
    by_closing_their_generator,
    by_closing_their_generator_in_another_task,
    by_dropping_their_generator,
    by_dropping_their_generator_in_a_cycle,
    by_dropping_the_stream,
    by_dropping_the_stream_in_another_thread,
    by_a_loop_without_a_block,
    by_closing_a_loop_without_a_block,
    without_ever_reading,
    without_a_pause,
    without_entering,
    by_a_disconnect_as_of_asgi_2_3,
    by_a_disconnect_as_of_asgi_2_4,
    by_a_disconnect_as_of_asgi_2_3_once_it_has_begun,
    by_a_disconnect_as_of_asgi_2_4_once_it_has_begun,
    by_a_disconnect_before_the_response,
)


@contextmanager
def nothing_to_say() -> Iterator[None]:
    """Assert that asyncio has no error to report that nobody caught."""
    if sniffio.current_async_library() == "trio":
        yield
        return
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: told.append(context))
    yield
    gc.collect()
    assert told == []


def cancellations_pending() -> int:
    if sniffio.current_async_library() == "trio":
        return 0
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


# Trio says so wherever a generator is left to the garbage collector.
@pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")
@every_backend
@pytest.mark.parametrize("leave", WAYS, ids=lambda way: way.__name__)
async def test_leaving_a_stream_stops_its_branches_and_nothing_else(
    leave: Callable[[Runtime], Awaitable[None]],
) -> None:
    engine = WatchedEngine([stalls("x ", after=0.001)] * BRANCHES)
    async with running(engine) as runtime:
        with nothing_to_say():
            before = tasks_alive()
            began = anyio.current_time()
            await leave(runtime)
            left = anyio.current_time()
            await until(lambda: not engine.held and engine.load().running == 0)
            await until(lambda: tasks_alive() == before)
            engine.check_idle()
            if sniffio.current_async_library() == "trio":  # in virtual time
                assert left - began < 0.1
                assert anyio.current_time() - left < 0.1
            assert cancellations_pending() == 0
            assert engine.forced_requests() == []
            assert len(engine.aborts) <= 1
            assert runtime.admission_load().free == engine.info.max_branches
        # The runtime is as good as new.
        engine.script.branches = [says("a", 0.001)]
        assert (await runtime.solve("?", branches=1)).answer == "a"


@every_backend
async def test_a_stream_that_is_left_leaves_the_others_alone() -> None:
    engine = WatchedEngine([says("a", 0.05, tokens=4)] * BRANCHES)
    results: list[Event] = []

    async def read_all(runtime: Runtime) -> None:
        async with a_stream(runtime) as events:
            *_, last = [event async for event in events]
            results.append(last)

    async with running(engine) as runtime, anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(read_all, runtime)
        await by_a_break(runtime)
        await by_dropping_the_stream(runtime)
        await by_cancelling_a_scope(runtime)
    assert [type(event) for event in results] == [RaceDecided] * 3


@every_backend
async def test_a_reader_that_is_cancelled_may_be_followed_by_another() -> None:
    engine = WatchedEngine([says("a", 0.1, tokens=16)] * BRANCHES)

    async def read(stream: RaceStream) -> None:
        await anext(stream)
        await anyio.sleep_forever()

    async with running(engine) as runtime, a_stream(runtime) as stream:
        with anyio.move_on_after(0.02):
            await in_a_task_of_its_own(lambda: read(stream))
        with anyio.move_on_after(0.001):
            await in_a_task_of_its_own(lambda: read_on(stream))
        *_, last = [event async for event in stream]
    assert isinstance(last, RaceDecided)


# ── the runtime is left meanwhile ─────────────────────────────────────────────────────────────


@every_backend
async def test_a_stream_that_is_open_as_the_runtime_is_left_says_so_once() -> None:
    engine = WatchedEngine([stalls("x ", after=0.001)] * BRANCHES)
    async with no_tasks_left():
        async with Runtime(engine, settings()) as runtime:
            stream = await a_stream(runtime).__aenter__()
            await at_work(stream)
        assert len(engine.aborts) == 1  # while the engine could still be told
        with pytest.raises(EngineClosed, match="the runtime was left"):
            await read_on(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        await stream.aclose()


@every_backend
async def test_a_reader_who_waits_as_the_runtime_is_left_is_told() -> None:
    engine = WatchedEngine([stalls("x ", after=0.001)] * BRANCHES)
    raised: list[BaseException] = []

    async def read() -> None:
        try:
            await read_a_stream(runtime)
        except EngineClosed as error:
            raised.append(error)

    async with (
        no_tasks_left(),
        anyio.create_task_group() as tasks,
        Runtime(engine, settings()) as runtime,
    ):
        tasks.start_soon(read)
        await until(lambda: engine.load().running == BRANCHES)
    assert len(raised) == 1


@every_backend
async def test_a_result_that_was_there_before_the_runtime_was_left_can_still_be_read() -> None:
    engine = WatchedEngine([says("a", 0.001)] * BRANCHES)
    async with Runtime(engine, settings()) as runtime:
        stream = await a_stream(runtime).__aenter__()
        await until(lambda: runtime.admission_load().racing == 0)
    *_, last = [event async for event in stream]
    assert isinstance(last, RaceDecided)


@every_backend
async def test_a_runtime_may_be_entered_in_one_task_and_left_in_another() -> None:
    engine = WatchedEngine([says("a", 0.001)] * BRANCHES)
    runtime = Runtime(engine, settings())
    async with no_tasks_left():
        with anyio.fail_after(60):  # a block that is left before the runtime is
            await in_a_task_of_its_own(runtime.__aenter__)
        assert [event async for event in a_stream(runtime)]
        await in_a_task_of_its_own(runtime.__aexit__)


@every_backend
async def test_a_runtime_may_be_entered_again() -> None:
    engine = WatchedEngine([says("a", 0.001)] * BRANCHES)
    runtime = Runtime(engine, settings())
    async with no_tasks_left():
        for _ in range(2):
            async with runtime:
                assert [event async for event in a_stream(runtime)]


@every_backend
async def test_a_runtime_that_is_entered_cannot_be_entered_once_more() -> None:
    engine = WatchedEngine([says("a", 0.001)] * BRANCHES)
    async with running(engine) as runtime:
        with pytest.raises(RuntimeError, match="entered already"):
            async with runtime:
                pass
        assert (await runtime.solve("?", branches=BRANCHES, deadline=60.0)).answer == "a"


@pytest.mark.parametrize("call", ["solve", "stream", "race", "act", "score"])
async def test_a_race_in_another_event_loop_is_refused(call: str) -> None:
    engine = WatchedEngine([says("a", 0.001)] * BRANCHES)

    async def elsewhere() -> None:
        match call:
            case "stream":
                await read_a_stream(runtime)
            case "race":
                await runtime.race("?", EventStream())
            case "score":
                await runtime.score([RawPrompt("?")], lambda *chunk: None)
            case _:
                await getattr(runtime, call)("?")

    async with running(engine) as runtime:
        with pytest.raises(EngineClosed, match="another event loop"):
            await anyio.to_thread.run_sync(lambda: asyncio.run(elsewhere()))
        result = await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(runtime.solve, "?"))
    assert result.answer == "a"


def test_a_runtime_whose_event_loop_has_ended_says_so_and_can_be_entered_anew() -> None:
    runtime = Runtime(WatchedEngine([says("a", 0.001)] * BRANCHES), settings())

    async def race() -> str | None:
        async with runtime:
            return (await runtime.solve("?", branches=BRANCHES)).answer

    asyncio.run(runtime.__aenter__())
    with pytest.raises(EngineClosed, match="another event loop"):
        asyncio.run(runtime.solve("?"))
    asyncio.run(runtime.__aexit__())
    assert asyncio.run(race()) == "a"


async def test_cancelling_the_rehearsal_closes_what_was_started() -> None:
    engine = WatchedEngine([stalls("x ")])
    async with no_tasks_left():
        with anyio.move_on_after(0.01) as scope:
            async with Runtime(engine, settings(), warm_up=True):
                raise AssertionError("the block was entered")
        assert scope.cancelled_caught
    assert isinstance(engine.failure, EngineClosed)


# ── a race that fails ─────────────────────────────────────────────────────────────────────────


class FailingEngine(WatchedEngine):
    """One whose load cannot be told, from some moment on."""

    fails = False

    def load(self) -> Any:
        if self.fails:
            raise OwnError("a fault inside")
        return super().load()


@every_backend
async def test_an_error_inside_a_race_reaches_its_reader_once_and_no_other_race() -> None:
    engine = FailingEngine([stalls("x ", after=0.001)] * BRANCHES)
    async with running(engine) as runtime:
        # The load is looked at again half of the deadline later.
        async with runtime.stream("?", branches=BRANCHES, deadline=10.0) as events:
            await at_work(events)
            engine.fails = True
            with pytest.raises(ExceptionGroup) as caught:
                await read_on(events)
            assert caught.group_contains(OwnError)
            engine.fails = False
            with pytest.raises(StopAsyncIteration):
                await anext(events)
        engine.check_idle()
        engine.script.branches = [says("a", 0.001)]
        assert [event async for event in a_stream(runtime)]


# ── misuse ────────────────────────────────────────────────────────────────────────────────────


async def test_a_stream_is_entered_once() -> None:
    async with running(WatchedEngine([says("a", 1)])) as runtime:
        stream = a_stream(runtime)
        async with stream:
            with pytest.raises(RuntimeError, match="once"):
                await stream.__aenter__()
        with pytest.raises(RuntimeError, match="once"):
            await stream.__aenter__()


async def test_closing_a_stream_that_waits_for_its_branches_ends_it() -> None:
    engine = WatchedEngine([says("a", 1)], max_branches=1)
    read = list[Event]()

    async def read_all(stream: RaceStream, tasks: TaskGroup) -> None:
        read.extend([event async for event in stream])
        tasks.cancel_scope.cancel()

    async with (
        running(engine) as runtime,
        anyio.create_task_group() as tasks,
        runtime.stream("?", branches=1),
    ):
        stream = runtime.stream("?", branches=1)
        tasks.start_soon(read_all, stream, tasks)
        await anyio.sleep(0.5)
        with pytest.raises(RuntimeError, match="another task"):
            await anext(stream)
        await stream.aclose()
    assert read == []
    assert len(engine.requests) == 1


async def test_several_tasks_may_read_one_stream() -> None:
    engine = WatchedEngine([says("a", 1, tokens=8)] * BRANCHES)
    read = list[Event]()

    async def read_all(stream: RaceStream) -> None:
        async for event in stream:
            read.append(event)

    async with (
        running(engine) as runtime,
        a_stream(runtime) as stream,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(3):
            tasks.start_soon(read_all, stream)
    assert sum(isinstance(event, RaceDecided) for event in read) == 1
