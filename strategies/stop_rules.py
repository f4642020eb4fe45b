"""Stop rules by name: when the votes that are in call the race.

A rule sees a ``Poll`` and says whether it is settled. No built-in rule settles a tie, nor anything
before ``min_votes`` votes are in: the first finisher alone is a hasty one, and stopping on it loses
2 to 4 points (replays of 90 contest problems x 128 branches of Qwen3-8B). Two finishers that agree
are not: on AIME 2024 the leader of a unanimous pair is overturned in 1 (B=8) to 6 (B=64) of 100
races, and the answer of waiting for all is then no more often right than the pair's. Whatever the
rule, but for ``none``, a clinch ends the race: that is the strategy's to see
(``strategies.majority``).

Published rules were made for votes sampled one after the other. Here branches run at once and
votes count in order of completion, which shortens the wait and voids guarantees: only
``certified`` keeps its own, by waiting.

A rule of a user's own is registered with ``register_stop_rule``, offered by an installed package in
the entry points ``frontrunner.stop_rules``, or named as ``package.module:Class`` in the config or
on the command line. Its parameters stand beside those of the strategy.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from math import inf, log
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, Protocol, get_args

from .certificates import Released, certified
from .checks import at_least_one
from .own_parts import OwnParts
from .stopping import flip_risk, leader_probability, majority_probability, sprt_log_ratio

StopName = Literal[
    "none", "clinch", "flip_risk", "beta", "dirichlet", "lead", "sprt", "esc", "certified"
]
STOP_NAMES: Final[tuple[StopName, ...]] = get_args(StopName)


@dataclass(frozen=True, slots=True)
class Poll:
    """The votes of finished branches, as a stop rule sees them.

    Weighted votes have a mean weight of 1, so that rules made for counts apply to them.
    """

    weights: Mapping[str, float]
    """Votes by answer, their number or their weight, the leader's among them."""
    count: int
    """Number of votes, whatever they weigh."""
    expected: Callable[[], int] = lambda: 0
    """How many more votes to expect before the deadline."""
    order: Callable[[], Sequence[str]] = tuple[str, ...]
    """The answers voted for, in order of arrival."""
    released: Callable[[], Sequence[Released]] = tuple[Released, ...]
    """The votes in launch order, up to the first branch that may still vote, with weights in
    [0, 1] that depend on nothing but the branch itself."""

    @property
    def ranked(self) -> list[float]:
        """The votes of each answer, most first."""
        return sorted(self.weights.values(), reverse=True)

    @property
    def leader(self) -> str | None:
        """The one answer in front; None on a tie."""
        best, second = two_best(self.weights)
        return max(self.weights, key=self.weights.__getitem__) if best > second else None


def two_best(weights: Mapping[str, float]) -> tuple[float, float]:
    """Votes of the leader and of the runner-up, 0 for one that is not there."""
    best = second = 0.0
    for weight in weights.values():
        if weight > best:
            best, second = weight, best
        elif weight > second:
            second = weight
    return best, second


class StopRule(Protocol):
    """When to call a race that no clinch has ended. One rule is asked about many polls, and keeps
    nothing between them. Most often it is a frozen dataclass: its fields are its parameters.

    An attribute ``stops_on_clinch`` that is false says that a race is not to be called either where
    the votes still to come cannot change the leader; without one it is."""

    def settled(self, poll: Poll) -> bool:
        """Whether the votes that are in are enough. It is asked whenever one has come in."""
        ...


def stops_on_clinch(rule: StopRule) -> bool:
    """Whether a race under this rule is called once the leader cannot change any more."""
    return bool(getattr(rule, "stops_on_clinch", True))


