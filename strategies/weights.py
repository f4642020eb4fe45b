"""What a vote weighs: one, by when it came, the branch's reward, its confidence, or how likely
the model found it.

Weights are used relative to each other: they are divided by their mean over the votes that are
in, so that n votes weigh n, a further vote is expected to weigh 1, and the stop rules, which are
made for counts, apply as they are. A vote whose weight could not be had weighs 1, the mean.
Forced answers are not weighed: they only break ties.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, exp, fsum
from typing import Any, Final, Literal, Protocol, get_args

from .certificates import Released
from .group_confidence import GroupConfidence
from .likelihood import mean_logprob
from .protocol import BranchStatus, BranchView, Command, Needs, RaceView, Score
from .stop_rules import two_best
from .votes import Tally, tally

WeightName = Literal["auto", "none", "arrival", "reward", "confidence", "likelihood"]
WEIGHT_NAMES: Final[tuple[WeightName, ...]] = get_args(WeightName)


@dataclass(frozen=True, slots=True)
class Weighed:
    """The votes of a race and what they weigh."""

    tally: Tally[int] | Tally[float]
    count: int
    """Number of finished votes, whatever they weigh."""
    lead: float
    """What the leader is ahead by at least, whatever votes of unknown weight weigh; not divided by
    the mean. 0 on a tie."""
    heaviest: float
    """In the unit of ``lead``, the most that a further vote can weigh; where nothing bounds it,
    the heaviest so far."""
    bounded: bool
    """Whether a further vote really cannot weigh more."""
    to_come: Sequence[float] = ()
    """In the unit of ``lead``, the weights of the next votes, in order of arrival, where that is
    all they depend on; those behind them weigh as the last one. Empty: it is not known."""
    mean: float = 1.0
    """In the unit of ``lead``, the mean weight of the votes that are in."""
    margin: int | None = None
    """By how many votes the leader is ahead, where forced answers may tell answers with equally
    many votes apart, whatever these weigh; None: they never may."""

    def expected(self, votes: int) -> int:
        """What so many further votes are expected to weigh, in the mean weight of those that are
        in; rounded up, which stops later."""
        if not self.to_come:
            return votes
        return ceil(self._next(votes) / self.mean - 1e-9)

    def most(self, votes: int) -> float:
        """What so many further votes can weigh at most, in the unit of ``lead``."""
        return self._next(votes) if self.to_come else votes * self.heaviest

    def _next(self, votes: int) -> float:
        known = self.to_come[:votes]
        return fsum(known) + (votes - len(known)) * self.to_come[-1]


class Weights(Protocol):
    """Where the weights of one race come from."""

    @property
    def needs(self) -> Needs: ...

    @property
    def pending(self) -> Collection[int]:
        """Finished branches whose weight is being worked out: their votes do not count yet."""
        ...

    def ask(self, branch: BranchView) -> list[Command]:
        """What it takes to learn the weight of a branch that has finished with an answer."""
        ...

    def arrived(self, branch: int) -> None:
        """A branch was scored."""
        ...

    def weigh(self, view: RaceView, *, pending_too: bool = False) -> Weighed:
        """The votes as they count now; with ``pending_too`` those whose weight is not known yet
        count as well, with the mean weight."""
        ...

    def order(self, view: RaceView) -> Sequence[str]:
        """The answers of the votes that count, in order of arrival."""
        ...

    def released(self, view: RaceView) -> list[Released]:
        """For certificates: the votes in launch order, up to the first branch that may still
        vote, each with a weight in [0, 1] that depends on its own branch only."""
        ...


class OneEach:
    """``none``: a branch, a vote. Counts only what has arrived since it was last asked."""

    needs = Needs()
    pending: Collection[int] = ()

    def __init__(self) -> None:
        self._branches: Mapping[int, BranchView] | None = None
        self._forget()

    def ask(self, branch: BranchView) -> list[Command]:
        return []

    def arrived(self, branch: int) -> None:
        return

    def weigh(self, view: RaceView, *, pending_too: bool = False) -> Weighed:
        self._catch_up(view)
        finished = self._votes.finished
        leader, runner_up = two_best(finished)
        # Copied: whoever keeps it does not see it change.
        votes = Tally(dict(finished), dict(self._votes.forced), self._replies)
        return Weighed(votes, len(self._order), leader - runner_up, 1.0, True)

    def order(self, view: RaceView) -> Sequence[str]:
        self._catch_up(view)
        return self._order

    def released(self, view: RaceView) -> list[Released]:
        return _released(view, (), lambda _: 1.0)

    def _weight(self, rank: int) -> int:
        """What the vote weighs that was the ``rank``-th to come, counted from 0."""
        return 1

    def _catch_up(self, view: RaceView) -> None:
        arrivals = view.arrivals
        if (
            view.branches is not self._branches
            or len(arrivals) < self._seen
            # A branch that is forced leaves the arrivals, all after it move up, and it comes back
            # as another.
            or (self._seen and self._mark(view, self._seen - 1) != self._last)
        ):
            self._branches = view.branches
            self._forget()
        for index in arrivals[self._seen :]:
            branch = view.branches[index]
            answer = branch.answer
            if answer is None:
                self._replies += branch.status is BranchStatus.FINISHED
            elif branch.status is BranchStatus.FINISHED:
                weight = self._weight(len(self._order))
                self._order.append(answer)
                self._votes.finished[answer] = self._votes.finished.get(answer, 0) + weight
            else:
                self._votes.forced[answer] = self._votes.forced.get(answer, 0) + 1
        self._seen = len(arrivals)
        self._last = self._mark(view, -1) if arrivals else None

    def _mark(self, view: RaceView, position: int) -> tuple[int, BranchStatus]:
        index = view.arrivals[position]
        return index, view.branches[index].status

    def _forget(self) -> None:
        self._votes: Tally[int] = Tally({}, {})
        self._order: list[str] = []
        self._replies = 0
        self._seen = 0
        self._last: tuple[int, BranchStatus] | None = None


class ArrivalWeights(OneEach):
    """``arrival``: the votes of B branches weigh B + 1, B, …, 2 in their order of arrival, divided
    by their mean. Of three votes two outweigh any one, so that a first finisher alone wins nothing.

    Of the branches that reason about one question those that end early are more often right (rank
    correlation of length and being right -0.33 to -0.42 on AIME 2024 x 128 branches of Qwen3, 0.6B
    to 8B; short-m@k, arXiv 2505.17813, rests on the same). So the vote is more accurate than one
    that counts them alike, and what is still out matters less, so that it is settled sooner. Where
    early branches are the hasty ones, as with a model that was trained to answer tersely, it is
    less accurate: recorded races tell (``docs/replay.md``).

    Args:
        branches: B, the votes that are expected at most.
    """

    def __init__(self, branches: int) -> None:
        super().__init__()
        self._weights = range(branches + 1, 1, -1)  # whole numbers: a tie is one

    def weigh(self, view: RaceView, *, pending_too: bool = False) -> Weighed:
        weighed = super().weigh(view)
        votes, count = weighed.tally, weighed.count
        weights, margin = self._levelled(votes)
        leader, runner_up = two_best(weights)
        mean = sum(votes.finished.values()) / count if count else 1.0
        finished = {answer: weight / mean for answer, weight in weights.items()}
        forced = {answer: float(n) for answer, n in votes.forced.items()}
        to_come = self._weights[count:] or self._weights[-1:]
        return replace(
            weighed,
            tally=Tally(finished, forced, votes.replies),
            lead=leader - runner_up,
            heaviest=to_come[0],
            to_come=to_come,
            mean=mean,
            margin=margin,
        )

    def _levelled(self, votes: Tally[Any]) -> tuple[Mapping[str, int], int]:
        """The weights by answer, and by how many votes the leader is ahead. Where another answer
        has as many a few forced ones say more than the order of arrival: once there are any, the
        two are level."""
        weights: Mapping[str, int] = votes.finished
        if not weights:
            return weights, 0
        counts = Counter(self._order)
        leader = max(weights, key=weights.__getitem__)
        most = counts.pop(leader)
        margin = most - max(counts.values(), default=0)
        if margin == 0 and votes.forced:
            level = {leader, *(answer for answer, n in counts.items() if n == most)}
            weights = {a: weights[leader] if a in level else w for a, w in weights.items()}
        return weights, margin

    def released(self, view: RaceView) -> list[Released]:
        raise NotImplementedError("these weights depend on other branches, so they prove nothing")

    def _weight(self, rank: int) -> int:
        return self._weights[min(rank, len(self._weights) - 1)]


class RewardWeights:
    """``reward``: the score that the reward model gives the finished branch. Scores are meant to
    lie in [0, 1]; below 0 they count as 0."""

    needs = Needs(rewards=True)

    def __init__(self) -> None:
        self.pending: set[int] = set()

    def ask(self, branch: BranchView) -> list[Command]:
        self.pending.add(branch.index)
        return [Score((branch.index,))]

    def arrived(self, branch: int) -> None:
        self.pending.discard(branch)

    def weigh(self, view: RaceView, *, pending_too: bool = False) -> Weighed:
        voting = [i for i in voters(view) if pending_too or i not in self.pending]
        return weigh(view, voting, self._weight, most=1.0)

    def order(self, view: RaceView) -> Sequence[str]:
        return _answers(view, [i for i in voters(view) if i not in self.pending])

    def released(self, view: RaceView) -> list[Released]:
        return _released(view, self.pending, lambda b: min(1.0, self._weight(b) or 0.0))

    def _weight(self, branch: BranchView) -> float | None:
        if branch.score is None or branch.index in self.pending:
            return None
        return max(0.0, branch.score)


class TokenWeights(ABC):
    """Weights that ``BranchView.confidences`` give: each branch's is worked out once."""

    pending: Collection[int] = ()

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self._known: dict[int, float | None] = {}

    @abstractmethod
    def _measure(self, branch: BranchView) -> float | None:
        """What the vote of a finished branch weighs; None: that is not known."""

    def ask(self, branch: BranchView) -> list[Command]:
        return []

    def arrived(self, branch: int) -> None:
        return

    def weigh(self, view: RaceView, *, pending_too: bool = False) -> Weighed:
        return weigh(view, voters(view), self._weight)

    def order(self, view: RaceView) -> Sequence[str]:
        return _answers(view, voters(view))

    def released(self, view: RaceView) -> list[Released]:
        raise NotImplementedError("these weights are not certified")

    def _weight(self, branch: BranchView) -> float | None:
        if branch.index not in self._known:
            self._known[branch.index] = self._measure(branch)
        return self._known[branch.index]


