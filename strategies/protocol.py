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
    """Ended by itself: its answer is a vote, and without one it has replied."""
    TRUNCATED = "truncated"
    """Cut at its token limit. An answer that was complete by then counts like a forced one; without
    one it may be forced."""
    FORCED = "forced"
    """Gave its answer only after the forcing suffix; it breaks ties."""
    CANCELLED = "cancelled"
    """Cut by the strategy, or by the race when it was called."""
    FAILED = "failed"
    """Lost to an error: a missing vote."""

    @property
    def active(self) -> bool:
        """Whether the branch may still change."""
        return self in _ACTIVE


# Asked for every branch at every turn of a race: made once.
_ACTIVE = (BranchStatus.RUNNING, BranchStatus.FORCING)


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
    def truncated(self) -> bool:
        """Whether it ran into its token limit; it may have been forced to answer since."""
        ...

    @property
    def answer(self) -> str | None:
        """Representative of the answer's equivalence class; None: no vote (yet)."""
        ...

    @property
    def score(self) -> float | None:
        """The last score that the reward model gave; None: none (yet), or it failed."""
        ...

    @property
    def scored_tokens(self) -> int:
        """How many of its tokens that score has seen."""
        ...

    @property
    def parent(self) -> int | None:
        """The branch that this one was forked from."""
        ...

    @property
    def steps(self) -> Sequence[int]:
        """Tokens at the end of each completed step, if ``Needs.delimiter`` names what ends one.
        A forked branch starts with those of its parent up to the fork."""
        ...

    @property
    def probes(self) -> Sequence["ProbeAnswer"]:
        """Answers asked for while it ran, in order."""
        ...

    @property
    def confidences(self) -> Sequence[float]:
        """(num_tokens,) what ``Needs`` asks for of each token: with ``logprobs`` DeepConf's
        confidence, the negative mean of the top-k log probabilities; with ``likelihoods`` the
        token's own log probability. Empty with neither."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What a branch would have answered after ``tokens`` tokens."""

    tokens: int
    answer: str | None  # representative of its equivalence class


@dataclass(frozen=True, slots=True)
class Needs:
    """What a strategy must be given. It says so in an attribute ``needs``; without one it needs
    nothing of this."""

    progress: bool = False
    """``BranchProgressed`` at every piece of text."""
    delimiter: str | None = None
    """The text that ends a step; brings ``BranchStepped``."""
    rewards: bool = False
    """A reward model."""
    comparisons: bool = False
    """A reward model that compares: the scores of one ``Score`` say which of its branches, all of
    which have replied, did so best. So much time as it takes is kept before the deadline."""
    logprobs: int = 0
    """k of the top-k log probabilities behind ``BranchView.confidences``."""
    likelihoods: bool = False
    """The tokens' own log probabilities in ``BranchView.confidences``, instead of what
    ``logprobs`` says. They are the model's, at temperature 1, whatever the sampling."""
    continues: bool = False
    """Branches that go on from tokens that are there already: forks and extensions."""


def needs_of(strategy: object) -> Needs:
    """What ``strategy`` says that it needs; nothing if it says nothing."""
    needs = getattr(strategy, "needs", None)
    return needs if isinstance(needs, Needs) else Needs()


class RaceView(Protocol):
    """The race as a strategy sees it; valid only during the call it is passed to."""

    @property
    def branches(self) -> Mapping[int, BranchView]:
        """All branches ever launched, in launch order."""
        ...

    @property
    def arrivals(self) -> Sequence[int]:
        """Indices of the branches that finished, were truncated or forced, in order of arrival."""
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
class BranchStepped:
    """A branch completed a step and goes on into the next; the view holds where it ended."""

    branch: int


@dataclass(frozen=True, slots=True)
class BranchProbed:
    """A probe of a running branch came back; the view holds its answer. A probe that fails, or
    whose branch has ended meanwhile, brings nothing."""

    branch: int


@dataclass(frozen=True, slots=True)
class BranchFinished:
    """A branch's own request ended; the view holds its answer, and by its status whether it ended
    by itself (``FINISHED``) or at its token limit (``TRUNCATED``)."""

    branch: int


@dataclass(frozen=True, slots=True)
class BranchForced:
    """A forced continuation ended; the view holds its answer."""

    branch: int


@dataclass(frozen=True, slots=True)
class BranchScored:
    """Scoring a branch has ended; the view holds the score, None if it failed."""

    branch: int


@dataclass(frozen=True, slots=True)
class BranchFailed:
    """A branch was lost."""

    branch: int


@dataclass(frozen=True, slots=True)
class BranchLimitLowered:
    """Other races need the engine: this one should run no more than ``branches`` branches from now
    on (at least 1). Comes before the call time only. A strategy whose branches are not alike may
    pass over it."""

    branches: int


#: The name of ``BranchLimitLowered`` until version 0.2.
ShareShrank = BranchLimitLowered


@dataclass(frozen=True, slots=True)
class CallTimeReached:
    """The deadline is near: what is still to be forced must be forced now."""


Observation = (
    BranchStarted
    | BranchProgressed
    | BranchStepped
    | BranchProbed
    | BranchFinished
    | BranchForced
    | BranchScored
    | BranchFailed
    | BranchLimitLowered
    | CallTimeReached
)


@dataclass(frozen=True, slots=True)
class Launch:
    """Start ``count`` further branches on the question."""

    count: int


@dataclass(frozen=True, slots=True)
class Fork:
    """Start ``count`` further branches that continue from the first ``tokens`` of ``parent``."""

    parent: int
    tokens: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Extend:
    """Let a branch that ended by itself go on: ``text`` takes the place of ``before`` and of all
    that follows it (of its end, where ``before`` is empty or does not occur), and the branch runs
    again."""

    branch: int
    text: str
    before: str = ""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Abort running branches; all of one command go in one call to the engine."""

    branches: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Force:
    """Continue branches, each from its exact tokens, with the forcing suffix, all in one batch.

    Only what was cut can be forced: branches that run, and truncated ones without an answer. One
    that ended by itself has said all that it had to say, and is passed over.

    Those that run are stopped where they are. With ``let_run`` they go on beside it, if the engine
    has room for both: one that finishes until the race must end is a finished branch, and only then
    does the forced answer of any other take the place of the one that did not come."""

    branches: tuple[int, ...]
    let_run: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask running branches, beside them and without stopping them, what they would answer now."""

    branches: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Ask the reward model for the scores of these branches as they stand, in one batch. With
    a step delimiter, a running branch is scored up to the end of its last complete step."""

    branches: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Decide:
    """Call the race. ``branch`` is the one whose text is shown; ``confidence`` is in [0, 1]."""

    answer: str | None
    branch: int | None
    stop_reason: StopReason
    confidence: float


Command = Launch | Fork | Extend | Cancel | Force | Probe | Score | Decide


class Strategy(Protocol):
    """Decides one race. Made anew for each race; may keep state between calls."""

    def start(self, view: RaceView) -> Sequence[Command]:
        """The first commands, normally a ``Launch``."""
        ...

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        """What to do about ``observation``; nothing is asked any more after a ``Decide``."""
        ...

    def conclude(self, view: RaceView) -> Decide:
        """The best answer known now. Must always return: time is up. While somebody watches the
        race it is also asked after each answer, for the leader that is shown: it must change
        nothing."""
        ...
