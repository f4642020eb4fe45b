"""The language between a race and its strategy.

A strategy is a synchronous state machine in the sans-IO style. The race tells it what happened
(*observations*), shows it the state of the race (a read-only *view*), and carries out what it
returns (*commands*). A strategy never awaits, reads a clock, does I/O or imports the runtime, so
the same object runs live on an engine, over recorded traces, and in a property test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from .lengths import LengthModel


class BranchStatus(StrEnum):
    """Where a branch stands."""

    RUNNING = "running"
    """Its request is waiting or generating."""
    FORCING = "forcing"
    """Aborted, and being continued with the forcing suffix."""
    FINISHED = "finished"
    """Ended by itself; its answer, if it gave one, is a vote."""
    FORCED = "forced"
    """Gave its answer only after the forcing suffix; it breaks ties."""
    CANCELLED = "cancelled"
    """Cut by the strategy, or by the race when it was called."""
    FAILED = "failed"
    """Lost to an error: a missing vote."""

    @property
    def active(self) -> bool:
        """Whether the branch may still change."""
        return self in (BranchStatus.RUNNING, BranchStatus.FORCING)


class StopReason(StrEnum):
    """Why a race was called."""

    CLINCHED = "clinched"
    """The lead cannot be overtaken by the votes still to come."""
    CONFIDENT_MAJORITY = "confident_majority"
    """The votes still to come are unlikely to change the leader."""
    REWARD_THRESHOLD = "reward_threshold"
    """A branch's reward reached the threshold."""
    FIRST_TO_M = "first_to_m"
    """Enough branches finished."""
    EXHAUSTED = "exhausted"
    """Every branch has ended."""
    DEADLINE = "deadline"
    """Time was up: the best answer known, forced answers included."""
    CANCELLED = "cancelled"
    """The caller gave up."""
    FAILED = "failed"
    """Every branch was lost."""


class BranchView(Protocol):
    """One branch as a strategy sees it."""

    @property
    def index(self) -> int: ...
    @property
    def status(self) -> BranchStatus: ...
    @property
    def tokens(self) -> int:
        """Tokens generated so far, without the forced answer's."""
        ...

    @property
    def text(self) -> str:
        """Text generated so far, without the forced answer's."""
        ...

    @property
    def answer(self) -> str | None:
        """Representative of the answer's equivalence class; None: no vote (yet)."""
        ...

    @property
    def score(self) -> float | None: ...


class RaceView(Protocol):
    """The race as a strategy sees it; valid only during the call it is passed to."""

    @property
    def branches(self) -> Mapping[int, BranchView]:
        """All branches ever launched, in launch order."""
        ...

    @property
    def arrivals(self) -> Sequence[int]:
        """Indices of the branches that finished or were forced, in order of arrival."""
        ...

    @property
    def reachable_tokens(self) -> float | None:
        """Tokens that a running branch can still generate before the race must end, at the present
        speed; None while the speed is unknown."""
        ...

    @property
    def lengths(self) -> LengthModel | None:
        """What is known about how long branches get; None: nothing."""
        ...


@dataclass(frozen=True, slots=True)
class BranchStarted:
    """A branch's request was handed to the engine."""

    branch: int


@dataclass(frozen=True, slots=True)
class BranchProgressed:
    """A branch generated ``tokens`` more tokens."""

    branch: int
    tokens: int


@dataclass(frozen=True, slots=True)
class BranchFinished:
    """A branch ended by itself; the view holds its answer."""

    branch: int


@dataclass(frozen=True, slots=True)
class BranchForced:
    """A forced continuation ended; the view holds its answer."""

    branch: int


@dataclass(frozen=True, slots=True)
class BranchScored:
    """A branch got a score; the view holds it."""

    branch: int


@dataclass(frozen=True, slots=True)
class BranchFailed:
    """A branch was lost."""

    branch: int


@dataclass(frozen=True, slots=True)
class CallTimeReached:
    """The deadline is near: what is still to be forced must be forced now."""


Observation = (
    BranchStarted
    | BranchProgressed
    | BranchFinished
    | BranchForced
    | BranchScored
    | BranchFailed
    | CallTimeReached
)


@dataclass(frozen=True, slots=True)
class Launch:
    """Start ``count`` further branches on the question."""

    count: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Abort running branches; all of one command go in one call to the engine."""

    branches: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Force:
    """Stop branches where they are and continue each, from its exact tokens, with the forcing
    suffix, all in one batch."""

    branches: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Ask the reward model for the scores of these branches."""

    branches: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Decide:
    """Call the race. ``branch`` is the one whose text is shown; ``confidence`` is in [0, 1]."""

    answer: str | None
    branch: int | None
    stop_reason: StopReason
    confidence: float


Command = Launch | Cancel | Force | Score | Decide


class Strategy(Protocol):
    """Decides one race. Made anew for each race; may keep state between calls."""

    def start(self, view: RaceView) -> Sequence[Command]:
        """The first commands, normally a ``Launch``."""
        ...

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        """What to do about ``observation``; nothing is asked any more after a ``Decide``."""
        ...

    def conclude(self, view: RaceView) -> Decide:
        """The best answer known now. Must always return: time is up."""
        ...
