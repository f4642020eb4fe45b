"""The majority strategy, by example and under a driver that does anything a race might."""

from collections import Counter
from collections.abc import Sequence
from math import fsum
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize
from tests.profiles import examples

from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.protocol import (
    BranchFailed,
    BranchFinished,
    BranchForced,
    BranchProgressed,
    BranchScored,
    BranchStarted,
    BranchStatus,
    CallTimeReached,
    Command,
    Decide,
    Force,
    Launch,
    Needs,
    Observation,
    Score,
    StopReason,
)
from frontrunner.strategies.registry import create_strategy
from frontrunner.strategies.stop_rules import STOP_NAMES, Poll, StopName, rule_parameters
from frontrunner.strategies.stopping import clinched, flip_risk, preference
from frontrunner.strategies.votes import tally
from frontrunner.strategies.weighted import Weighted
from frontrunner.strategies.weights import WEIGHT_NAMES, WeightName

from .any_race import AnyRace
from .counted import counted
from .small_race import SmallRace
from .views import FakeView, view_of

# ── by example ────────────────────────────────────────────────────────────────────────────────


def after_finish(strategy: Majority, view: FakeView) -> Sequence[Command]:
    return strategy.observe(BranchFinished(view.arrivals[-1]), view)


def test_it_starts_all_its_branches_at_once() -> None:
    assert Majority(branches=5).start(FakeView()) == [Launch(5)]


def test_it_stops_when_the_lead_is_larger_than_what_still_runs() -> None:
    strategy = Majority(5, stop="clinch")
    assert after_finish(strategy, view_of(["a", "a"], running=3)) == []
    assert after_finish(strategy, view_of(["a", "a", "a"], running=2)) == [
        Decide("a", 0, StopReason.CLINCHED, preference(3, 0))
    ]


def test_it_stops_when_a_flip_is_improbable_but_not_before_the_least_number_of_votes() -> None:
    strategy = Majority(16, max_flip_risk=0.25)
    assert after_finish(strategy, view_of(["a"], running=15)) == []
    assert after_finish(strategy, view_of(["a", "a"], running=14)) == [
        Decide("a", 0, StopReason.CONFIDENT_MAJORITY, preference(2, 0))
    ]
    assert flip_risk(1, 0, 15) <= strategy.max_flip_risk  # it was the number of votes


def test_it_does_not_stop_on_a_tie_however_little_is_still_to_come() -> None:
    view = view_of(["a", "b", "a", "b"], running=2)
    assert after_finish(counted(6, max_flip_risk=0.9), view) == []
    view.lengths, view.reachable_tokens = LengthModel.from_quantiles(1_000, 1_100), 0.0
    assert after_finish(counted(6), view) == []


def test_the_clinch_rule_does_not_stop_on_a_small_flip_risk() -> None:
    assert after_finish(Majority(16, stop="clinch"), view_of(["a"] * 7, running=9)) == []


def test_waiting_for_all_does_not_stop_on_a_clinch() -> None:
    assert after_finish(Majority(9, stop="none"), view_of(["a"] * 8, running=1)) == []


@pytest.mark.parametrize("stop", STOP_NAMES)
def test_when_all_have_ended_it_is_exhausted(stop: StopName) -> None:
    (decision,) = after_finish(Majority(2, stop=stop, weight="none"), view_of(["a", "b"]))
    assert decision == Decide("a", 0, StopReason.EXHAUSTED, 0.5)


def test_a_failed_branch_can_settle_the_race() -> None:
    view = view_of(["a", "a"], running=1)
    lost = view.add(BranchStatus.FAILED)
    (decision,) = Majority(4, stop="clinch").observe(BranchFailed(lost.index), view)
    assert isinstance(decision, Decide)
    assert decision.stop_reason is StopReason.CLINCHED


def test_branches_without_an_answer_are_no_votes() -> None:
    assert after_finish(Majority(8), view_of(["a", None, None], running=5)) == []


def test_branches_that_are_not_expected_in_time_do_not_hold_up_the_decision() -> None:
    view = view_of(["a", "a", "b"], running=5)
    view.lengths, view.reachable_tokens = LengthModel.from_quantiles(1_000, 1_100), 10.0
    strategy = Majority(8, max_flip_risk=0.0)
    assert after_finish(strategy, view) != []
    view.lengths = None
    assert after_finish(strategy, view) == []