@dataclass(frozen=True, slots=True)
class WaitForAll:
    """``none``: self-consistency as published (arXiv 2203.11171), every branch is waited for."""

    stops_on_clinch: ClassVar[bool] = False

    def settled(self, poll: Poll) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Clinch:
    """``clinch``: only when the votes still to come cannot change the leader."""

    stops_on_clinch: ClassVar[bool] = True

    def settled(self, poll: Poll) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class _VoteRule:
    """What the rules on the votes have in common.

    Args:
        min_votes: votes needed before the rule may stop the race.
    """

    min_votes: int = 2
    stops_on_clinch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least_one(min_votes=self.min_votes)

    def settled(self, poll: Poll) -> bool:
        if poll.count < self.min_votes:
            return False
        leader, runner_up = two_best(poll.weights)
        return leader > runner_up and self._holds(leader, runner_up, poll)

    def _holds(self, leader: float, runner_up: float, poll: Poll) -> bool:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class FlipRisk(_VoteRule):
    """``flip_risk``: the votes still expected before the deadline are unlikely to change the
    leader (``stopping.flip_risk``).

    Args:
        max_flip_risk: probability in [0, 1) of a changed leader that is still acceptable.
    """

    max_flip_risk: float = 0.02

    def __post_init__(self) -> None:
        _VoteRule.__post_init__(self)
        if not 0.0 <= self.max_flip_risk < 1.0:
            raise ValueError("max_flip_risk must lie in [0, 1)")

    def _holds(self, leader: float, runner_up: float, poll: Poll) -> bool:
        return flip_risk(leader, runner_up, poll.expected()) <= self.max_flip_risk


@dataclass(frozen=True, slots=True)
class BetaPosterior(_VoteRule):
    """``beta``: Adaptive-Consistency (arXiv 2305.11860), the posterior probability that the model
    prefers the leader to the runner-up (``stopping.majority_probability``).

    Args:
        threshold: that probability, in [0.5, 1); published 0.95, which takes 4, 6, 8, 9, 11, 12
            votes of the leader against 0 to 5 of the runner-up.
    """

    threshold: float = 0.95

    def __post_init__(self) -> None:
        _VoteRule.__post_init__(self)
        _check_threshold(self.threshold)

    def _holds(self, leader: float, runner_up: float, poll: Poll) -> bool:
        return majority_probability(leader, runner_up) >= self.threshold


@dataclass(frozen=True, slots=True)
class DirichletPosterior(_VoteRule):
    """``dirichlet``: Adaptive-Consistency's other rule, the posterior probability that the leader's
    share is the largest of all (``stopping.leader_probability``), by quadrature where the original
    draws samples.

    Args:
        threshold: that probability, in [0.5, 1); published 0.95.
        top: how many answers with the most votes are looked at, at least 2; published 5.
    """

    threshold: float = 0.95
    top: int = 5

    def __post_init__(self) -> None:
        _VoteRule.__post_init__(self)
        _check_threshold(self.threshold)
        if self.top < 2:
            raise ValueError("top must be at least 2")

    def _holds(self, leader: float, runner_up: float, poll: Poll) -> bool:
        ranked = poll.ranked[: self.top]
        # Being ahead of all is at most as probable as being ahead of one, and the probabilities
        # of being behind add up at most: that settles most polls without the integral.
        behind = [1.0 - majority_probability(leader, other) for other in ranked[1:]]
        if behind and 1.0 - behind[0] < self.threshold:
            return False
        if behind and 1.0 - sum(behind) >= self.threshold:
            return True
        return leader_probability(ranked, self.top) >= self.threshold


@dataclass(frozen=True, slots=True)
class Lead(_VoteRule):
    """``lead``: first to lead by so many votes.

    Args:
        lead: votes that the leader must be ahead, above 0.
    """

    lead: float = 3.0

    def __post_init__(self) -> None:
        _VoteRule.__post_init__(self)
        if not 0.0 < self.lead < inf:
            raise ValueError("lead must be above 0")

    def _holds(self, leader: float, runner_up: float, poll: Poll) -> bool:
        # Weights are rounded sums: a lead of three times one third of 9 is a lead of 3.
        return leader - runner_up >= self.lead * (1.0 - 1e-12)