class ConfidenceWeights(TokenWeights):
    """``confidence``: DeepConf's lowest group confidence of the branch (``group_confidence``).

    Args:
        logprobs: k of the top-k log probabilities; published 20.
        group: tokens a group; published 2048. Shorter branches are one group.
    """

    def __init__(self, logprobs: int, group: int) -> None:
        super().__init__(Needs(logprobs=logprobs))
        self._group = group

    def _measure(self, branch: BranchView) -> float | None:
        group = GroupConfidence(self._group)
        group.take(branch.confidences)
        return group.score


class LikelihoodWeights(TokenWeights):
    """``likelihood``: e to ``sharpness`` times the mean log probability of the branch's tokens, by
    the model itself at temperature 1: CISC's vote by response probability (arXiv 2502.06233, whose
    temperature is 1 / ``sharpness``).

    A branch that was drawn against the odds, a slip at some token, is less often right. That is
    worth most where few branches vote: two that differ decide nothing by numbers
    (``docs/benchmarks.md``).

    Args:
        sharpness: above 0; at 10 a branch weighs a third of one whose tokens are 0.11 nats likelier
            on average. Near 0 votes are counted; very high the likeliest branch decides alone.
    """

    def __init__(self, sharpness: float) -> None:
        super().__init__(Needs(likelihoods=True))
        self._sharpness = sharpness

    def _measure(self, branch: BranchView) -> float | None:
        mean = mean_logprob(branch.confidences)
        return None if mean is None else exp(self._sharpness * mean)


