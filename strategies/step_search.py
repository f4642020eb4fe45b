"""Search over steps without a barrier: what beam search, DVTS and particle filtering share.

The published methods stop all branches at the end of each step until all are scored. Here nobody
waits: branches go on into the next step while the scores of the last one are worked out, and when
a round's scores are in, losers are cancelled and winners forked from the end of the step that was
scored. What survivors wrote meanwhile is kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from .protocol import (
    BranchFailed,
    BranchFinished,
    BranchForced,
    BranchScored,
    BranchStarted,
    BranchStatus,
    BranchStepped,
    BranchView,
    CallTimeReached,
    Cancel,
    Command,
    Decide,
    Fork,
    Launch,
    Needs,
    Observation,
    RaceView,
    StopReason,
)
from .scores import Scores
from .standing import Standing


@dataclass(frozen=True, slots=True)
class Candidate:
    """A branch that takes part in a round: one that runs and was scored, or a finished one."""

    branch: int
    score: float
    running: bool
    places: int  # that it holds: 1 while it runs, what the last round gave it once it has finished


@dataclass(frozen=True, slots=True)
class Selection:
    """What a round makes of its candidates."""

    places: Mapping[int, int]
    """By branch: how many it is to have, itself included. Running branches without any are cut,
    finished ones take no part any more."""
    cut: float = -inf
    """A branch that comes late to this round goes on only with a score that is not lower."""


class Select(Protocol):
    def __call__(self, candidates: Sequence[Candidate], room: int) -> Selection:
        """Share ``room`` places among ``candidates``, of whom at least one is running."""
        ...


@dataclass(frozen=True, slots=True)
class _Judged:
    depth: int  # steps that the score has seen
    tokens: int  # at the end of the last of them
    score: float | None  # None: it failed


def check_search(
    branches: int, delimiter: str, patience: int, max_steps: int, max_launches: int
) -> None:
    """Raises:
    ValueError: for a parameter out of range."""
    if branches < 1:
        raise ValueError("branches must be at least 1")
    if not delimiter:
        raise ValueError("delimiter must not be empty")
    if patience < 0:
        raise ValueError("patience must be at least 0")
    if max_steps < 1:
        raise ValueError("max_steps must be at least 1")
    if max_launches < branches:
        raise ValueError("max_launches must be at least branches")


@dataclass(slots=True)
class StepSearch:
    """The state machine of a search; the strategies delegate to it.

    Args:
        size: branches to launch, and to keep alive.
        scores: the race's scores and the final choice.
        select: what a round makes of its candidates.
        delimiter: the text that ends a step.
        patience: tokens that a scored branch may generate beyond the scored step before the round
            is closed without those that are still at it.
        max_steps: rounds at most; then the branches left run to their ends.
        max_launches: branches ever launched, forks included.
        groups: independent searches, each with its share of ``size``.
    """

    size: int
    scores: Scores
    select: Select
    delimiter: str
    patience: int
    max_steps: int
    max_launches: int
    groups: int = 1
    _group: dict[int, int] = field(default_factory=dict[int, int])
    _depth: dict[int, int] = field(default_factory=dict[int, int])  # of each group's round
    _cut: dict[tuple[int, int], float] = field(default_factory=dict[tuple[int, int], float])
    _asked_at: dict[int, int] = field(default_factory=dict[int, int])  # steps when it was asked
    _judged: dict[int, _Judged] = field(default_factory=dict[int, _Judged])
    _places: dict[int, int] = field(default_factory=dict[int, int])  # of finished branches

    @property
    def needs(self) -> Needs:
        return Needs(delimiter=self.delimiter, rewards=True, continues=True)

    def start(self) -> Sequence[Command]:
        return [Launch(min(self.size, self.max_launches))]

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        cancelled: list[int] = []
        match observation:
            case CallTimeReached():
                return self.scores.at_call_time(view)
            case BranchFinished(branch):
                commands = self.scores.ended(view.branches[branch])
            case BranchScored(branch):
                commands = self._hear(view.branches[branch], cancelled, view)
            case BranchStarted() | BranchStepped() | BranchForced() | BranchFailed():
                commands = []
            case _:
                return []
        forks: list[Command] = []
        if not self.scores.called:
            self._join(view)
            forks = self._close_rounds(view, cancelled)
            commands = [*commands, *self._ask(view, cancelled)]
        if cancelled:
            # First, since what they free is what the forks need.
            commands = [Cancel(tuple(cancelled), "low score"), *commands]
        if forks:
            return [*commands, *forks]
        return [*commands, *self.scores.when_over(view, tuple(cancelled))]

    def conclude(self, view: RaceView) -> Decide:
        return self.scores.decide(view, StopReason.DEADLINE)

    def standing(self, view: RaceView) -> Standing:
        return self.scores.standing(view)

    # ── scores of steps ───────────────────────────────────────────────────────────────────────

    def _ask(self, view: RaceView, cancelled: Sequence[int]) -> list[Command]:
        """Ask for the scores that the rounds wait for, and for those of latecomers, in one
        batch."""
        due = [
            b.index
            for b in view.branches.values()
            if b.status is BranchStatus.RUNNING
            and b.index not in cancelled
            and self._seen(b.index) < min(len(b.steps), self._round(b.index))
            and not self.scores.asking(b.index)
            and self._round(b.index) <= self.max_steps
        ]
        self._asked_at.update({i: len(view.branches[i].steps) for i in due})
        return self.scores.ask(*due)

    def _hear(self, branch: BranchView, cancelled: list[int], view: RaceView) -> list[Command]:
        asked = self._asked_at.pop(branch.index, None)
        if asked is not None and branch.steps:
            # The race may have scored a later step than the one that was asked for, never an
            # earlier one.
            seen = sum(end <= branch.scored_tokens for end in branch.steps)
            depth = min(max(asked, seen), len(branch.steps))
            judged = _Judged(depth, branch.steps[depth - 1], branch.score)
            self._judged[branch.index] = judged
            if not self.scores.called and self._too_low(branch, judged, view):
                cancelled.append(branch.index)
        return self.scores.heard(branch)

    def _too_low(self, branch: BranchView, judged: _Judged, view: RaceView) -> bool:
        """Whether a branch that came late to a closed round would have been cut there."""
        others = any(b.status.active and b.index != branch.index for b in view.branches.values())
        cut = self._cut.get((self._group.get(branch.index, 0), judged.depth), -inf)
        return (
            branch.status is BranchStatus.RUNNING
            and others
            and judged.score is not None
            and judged.depth < self._round(branch.index)
            and judged.score < cut
        )

    def _at(self, branch: int) -> _Judged | None:
        """The judgement that counts in the present round of the branch's group."""
        judged = self._judged.get(branch)
        return judged if judged is not None and judged.depth >= self._round(branch) else None

    def _seen(self, branch: int) -> int:
        """How many of its steps have been scored."""
        judged = self._judged.get(branch)
        return 0 if judged is None else judged.depth

    def _round(self, branch: int) -> int:
        return self._depth.get(self._group.get(branch, 0), 1)

    # ── rounds ────────────────────────────────────────────────────────────────────────────────

    def _join(self, view: RaceView) -> None:
        """Forks search where their parents do, and are known by the same score; the others join
        the groups in turn."""
        for branch in view.branches.values():
            if branch.index in self._group:
                continue
            self._group[branch.index] = branch.index % self.groups
            if branch.parent is not None and branch.parent in self._judged:
                self._group[branch.index] = self._group[branch.parent]
                self._judged[branch.index] = _Judged(
                    len(branch.steps), branch.tokens, self._judged[branch.parent].score
                )

    def _close_rounds(self, view: RaceView, cancelled: list[int]) -> list[Command]:
        forks: list[Command] = []
        room = self.max_launches - len(view.branches)
        for group in range(self.groups):
            members = [b for b in view.branches.values() if self._group[b.index] == group]
            running = [
                b for b in members if b.status is BranchStatus.RUNNING and b.index not in cancelled
            ]
            if self._depth.get(group, 1) > self.max_steps or not self._complete(running):
                continue
            for parent, count in self._close(group, members, running, cancelled).items():
                judged = self._judged[parent]
                if (count := min(count, room)) > 0:
                    forks.append(Fork(parent, judged.tokens, count))
                    room -= count
        return forks

    def _complete(self, running: Sequence[BranchView]) -> bool:
        """Whether all are judged, or those that are have gone on for long enough."""
        judged = [(b, at) for b in running if (at := self._at(b.index)) is not None]
        overdue = any(b.tokens - at.tokens > self.patience for b, at in judged)
        return bool(judged) and (len(judged) == len(running) or overdue)

    def _close(
        self,
        group: int,
        members: Sequence[BranchView],
        running: Sequence[BranchView],
        cancelled: list[int],
    ) -> dict[int, int]:
        """End a group's round. Returns how many forks each of its winners is to have."""
        depth = self._depth[group] = self._depth.get(group, 1) + 1
        judged = {
            b.index: score
            for b in running
            if (at := self._judged.get(b.index)) is not None
            and at.depth >= depth - 1
            and (score := at.score) is not None
        }
        if not judged:
            return {}
        candidates = [Candidate(i, score, True, 1) for i, score in judged.items()]
        candidates += [
            Candidate(b.index, b.score, False, places)
            for b in members
            if b.status is BranchStatus.FINISHED
            and b.answer is not None
            and b.score is not None
            and (places := self._places.get(b.index, 1)) > 0
        ]
        share = len(range(group, self.size, self.groups))
        # Those that could not be judged keep their places.
        room = max(1, share - (len(running) - len(judged)))
        selection = self.select(candidates, room)
        self._cut[group, depth - 1] = selection.cut
        for candidate in candidates:
            places = selection.places.get(candidate.branch, 0)
            if not candidate.running:
                self._places[candidate.branch] = places
            elif places == 0:
                cancelled.append(candidate.branch)
        return {i: n - 1 for i, n in selection.places.items() if i in judged and n > 1}


class SearchesSteps:
    """A strategy that is a search over steps: whoever inherits makes ``_search``."""

    __slots__ = ()
    _search: StepSearch

    @property
    def needs(self) -> Needs:
        return self._search.needs

    def start(self, view: RaceView) -> Sequence[Command]:
        return self._search.start()

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        return self._search.observe(observation, view)

    def conclude(self, view: RaceView) -> Decide:
        return self._search.conclude(view)

    def standing(self, view: RaceView) -> Standing:
        return self._search.standing(view)
