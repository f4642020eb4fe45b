from math import inf, isfinite
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.strategies.likelihood import mean_logprob
from frontrunner.strategies.protocol import BranchStatus
from frontrunner.strategies.votes import tally
from frontrunner.strategies.weights import (
    ConfidenceWeights,
    LikelihoodWeights,
    OneEach,
    RewardWeights,
    voters,
    weigh,
)

from .views import FakeView, view_of

THOROUGH = settings(max_examples=examples(1_000))
ballots = st.lists(
    st.tuples(st.sampled_from("abc"), st.none() | st.floats(0.0, 1.0, allow_subnormal=False)),
    min_size=1,
    max_size=10,
)


def scored_view(votes: list[tuple[str, float | None]]) -> FakeView:
    view = view_of([answer for answer, _ in votes])
    for index, (_, score) in enumerate(votes):
        view.branches[index].score = score
    return view


@THOROUGH
@given(ballots, st.integers(0, 2**32))
def test_n_votes_weigh_n_whatever_their_order(
    votes: list[tuple[str, float | None]], seed: int
) -> None:
    weighed = RewardWeights().weigh(scored_view(votes))
    mixed = RewardWeights().weigh(scored_view(Random(seed).sample(votes, len(votes))))
    assert weighed.count == mixed.count == len(votes)
    assert weighed.tally.total == pytest.approx(len(votes))
    assert weighed.tally.finished == mixed.tally.finished
    assert (weighed.lead, weighed.heaviest) == (mixed.lead, mixed.heaviest)


@THOROUGH
@given(ballots, st.floats(0.01, 100.0))
def test_only_the_ratios_of_weights_matter(
    votes: list[tuple[str, float | None]], factor: float
) -> None:
    view = scored_view(votes)
    once = weigh(view, voters(view), lambda b: b.score)
    scaled = weigh(view, voters(view), lambda b: None if b.score is None else b.score * factor)
    for answer, weight in once.tally.finished.items():
        if min((s for _, s in votes if s), default=1.0) > 1e-300:
            assert scaled.tally.finished[answer] == pytest.approx(weight, abs=1e-9)


@THOROUGH
@given(ballots, ballots.map(lambda votes: votes[:2]))
def test_a_clinch_stands_whatever_weights_follow(
    votes: list[tuple[str, float | None]], further: list[tuple[str, float | None]]
) -> None:
    before = RewardWeights().weigh(scored_view(votes))
    if before.lead > len(further) * before.heaviest:
        after = RewardWeights().weigh(scored_view([*votes, *further]))
        ranked = sorted(after.tally.finished.values(), reverse=True)
        assert after.tally.leader == before.tally.leader
        assert len(ranked) < 2 or ranked[0] > ranked[1] - 1e-9
        assert before.bounded


def test_votes_whose_weight_is_unknown_weigh_the_mean() -> None:
    weighed = RewardWeights().weigh(scored_view([("a", 0.2), ("a", 0.6), ("b", None)]))
    assert weighed.tally.finished == {"a": pytest.approx(2.0), "b": 1.0}


@pytest.mark.parametrize("score", [None, 0.0, -3.0])
def test_votes_that_all_weigh_nothing_count_one_each_and_clinch_nothing(
    score: float | None,
) -> None:
    weighed = RewardWeights().weigh(scored_view([("a", score)] * 3 + [("b", score)]))
    assert weighed.tally.finished == {"a": 3.0, "b": 1.0}
    assert weighed.lead <= weighed.heaviest


def test_a_score_above_one_shows_that_one_is_no_bound() -> None:
    weighed = RewardWeights().weigh(scored_view([("a", 3.0), ("b", 1.0)]))
    assert not weighed.bounded
    assert weighed.heaviest == 3.0


def test_votes_wait_for_their_scores() -> None:
    weights, view = RewardWeights(), scored_view([("a", None), ("b", None)])
    for branch in view.branches.values():
        weights.ask(branch)
    assert weights.weigh(view).count == 0
    assert weights.weigh(view, pending_too=True).tally.finished == {"a": 1.0, "b": 1.0}
    weights.arrived(1)
    assert weights.weigh(view).tally.finished == {"b": 1.0}
    assert weights.released(view) == []
    weights.arrived(0)
    assert weights.released(view) == [("a", 0.0), ("b", 0.0)]


