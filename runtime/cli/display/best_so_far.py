"""What is known of a race that is broken off."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic

from ...errors import BadRequest
from ...events.types import Event, RaceDecided, VoteChanged
from ..common.command_races import Display, Outcome
from ..common.printable import one_line
from ..common.questions import Asked


class BestSoFar:
    """Follows the votes of races that another display shows."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._ended: float | None = None
        self._vote: VoteChanged | None = None
        self._decided = False

    def beside(self, shown: Display) -> Display:
        """A display that shows races as ``shown`` does, while this follows them."""
        return _Followed(shown, self)

    def begin(self) -> None:
        """A race is asked for."""
        self._began, self._ended = monotonic(), None
        self._vote, self._decided = None, False

    def take(self, event: Event) -> None:
        """Take in what happened."""
        if isinstance(event, VoteChanged):
            self._vote = event
        elif isinstance(event, RaceDecided):
            self._decided = True

    def end(self) -> None:
        """The race is over, or broken off."""
        self._ended = monotonic()

    def said(self) -> str:
        """A line about the race that was broken off; empty: none ran."""
        if self._began is None or self._ended is None or self._decided:
            return ""
        said = f"broken off after {self._ended - self._began:.1f} s"
        vote = self._vote
        if vote is None or vote.leader is None:
            return f"{said}: no branch had answered yet"
        count, total = vote.votes.get(vote.leader, 0), sum(vote.votes.values())
        votes = f"{count} of {total} votes" if total else "by forced answers"
        return f"{said}; best so far: {one_line(vote.leader)} ({votes})"


class _Followed(Display):
    def __init__(self, shown: Display, best: BestSoFar) -> None:
        self._shown = shown
        self._best = best

    def race(self, index: int, asked: Asked) -> AbstractContextManager[None]:
        return self._race(index, asked)

    @contextmanager
    def _race(self, index: int, asked: Asked) -> Iterator[None]:
        with self._shown.race(index, asked):
            self._best.begin()
            try:
                yield
            finally:
                self._best.end()

    async def happened(self, index: int, event: Event) -> None:
        self._best.take(event)
        await self._shown.happened(index, event)

    async def decided(self, outcome: Outcome, event: RaceDecided) -> None:
        await self._shown.decided(outcome, event)

    async def refused(self, index: int, asked: Asked, error: BadRequest) -> None:
        await self._shown.refused(index, asked, error)