#: What is built in, but for ``auto``, which is one of them.
WEIGHTS: Final[Mapping[str, type[Weights]]] = {
    "none": OneEach,
    "arrival": ArrivalWeights,
    "reward": RewardWeights,
    "confidence": ConfidenceWeights,
    "likelihood": LikelihoodWeights,
}


def voters(view: RaceView) -> list[int]:
    """The finished branches that gave an answer, in order of arrival."""
    return [
        i
        for i in view.arrivals
        if view.branches[i].status is BranchStatus.FINISHED and view.branches[i].answer is not None
    ]


def weigh(
    view: RaceView,
    voting: Iterable[int],
    weight: Callable[[BranchView], float | None],
    *,
    most: float | None = None,
) -> Weighed:
    """The votes of the branches ``voting``, in this order, with a mean weight of 1.

    Sums are exact before they are rounded, so the order of votes does not change them. Votes that
    all weigh nothing count one each.

    Args:
        weight: what a branch weighs, at least 0; None: unknown.
        most: the most that any vote should weigh; None: there is no such bound.
    """
    by_answer: dict[str, list[float | None]] = {}
    for index in voting:
        branch = view.branches[index]
        assert branch.answer is not None
        by_answer.setdefault(branch.answer, []).append(weight(branch))
    known = [w for ws in by_answer.values() for w in ws if w is not None]
    mean = fsum(known) / len(known) if known else 0.0
    heaviest = max([most or 0.0, *known])
    finished = {
        answer: fsum(1.0 if w is None else w / mean for w in ws) if mean > 0.0 else float(len(ws))
        for answer, ws in by_answer.items()
    }
    votes = tally(view)
    forced = {answer: float(n) for answer, n in votes.forced.items()}
    return Weighed(
        Tally(finished, forced, votes.replies),
        count=sum(len(ws) for ws in by_answer.values()),
        lead=_certain_lead(by_answer, finished, heaviest),
        heaviest=heaviest,
        bounded=most is not None and heaviest <= most,
    )


def _certain_lead(
    by_answer: Mapping[str, Sequence[float | None]], finished: Mapping[str, float], heaviest: float
) -> float:
    """What the leader is ahead by if its votes of unknown weight weigh nothing, and those of the
    others the most: the mean, which they count with now, moves with every vote."""
    leader, runner_up = two_best(finished)
    if leader <= runner_up:
        return 0.0
    best = max(finished, key=finished.__getitem__)
    others = [
        fsum(heaviest if w is None else w for w in ws)
        for answer, ws in by_answer.items()
        if answer != best
    ]
    return fsum(w or 0.0 for w in by_answer[best]) - max(others, default=0.0)


def _answers(view: RaceView, voting: Iterable[int]) -> list[str]:
    answers = (view.branches[i].answer for i in voting)
    return [answer for answer in answers if answer is not None]


def _released(
    view: RaceView, pending: Collection[int], weight: Callable[[BranchView], float]
) -> list[Released]:
    votes: list[Released] = []
    for index, branch in view.branches.items():
        if branch.status.active or index in pending:
            break
        if branch.status is BranchStatus.FINISHED and branch.answer is not None:
            votes.append((branch.answer, weight(branch)))
    return votes