def test_with_a_strict_leader_at_the_call_time_nothing_is_forced_and_the_rules_go_on() -> None:
    strategy, view = Majority(5, stop="clinch"), view_of(["a", "b", "a"], running=2)
    assert strategy.observe(CallTimeReached(), view) == []
    view.branches[3].status, view.branches[3].answer = BranchStatus.FINISHED, "a"
    view.arrivals.append(3)
    assert after_finish(strategy, view) == [Decide("a", 0, StopReason.CLINCHED, preference(3, 1))]


def test_when_all_finish_by_themselves_after_the_call_time_nothing_was_cut_short() -> None:
    strategy, view = Majority(3, stop="none"), view_of(["a"], running=2)
    strategy.observe(CallTimeReached(), view)
    for index in (1, 2):
        view.branches[index].status, view.branches[index].answer = BranchStatus.FINISHED, "a"
        view.arrivals.append(index)
    (decision,) = after_finish(strategy, view)
    assert isinstance(decision, Decide)
    assert decision.stop_reason is StopReason.EXHAUSTED


def test_at_the_call_time_a_tie_is_broken_by_forcing_all_that_have_not_answered() -> None:
    view = view_of(["a", "b"], running=2, truncated=[None])
    view.add(BranchStatus.FAILED)
    view.add(BranchStatus.CANCELLED)
    assert counted(7).observe(CallTimeReached(), view) == [Force((2, 3, 4), let_run=True)]


def test_at_the_call_time_without_any_vote_all_that_run_are_forced() -> None:
    assert Majority(3).observe(CallTimeReached(), view_of(running=3)) == [
        Force((0, 1, 2), let_run=True)
    ]


def test_it_forces_nothing_when_told_not_to() -> None:
    strategy = Majority(3, force_answers=False)
    assert strategy.observe(CallTimeReached(), view_of(running=3)) == []
    (decision,) = after_finish(Majority(3, force_answers=False), view_of([None, None, None]))
    assert isinstance(decision, Decide)


def test_it_waits_for_all_forced_answers() -> None:
    strategy, view = Majority(3), view_of(running=3)
    strategy.observe(CallTimeReached(), view)
    for branch in view.branches.values():
        branch.status = BranchStatus.FORCING
    for index in range(3):
        view.branches[index].status, view.branches[index].answer = BranchStatus.FORCED, "a"
        view.arrivals.append(index)
        commands = strategy.observe(BranchForced(index), view)
        assert (commands == []) == (index < 2)


def test_branches_that_all_ran_into_their_limit_are_asked_for_an_answer() -> None:
    view = view_of(truncated=[None, None])
    view.add(BranchStatus.FAILED)
    assert after_finish(Majority(3), view) == [Force((0, 1), let_run=True)]


def test_a_race_that_ended_by_forcing_early_is_exhausted_and_not_out_of_time() -> None:
    strategy, view = Majority(1), view_of(truncated=[None])
    assert after_finish(strategy, view) == [Force((0,), let_run=True)]
    view.branches[0].status, view.branches[0].answer = BranchStatus.FORCED, "a"
    (decision,) = strategy.observe(BranchForced(0), view)
    assert isinstance(decision, Decide)
    assert decision.stop_reason is StopReason.EXHAUSTED


def test_a_race_that_ended_without_an_answer_is_exhausted_and_not_out_of_time() -> None:
    (decision,) = after_finish(Majority(2), view_of([None, None]))
    assert decision == Decide(None, 0, StopReason.EXHAUSTED, 0.0)


def test_branches_that_were_cut_at_their_limit_do_not_vote_like_finished_ones() -> None:
    view = view_of(["a", "a", "a"], running=11, truncated=["b", "b"])
    assert Majority(16).conclude(view).answer == "a"
    assert Majority(16, stop="none").conclude(view_of(["a"], truncated=["b"] * 9)).answer == "a"
    # Two that agree end a race of which nothing else has come only if they ended by themselves.
    assert after_finish(Majority(4), view_of(running=2, truncated=["b", "b"])) == []
    (decision,) = after_finish(Majority(4), view_of(["b", "b"], running=2))
    assert isinstance(decision, Decide)


