"""The first reply, where there is no answer to vote on.

Not every reply holds an answer: a greeting, a story, a plan. A branch that has come to its end
without one has replied, and there is nothing to count and nothing to ask it for. What was cut at
its token limit has not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .closing import decide_for, over
from .protocol import (
    BranchStatus,
    CallTimeReached,
    Command,
    Decide,
    Extend,
    Needs,
    Observation,
    RaceView,
    StopReason,
    Strategy,
    needs_of,
)
from .standing import Standing, standing_of
from .stopping import preference


@dataclass(slots=True)
class FirstReply:
    """Another strategy, but for a race in which branches reply and none answers.

    Args:
        strategy: decides as soon as there is an answer, and what is launched, cut and extended.
        most: whether most branches must have replied, and not just one.
        answers_count: whether an answer is a reply like any other: nothing is voted on.
    """

    strategy: Strategy
    most: bool = False
    answers_count: bool = False
    _called: bool = field(init=False, repr=False, compare=False, default=False)

    @property
    def needs(self) -> Needs:
        return needs_of(self.strategy)

    def start(self, view: RaceView) -> Sequence[Command]:
        return self.strategy.start(view)

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        self._called = self._called or isinstance(observation, CallTimeReached)
        commands = self.strategy.observe(observation, view)
        if any(isinstance(command, Extend) for command in commands):
            return commands  # what looked like a reply goes on
        first = self._first(view)
        if first is None:
            return commands
        if self._called:
            return [self.decide(view, first, StopReason.DEADLINE)]
        if over(view):
            return [self.decide(view, first, StopReason.EXHAUSTED)]
        return [self.decide(view, first, StopReason.FIRST_TO_M)]

    def conclude(self, view: RaceView) -> Decide:
        first = self._first(view)
        if first is None:
            return self.strategy.conclude(view)
        return self.decide(view, first, StopReason.DEADLINE)

    def standing(self, view: RaceView) -> Standing:
        standing = standing_of(self.strategy, view)
        first = self._first(view)
        return standing if first is None else replace(standing, leader=view.branches[first].answer)

    def _first(self, view: RaceView) -> int | None:
        return next(iter(self.replies(view)), None)

    def replies(self, view: RaceView) -> list[int]:
        """The branches that replied, in order of arrival; none if there are too few, or answers are
        to decide."""
        came = [view.branches[i] for i in view.arrivals]
        if not self.answers_count and any(b.answer is not None for b in came):
            return []
        replies = [b for b in came if b.status is BranchStatus.FINISHED]
        lost = (BranchStatus.FAILED, BranchStatus.CANCELLED)
        branches = sum(b.status not in lost for b in view.branches.values())
        if self.most and 2 * len(replies) <= branches:
            return []
        return [b.index for b in replies]

    def decide(self, view: RaceView, index: int, reason: StopReason) -> Decide:
        """The race, called with the reply of branch ``index``."""
        answer = view.branches[index].answer
        confidence = 0.0 if answer is None else preference(1, 0)
        return decide_for(view, answer, index, reason, confidence)
