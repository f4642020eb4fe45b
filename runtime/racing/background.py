"""Tasks of a runtime that belong to none of its callers.

A task group is a block in one task, and must be left in that task and in order with all other
blocks around it. A race that is streamed fits into no such block of a caller's: its stream may be
entered in one task and left in another, or be held by an async generator, which is closed wherever
the garbage collector finds it (PEP 789). So the group is a block in a task of its own, which lives
as long as the runtime is entered: no cancel scope of a caller holds it, and it holds none of
theirs.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import structlog

from ..common.loop_clock import asyncio_loop
from ..errors import EngineClosed

_log = structlog.get_logger("frontrunner.runtime")

_NAME = "frontrunner races"


class Background:
    """A task group for whoever wants its tasks to outlive theirs. Started and closed once."""

    def __init__(self) -> None:
        self._start: Callable[..., object] | None = None  # a task, by its function and arguments
        self._scopes: set[anyio.CancelScope] = set()  # of the tasks that have not ended
        self._task: object = None  # held here, since event loops hold their tasks weakly
        self._post: Callable[[Callable[[], object]], object] = lambda call: None
        self._started = anyio.Event()
        self._closing = anyio.Event()
        self._ended = anyio.Event()

    async def start(self) -> None:
        """Begin to take tasks. Cancelling it leaves something to close."""
        # None of the two libraries lets anyio start a task without a block to hold it.
        if (loop := asyncio_loop()) is None:
            trio = sys.modules["trio"]
            self._post = trio.lowlevel.current_trio_token().run_sync_soon
            self._task = trio.lowlevel.spawn_system_task(self._live, name=_NAME)
        else:
            self._post = loop.call_soon_threadsafe
            self._task = loop.create_task(self._live_on_asyncio(), name=_NAME)
        await self._started.wait()

    @property
    def open(self) -> bool:
        """Whether it takes tasks."""
        return self._start is not None and not self._closing.is_set()

    def start_soon(
        self, function: Callable[..., Coroutine[Any, Any, None]], *arguments: object
    ) -> None:
        """Start a task, with a copy of the caller's context variables. It must raise nothing but
        its cancellation: that would end all others.

        Raises:
            EngineClosed: ``aclose`` was called, or the event loop is ending.
        """
        scope = anyio.CancelScope()
        self.start_in(scope, self._run, scope, function, *arguments)

    def start_in(
        self,
        scope: anyio.CancelScope,
        function: Callable[..., Coroutine[Any, Any, None]],
        *arguments: object,
    ) -> None:
        """The same for who starts many: ``function`` enters ``scope``, by which it is cancelled,
        and ends with ``release``."""
        if self._start is None or self._closing.is_set():
            raise EngineClosed("the runtime was left")
        self._scopes.add(scope)
        self._start(function, *arguments)

    def release(self, scope: anyio.CancelScope) -> None:
        """The task that was started in ``scope`` has left it."""
        self._scopes.discard(scope)

    async def _run(
        self,
        scope: anyio.CancelScope,
        function: Callable[..., Coroutine[Any, Any, None]],
        *arguments: object,
    ) -> None:
        try:
            with scope:
                await function(*arguments)
        finally:
            self.release(scope)

    def post(self, call: Callable[[], object]) -> None:
        """Have ``call`` called in the event loop, if there still is one. May be used from any
        thread, and from a destructor."""
        with suppress(RuntimeError):  # the event loop is closed
            self._post(call)

    async def aclose(self, seconds: float) -> None:
        """Cancel all tasks and wait until they have ended, ``seconds`` at most. Cancelling it does
        not cut that short."""
        self._closing.set()
        if self._task is None:
            return
        with anyio.move_on_after(seconds, shield=True) as waiting:
            await self._ended.wait()
        if waiting.cancelled_caught:
            _log.warning("frontrunner.races_left_behind", waited=seconds)

    async def _live(self) -> None:
        try:
            async with anyio.create_task_group() as group:
                self._start = partial(group.start_soon, name=_NAME)
                await self._wait_for_close()
        finally:
            self._start = None
            self._ended.set()

    async def _live_on_asyncio(self) -> None:
        # A task in a group of anyio's takes four times as long to start and to end, and twice as
        # many objects; of what the group is for, these tasks need that it waits for them. Each is
        # cancelled by its scope, as anyio's shields would not hold against asyncio's own way.
        try:
            async with asyncio.TaskGroup() as group:
                create = group.create_task
                self._start = lambda function, *arguments: create(function(*arguments), name=_NAME)
                await self._wait_for_close()
        finally:
            self._start = None
            self._ended.set()

    async def _wait_for_close(self) -> None:
        self._started.set()
        await self._closing.wait()
        for scope in [*self._scopes]:
            scope.cancel()
