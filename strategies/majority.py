"""Majority vote over branches, called as soon as it is settled.

By default a vote weighs the more the earlier it comes (``weights.ArrivalWeights``), and the race
stops on a clinch, or once ``min_votes`` votes are in and the flip risk over the votes expected
before the deadline is at most ``max_flip_risk``. On AIME 2024 x 128 branches of four Qwen3 models
that is, against a majority of all branches, more accurate on average and on no model more than a
point worse, at 1.6 (B=8) to 2.8 (B=64) times lower latency (``docs/benchmarks.md``). With other
stop rules votes are counted, as they were published. Where branches that end early are the hasty
ones, set ``weight`` to ``none`` and choose ``max_flip_risk`` on recorded races.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from functools import cache
from math import inf
from typing import Any, Final

from frontrunner._suggestions import did_you_mean

from .branch_limit import shed_branches
from .checks import at_least_one
from .closing import Closing, decide_by_votes, over
from .lengths import expected_arrivals
from .own_weights import WEIGHT_PLUGINS, OwnWeights, VoteWeight, weight_names
from .protocol import (
    BranchFailed,
    BranchFinished,
    BranchForced,
    BranchLimitLowered,
    BranchScored,
    BranchStatus,
    CallTimeReached,
    Command,
    Decide,
    Launch,
    Needs,
    Observation,
    RaceView,
    StopReason,
)
from .standing import Standing, weighed_standing
from .stop_rules import (
    STOP_NAMES,
    STOP_PLUGINS,
    Poll,
    StopName,
    StopRule,
    make_rule,
    rule_parameters,
    stop_rule_names,
    stops_on_clinch,
)
from .stopping import clinched
from .weights import (
    WEIGHT_NAMES,
    ArrivalWeights,
    ConfidenceWeights,
    LikelihoodWeights,
    OneEach,
    RewardWeights,
    Weighed,
    WeightName,
    Weights,
)

_RULE_PARAMETERS = frozenset[str]().union(*(rule_parameters(name) for name in STOP_NAMES))
#: Parameters that belong to a weight.
_WEIGHT_PARAMETERS: Final = {
    "confidence": frozenset({"logprobs", "group"}),
    "likelihood": frozenset({"sharpness"}),
}


@cache
def _fields(cls: type[Any]) -> tuple[Field[Any], ...]:
    """Asked for several times in each race."""
    return fields(cls)


@cache
def _defaults(cls: type[Any]) -> Mapping[str, Any]:
    """Likewise."""
    return {f.name: f.default for f in fields(cls)}


@dataclass(slots=True)
class Majority:
    """Majority vote.

    Any stop rule goes with any weight, but for ``certified``, whose certificate rests on weights of
    a known bound: it goes with ``none`` and ``reward``. ``strategies.stop_rules``
    describes the rules with their sources, ``strategies.weights`` the weights.

    Args:
        branches: branches to launch.
        stop: the stop rule: ``flip_risk`` (default), ``clinch`` (only when the leader cannot
            change any more), ``none`` (wait for all), ``beta``, ``dirichlet``, ``lead``, ``sprt``,
            ``esc``, ``certified``; or a rule of a user's own, an object with the method
            ``settled``. Where strategies are made by name (the config, the command line, a request)
            it is given by its own name, and its parameters beside these.
        weight: what a vote weighs: ``none`` (one each), ``arrival`` (the earlier the more),
            ``reward`` (the reward model's score; a vote counts once its score is in),
            ``confidence`` (DeepConf's), ``likelihood`` (how likely the model found the branch's
            tokens), or ``auto`` (default): ``arrival`` with ``flip_risk``, and ``none`` with the
            other rules, which were published for votes that are counted; or a weight of a user's
            own, an object with the method ``weight``, given by its name as a stop rule is.
        min_votes: finished votes needed before any rule but a clinch may stop the race. The first
            finisher alone is a hasty one: stopping on it loses 2 to 4 points.
        max_flip_risk: of ``flip_risk``: probability in [0, 1) of a changed leader that is still
            acceptable.
        threshold: of ``beta`` and ``dirichlet``: posterior probability in [0.5, 1).
        top: of ``dirichlet``: answers looked at.
        lead: of ``lead``: votes ahead.
        window: of ``esc``: votes a window.
        alpha: of ``certified`` and ``sprt``: error level in (0, 1).
        beta, alternative: of ``sprt``: see ``stop_rules.Sprt``.
        logprobs, group: of ``weight="confidence"``: k of the top-k log probabilities, and tokens a
            group.
        sharpness: of ``weight="likelihood"``, above 0: a vote weighs e to ``sharpness`` times the
            mean log probability of its branch's tokens.
        force_answers: whether branches without an answer are forced to give one at the call time,
            if no answer leads by then.

    Raises:
        ValueError: for parameters out of range, and for one that was changed though it has no
            meaning with the stop rule and the weight.
    """

    branches: int = 16
    stop: StopName | StopRule = field(default="flip_risk", metadata={"choices": stop_rule_names})
    weight: WeightName | VoteWeight = field(default="auto", metadata={"choices": weight_names})
    min_votes: int = 2
    max_flip_risk: float = 0.02
    threshold: float = 0.95
    top: int = 5
    lead: float = 3.0
    window: int = 5
    alpha: float = 0.05
    beta: float = 1 - 0.05 - 0.000024
    alternative: float = 0.5001
    logprobs: int = 20
    group: int = 2048
    sharpness: float = 10.0
    force_answers: bool = True
    _rule: StopRule = field(init=False, repr=False, compare=False)
    _weights: Weights = field(init=False, repr=False, compare=False)
    _closing: Closing = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        at_least_one(branches=self.branches, logprobs=self.logprobs, group=self.group)
        known = (
            self.stop in STOP_NAMES if isinstance(self.stop, str) else hasattr(self.stop, "settled")
        )
        if not known:
            raise ValueError(f"stop must be one of {', '.join(STOP_NAMES)}, or a rule")
        weight = self.weight
        if weight not in WEIGHT_NAMES if isinstance(weight, str) else not hasattr(weight, "weight"):
            raise ValueError(f"weight must be one of {', '.join(WEIGHT_NAMES)}, or a weight")
        if weight == "auto":
            weight = "arrival" if self.stop == "flip_risk" else "none"
        if self.stop == "certified" and weight not in ("none", "reward"):
            raise ValueError(
                "stop=certified needs weights that depend on their own branch only and have a "
                "bound: weight none or reward"
            )
        if not 0.0 < self.sharpness < inf:
            raise ValueError("sharpness must be above 0")
        given = {f.name: getattr(self, f.name) for f in _fields(type(self)) if f.init}
        idle = self.idle_parameters(given)
        for f in _fields(type(self)):
            if f.name in idle and given[f.name] != f.default:
                raise ValueError(
                    f"{f.name} has no meaning with stop={self.stop}, weight={self.weight}"
                )
        self._rule = make_rule(self.stop, given) if isinstance(self.stop, str) else self.stop
        match weight:
            case "none":
                self._weights = OneEach()
            case "arrival":
                self._weights = ArrivalWeights(self.branches)
            case "reward":
                self._weights = RewardWeights()
            case "confidence":
                self._weights = ConfidenceWeights(self.logprobs, self.group)
            case "likelihood":
                self._weights = LikelihoodWeights(self.sharpness)
            case own:
                self._weights = OwnWeights(own)
        self._closing = Closing(self.force_answers)

    @classmethod
    def gathered(cls, name: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the class is to be called with for these parameters: where ``stop`` or ``weight``
        names one of a user's own, that rule or weight, made of those of the parameters that are its
        own.

        Args:
            name: of the strategy, for the error.

        Raises:
            ValueError: there is no such rule or weight, or a parameter belongs neither to it nor to
                the strategy, is of another type or out of range.
        """
        stop = _own_name(parameters, "stop", STOP_NAMES)
        weight = _own_name(parameters, "weight", WEIGHT_NAMES)
        if stop is None and weight is None:
            return parameters
        of_rule, of_weight = frozenset[str](), frozenset[str]()
        if stop is not None:
            _check_known(name, "stop", stop, stop_rule_names())
            of_rule = STOP_PLUGINS.parameters(stop)
        if weight is not None:
            _check_known(name, "weight", weight, weight_names())
            of_weight = WEIGHT_PLUGINS.parameters(weight)
        own = of_rule | of_weight
        known = {f.name for f in _fields(cls) if f.init}
        if stop is not None:
            known -= _RULE_PARAMETERS
        for key in sorted(set(parameters) - own - known):
            if key in _RULE_PARAMETERS:
                raise ValueError(f"{key} has no meaning with stop={stop}")
            parts = [f"its stop rule {stop}"] * (stop is not None)
            parts += [f"its weight {weight}"] * (weight is not None)
            raise ValueError(
                f"neither {name} nor {' nor '.join(parts)} has a parameter {key!r}; known: "
                f"{', '.join(sorted(known | own))}{did_you_mean(key, known | own)}"
            )
        called: dict[str, Any] = {k: v for k, v in parameters.items() if k not in own}
        if stop is not None:
            called["stop"] = STOP_PLUGINS.make(stop, _those_of(parameters, of_rule))
        if weight is not None:
            called["weight"] = WEIGHT_PLUGINS.make(weight, _those_of(parameters, of_weight))
        return called

    @classmethod
    def idle_parameters(cls, parameters: Mapping[str, Any]) -> frozenset[str]:
        """Names of the parameters that have no meaning with this choice of rule and weight."""
        defaults = _defaults(cls)
        stop = parameters.get("stop", defaults["stop"])
        weight = parameters.get("weight", defaults["weight"])
        own = frozenset[str]()
        idle = frozenset[str]()
        if weight not in WEIGHT_NAMES and weight in weight_names():
            own = WEIGHT_PLUGINS.parameters(weight)
        # Of a rule or a weight of a user's own, which was given up for this one, are those that are
        # unknown here.
        if stop in STOP_NAMES:
            idle = _RULE_PARAMETERS - rule_parameters(stop) | (parameters.keys() - defaults.keys())
        elif isinstance(stop, str) and stop in stop_rule_names():
            own |= STOP_PLUGINS.parameters(stop)
            idle = _RULE_PARAMETERS | (parameters.keys() - defaults.keys())
        elif not isinstance(stop, str):
            idle = _RULE_PARAMETERS
        for name, belonging in _WEIGHT_PARAMETERS.items():
            if weight != name:
                idle |= belonging
        return idle - own

    @property
    def needs(self) -> Needs:
        return self._weights.needs

    def start(self, view: RaceView) -> Sequence[Command]:
        return [Launch(self.branches)]

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        match observation:
            case CallTimeReached():
                # With a strict leader forced answers could not change anything, and branches may
                # still finish in the time that was kept for them.
                votes = self._weights.weigh(view, pending_too=True)
                leader, runner_up = votes.tally.lead()
                settled = leader > runner_up and votes.margin != 0
                return self._closing.at_call_time(view, settled=settled)
            case BranchFinished(index):
                branch = view.branches[index]
                votes = branch.status is BranchStatus.FINISHED and branch.answer is not None
                asked = self._weights.ask(branch) if votes else []
                return [*asked, *self._settle(view)]
            case BranchScored(index) if index in self._weights.pending:
                self._weights.arrived(index)
                return self._settle(view)
            case BranchForced() | BranchFailed():
                return self._settle(view)
            case BranchLimitLowered(share):
                # Fewer votes are to come: the lead may be beyond them now.
                cut = shed_branches(view, share)
                return [*cut, *self._settle(view, besides=cut[0].branches)] if cut else []
            case _:
                return []

    def conclude(self, view: RaceView) -> Decide:
        return self._decide(view, StopReason.DEADLINE, self._weights.weigh(view, pending_too=True))

    def standing(self, view: RaceView) -> Standing:
        return weighed_standing(self._weights.weigh(view, pending_too=True).tally)

    def _settle(self, view: RaceView, besides: Container[int] = ()) -> Sequence[Command]:
        """``besides`` those branches that are being cancelled in the same breath."""
        weights, rule = self._weights, self._rule
        if not weights.pending and over(view):
            return self._closing.when_over(
                view, lambda reason: self._decide(view, reason, weights.weigh(view))
            )
        running = [
            b.tokens
            for i, b in view.branches.items()
            if b.status is BranchStatus.RUNNING and i not in besides
        ]
        outstanding = len(running) + len(weights.pending)
        if not outstanding:
            return []
        votes = weights.weigh(view)
        # A clinch is a matter of fact, so it counts every branch that runs, expected or not.
        certain = clinched(votes.lead, 0.0, votes.most(outstanding))
        certain = certain and (votes.margin is None or votes.margin > outstanding)
        if stops_on_clinch(rule) and certain:
            reason = StopReason.CLINCHED if votes.bounded else StopReason.CONFIDENT_MAJORITY
            return [self._decide(view, reason, votes)]

        def expected() -> int:
            arrivals = expected_arrivals(running, view.reachable_tokens, view.lengths)
            return votes.expected(len(weights.pending) + arrivals)

        poll = Poll(
            votes.tally.finished,
            votes.count,
            expected,
            order=lambda: weights.order(view),
            released=lambda: weights.released(view),
        )
        if votes.count and rule.settled(poll):
            return [self._decide(view, StopReason.CONFIDENT_MAJORITY, votes)]
        return []

    def _decide(self, view: RaceView, reason: StopReason, votes: Weighed) -> Decide:
        return decide_by_votes(view, reason, votes.tally)


def _own_name(parameters: Mapping[str, Any], key: str, built_in: Container[str]) -> str | None:
    """The name of one of a user's own that a parameter gives; None: it gives none."""
    given = parameters.get(key)
    return given if isinstance(given, str) and given not in built_in else None


def _check_known(name: str, key: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        raise ValueError(
            f"{name}: {key} must be one of {', '.join(known)}{did_you_mean(given, known)}"
        )


def _those_of(parameters: Mapping[str, Any], own: Container[str]) -> dict[str, Any]:
    return {key: value for key, value in parameters.items() if key in own}
