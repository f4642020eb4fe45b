"""The way from a race to whoever watches it: never blocks the race, never grows without bound."""

from collections import deque
from dataclasses import replace

import anyio

from .types import BranchProgressed, Event, RaceDecided


class EventStream:
    """An async iterator of a race's events.

    A race writes without waiting. A reader that falls behind gets the progress of each branch
    joined into one event; all other events are kept, and they are few (a handful a branch), so
    what waits here is bounded by the text of the race itself.
    """

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._progress: dict[tuple[int, bool], BranchProgressed] = {}
        self._wake = anyio.Event()
        self._decided = False
        self._closed = False
        self._failure: Exception | None = None

    def push(self, event: Event) -> None:
        """Add an event; ignored after ``close``."""
        if self._closed:
            return
        if isinstance(event, BranchProgressed):
            key = (event.branch, event.forced)
            waiting = self._progress.get(key)
            if waiting is None:
                self._progress[key] = event
            else:
                self._progress[key] = replace(
                    event, text=waiting.text + event.text, tokens=waiting.tokens + event.tokens
                )
        else:
            # Joined progress came before this event and must be read before it.
            self._flush()
            self._events.append(event)
            self._decided = self._decided or isinstance(event, RaceDecided)
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
        self._wake.set()

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
            if self._wake.is_set():  # else somebody else waits for it
                self._wake = anyio.Event()
            await self._wake.wait()

    def _flush(self) -> None:
        self._events.extend(sorted(self._progress.values(), key=lambda event: event.at))
        self._progress.clear()
