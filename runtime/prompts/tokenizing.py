"""Work that would hold up the event loop, in threads: a long question takes as long to tokenise as
many steps of the engine, and all other races wait on the same loop meanwhile."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread

from ..errors import Overloaded

T = TypeVar("T")

#: Characters of a question that take a few milliseconds at most, where each is a token of its own;
#: handing one to a thread takes 0.2.
LARGE: Final = 4 << 10
#: What an item costs beside its characters, in characters: chat templates are interpreted.
_ITEM: Final = 32
#: Threads. More would only take the processor from the engine.
_THREADS: Final = 2


def is_large(*values: Any) -> bool:
    """Whether values, as JSON has them, hold ``LARGE`` characters or more; looks no further. Each
    item counts for some, as templates are interpreted."""
    left, waiting = LARGE, list[Any](values)
    while waiting and left > 0:
        value = waiting.pop()
        left -= _ITEM
        if isinstance(value, str):
            left -= len(value)
        elif isinstance(value, Mapping):
            left -= _ITEM * len(value)
            if left > 0:
                waiting += value.values()
        elif isinstance(value, Sequence):
            left -= 0 if isinstance(value, tuple) else _ITEM * len(value)
            if left > 0:
                waiting += value
    return left <= 0


class OffLoop:
    """Threads for such work; few, so that who sends much of it waits for himself."""

    def __init__(self) -> None:
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, work: Callable[[], T], deadline: float) -> T:
        """What ``work`` returns, in a thread.

        Args:
            work: it must not touch what belongs to the event loop.
            deadline: when it is too late to begin (anyio clock, seconds).

        Raises:
            Overloaded: all threads were busy until then.
            Whatever ``work`` raises.

        Cancelling it waits for ``work`` once that has begun.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(_THREADS)
        token = object()
        with anyio.move_on_at(deadline) as waiting:
            await self._limiter.acquire_on_behalf_of(token)
        if waiting.cancelled_caught:
            raise Overloaded("long questions of others are being read", 1.0)
        try:
            # The default limiter is shared with others; this work has its own.
            return await anyio.to_thread.run_sync(work, limiter=anyio.CapacityLimiter(1))
        finally:
            self._limiter.release_on_behalf_of(token)
