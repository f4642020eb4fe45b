"""Work on large requests that only the event loop can do, or that no thread would do sooner: in
slices of a few milliseconds, one of all requests at a time, and everybody else in between."""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Final, TypeVar

import anyio
import anyio.lowlevel
from aiohttp import web

T = TypeVar("T")

#: Weight of the items of one slice: a millisecond's work or less.
_SLICE: Final = 128
#: Bytes of JSON that are read at once.
_AT_ONCE: Final = 16 << 10


def is_large(size: int) -> bool:
    """Whether a request of so many bytes of JSON is read in slices."""
    return size > _AT_ONCE


class Slices:
    """Whose turn it is; one for an application."""

    def __init__(self) -> None:
        self._lock = anyio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None, None]:
        """A block that is one slice of the work on a large request; nothing in it may wait.

        However many wait for their turns, all other callbacks of the loop run before the next one.
        """
        async with self._lock:
            await anyio.lowlevel.checkpoint()
            yield

    def turn_for(self, size: int) -> AbstractAsyncContextManager[None]:
        """``turn``, or nothing to wait for if the request has so few bytes of JSON that it is no
        large one."""
        return self.turn() if is_large(size) else nullcontext()

    async def through(self, work: Iterator[None], size: int) -> None:
        """Do ``work``, which yields where others may have their turn; see ``turn_for``."""
        done = False
        while not done:
            async with self.turn_for(size):
                done = next(work, self) is self

    async def each(
        self, items: Sequence[T], weigh: Callable[[T], int], work: Callable[[int, T], None]
    ) -> None:
        """Do ``work`` with all items and their places, in order; in slices if they are many.

        Args:
            weigh: how much work an item is; 1 is some microseconds.
        """
        place = 0
        # What is no more than a slice is done at once, as it is with most requests.
        few = len(items) < _SLICE and sum(map(weigh, items)) < _SLICE
        while place < len(items):
            async with nullcontext() if few else self.turn():
                weight = 0
                while place < len(items) and weight < _SLICE:
                    weight += weigh(items[place])
                    work(place, items[place])
                    place += 1


SLICES = web.AppKey("frontrunner.slices", Slices)