def test_a_single_vote_is_worth_no_more_than_a_tie() -> None:
    assert counted(3).conclude(view_of(["a"], running=2)).confidence == 0.5
    assert counted(3).conclude(view_of(["a", "b"], running=1)).confidence == 0.5
    assert counted(3).conclude(view_of(["a", "a"], running=1)).confidence == 0.875


def test_with_every_branch_lost_it_has_failed() -> None:
    view = FakeView()
    view.add(BranchStatus.FAILED)
    view.add(BranchStatus.FAILED)
    assert Majority(2).observe(BranchFailed(1), view) == [
        Decide(None, None, StopReason.FAILED, 0.0)
    ]
    assert Majority(2).conclude(FakeView()).stop_reason is StopReason.FAILED


def test_with_some_lost_and_none_answering_it_has_not_failed_but_knows_nothing() -> None:
    view = view_of(running=1)
    view.add(BranchStatus.FAILED)
    assert Majority(2).conclude(view) == Decide(None, None, StopReason.DEADLINE, 0.0)


@pytest.mark.parametrize("observation", [BranchStarted(0), BranchProgressed(0, 5), BranchScored(0)])
def test_progress_alone_settles_nothing(observation: Observation) -> None:
    assert Majority(4).observe(observation, view_of(["a"] * 3, running=1)) == []


def test_a_clinch_does_not_rest_on_an_estimate() -> None:
    view = view_of(["a"], running=5)
    view.lengths, view.reachable_tokens = LengthModel.from_quantiles(1_000, 1_100), 10.0
    assert after_finish(Majority(6, stop="clinch"), view) == []


# ── votes that weigh more the earlier they come ───────────────────────────────────────────────


def test_of_as_many_votes_the_earlier_ones_win() -> None:
    (decision,) = after_finish(Majority(6), view_of(["b", "a", "b", "a", "c", "d"]))
    assert isinstance(decision, Decide)
    assert decision.answer == "b"
    (decision,) = after_finish(Majority(7), view_of(["a", "b", "b", "c", "a", "d", "e"]))
    assert isinstance(decision, Decide)
    assert decision.answer == "b"  # 7 + 6 against 8 + 4


@pytest.mark.parametrize("answers", [["a", "b", "b"], ["a", "b", "c"], ["a", "a", "b"]])
def test_of_three_votes_two_outweigh_one(answers: list[str]) -> None:
    (decision,) = after_finish(Majority(3), view_of(answers))
    assert isinstance(decision, Decide)
    assert decision.answer == max(answers, key=answers.count)
    assert after_finish(Majority(3), view_of(answers[:1], running=2)) == []


def test_late_votes_cannot_overturn_an_early_lead() -> None:
    # 9 + 8 + 7 + 6 are in, and 5 + 4 + 3 + 2 are to come.
    (decision,) = after_finish(Majority(8, max_flip_risk=0.0), view_of(["a"] * 4, running=4))
    assert isinstance(decision, Decide)
    # No forced answer is in that would make answers with equally many votes level.
    assert decision.stop_reason is StopReason.CONFIDENT_MAJORITY
    by_count = Majority(8, stop="clinch")
    assert after_finish(by_count, view_of(["a"] * 4, running=4)) == []


def test_answers_with_equally_many_votes_are_told_apart_by_forced_ones() -> None:
    strategy, view = Majority(8), view_of(["a", "b"], running=6)
    assert strategy.observe(CallTimeReached(), view) == [Force(tuple(range(2, 8)), let_run=True)]
    for index in range(2, 8):
        view.branches[index].status, view.branches[index].answer = BranchStatus.FORCED, "b"
        view.arrivals.append(index)
    (decision,) = strategy.observe(BranchForced(7), view)
    assert isinstance(decision, Decide)
    assert (decision.answer, decision.stop_reason) == ("b", StopReason.DEADLINE)


def test_what_a_cut_branch_said_keeps_a_lead_in_weight_from_being_certain() -> None:
    race = SmallRace(Majority(3))
    race.truncate(0, "b")
    race.finish(1, "a")
    assert race.decision is None
    race.finish(2, "b")
    assert race.decision is not None
    assert race.decision.answer == "b"


