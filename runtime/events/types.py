"""What happens in a race, as typed events in the order in which it happens.

``at`` is in seconds since the start of the race. Characters are counted in Unicode code points, and
``tokens`` of a branch include those that it took over from its parent, except where it says so.

A viewer needs nothing but these events: ``fold.RaceState`` makes of them what is known of a race.
Fields with a default were added later; streams that were recorded before lack them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from frontrunner.strategies.protocol import BranchStatus

from ..result import Result
from ..thinking import ThinkingFormat


@dataclass(frozen=True, slots=True)
class RaceStarted:
    """The first event."""

    type: ClassVar[str] = "race_started"
    at: float
    race_id: str
    deadline: float  # seconds since the start
    branches: int
    prompt_tokens: int
    instruction: str | None = None  # what was added to the conversation (``[prompt]``)
    thinking: ThinkingFormat | None = None  # how branches mark what they only think


@dataclass(frozen=True, slots=True)
class BranchStarted:
    """A branch was launched."""

    type: ClassVar[str] = "branch_started"
    at: float
    branch: int
    seed: int | None
    parent: int | None = None  # the branch that it was forked from
    inherited_tokens: int = 0  # the parent's, which it goes on from
    inherited_characters: int | None = None  # of the parent's text, written by those tokens


@dataclass(frozen=True, slots=True)
class BranchProgressed:
    """A branch generated text. A slow reader gets the pieces of one branch joined."""

    type: ClassVar[str] = "branch_progressed"
    at: float
    branch: int
    text: str  # since the last such event of this branch
    tokens: int  # likewise
    forced: bool  # part of a forced answer, the forcing suffix before it included


@dataclass(frozen=True, slots=True)
class BranchForcing:
    """A branch was asked for its answer. It is stopped for that, or runs on beside it while the
    engine has room: then its text goes on, and only if it does not finish until the race must end
    is it cut back to ``tokens`` and its forced answer taken."""

    type: ClassVar[str] = "branch_forcing"
    at: float
    branch: int
    tokens: int  # generated until then
    beside: bool = False  # whether the branch runs on meanwhile


@dataclass(frozen=True, slots=True)
class BranchProbed:
    """A running branch was asked, beside it, what it would answer."""

    type: ClassVar[str] = "branch_probed"
    at: float
    branch: int
    tokens: int  # generated when it was asked
    answer: str | None


@dataclass(frozen=True, slots=True)
class BranchScored:
    """The reward model scored a branch."""

    type: ClassVar[str] = "branch_scored"
    at: float
    branch: int
    tokens: int  # that the score has seen
    score: float | None  # None: it failed


@dataclass(frozen=True, slots=True)
class BranchExtended:
    """A branch that had finished was made to go on: ``text`` took the place of the end of its own,
    and its answer does not count any more. It ends once more."""

    type: ClassVar[str] = "branch_extended"
    at: float
    branch: int
    text: str  # what it goes on after
    text_tokens: int = 0  # of ``text``
    kept_tokens: int | None = None  # of its own, before ``text``; None: all
    kept_characters: int | None = None  # likewise, of its text


@dataclass(frozen=True, slots=True)
class BranchEnded:
    """A branch finished, was forced, cancelled or lost. One that ended without an answer and is
    forced, or that is extended, ends again."""

    type: ClassVar[str] = "branch_ended"
    at: float
    branch: int
    status: BranchStatus
    tokens: int
    answer: str | None
    reason: str | None = None  # why it was cancelled or lost


@dataclass(frozen=True, slots=True)
class VoteChanged:
    """The standing after it changed: an answer came in or was taken back, or was weighed anew."""

    type: ClassVar[str] = "vote_changed"
    at: float
    votes: dict[str, int] = field(default_factory=dict[str, int])
    """Finished branches by answer, most first."""
    forced_votes: dict[str, int] = field(default_factory=dict[str, int])
    """Forced answers, likewise."""
    leader: str | None = None
    """The answer that the strategy would decide for now."""
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    """What each answer weighs for the strategy that decides; equal to the number of finished votes
    where it counts votes."""


@dataclass(frozen=True, slots=True)
class CallTimeReached:
    """Unfinished branches are asked for their answers now; ``reserve`` seconds are left."""

    type: ClassVar[str] = "call_time_reached"
    at: float
    reserve: float


@dataclass(frozen=True, slots=True)
class RaceDecided:
    """The last event."""

    type: ClassVar[str] = "race_decided"
    at: float
    result: Result


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """A branch calls a tool, and waits for it."""

    type: ClassVar[str] = "tool_called"
    at: float
    branch: int
    call: int  # its number within the race, from 1
    name: str
    arguments: str  # canonical JSON, an object
    shared: bool = False  # whether an equal call of a sibling runs, or has run, and is shared


@dataclass(frozen=True, slots=True)
class ToolReturned:
    """A call of a branch has come to an end."""

    type: ClassVar[str] = "tool_returned"
    at: float
    branch: int
    call: int  # as it was called with
    name: str
    outcome: str
    """``returned``; ``refused``: the tool told the model what was wrong; ``failed``: it raised or
    took too long, which loses the branch; ``cancelled``: nobody waits for it any more."""
    result: str | None  # what the branch was told, or why it failed; None: nothing
    seconds: float


BranchEvent = (
    BranchStarted
    | BranchProgressed
    | BranchForcing
    | BranchProbed
    | BranchScored
    | BranchExtended
    | BranchEnded
    | ToolCalled
    | ToolReturned
)
Event = RaceStarted | BranchEvent | VoteChanged | CallTimeReached | RaceDecided
