"""Best of n, by example and under a driver that does anything a race might."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize
from tests.profiles import examples

from frontrunner.strategies.best_of_n import BestOfN
from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import Decide, Force, Launch, Needs, Score, StopReason
from frontrunner.strategies.scores import Pick

from .rewarded_race import AnyRewardedRace
from .small_race import SmallRace


def test_each_branch_is_scored_as_it_finishes() -> None:
    race = SmallRace(BestOfN(3))
    assert race.first == [Launch(3)]
    assert race.strategy.needs == Needs(rewards=True)  # pyright: ignore[reportAttributeAccessIssue]
    assert race.finish(1, "a") == [Score((1,))]
    assert race.scored(1, 0.4) == []
    assert race.finish(0, None) == []  # nothing to choose


def test_without_a_threshold_all_are_waited_for_and_the_best_score_wins() -> None:
    race = SmallRace(BestOfN(3))
    for index, score in enumerate([0.4, 0.9, 0.99]):
        race.finish(index, "abb"[index])
        assert race.decision is None
        race.scored(index, score)
    assert race.decision == Decide("b", 2, StopReason.EXHAUSTED, 0.99)


def test_it_stops_at_the_first_score_that_reaches_the_threshold() -> None:
    race = SmallRace(BestOfN(4, threshold=0.8))
    race.finish(0, "a")
    race.finish(1, "b")
    assert race.scored(1, 0.79) == []
    assert race.scored(0, 0.8) == [Decide("a", 0, StopReason.REWARD_THRESHOLD, 0.8)]


def test_the_last_score_decides_though_all_branches_have_ended() -> None:
    race = SmallRace(BestOfN(2))
    race.finish(0, "a")
    race.finish(1, "b")
    race.scored(0, 0.2)
    assert race.decision is None
    race.scored(1, 0.3)
    assert race.decision == Decide("b", 1, StopReason.EXHAUSTED, 0.3)


def test_a_score_counts_before_any_number_of_votes() -> None:
    race = SmallRace(BestOfN(5))
    for index, answer in enumerate("aaab"):
        race.finish(index, answer)
    race.scored(3, 0.1)
    assert race.conclude() == Decide("b", 3, StopReason.DEADLINE, 0.1)


def test_when_every_score_fails_it_is_a_majority_vote() -> None:
    race = SmallRace(BestOfN(3, threshold=0.5))
    for index, answer in enumerate("abb"):
        race.finish(index, answer)
    for index in range(3):
        race.scored(index, None)
    assert race.decision is not None
    assert race.decision.answer == "b"
    assert race.decision.branch == 1


def test_the_sum_of_scores_is_a_weighted_vote() -> None:
    race = SmallRace(BestOfN(3, pick="sum"))
    for index, answer in enumerate("abb"):
        race.finish(index, answer)
    for index, score in enumerate([0.8, 0.5, 0.7]):
        race.scored(index, score)
    assert race.decision is not None
    assert (race.decision.answer, race.decision.branch) == ("b", 2)
    assert race.decision.confidence == pytest.approx(1.2 / 2.0)


def test_at_the_call_time_nothing_is_forced_where_a_finished_answer_leads() -> None:
    race = SmallRace(BestOfN(4))
    race.finish(0, "a")
    race.finish(1, "b")
    race.scored(0, 0.5)
    race.scored(1, 0.6)
    assert race.call_time() == []
    race.finish(2, "c")
    race.scored(2, 0.7)
    assert race.conclude() == Decide("c", 2, StopReason.DEADLINE, 0.7)


@pytest.mark.parametrize("finished", ["", "ab"])
def test_at_the_call_time_a_tie_and_silence_are_broken_by_force(finished: str) -> None:
    race = SmallRace(BestOfN(4))
    for index, answer in enumerate(finished):
        race.finish(index, answer)
    assert race.call_time() == [Force(tuple(range(len(finished), 4)), let_run=True)]
    race.forced(3, "b")
    assert race.conclude().answer == "b"


def test_a_lost_branch_is_not_waited_for() -> None:
    race = SmallRace(BestOfN(2))
    race.finish(0, "a")
    race.scored(0, 0.1)
    race.fail(1)
    assert race.decision == Decide("a", 0, StopReason.EXHAUSTED, 0.1)


def test_with_every_branch_lost_it_has_failed() -> None:
    race = SmallRace(BestOfN(2))
    race.fail(0)
    race.fail(1)
    assert race.decision == Decide(None, None, StopReason.FAILED, 0.0)


def pandora(race: SmallRace) -> float:
    """Best score with which a race of 8 is called, after mediocre ones."""
    race.view.lengths = LengthModel.from_quantiles(1_000, 2_000)
    for index in range(8):
        race.view.branches[index].tokens = 900
    for index, score in enumerate([0.30, 0.35, 0.55, 0.7, 0.9, 0.95, 0.99, 0.995]):
        race.finish(index, "x")
        race.scored(index, score)
        if race.decision is not None:
            return score
    raise AssertionError("not decided")


def test_the_dearer_waiting_is_the_lower_a_score_is_good_enough() -> None:
    prices = [0.0, 0.2, 2.0, 20.0]
    reached = [pandora(SmallRace(BestOfN(8, rule="pandora", price=p))) for p in prices]
    assert reached == sorted(reached, reverse=True)
    assert reached[0] == 0.995
    assert reached[-1] == 0.35  # min_scores


def test_not_to_know_the_distribution_makes_it_more_patient() -> None:
    known, unknown = (
        pandora(SmallRace(BestOfN(8, rule="pandora", price=0.5, belief=belief)))
        for belief in ("normal", "any")
    )
    assert unknown >= known


def test_pandora_stops_when_nobody_is_expected_in_time() -> None:
    race = SmallRace(BestOfN(4, rule="pandora", price=0.0))
    race.view.lengths = LengthModel.from_quantiles(1_000, 2_000)
    for index in range(2):
        race.finish(index, "a", tokens=800)
        race.scored(index, 0.2)
    assert race.decision is None
    race.view.reachable_tokens = 0.0
    race.progress(3, 900)
    assert race.decision == Decide("a", 0, StopReason.REWARD_THRESHOLD, 0.2)


def test_pandora_works_without_a_length_model() -> None:
    race = SmallRace(BestOfN(4, rule="pandora", price=10.0))
    for index in range(2):
        race.progress(2, 700 + index)
        race.finish(index, "a", tokens=800)
        race.scored(index, 0.6)
    assert race.decision is not None
    assert race.decision.stop_reason is StopReason.REWARD_THRESHOLD


@pytest.mark.parametrize(
    "parameters",
    [
        {"branches": 0},
        {"rule": "magic"},
        {"rule": "pandora", "threshold": 0.5},
        {"threshold": float("nan")},
        {"price": -1.0},
        {"price": float("inf")},
        {"belief": "none"},
        {"min_scores": 0},
        {"pick": "last"},
    ],
)
def test_parameters_out_of_range_are_refused_by_name(parameters: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=list(parameters)[-1]):
        BestOfN(**parameters)  # pyright: ignore[reportArgumentType]


class AnyBestOfN(AnyRewardedRace):
    @initialize(
        branches=st.integers(1, 8),
        threshold=st.none() | st.floats(0.0, 1.0),
        price=st.none() | st.sampled_from([0.0, 0.1, 10.0]),
        pick=st.sampled_from(["score", "sum"]),
        force_answers=st.booleans(),
        lengths=st.none() | st.just(LengthModel.from_quantiles(100, 400)),
    )
    def begin(
        self,
        branches: int,
        threshold: float | None,
        price: float | None,
        pick: Pick,
        force_answers: bool,
        lengths: LengthModel | None,
    ) -> None:
        self.view.lengths = lengths
        if price is None:
            strategy = BestOfN(
                branches, threshold=threshold, pick=pick, force_answers=force_answers
            )
        else:
            strategy = BestOfN(
                branches, "pandora", price=price, pick=pick, force_answers=force_answers
            )
        self.start(strategy)

    def check(self, decision: Decide) -> None:
        super().check(decision)
        scores = [b.score for b in self.view.branches.values() if b.score is not None]
        if decision.stop_reason is StopReason.REWARD_THRESHOLD:
            if self.strategy.threshold is not None:
                assert max(scores) >= self.strategy.threshold
            else:
                assert self.strategy.rule == "pandora"
                assert len(scores) >= self.strategy.min_scores


TestAnyBestOfN = AnyBestOfN.TestCase
TestAnyBestOfN.settings = settings(max_examples=examples(150), stateful_step_count=40)
