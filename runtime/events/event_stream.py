"""The way from a race to whoever watches it: never blocks the race, never grows without bound."""

from collections import deque
from operator import attrgetter
from typing import Any, Protocol

import anyio

from .types import BranchProgressed, Event, RaceDecided


class EventSink(Protocol):
    """What a race tells its events to; it must be quick, and raise nothing."""

    def push(self, event: Event) -> None:
        """Take in what happened; in order, nothing joined."""
        ...

    def push_progress(self, at: float, branch: int, text: str, tokens: int, forced: bool) -> None:
        """``push`` of a ``BranchProgressed``, which need not be made for it."""
        ...


class EventStream:
    """An async iterator of a race's events.

    A race writes without waiting. A reader that falls behind gets the progress of each branch
    joined into one event; all other events are kept, and they are few (a handful a branch), so
    what waits here is bounded by the text of the race itself.
    """

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        # By branch and whether it is forced: when, text, tokens; not read yet, in no event yet.
        self._progress: dict[tuple[int, bool], list[Any]] = {}
        self._wake = anyio.Event()
        self._woken = False
        self._decided = False
        self._closed = False
        self._failure: Exception | None = None

    def push(self, event: Event) -> None:
        """Add an event; ignored after ``close``."""
        if self._closed:
            return
        if isinstance(event, BranchProgressed):
            self.push_progress(event.at, event.branch, event.text, event.tokens, event.forced)
            return
        # Joined progress came before this event and must be read before it.
        self._flush()
        self._events.append(event)
        self._decided = self._decided or isinstance(event, RaceDecided)
        self._notify()

    def push_progress(self, at: float, branch: int, text: str, tokens: int, forced: bool) -> None:
        """Add a ``BranchProgressed``; the event is made only once somebody reads it."""
        if self._closed:
            return
        waiting = self._progress.get((branch, forced))
        if waiting is None:
            self._progress[branch, forced] = [at, text, tokens]
            if not self._woken:
                self._notify()
        else:
            waiting[0] = at
            waiting[1] += text
            waiting[2] += tokens

    def _notify(self) -> None:
        self._woken = True
        self._wake.set()

    def close(self, failure: Exception | None = None) -> None:
        """No further events: the reader ends after what is left.

        Args:
            failure: why there is no result, raised once in place of the end. With a result there
                is nothing to raise.
        """
        self._flush()
        if not self._closed and not self._decided:
            self._failure = failure
        self._closed = True
        self._notify()

    def __aiter__(self) -> "EventStream":
        return self

    async def __anext__(self) -> Event:
        """The next event. Several tasks may wait for it: one of them gets it.

        Cancelling it loses nothing.
        """
        while True:
            if not self._events:
                self._flush()
            if self._events:
                return self._events.popleft()
            if self._closed:
                failure, self._failure = self._failure, None
                raise failure or StopAsyncIteration
            if self._woken:  # else somebody else waits for it
                self._woken, self._wake = False, anyio.Event()
            await self._wake.wait()

    def _flush(self) -> None:
        if self._progress:
            joined = [
                BranchProgressed(at, branch, text, tokens, forced)
                for (branch, forced), (at, text, tokens) in self._progress.items()
            ]
            self._progress.clear()
            if len(joined) > 1:
                joined.sort(key=_at)
            self._events.extend(joined)


_at = attrgetter("at")
