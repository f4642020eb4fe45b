"""The messages of a run, kept for readers that are slow, late, or come back."""

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from math import inf

from ...common.timed_event import TimedEvent
from ..errors import EventsExpired
from .frames import Frame

#: Bytes that a reader takes at once. What it has not taken yet is still joined.
_BATCH = 32 << 10


class ReplayBuffer:
    """A bounded log of numbered frames. Any number of readers, each a cursor; they wait here.

    A piece of text is joined to the piece before it that no reader has taken yet: the numbers of
    what was taken stay, so that a reader can come back, and a slow one is sent fewer, larger
    pieces. What is too much is dropped from the front; the frames of the decision never are.

    Args:
        frames: how many are kept.
        size: how many bytes are kept, about.
    """

    def __init__(self, frames: int, size: int) -> None:
        self._most, self._room = frames, size
        self._frames: deque[Frame] = deque()
        self._first = 0  # number of the oldest one kept
        self._size = 0
        self._taken = -1  # highest number that a reader has taken
        self._open_texts: dict[str, int] = {}  # key of a text: number of its last piece
        self._waiting: list[TimedEvent] = []  # one of each reader that waits
        self.closed = False
        self.source: Callable[[], None] | None = None
        """Called before a reader waits: adds what there is to add."""

    @property
    def first(self) -> int:
        """The number of the oldest frame that is kept."""
        return self._first

    @property
    def next(self) -> int:
        """The number that the next frame gets."""
        return self._first + len(self._frames)

    def extend(self, frames: Iterable[Frame], *, final: bool = False) -> None:
        """Add frames; ``final`` ones push out nothing."""
        for frame in frames:
            if self.closed:
                return
            self._add(frame)
            if frame.terminal:
                self.closed = True
            if not final and not frame.terminal:
                self._trim()
        self.notify()

    def close(self) -> None:
        """No further frames: readers end after what is left."""
        self.closed = True
        self.source = None
        self.notify()

    def _add(self, frame: Frame) -> None:
        key = frame.key
        if key is None:
            self._open_texts.clear()
        else:
            number = self._open_texts.get(key, -1)
            if number > self._taken and number >= self._first:
                before = self._frames[number - self._first]
                joined = before.merged(frame)
                if joined is not None:
                    self._frames[number - self._first] = joined
                    self._size += joined.size - before.size
                    return
            self._open_texts[key] = self.next
        self._frames.append(frame)
        self._size += frame.size

    def _trim(self) -> None:
        while len(self._frames) > 1 and (self._size > self._room or len(self._frames) > self._most):
            self._size -= self._frames.popleft().size
            self._first += 1

    def notify(self) -> None:
        """Let readers that wait look whether there is anything."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for reader in waiting:
                reader.set()

    async def batch(self, after: int) -> list[tuple[int, Frame]]:
        """The frames behind number ``after`` with their numbers, as many as are sent at once;
        none: there is no further one.

        Raises:
            EventsExpired: the next one is not kept any more.

        Cancelling it takes nothing.
        """
        while (batch := self.ready(after)) is None:
            await self.changed()
        return batch

    def ready(self, after: int) -> list[tuple[int, Frame]] | None:
        """The same without waiting; None: there is nothing yet."""
        if self.source is not None:
            self.source()
        number = after + 1
        if number >= self.next:
            return [] if self.closed else None
        if number < self._first:
            raise EventsExpired(number, self._first)
        batch, size = list[tuple[int, Frame]](), 0
        for frame in islice(self._frames, number - self._first, None):
            batch.append((number, frame))
            size += frame.size
            number += 1
            if size >= _BATCH:
                break
        self._taken = max(self._taken, number - 1)
        return batch

    async def changed(self) -> None:
        """Wait for ``notify``, which frames call that are added."""
        reader = TimedEvent()  # a third of the time of anyio's
        self._waiting.append(reader)
        try:
            await reader.wait_until(inf)
        finally:
            if reader in self._waiting:  # it was cancelled
                self._waiting.remove(reader)


class LogReader:
    """Reads a log from one place on: an async iterator of numbers and frames."""

    def __init__(self, log: ReplayBuffer, after: int = -1) -> None:
        """
        Args:
            log: whose frames.
            after: the number of the last frame that is known already.

        Raises:
            EventsExpired: the next one is not kept any more.
        """
        if after + 1 < log.first:
            raise EventsExpired(after + 1, log.first)
        self._log = log
        self._after = after
        self.waited = False
        """For whoever writes them: whether the client had to make room."""
        self._waiting: deque[tuple[int, Frame]] = deque()

    def __aiter__(self) -> "LogReader":
        return self

    async def __anext__(self) -> tuple[int, Frame]:
        """The next frame and its number.

        Raises:
            EventsExpired: it is not kept any more.
        """
        if not self._waiting:
            self._waiting.extend(await self.batch())
        if not self._waiting:
            raise StopAsyncIteration
        return self._waiting.popleft()

    async def batch(self) -> list[tuple[int, Frame]]:
        """All frames that wait, up to some bytes, at least one; none: it was the last.

        Raises:
            EventsExpired: the next one is not kept any more.
        """
        if self._waiting:
            batch = list(self._waiting)
            self._waiting.clear()
            return batch
        batch = await self._log.batch(self._after)
        if batch:
            self._after = batch[-1][0]
        return batch

    def ready(self) -> list[tuple[int, Frame]] | None:
        """``batch`` without waiting; None: there is nothing yet.

        Raises:
            EventsExpired: as ``batch``.
        """
        if self._waiting:
            batch = list(self._waiting)
            self._waiting.clear()
            return batch
        batch = self._log.ready(self._after)
        if batch:
            self._after = batch[-1][0]
        return batch

    async def changed(self) -> None:
        """Wait until there may be more, or for ``nudge``."""
        await self._log.changed()

    def nudge(self) -> None:
        """End ``changed``, whether there is more or not."""
        self._log.notify()
