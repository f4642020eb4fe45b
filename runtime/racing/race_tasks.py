"""The tasks of one race, which it can leave behind.

A task that was cancelled ends when it likes: a reward function in a thread runs on, an engine's
stream closes as slowly as it closes. A race that held its tasks in a block of its own would wait
for them, and with it the answer. So the block is in a task of whoever holds the race, the runtime's
background: the race cancels it, waits a moment, and goes; what still runs ends there, and no later
than the runtime is left.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import anyio
from anyio.abc import TaskGroup

from .background import Background

_NAME = "a race's"
#: Whatever tasks can be started in.
TaskHost = TaskGroup | Background


def cancel_each(scopes: Sequence[anyio.CancelScope]) -> None:
    """Cancel ``scopes``, those whose block is left anyway by what was done just before excepted: it
    is left first. anyio describes the task that cancels, which takes longer than all else that it
    does; here it is none, where the library allows that."""

    def cancel() -> None:
        for scope in scopes:
            scope.cancel()

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # another library's
        cancel()
    else:
        loop.call_soon(cancel)


class RaceTasks:
    """A task group in a task of its own.

    Each task is cancelled by a scope of its own, within which it ends. One that ends with the
    cancellation itself is held by what has seen it (the group keeps the exception in a frame that
    the exception's traceback holds), and all that the task knew is left to the garbage collector.
    """

    def __init__(self, on_failure: Callable[[], None]) -> None:
        """
        Args:
            on_failure: told, at once, that a task has failed and that all others are cancelled.
        """
        self._on_failure = on_failure
        self._tasks: TaskGroup | None = None
        self._opened = anyio.Event()
        self._ended = anyio.Event()
        self._over = anyio.Event()
        self._scopes: dict[anyio.CancelScope, None] = {}  # of the tasks that have not ended
        self._begun = self._cancelled = False
        self.failure: Exception | None = None
        """What tasks have raised; known once they have ended."""

    @property
    def running(self) -> bool:
        """Whether any of them still runs."""
        return self._begun and not self._ended.is_set()

    async def open(self, host: TaskHost) -> None:
        """Begin to take tasks, in a task of ``host``."""
        host.start_soon(self._live)
        self._begun = True
        await self._opened.wait()

    def start_soon(
        self, function: Callable[..., Coroutine[Any, Any, None]], *arguments: object
    ) -> None:
        """Start a task; not once they were cancelled, since it would be as well."""
        if self._tasks is not None:
            self.start_within(anyio.CancelScope(), function, *arguments)

    def start_within(
        self,
        scope: anyio.CancelScope,
        function: Callable[..., Coroutine[Any, Any, None]],
        *arguments: object,
    ) -> None:
        """The same, in ``scope``, by which it can be cancelled alone."""
        if self._tasks is not None:
            self._scopes[scope] = None
            # Named: anyio would put a name together for each.
            self._tasks.start_soon(self._run, scope, function, *arguments, name=_NAME)

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
            del self._scopes[scope]

    def cancel(self) -> None:
        """Cancel all of them."""
        self._cancelled = True
        if self._tasks is not None:
            self._tasks = None
            cancel_each([*self._scopes])
            self._over.set()

    async def wait_for_end(self, seconds: float) -> None:
        """Wait until they have ended, ``seconds`` at most. Cancelling it does not shorten that."""
        if self.running:
            with anyio.move_on_after(seconds, shield=True):
                await self._ended.wait()

    async def _live(self) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                self._opened.set()
                if self._cancelled:
                    self._over.set()
                try:
                    await self._over.wait()
                finally:
                    self._tasks = None
                    if not self._cancelled:  # by one of the tasks that failed, or by the host
                        self._on_failure()
        except Exception as error:  # noqa: BLE001 - the race's to raise: others share the host
            self.failure = error
        finally:
            self._tasks = None
            self._opened.set()
            self._ended.set()
