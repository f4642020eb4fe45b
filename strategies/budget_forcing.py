"""Budget forcing: how long a branch may and must think."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .branch_limit import shed_branches
from .closing import Closing, decide_for, over
from .protocol import (
    BranchFailed,
    BranchFinished,
    BranchForced,
    BranchLimitLowered,
    BranchProgressed,
    BranchStatus,
    CallTimeReached,
    Command,
    Decide,
    Extend,
    Force,
    Launch,
    Needs,
    Observation,
    RaceView,
    StopReason,
)
from .stopping import clinched, preference
from .votes import Tally, count, replies, supporter, tally


@dataclass(slots=True)
class BudgetForcing:
    """s1's budget forcing (arXiv 2501.19393), for one branch or a majority of several.

    A branch that ends with fewer than ``min_tokens`` tokens goes on thinking: ``text`` takes the
    place of the end of its thinking. One that reaches ``max_tokens`` is stopped and forced to
    answer. Should a branch that was made to go on be lost, or time be up, its former answer counts
    like a forced one.

    Several branches vote, and the race is called when the lead cannot be overtaken. Answers forced
    by the budget are forced answers: they break ties of finished ones, or speak where none has
    finished.

    Args:
        branches: branches to launch.
        min_tokens: least length of a branch, in tokens; 0: none.
        max_tokens: length at which a branch must answer, in tokens; None: none but the deadline.
        max_extensions: how often one branch is made to go on at most (1 to 6 in the paper).
        text: what a branch goes on with.
        before: the end of thinking that it replaces, with all that follows; a branch without it
            goes on at its end.
        force_answers: whether branches without an answer are forced to give one at the call time,
            if no answer leads by then. ``max_tokens`` always forces.

    Raises:
        ValueError: for parameters out of range.
    """

    branches: int = 1
    min_tokens: int = 0
    max_tokens: int | None = None
    max_extensions: int = 1
    text: str = "Wait"
    before: str = "</think>"
    force_answers: bool = True
    _closing: Closing = field(init=False, repr=False)
    _extended: dict[int, int] = field(default_factory=dict[int, int], init=False, repr=False)
    _former: dict[int, str] = field(default_factory=dict[int, str], init=False, repr=False)

    def __post_init__(self) -> None:
        if self.branches < 1:
            raise ValueError("branches must be at least 1")
        if self.min_tokens < 0:
            raise ValueError("min_tokens must be at least 0")
        if self.max_tokens is not None and self.max_tokens < max(1, self.min_tokens):
            raise ValueError("max_tokens must be at least 1 and at least min_tokens")
        if self.max_extensions < 0:
            raise ValueError("max_extensions must be at least 0")
        if not self.text:
            raise ValueError("text must not be empty")
        self._closing = Closing(self.force_answers)

    @property
    def needs(self) -> Needs:
        return Needs(progress=self.max_tokens is not None, continues=True)

    def start(self, view: RaceView) -> Sequence[Command]:
        return [Launch(self.branches)]

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        match observation:
            case CallTimeReached():
                leader, runner_up = tally(view).lead()
                return self._closing.at_call_time(view, settled=leader > runner_up)
            case BranchProgressed(branch):
                running = view.branches[branch].status is BranchStatus.RUNNING
                over_budget = (
                    self.max_tokens is not None and view.branches[branch].tokens >= self.max_tokens
                )
                return [Force((branch,))] if running and over_budget else []
            case BranchFinished(branch):
                return self._extend(branch, view) or self._settle(view)
            case BranchForced() | BranchFailed():
                return self._settle(view)
            case BranchLimitLowered(share):
                return shed_branches(view, share)
            case _:
                return []

    def conclude(self, view: RaceView) -> Decide:
        return self._decide(view, StopReason.DEADLINE)

    def _extend(self, index: int, view: RaceView) -> list[Command]:
        """Let a branch go on that has ended too early."""
        branch, extended = view.branches[index], self._extended.get(index, 0)
        if (
            branch.status is not BranchStatus.FINISHED
            or branch.tokens >= self.min_tokens
            or extended >= self.max_extensions
            or self._closing.called
        ):
            return []
        self._extended[index] = extended + 1
        if branch.answer is not None:
            self._former[index] = branch.answer
        return [Extend(index, self.text, self.before)]

    def _settle(self, view: RaceView) -> Sequence[Command]:
        if over(view):
            return self._closing.when_over(
                view,
                lambda reason: self._decide(view, reason),
                answered=self._votes(view).leader is not None,
            )
        running = sum(b.status is BranchStatus.RUNNING for b in view.branches.values())
        if running and clinched(*tally(view).lead(), running):
            return [self._decide(view, StopReason.CLINCHED)]
        return []

    def _votes(self, view: RaceView) -> Tally[int]:
        votes = tally(view)
        forced = [answer for answer, n in votes.forced.items() for _ in range(n)]
        finished = [answer for answer, n in votes.finished.items() for _ in range(n)]
        former = self._standing(view)
        silent = sum(i not in former for i in replies(view))
        return count(finished, [*forced, *former.values()], silent)

    def _standing(self, view: RaceView) -> dict[int, str]:
        """Former answers of branches that have no other."""
        return {i: a for i, a in self._former.items() if view.branches[i].answer is None}

    def _decide(self, view: RaceView, reason: StopReason) -> Decide:
        votes = self._votes(view)
        answer = votes.leader
        shown = supporter(view, answer)
        if shown is None:
            shown = next((i for i, a in self._standing(view).items() if a == answer), None)
        confidence = preference(*votes.deciding()) if answer is not None else 0.0
        return decide_for(view, answer, shown, reason, confidence)