def test_votes_are_released_in_launch_order_up_to_the_first_that_may_still_come() -> None:
    view = view_of(["c", "b", None, "a"])
    view.arrivals.reverse()
    view.add(BranchStatus.FAILED)
    view.add(BranchStatus.FORCED, "a")
    view.add(BranchStatus.RUNNING)
    view.add(BranchStatus.FINISHED, "d")
    assert OneEach().released(view) == [("c", 1.0), ("b", 1.0), ("a", 1.0)]
    view.branches[1].status = BranchStatus.FORCING
    assert OneEach().released(view) == [("c", 1.0)]


def test_forced_answers_are_not_weighed() -> None:
    view = view_of(["a"], ["b", "b"])
    for branch in view.branches.values():
        branch.score = 0.5
    assert RewardWeights().weigh(view).tally.forced == {"b": 2.0}


def test_confidences_are_read_once() -> None:
    view = view_of(["a", "b"])
    view.branches[0].confidences, view.branches[1].confidences = [4.0, 2.0], [6.0]
    weights = ConfidenceWeights(20, 2048)
    assert weights.weigh(view).tally.finished == {
        "a": pytest.approx(2 / 3),
        "b": pytest.approx(4 / 3),
    }
    view.branches[0].confidences = []
    assert weights.weigh(view).tally.finished["a"] == pytest.approx(2 / 3)


logprobs = st.lists(st.floats(-200.0, 0.0) | st.just(-inf), max_size=20)


@THOROUGH
@given(st.lists(logprobs, min_size=2, max_size=6), st.floats(0.1, 50.0))
def test_the_likelier_a_branch_the_more_it_weighs(
    told: list[list[float]], sharpness: float
) -> None:
    view = view_of([str(index) for index in range(len(told))])
    for index, values in enumerate(told):
        view.branches[index].confidences = values
    weighed = LikelihoodWeights(sharpness).weigh(view).tally.finished
    assert all(isfinite(weight) for weight in weighed.values())
    assert weighed.keys() == {str(index) for index in range(len(told))}
    means = {str(i): mean_logprob(values) for i, values in enumerate(told) if values}
    for one, first in means.items():
        for other, second in means.items():
            assert first is not None
            assert second is not None
            if first >= second:
                assert weighed[one] >= weighed[other] * (1 - 1e-9)


def test_a_mean_log_probability_is_finite() -> None:
    assert mean_logprob([]) is None
    assert mean_logprob([-1.0, -2.0]) == -1.5
    assert mean_logprob([-inf, 0.0]) == -50.0
    assert mean_logprob([1e-9]) == 0.0  # rounded by an engine


def test_a_branch_that_comes_back_with_a_forced_answer_is_counted_anew() -> None:
    weights, view = OneEach(), view_of([None])
    assert weights.weigh(view).tally.forced == {}
    view.branches[0].status, view.branches[0].answer = BranchStatus.FORCED, "a"
    assert weights.weigh(view).tally.forced == {"a": 1}


def test_one_each_counts() -> None:
    weighed = OneEach().weigh(view_of(["a", "a", "b"], ["c"]))
    assert (weighed.count, weighed.lead, weighed.heaviest, weighed.bounded) == (3, 1, 1.0, True)


events = st.lists(
    st.tuples(
        st.sampled_from(["finish", "force", "forced", "ask"]), st.none() | st.sampled_from("abc")
    ),
    max_size=20,
)


@THOROUGH
@given(events)
def test_counting_what_is_new_gives_what_counting_all_gives(
    events: list[tuple[str, str | None]],
) -> None:
    view, weights = view_of(running=12), OneEach()
    for event, answer in events:
        silent = [b for b in view.branches.values() if b.status is BranchStatus.FINISHED]
        silent = [b for b in silent if b.answer is None]
        forcing = [b for b in view.active if b.status is BranchStatus.FORCING]
        if event == "finish" and view.running:
            branch = view.running[0]
            branch.status, branch.answer = BranchStatus.FINISHED, answer
            view.arrivals.append(branch.index)
        elif event == "force" and silent:
            silent[0].status = BranchStatus.FORCING
            view.arrivals.remove(silent[0].index)
        elif event == "forced" and forcing:
            forcing[0].status, forcing[0].answer = BranchStatus.FORCED, answer
            view.arrivals.append(forcing[0].index)
        if event != "ask":
            continue  # it need not be asked after everything that happens
        weighed = weights.weigh(view)
        assert weighed.tally == tally(view)
        assert list(weighed.tally.finished) == list(tally(view).finished)
        assert weighed.count == tally(view).total == len(weights.order(view))
    assert weights.weigh(view_of(["z"])).tally == tally(view_of(["z"]))