def test_an_answer_with_more_votes_needs_no_forced_ones() -> None:
    strategy, view = Majority(8), view_of(["b", "a", "a"], running=5)
    assert strategy.observe(CallTimeReached(), view) == []
    assert strategy.conclude(view).answer == "a"


def test_published_rules_count_votes_unless_asked_otherwise() -> None:
    votes = ["b", "c", "b", "a", "a", "a"]
    (decision,) = after_finish(Majority(6, stop="none"), view_of(votes))
    assert isinstance(decision, Decide)
    assert decision.answer == "a"
    (decision,) = after_finish(Majority(6, stop="none", weight="arrival"), view_of(votes))
    assert isinstance(decision, Decide)
    assert decision.answer == "b"  # 7 + 5 against 4 + 3 + 2


def test_a_certificate_does_not_rest_on_when_votes_came() -> None:
    with pytest.raises(ValueError, match="certified needs weights"):
        Majority(4, stop="certified", weight="arrival")


# ── other rules ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("stop", "votes"),
    [("flip_risk", 4), ("beta", 4), ("dirichlet", 4), ("lead", 3), ("sprt", 3), ("esc", 5)],
)
def test_each_rule_stops_unanimous_branches_with_the_vote_that_its_source_says(
    stop: StopName, votes: int
) -> None:
    strategy = Majority(64, stop=stop)
    assert after_finish(strategy, view_of(["a"] * (votes - 1), running=65 - votes)) == []
    assert after_finish(strategy, view_of(["a"] * votes, running=64 - votes)) == [
        Decide("a", 0, StopReason.CONFIDENT_MAJORITY, preference(votes, 0))
    ]


def finish(view: FakeView, index: int, answer: str | None) -> None:
    view.branches[index].status, view.branches[index].answer = BranchStatus.FINISHED, answer
    view.arrivals.append(index)


def test_the_certified_rule_waits_for_all_branches_launched_before() -> None:
    strategy, view = Majority(64, stop="certified"), view_of(running=64)
    for index in range(1, 12):
        finish(view, index, "a")
        assert after_finish(strategy, view) == []  # the first still runs
    finish(view, 0, None)  # no vote, but nothing to wait for any more
    (decision,) = after_finish(strategy, view)
    assert isinstance(decision, Decide)
    assert decision.stop_reason is StopReason.CONFIDENT_MAJORITY


@pytest.mark.parametrize("status", [BranchStatus.FAILED, BranchStatus.CANCELLED])
def test_the_certified_rule_does_not_wait_for_lost_branches(status: BranchStatus) -> None:
    strategy, view = Majority(64, stop="certified"), view_of(running=64)
    for index in range(1, 10):
        finish(view, index, "a")
        assert after_finish(strategy, view) == []
    view.branches[0].status = status
    assert strategy.observe(BranchFailed(0), view) != []


@pytest.mark.parametrize("stop", [name for name in STOP_NAMES if name != "none"])
def test_whatever_the_rule_a_clinch_ends_the_race(stop: StopName) -> None:
    (decision,) = after_finish(Majority(3, stop=stop), view_of(["a", "a"], running=1))
    assert isinstance(decision, Decide)
    assert decision.stop_reason is StopReason.CLINCHED


CHANGED: dict[str, Any] = {
    "min_votes": 4, "max_flip_risk": 0.1, "threshold": 0.9, "top": 4, "lead": 2.0, "window": 4,
    "alpha": 0.1, "beta": 0.9, "alternative": 0.6,
}  # fmt: skip


@pytest.mark.parametrize("stop", STOP_NAMES)
@pytest.mark.parametrize("parameter", CHANGED)
def test_a_parameter_that_means_nothing_with_the_rule_is_refused(
    stop: StopName, parameter: str
) -> None:
    changed = {parameter: CHANGED[parameter]}
    if parameter in rule_parameters(stop):
        assert getattr(Majority(stop=stop, **changed), parameter) == CHANGED[parameter]
        assert parameter not in Majority.idle_parameters({"stop": stop})
    else:
        with pytest.raises(ValueError, match=f"{parameter} has no meaning with stop={stop}"):
            Majority(stop=stop, **changed)
        assert parameter in Majority.idle_parameters({"stop": stop})


