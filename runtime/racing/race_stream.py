"""What ``Runtime.stream`` gives its caller: the events of a race that runs in the background."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Any, Self

import anyio

from ..events.event_stream import EventStream
from ..events.types import Event
from .background import Background


class StreamedRace:
    """What a streamed race and its reader share. It knows nothing of the reader, so that one who
    drops the stream is noticed."""

    def __init__(self, background: Background, leave_limit: float) -> None:
        """
        Args:
            background: what the race runs in.
            leave_limit: seconds that its end is waited for at most, once it was cancelled.
        """
        self.events = EventStream()
        self.scope = anyio.CancelScope()  # the race's own
        self._background = background
        self._leave_limit = leave_limit
        self._ended = anyio.Event()
        self._holder: asyncio.Task[Any] | None = None

    def end(self, failure: Exception | None) -> None:
        """For the race's task, as its last act: there is no more to come.

        Args:
            failure: why there is no result; not told if there is one.
        """
        self._hold(None)
        self.events.close(failure)
        self._ended.set()

    def hold(self) -> None:
        """Cancel the race if the task that runs now, and no other until the next call, ends as
        cancelled. Only asyncio tells.

        A server that cancels a handler may do so while it is sending what an async generator has
        told. Nobody closes that generator then, and the garbage collector, which would, may come
        late: what has ended with an exception is often part of a cycle.
        """
        if not self._ended.is_set():
            self._hold(_current_task())

    def _hold(self, task: "asyncio.Task[Any] | None") -> None:
        if task is not self._holder:
            if self._holder is not None:
                self._holder.remove_done_callback(self._let_go)
            if task is not None:
                task.add_done_callback(self._let_go)
            self._holder = task

    def _let_go(self, task: "asyncio.Task[Any]") -> None:
        if task.cancelled():
            self.scope.cancel()

    def abandon(self) -> None:
        """Cancel the race. May be called from any thread, and from a destructor."""
        if not self._ended.is_set():
            self._background.post(self.scope.cancel)

    async def leave(self) -> None:
        """Cancel the race and wait until its branches are aborted."""
        if self._ended.is_set():
            return
        self.scope.cancel()
        with anyio.move_on_after(self._leave_limit, shield=True):
            await self._ended.wait()


class _State(Enum):
    NEW = auto()
    ENTERING = auto()
    OPEN = auto()
    CLOSED = auto()


class RaceStream:
    """A race's events; the last one holds the result.

    ::

        async with runtime.stream("…", deadline=5.0) as events:
            async for event in events:
                ...

    The race begins as the block is entered, and if it has not ended, it is cancelled as the block
    is left: its branches are aborted, and nothing else is cancelled. It does not matter how the
    block is left, in which task, or from which async generator. Without a block the race begins
    with the first event that is asked for; then call ``aclose``, or drop the stream.
    """

    def __init__(self, begin: Callable[[], Awaitable[StreamedRace]]) -> None:
        self._begin = begin
        self._state = _State.NEW
        self._entered = False
        self._race: StreamedRace | None = None

    async def __aenter__(self) -> Self:
        if self._state is not _State.NEW:
            raise RuntimeError("a stream can be entered once: ask the runtime for another one")
        await self._open()
        self._entered = True
        if self._race is not None:
            self._race.hold()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """The next event. Events that have come can be read after the stream was closed.

        Raises:
            EngineClosed: the runtime was left before the race had a result.

        Cancelling it loses nothing.
        """
        if self._state is _State.ENTERING:
            raise RuntimeError("another task is just entering this stream")
        if self._state is _State.NEW:
            await self._open()
        if self._race is None:
            raise StopAsyncIteration
        event = await anext(self._race.events)
        if not self._entered:  # else it is the block's task that holds the stream
            self._race.hold()
        return event

    async def aclose(self) -> None:
        """Cancel the race if it has not ended, and wait until its branches are aborted. Idempotent.

        It may be called from any task, also while another one reads: that one comes to the end.
        """
        self._state = _State.CLOSED
        if self._race is not None:
            await self._race.leave()

    async def _open(self) -> None:
        self._state = _State.ENTERING
        try:
            race = await self._begin()
        except BaseException:
            self._state = _State.CLOSED
            raise
        self._race = race
        if self._state is _State.CLOSED:  # by another task meanwhile
            await race.leave()
        else:
            self._state = _State.OPEN

    def __del__(self) -> None:
        # Whoever never gets to the end of a block: a reader that was dropped.
        race = getattr(self, "_race", None)
        if race is not None:
            race.abandon()


def _current_task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:  # another event loop than asyncio's
        return None
