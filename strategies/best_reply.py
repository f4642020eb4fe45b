"""The best reply, where there is no answer to vote on and something scores replies.

A judge compares: its scores are shares of its picks among the replies that one ``Score`` names, and
say how far it agrees with itself. It is asked about all replies at once, again when there are half
as many more, and a last time when nothing more is to come or the call time is reached. Any other
reward model scores each reply by itself, as it comes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from .closing import decide_for, over
from .first_reply import FirstReply
from .protocol import (
    BranchScored,
    CallTimeReached,
    Cancel,
    Command,
    Decide,
    Extend,
    Fork,
    Launch,
    Needs,
    Observation,
    Probe,
    RaceView,
    Score,
    StopReason,
    needs_of,
)
from .scores import clipped
from .standing import Standing

#: A judge is asked again when there are so many times as many replies as it has seen.
_GROWTH = 1.5
#: What the strategy inside may still command while replies are judged.
_LET_THROUGH = (Launch, Fork, Cancel, Probe, Score)


@dataclass(slots=True)
class BestReply:
    """Another strategy, but for a race in which branches reply and none answers.

    Where no score came, the first reply is taken.

    Args:
        first: the strategy, with what counts as a reply.
        together: whether scores compare the branches of one ``Score`` (a judge).
        agreement: the score at which the best reply ends the race; None: all that may come are
            waited for.
        min_replies: replies that must be compared for that.

    The decision's confidence is the reply's score, clipped to [0, 1].
    """

    first: FirstReply
    together: bool = True
    agreement: float | None = None
    min_replies: int = 2
    _called: bool = field(init=False, repr=False, compare=False, default=False)
    _ended: StopReason | None = field(init=False, repr=False, compare=False, default=None)
    _asked: list[int] = field(init=False, repr=False, compare=False, default_factory=list[int])
    _pending: set[int] = field(init=False, repr=False, compare=False, default_factory=set[int])
    _best: tuple[int, float] | None = field(init=False, repr=False, compare=False, default=None)

    @property
    def needs(self) -> Needs:
        needs = needs_of(self.first.strategy)
        return replace(needs, rewards=True, comparisons=self.together)

    def start(self, view: RaceView) -> Sequence[Command]:
        return self.first.strategy.start(view)

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        match observation:
            case CallTimeReached():
                self._called = True
            case BranchScored(index) if index in self._pending:
                self._heard(index, view)
            case _:
                pass
        commands = self._inside(observation, view)
        if any(isinstance(command, Extend) for command in commands):
            return commands  # what looked like a reply goes on
        replies = self.first.replies(view)
        if not replies:
            return commands
        for command in commands:
            if isinstance(command, Decide):
                self._ended = command.stop_reason
        return self._judge(replies, commands, view)

    def conclude(self, view: RaceView) -> Decide:
        replies = self.first.replies(view)
        if not replies:
            return self.first.strategy.conclude(view)
        return self._decide(replies, view, StopReason.DEADLINE)

    def standing(self, view: RaceView) -> Standing:
        standing = self.first.standing(view)
        replies = self.first.replies(view)
        if not replies:
            return standing
        return replace(standing, leader=view.branches[self._choice(replies)[0]].answer)

    def _inside(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        """What the strategy inside commands; nothing once it has called the race."""
        return [] if self._ended else self.first.strategy.observe(observation, view)

    def _judge(
        self, replies: Sequence[int], commands: Sequence[Command], view: RaceView
    ) -> Sequence[Command]:
        """What is done about ``replies`` now that something has happened."""
        if self._agrees() and not (self.together and self._pending):
            return [self._decide(replies, view, StopReason.REWARD_THRESHOLD)]
        closing = self._called or self._ended is not None
        last = closing or over(view)
        chosen = self._to_ask(replies, last=last)
        made: list[Command] = []
        if closing and (chosen or self._pending):
            # What else would come, could not be judged any more: the engine is for the judge.
            running = tuple(i for i, b in view.branches.items() if b.status.active)
            made += [Cancel(running, "too late for the judge")] if running else []
        elif not closing:
            made += [c for c in commands if isinstance(c, _LET_THROUGH)]
        if chosen:
            self._asked = chosen if self.together else [*self._asked, *chosen]
            self._pending.update(chosen)
            made.append(Score(tuple(chosen)))
        if last and not self._pending:
            reason = StopReason.DEADLINE if self._called else self._ended
            return [self._decide(replies, view, reason or StopReason.EXHAUSTED)]
        return made

    def _to_ask(self, replies: Sequence[int], *, last: bool) -> list[int]:
        """The replies that are to be scored now."""
        fresh = [i for i in replies if i not in self._asked]
        if not self.together or not fresh:
            return fresh
        if self._pending or len(replies) < 2:
            return []
        enough = max(self.min_replies, _GROWTH * len(self._asked))
        return list(replies) if last or len(replies) >= enough else []

    def _heard(self, index: int, view: RaceView) -> None:
        """Take in a score; those of a judge when all of them are there."""
        branch = view.branches[index]
        if branch.score is not None and branch.scored_tokens < branch.tokens:
            return  # of what it had written before it ended, which the strategy inside asked for
        self._pending.discard(index)
        if self.together and self._pending:
            return
        scored = [
            (i, score)
            for i in self._asked
            if (score := view.branches[i].score) is not None and i not in self._pending
        ]
        if scored:  # else it was lost, and what was known before still holds
            self._best = max(scored, key=lambda entry: entry[1])

    def _agrees(self) -> bool:
        return (
            self._best is not None
            and self.agreement is not None
            and len(self._asked) >= self.min_replies
            and self._best[1] >= self.agreement
        )

    def _choice(self, replies: Sequence[int]) -> tuple[int, float | None]:
        """The best reply and its score; None: no score came."""
        if self._best is not None and self._best[0] in replies:
            return self._best
        return replies[0], None

    def _decide(self, replies: Sequence[int], view: RaceView, reason: StopReason) -> Decide:
        index, score = self._choice(replies)
        if score is None:
            return self.first.decide(view, index, reason)
        return decide_for(view, view.branches[index].answer, index, reason, clipped(score))