@pytest.mark.parametrize("parameter", ["logprobs", "group"])
def test_a_parameter_of_confidence_is_refused_without_it(parameter: str) -> None:
    assert create_strategy("majority", {"weight": "confidence", parameter: 7})
    with pytest.raises(ValueError, match=f"{parameter} has no meaning"):
        create_strategy("majority", {"weight": "reward", parameter: 7})


def test_a_parameter_of_likelihood_is_refused_without_it() -> None:
    assert create_strategy("majority", {"weight": "likelihood", "sharpness": 7})
    with pytest.raises(ValueError, match="sharpness has no meaning"):
        create_strategy("majority", {"weight": "confidence", "sharpness": 7})
    for wrong in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="sharpness"):
            create_strategy("majority", {"weight": "likelihood", "sharpness": wrong})


# ── weighted votes ────────────────────────────────────────────────────────────────────────────


def test_it_says_what_its_weights_need() -> None:
    assert Majority().needs == Needs()
    assert Majority(weight="reward").needs == Weighted().needs == Needs(rewards=True)
    assert Majority(weight="confidence", logprobs=5).needs == Needs(logprobs=5)
    assert Majority(weight="likelihood").needs == Needs(likelihoods=True)


@pytest.mark.parametrize("weight", ["confidence", "likelihood"])
def test_no_certificate_rests_on_confidences(weight: WeightName) -> None:
    with pytest.raises(ValueError, match="bound"):
        Majority(stop="certified", weight=weight)


def scored(
    strategy: Majority, view: FakeView, branch: int, score: float | None
) -> Sequence[Command]:
    view.branches[branch].score = score
    return strategy.observe(BranchScored(branch), view)


def test_each_finished_answer_is_scored_and_counts_once_its_score_is_in() -> None:
    strategy, view = Weighted(5, stop="none"), view_of(running=3)
    for index, answer in enumerate(["a", None, "b"]):
        finish(view, index, answer)
        asked = [Score((index,))] if answer is not None else []
        assert after_finish(strategy, view) == asked
    # All have ended, but not all scores are in: two branches without one count alike.
    assert strategy.conclude(view).answer == "a"
    assert scored(strategy, view, 0, 0.2) == []
    (decision,) = scored(strategy, view, 2, 0.7)
    assert isinstance(decision, Decide)
    assert (decision.answer, decision.stop_reason) == ("b", StopReason.EXHAUSTED)


def test_a_vote_whose_score_failed_counts_with_the_mean_weight() -> None:
    strategy, view = Weighted(4, stop="none"), view_of(running=3)
    for index, answer in enumerate(["a", "b", "b"]):
        finish(view, index, answer)
        after_finish(strategy, view)
    scored(strategy, view, 0, 0.9)
    scored(strategy, view, 1, 0.3)
    (decision,) = scored(strategy, view, 2, None)
    # a weighs 0.9, b 0.3 and the mean of 0.6: level, and a came first.
    assert isinstance(decision, Decide)
    assert (decision.answer, decision.confidence) == ("a", 0.5)


def test_votes_that_wait_for_their_scores_are_still_to_come() -> None:
    strategy, view = Weighted(4, stop="clinch"), view_of(running=4)
    for index in range(3):
        finish(view, index, "a")
        after_finish(strategy, view)
    assert scored(strategy, view, 0, 1.0) == []
    # Two whole votes against one running: nothing can weigh more than 1.
    assert scored(strategy, view, 1, 1.0) == []
    (decision,) = scored(strategy, view, 2, 0.5)
    assert isinstance(decision, Decide)
    assert decision.stop_reason is StopReason.CLINCHED


def test_small_weights_clinch_nothing_against_what_a_further_vote_may_weigh() -> None:
    strategy, view = Weighted(4, stop="clinch"), view_of(running=4)
    for index in range(3):
        finish(view, index, "a")
        after_finish(strategy, view)
        assert scored(strategy, view, index, 0.3) == []


def test_a_lead_in_weights_without_a_bound_is_confident_and_not_clinched() -> None:
    strategy = Majority(4, stop="clinch", weight="confidence", group=4)
    view = view_of(["a", "a", "a"], running=1)
    for branch in view.branches.values():
        branch.confidences = [10.0] * 8
    (decision,) = after_finish(strategy, view)
    assert isinstance(decision, Decide)
    assert decision.stop_reason is StopReason.CONFIDENT_MAJORITY


