"""What is to be done about a race: what ``RaceCore`` returns for everything that it is told.

They are in the order in which they came about, and hold what they need to be told later: by the
time one is carried out, the branch may have gone on to another state. Nobody changes one; they are
not frozen only because a replay makes millions of them, and a frozen one takes longer to make.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic

from frontrunner.strategies.protocol import BranchStatus, Decide

from .core_branch import B


@dataclass(slots=True)
class StartBranch(Generic[B]):
    """Request a new branch from the engine."""

    branch: B


@dataclass(slots=True)
class ResumeBranch(Generic[B]):
    """Request the continuation of a branch that had finished; ``text`` was added to it."""

    branch: B
    text: str
    kept: Any
    """What the host's ``resume`` returned."""


@dataclass(slots=True)
class StopBranches(Generic[B]):
    """Abort the requests of branches that were cut, all in one call; then say so with
    ``RaceCore.stopped``."""

    branches: tuple[B, ...]
    statuses: tuple[BranchStatus, ...]
    """What each was before: running, or being forced."""


@dataclass(slots=True)
class ForceBranches(Generic[B]):
    """Ask branches for their answers, all in one batch; first abort the requests of those that were
    ``running``."""

    branches: tuple[B, ...]
    running: tuple[B, ...]


@dataclass(slots=True)
class ForceInBackground(Generic[B]):
    """Ask branches that run on for their answers, all in one batch; then say so with
    ``RaceCore.side_requests_ended``."""

    branches: tuple[B, ...]
    answers: tuple[Any, ...]
    """The host's ``BackgroundAnswer`` of each of ``branches``."""


@dataclass(slots=True)
class SendProbe(Generic[B]):
    """Ask a running branch what it would answer; then say so with ``RaceCore.probed``, and with
    ``RaceCore.side_requests_ended``."""

    branch: B
    probe: Any


@dataclass(slots=True)
class DropSideRequests(Generic[B]):
    """Nobody will hear what was asked beside a branch: abort what of it still runs."""

    branch: B
    probe: Any
    background: Any


@dataclass(slots=True)
class ScoreBranches:
    """Ask the reward model for scores, in one batch; then say so with ``RaceCore.scored``."""

    tasks: tuple[Any, ...]
    """What the host's ``to_score`` returned for each branch."""


@dataclass(slots=True)
class BranchEnded(Generic[B]):
    """A branch ended."""

    branch: B
    status: BranchStatus
    tokens: int
    answer: str | None
    reason: str | None


@dataclass(slots=True)
class ForcedAnswerAdopted(Generic[B]):
    """A background answer stands for what its branch has written since it was asked."""

    branch: B
    background: Any


@dataclass(slots=True)
class ProbeAnswered(Generic[B]):
    """A probe came back."""

    branch: B
    tokens: int
    answer: str | None


@dataclass(slots=True)
class BranchScored(Generic[B]):
    """A branch was scored; ``score`` is None if that failed."""

    branch: B
    tokens: int
    score: float | None


@dataclass(slots=True)
class StandingChanged:
    """The votes, or what the strategy makes of them, are others than before."""

    finished: Mapping[str, int] = field(default_factory=dict[str, int])
    forced: Mapping[str, int] = field(default_factory=dict[str, int])
    leader: str | None = None
    weights: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(slots=True)
class StrategyFailed:
    """The strategy raised, or commanded what could not be carried out; the race goes on without."""

    error: Exception


@dataclass(slots=True)
class Decided:
    """The race was called. The last effect but for the ends of branches."""

    decision: Decide


Effect = (
    StartBranch[B]
    | ResumeBranch[B]
    | StopBranches[B]
    | ForceBranches[B]
    | ForceInBackground[B]
    | SendProbe[B]
    | DropSideRequests[B]
    | ScoreBranches
    | BranchEnded[B]
    | ForcedAnswerAdopted[B]
    | ProbeAnswered[B]
    | BranchScored[B]
    | StandingChanged
    | StrategyFailed
    | Decided
)