@dataclass(frozen=True, slots=True)
class Sprt(_VoteRule):
    """``sprt``: ConSol (arXiv 2503.17587), Wald's sequential probability ratio test between the
    two answers in front: theta = 1/2 against theta = ``alternative``. Stops at
    log ratio >= log((1 - beta) / alpha).

    With the published defaults this is exactly ``lead`` with a lead of 3: one vote of the leader
    adds 2.0e-4 to the ratio, one of the runner-up takes as much away, the bound is 4.8e-4 (the
    tiny difference of the two only tells from about 3,000 votes of the runner-up on). The
    original also stops where the test accepts theta = 1/2, on a tie that is to say; not here.

    Args:
        alpha: error level in (0, 1); published 0.05.
        beta: published 1 - 0.05 - 0.000024, in (0, 1).
        alternative: share of the leader, in (0.5, 1); published 0.5001.
    """

    alpha: float = 0.05
    beta: float = 1 - 0.05 - 0.000024
    alternative: float = 0.5001

    def __post_init__(self) -> None:
        _VoteRule.__post_init__(self)
        if not 0.0 < self.alpha < 1.0:
            raise ValueError("alpha must lie in (0, 1)")
        if not 0.0 < self.beta < 1.0:
            raise ValueError("beta must lie in (0, 1)")
        if not 0.5 < self.alternative < 1.0:
            raise ValueError("alternative must lie in (0.5, 1)")

    def _holds(self, leader: float, runner_up: float, poll: Poll) -> bool:
        bound = log((1.0 - self.beta) / self.alpha)
        return sprt_log_ratio(leader, runner_up, self.alternative) >= bound


@dataclass(frozen=True, slots=True)
class Windows(_VoteRule):
    """``esc``: early-stopping self-consistency (arXiv 2401.10480). Votes come in windows, one
    after the other and not overlapping; the first unanimous window stops the race, and the answer
    is the majority of all votes.

    Args:
        window: votes a window, at least 2; published 5.
    """

    window: int = 5

    def __post_init__(self) -> None:
        _VoteRule.__post_init__(self)
        if self.window < 2:
            raise ValueError("window must be at least 2")

    def _holds(self, leader: float, runner_up: float, poll: Poll) -> bool:
        order = poll.order()
        starts = range(0, len(order) - self.window + 1, self.window)
        return any(len(set(order[i : i + self.window])) == 1 for i in starts)


@dataclass(frozen=True, slots=True)
class Certified(_VoteRule):
    """``certified``: the leader is certified to be the model's most frequent answer
    (``strategies.certificates``, with sources). The certificate covers this reason to stop; a
    clinch, the deadline and the last vote end the race without one.

    The price is time: votes are released in launch order, so that one long branch holds up all
    that were launched after it, and at the default level the first answer to appear needs 9
    votes if nothing speaks against it.

    Args:
        alpha: probability in (0, 1) that the race is ever stopped on another answer.
    """

    alpha: float = 0.05

    def __post_init__(self) -> None:
        _VoteRule.__post_init__(self)
        if not 0.0 < self.alpha < 1.0:
            raise ValueError("alpha must lie in (0, 1)")

    def _holds(self, leader: float, runner_up: float, poll: Poll) -> bool:
        answer = poll.leader
        return answer is not None and certified(answer, poll.released(), self.alpha)


STOP_RULES: Final[Mapping[StopName, type[Any]]] = MappingProxyType(
    {
        "none": WaitForAll,
        "clinch": Clinch,
        "flip_risk": FlipRisk,
        "beta": BetaPosterior,
        "dirichlet": DirichletPosterior,
        "lead": Lead,
        "sprt": Sprt,
        "esc": Windows,
        "certified": Certified,
    }
)


STOP_PLUGINS: Final = OwnParts[StopRule](
    "stop rule", "frontrunner.stop_rules", STOP_NAMES, "settled"
)


def stop_rule_names() -> tuple[str, ...]:
    """The names of all stop rules, those of installed packages among them; nothing is imported."""
    return STOP_PLUGINS.names()


def register_stop_rule(name: str, factory: Callable[..., StopRule]) -> None:
    """Make the stop rule ``factory(**parameters)`` available under ``name`` in this process.

    A replay carries it to its worker processes, if it is a class or a function of a module.

    Raises:
        ValueError: if the name is taken.
        TypeError: if it cannot be called.
    """
    STOP_PLUGINS.register(name, factory)


@cache
def rule_parameters(name: StopName) -> frozenset[str]:
    """Names of the parameters that the rule ``name`` has."""
    return frozenset(f.name for f in fields(STOP_RULES[name]))


def make_rule(name: StopName, parameters: Mapping[str, Any]) -> StopRule:
    """The rule ``name`` with those of ``parameters`` that it has.

    Raises:
        ValueError: for a parameter out of range.
    """
    own = rule_parameters(name)
    return STOP_RULES[name](**{k: v for k, v in parameters.items() if k in own})


def _check_threshold(threshold: float) -> None:
    if not 0.5 <= threshold < 1.0:
        raise ValueError("threshold must lie in [0.5, 1)")