def test_the_surer_branches_win() -> None:
    strategy = Majority(3, stop="none", weight="confidence", group=2)
    view = view_of(["a", "b", "a"])
    for index, confidences in enumerate([[9.0, 1.0, 1.0], [6.0, 6.0, 5.0], [2.0]]):
        view.branches[index].confidences = confidences
    (decision,) = after_finish(strategy, view)
    assert isinstance(decision, Decide)
    assert decision.answer == "b"  # 5.5 against 1 and 2


def test_likelier_branches_win() -> None:
    strategy = Majority(3, stop="none", weight="likelihood")
    view = view_of(["a", "b", "a"])
    for index, logprobs in enumerate([[-0.5, -0.3], [-0.1, -0.1, -0.1], [-0.4]]):
        view.branches[index].confidences = logprobs
    (decision,) = after_finish(strategy, view)
    assert isinstance(decision, Decide)
    assert decision.answer == "b"  # e^-1 against twice e^-4
    view.branches[1].confidences = [-0.5]
    (decision,) = after_finish(Majority(3, stop="none", weight="likelihood"), view)
    assert isinstance(decision, Decide)
    assert decision.answer == "a"


def test_at_the_call_time_votes_that_wait_for_scores_count() -> None:
    strategy, view = Weighted(3), view_of(running=3)
    finish(view, 0, "a")
    after_finish(strategy, view)
    assert strategy.observe(CallTimeReached(), view) == []


# ── under any order of events ─────────────────────────────────────────────────────────────────

lengths_known = st.none() | st.just(LengthModel.from_quantiles(100, 400))


class AnyMajority(AnyRace):
    """The vote by counts, checked against the view."""

    @initialize(
        branches=st.integers(1, 12),
        stop=st.sampled_from(STOP_NAMES),
        min_votes=st.sampled_from([1, 2, 3, 4]),
        max_flip_risk=st.sampled_from([0.0, 0.2, 0.9]),
        force_answers=st.booleans(),
        lengths=lengths_known,
    )
    def begin(
        self,
        branches: int,
        stop: StopName,
        min_votes: int,
        max_flip_risk: float,
        force_answers: bool,
        lengths: LengthModel | None,
    ) -> None:
        given: dict[str, Any] = {"min_votes": min_votes, "max_flip_risk": max_flip_risk}
        given = {k: v for k, v in given.items() if k in rule_parameters(stop)}
        self.view.lengths = lengths
        self.start(Majority(branches, stop, "none", force_answers=force_answers, **given))
        assert len(self.view.branches) == branches

    def check(self, decision: Decide) -> None:
        self.check_votes(decision)
        view, votes = self.view, tally(self.view)
        leader, runner_up = votes.lead()
        running = self.running_then
        match decision.stop_reason:
            case StopReason.CLINCHED:
                assert self.strategy.stop != "none"
                assert clinched(leader, runner_up, running)
            case StopReason.CONFIDENT_MAJORITY:
                assert self.strategy.stop not in ("none", "clinch")
                assert votes.total >= self.strategy.min_votes
                assert leader > runner_up
                if self.strategy.stop == "flip_risk" and view.lengths is None:
                    assert flip_risk(leader, runner_up, running) <= self.strategy.max_flip_risk
            case StopReason.EXHAUSTED | StopReason.FAILED | StopReason.DEADLINE:
                assert not view.active
            case reason:
                raise AssertionError(f"no majority vote stops for {reason}")
        if self.strategy.stop == "none":
            assert not view.active

    def check_votes(self, decision: Decide) -> None:
        came = [self.view.branches[i] for i in self.view.arrivals]
        whole = [b for b in came if b.status is BranchStatus.FINISHED]
        # What ran into its token limit was cut, as what was made to answer.
        votes = Counter(b.answer for b in whole if b.answer is not None) or Counter(
            b.answer
            for b in came
            if b.status in (BranchStatus.FORCED, BranchStatus.TRUNCATED) and b.answer is not None
        )
        if decision.answer is None:  # too few of those that were cut agree against whole replies
            assert max(votes.values(), default=0) <= len(whole)
            return
        assert votes[decision.answer] == max(votes.values())
        assert decision.branch is not None
        assert decision.confidence >= 0.5


