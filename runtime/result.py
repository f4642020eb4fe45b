"""What a race returns."""

from dataclasses import dataclass, field

from frontrunner.strategies.protocol import BranchStatus, StopReason


@dataclass(frozen=True, slots=True)
class BranchReport:
    """How one branch went."""

    index: int
    status: BranchStatus
    tokens: int  # generated, the forced answer's included
    forced_tokens: int  # of these, the forced answer's
    answer: str | None  # as voted; None: no vote
    forced: bool  # whether the answer was forced
    seconds: float  # from its launch to its end
    text: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a race. There always is one, by the deadline."""

    race_id: str
    answer: str | None
    """The answer in front; None if no branch gave one."""
    text: str
    """The reasoning of the branch that stands for the answer, its forced answer included."""
    confidence: float
    """Probability, 0 to 1, that the answer is preferred to the runner-up by the model itself
    (posterior of a majority, Adaptive-Consistency); 0 without an answer."""
    stop_reason: StopReason
    elapsed: float
    """Seconds from the call to the result."""
    deadline: float
    """Seconds that were allowed."""
    votes: dict[str, int] = field(default_factory=dict[str, int])
    """Votes of finished branches by answer, best first."""
    forced_votes: dict[str, int] = field(default_factory=dict[str, int])
    """Forced answers, which only break ties or speak when nothing has finished."""
    branches: tuple[BranchReport, ...] = ()
    prompt_tokens: int = 0
    tokens_generated: int = 0
    """By all branches, forced answers included."""
    tokens_saved: int = 0
    """Estimate of what the branches that were cut would still have generated: for each the
    expected rest of its length, from branches of known length."""

    def counted(self, status: BranchStatus) -> int:
        """Number of branches that ended as ``status``."""
        return sum(branch.status is status for branch in self.branches)
