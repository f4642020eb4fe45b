"""The tasks of one race, which it can leave behind.

A task that was cancelled ends when it likes: a reward function in a thread runs on, an engine's
stream closes as slowly as it closes. A race that held its tasks in a block of its own would wait
for them, and with it the answer. So they are tasks of whoever holds the race, the runtime's
background: the race cancels them, waits a moment, and goes; what still runs ends there, and no
later than the runtime is left.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import anyio
from anyio.abc import TaskGroup

from ..common.loop_clock import asyncio_loop, loop_time
from ..common.timed_event import TimedEvent
from ..errors import EngineClosed

_NAME = "a race's"


class TaskHost(Protocol):
    """Whatever a race's tasks run in: the runtime's ``Background``, or a group of the caller's."""

    @property
    def open(self) -> bool:
        """Whether it takes tasks, and has not cancelled those that it has."""
        ...

    def start_in(
        self,
        scope: anyio.CancelScope,
        function: Callable[..., Coroutine[Any, Any, None]],
        *arguments: object,
    ) -> None:
        """Start a task that enters ``scope`` itself, and ends with ``release``."""
        ...

    def release(self, scope: anyio.CancelScope) -> None:
        """The task that was started in ``scope`` has left it."""
        ...


class GroupHost:
    """A task group as a host, which is left no earlier than the tasks have ended."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group

    @property
    def open(self) -> bool:
        return not self._group.cancel_scope.cancel_called

    def start_in(
        self,
        scope: anyio.CancelScope,
        function: Callable[..., Coroutine[Any, Any, None]],
        *arguments: object,
    ) -> None:
        # Named: anyio would put a name together for each.
        self._group.start_soon(function, *arguments, name=_NAME)

    def release(self, scope: anyio.CancelScope) -> None: ...


def cancel_each(scopes: Sequence[anyio.CancelScope]) -> None:
    """Cancel ``scopes``, those whose block is left anyway by what was done just before excepted: it
    is left first. anyio describes the task that cancels, which takes longer than all else that it
    does; here it is none, where the library allows that."""

    def cancel() -> None:
        for scope in scopes:
            scope.cancel()

    if (loop := asyncio_loop()) is None:
        cancel()
    else:
        loop.call_soon(cancel)


class RaceTasks:
    """The tasks of a race, each of them one of its host's.

    Each is cancelled by a scope of its own, within which it ends. One that ends with the
    cancellation itself is held by what has seen it (a group keeps the exception in a frame that
    the exception's traceback holds), and all that the task knew is left to the garbage collector.
    """

    def __init__(self, on_failure: Callable[[], None]) -> None:
        """
        Args:
            on_failure: told, at once, that a task has failed and that all others are cancelled, or
                that the host cancels them.
        """
        self._on_failure = on_failure
        self._host: TaskHost | None = None
        self._ended = TimedEvent()
        self._scopes: dict[anyio.CancelScope, None] = {}  # of the tasks that have not ended
        self._cancelled = False
        self._failures: list[Exception] = []

    @property
    def running(self) -> bool:
        """Whether any of them still runs."""
        return bool(self._scopes)

    @property
    def failure(self) -> Exception | None:
        """What tasks have raised; known once they have ended."""
        if not self._failures:
            return None
        return ExceptionGroup("errors in the tasks of a race", self._failures)

    def open(self, host: TaskHost) -> None:
        """Begin to take tasks, each of which runs in ``host``.

        Raises:
            EngineClosed: the host takes none.
        """
        if not host.open:
            raise EngineClosed("the runtime was left")
        self._host = host

    def start_soon(
        self, function: Callable[..., Coroutine[Any, Any, None]], *arguments: object
    ) -> None:
        """Start a task; not once they were cancelled, since it would be as well."""
        self.start_within(anyio.CancelScope(), function, *arguments)

    def start_within(
        self,
        scope: anyio.CancelScope,
        function: Callable[..., Coroutine[Any, Any, None]],
        *arguments: object,
    ) -> None:
        """The same, in ``scope``, by which it can be cancelled alone."""
        host = self._host
        if host is None or self._cancelled or self._host_cancels:
            return
        self._scopes[scope] = None
        host.start_in(scope, self._run, scope, function, *arguments)

    async def _run(
        self,
        scope: anyio.CancelScope,
        function: Callable[..., Coroutine[Any, Any, None]],
        *arguments: object,
    ) -> None:
        alone = False  # whether the others are to go on
        try:
            with scope:
                await function(*arguments)
            alone = not (scope.cancel_called and self._host_cancels)
        except Exception as error:  # noqa: BLE001 - the race's to raise: others share the host
            self._failures.append(error)
        finally:
            del self._scopes[scope]
            if self._host is not None:
                self._host.release(scope)
            if not alone:
                self._give_up()
            if self._cancelled and not self._scopes:
                self._ended.set()

    @property
    def _host_cancels(self) -> bool:
        """Whether all tasks of the host are cancelled, those of the race among them."""
        return self._host is not None and not self._host.open

    def _give_up(self) -> None:
        if not self._cancelled:
            self._cancelled = True
            for scope in [*self._scopes]:
                scope.cancel()
            self._on_failure()

    def cancel(self) -> None:
        """Cancel all of them."""
        self._cancelled = True
        cancel_each([*self._scopes])

    async def wait_for_end(self, seconds: float) -> None:
        """Wait until they have ended, ``seconds`` at most. Cancelling it does not shorten that."""
        if self.running:
            with anyio.CancelScope(shield=True):
                await self._ended.wait_until(loop_time() + seconds)