class AnyWeighted(AnyRace):
    """Any weight with any rule; the vote is checked against sums worked out here."""

    @initialize(
        branches=st.integers(1, 12),
        stop=st.sampled_from(STOP_NAMES),
        weight=st.sampled_from([name for name in WEIGHT_NAMES if name not in ("none", "auto")]),
        lengths=lengths_known,
    )
    def begin(
        self, branches: int, stop: StopName, weight: WeightName, lengths: LengthModel | None
    ) -> None:
        if stop == "certified":
            weight = "reward"
        group = 50 if weight == "confidence" else 2048
        self.view.lengths = lengths
        self.start(Majority(branches, stop, weight, group=group))

    def check(self, decision: Decide) -> None:
        view = self.view
        if decision.stop_reason is StopReason.CLINCHED:
            assert self.strategy.weight in ("reward", "arrival")
        if decision.stop_reason is StopReason.EXHAUSTED:
            assert not self.scoring
        if self.strategy.weight == "arrival":
            self.check_arrivals(decision)
        if self.strategy.weight != "reward":
            return
        finished = [
            b
            for i in view.arrivals
            if (b := view.branches[i]).status is BranchStatus.FINISHED
            and b.answer is not None
            and i not in self.scoring
        ]
        known = [b.score for b in finished if b.score is not None]
        mean = fsum(known) / len(known) if known else 0.0
        if not finished or mean == 0.0:
            return
        sums: dict[str, float] = {}
        for b in finished:
            assert b.answer is not None
            weight = mean if b.score is None else b.score
            sums[b.answer] = sums.get(b.answer, 0.0) + weight
        assert decision.answer is not None
        assert sums[decision.answer] >= max(sums.values()) - 1e-9
        if decision.stop_reason is StopReason.CLINCHED:
            rivals = [v for a, v in sums.items() if a != decision.answer]
            lead = sums[decision.answer] - max(rivals, default=0.0)
            assert lead > self.running_then + len(self.scoring) - 1e-9

    def check_arrivals(self, decision: Decide) -> None:
        """The earlier a vote, the more it weighs, be the branches as many as were asked for."""
        count, sums = self.strategy.branches, dict[str, int]()
        voting = [
            b.answer
            for i in self.view.arrivals
            if (b := self.view.branches[i]).status is BranchStatus.FINISHED and b.answer is not None
        ]
        for rank, answer in enumerate(voting):
            sums[answer] = sums.get(answer, 0) + count + 1 - rank
        if not voting:
            return
        assert decision.answer is not None
        if decision.stop_reason is not StopReason.CLINCHED and tally(self.view).forced:
            best = [a for a, v in sums.items() if v == max(sums.values())]
            counts = Counter(voting)
            assert decision.answer in best or counts[decision.answer] == counts[best[0]]
            return
        assert sums[decision.answer] == max(sums.values())
        if decision.stop_reason is StopReason.CLINCHED:
            rivals = [v for a, v in sums.items() if a != decision.answer]
            first, left = len(voting), self.running_then
            to_come = sum(count + 1 - rank for rank in range(first, first + left))
            assert sums[decision.answer] - max(rivals, default=0) > to_come
            counts = Counter(voting)
            others = [n for a, n in counts.items() if a != decision.answer]
            assert counts[decision.answer] - max(others, default=0) > left


TestAnyMajority = AnyMajority.TestCase
TestAnyMajority.settings = settings(max_examples=examples(400), stateful_step_count=40)
TestAnyWeighted = AnyWeighted.TestCase
TestAnyWeighted.settings = settings(max_examples=examples(200), stateful_step_count=50)


def test_a_rule_of_a_users_own_is_asked_also_where_a_clinch_calls_nothing() -> None:
    """One that keeps the race going though the leader cannot change any more."""

    class Three:
        stops_on_clinch = False

        def settled(self, poll: Poll) -> bool:
            return poll.count >= 3

    race = SmallRace(Majority(4, stop=Three()))
    for index in (0, 1, 2):
        assert race.decision is None
        race.finish(index, "a")
    assert race.decision is not None
    assert race.decision.stop_reason is StopReason.CONFIDENT_MAJORITY
