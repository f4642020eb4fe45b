"""The state of a race as its events tell it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from frontrunner.strategies.protocol import BranchStatus

from ... import events
from ...result import Result
from .texts import printable

#: Characters kept of a branch's newest text; more than the widest terminal shows.
_TAIL = 300


@dataclass(slots=True)
class Lane:
    """One branch."""

    index: int
    status: BranchStatus = BranchStatus.RUNNING
    tokens: int = 0
    tail: str = ""  # the end of its text
    answer: str | None = None
    reason: str | None = None  # why it was cut or lost


@dataclass(slots=True)
class Scoreboard:
    """What is known of a race.

    Events arrive in the event loop while another thread draws: values are replaced, never changed
    in place, except for the dictionary of lanes, which only grows.
    """

    question: str
    clock: Callable[[], float] = monotonic  # seconds
    deadline: float | None = None  # seconds since the start; None: not started
    branches: int = 0
    lanes: dict[int, Lane] = field(default_factory=dict[int, Lane])
    votes: dict[str, int] = field(default_factory=dict[str, int])
    forced_votes: dict[str, int] = field(default_factory=dict[str, int])
    called: bool = False  # the call time was reached
    result: Result | None = None
    _began: float = 0.0

    def take(self, event: events.Event) -> None:
        """Take in what happened."""
        match event:
            case events.RaceStarted():
                self._began = self.clock() - event.at
                self.branches = event.branches
                self.deadline = event.deadline
            case events.BranchStarted():
                self.lanes[event.branch] = Lane(event.branch)
            case events.BranchProgressed():
                lane = self.lanes[event.branch]
                lane.tokens += event.tokens
                lane.tail = (lane.tail + printable(event.text))[-_TAIL:]
            case events.BranchForcing():
                self.lanes[event.branch].status = BranchStatus.FORCING
            case events.BranchEnded():
                lane = self.lanes[event.branch]
                lane.status, lane.tokens = event.status, event.tokens
                lane.answer, lane.reason = event.answer, event.reason
            case events.VoteChanged():
                self.votes, self.forced_votes = event.votes, event.forced_votes
            case events.CallTimeReached():
                self.called = True
            case events.RaceDecided():
                self.result = event.result

    def elapsed(self) -> float:
        """Seconds since the start; those that the race took once it is decided."""
        if self.result is not None:
            return self.result.elapsed
        return self.clock() - self._began if self.deadline is not None else 0.0

    def counted(self, status: BranchStatus) -> int:
        """Number of branches that are ``status`` now."""
        return sum(lane.status is status for lane in list(self.lanes.values()))
