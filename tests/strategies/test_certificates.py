"""Certificates, against every sequence of votes there is."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from math import exp, prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.strategies.certificates import certified, weakest_evidence
from frontrunner.strategies.stopping import log_pair_evidence, majority_probability


def whole(answers: str) -> list[tuple[str, float]]:
    return [(answer, 1.0) for answer in answers]


def ever_certified(shares: dict[str, float], votes: int, alpha: float, wrong: str) -> float:
    """Probability that within so many votes one of the answers ``wrong`` is ever certified,
    by going through all sequences."""

    def from_here(seen: str) -> float:
        # Only the answer that was just voted for can have gained.
        if seen and seen[-1] in wrong and certified(seen[-1], whole(seen), alpha):
            return 1.0
        if len(seen) == votes:
            return 0.0
        return sum(p * from_here(seen + answer) for answer, p in shares.items() if p)

    return from_here("")


@pytest.mark.parametrize("alpha", [0.5, 0.2])
@pytest.mark.parametrize(
    ("shares", "wrong"),
    [
        ({"a": 0.5, "b": 0.5}, "ab"),
        ({"a": 0.51, "b": 0.49}, "b"),
        ({"a": 0.4, "b": 0.4, "c": 0.2}, "abc"),
        ({"a": 0.36, "b": 0.34, "c": 0.3}, "bc"),
    ],
)
def test_the_probability_of_ever_certifying_another_answer_than_the_mode_is_at_most_alpha(
    shares: dict[str, float], wrong: str, alpha: float
) -> None:
    wrongly = ever_certified(shares, 9, alpha, wrong)
    assert wrongly <= alpha
    if alpha == 0.5:
        assert wrongly > 0.0  # it does happen: the bound is no matter of never certifying


def test_a_posterior_watched_after_every_vote_does_not_keep_to_its_level() -> None:
    """Why a certificate is not just the Beta rule: between equally frequent answers, stopped as
    soon as one of them has a posterior of 0.8, the race is wrong far more often than 0.2."""

    def stopped(wins: int, losses: int, left: int) -> float:
        if majority_probability(max(wins, losses), min(wins, losses)) >= 0.8:
            return 1.0
        if not left:
            return 0.0
        return (stopped(wins + 1, losses, left - 1) + stopped(wins, losses + 1, left - 1)) / 2

    assert stopped(0, 0, 12) > 0.6
    assert ever_certified({"a": 0.5, "b": 0.5}, 12, 0.2, "ab") <= 0.2


def weighted_sequences(votes: int, kinds: Sequence[tuple[str, float]]) -> Iterator[tuple]:
    yield from product(kinds, repeat=votes)


def test_with_weights_it_keeps_to_its_level_where_the_weight_depends_on_the_answer() -> None:
    """a: always half a vote; b: one vote in two whole, one nothing. Their mean weights are equal,
    so certifying either is wrong."""
    kinds = {("a", 0.5): 0.5, ("b", 1.0): 0.25, ("b", 0.0): 0.25}
    wrongly = 0.0
    for votes in weighted_sequences(7, list(kinds)):
        if any(certified(votes[n - 1][0], votes[:n], 0.6) for n in range(1, len(votes) + 1)):
            wrongly += prod(kinds[v] for v in votes)
    assert wrongly <= 0.6


def test_the_first_answer_needs_nine_votes_if_nothing_speaks_against_it() -> None:
    assert not certified("a", whole("a" * 8), 0.05)
    assert certified("a", whole("a" * 9), 0.05)
    # The second to appear starts from nothing there, and needs three times the evidence.
    assert not certified("a", whole("b" + "a" * 10), 0.05)
    assert certified("a", whole("b" + "a" * 11), 0.05)


def test_an_answer_that_nobody_gave_is_not_certified() -> None:
    assert not certified("a", whole("b" * 50), 0.5)
    assert not certified("a", [], 0.5)


def test_evidence_from_before_an_answer_appeared_neither_helps_nor_harms_it() -> None:
    assert certified("b", whole("a" + "b" * 11), 0.05)
    assert certified("b", whole("aaaaaa" + "b" * 11), 0.05)


ballots = st.text("abc", max_size=30)


@settings(max_examples=examples(1_000))
@given(ballots, st.sampled_from([0.01, 0.05, 0.2, 0.5]))
def test_a_further_vote_for_it_takes_no_certificate_away_and_one_against_it_gives_none(
    answers: str, alpha: float
) -> None:
    now = certified("a", whole(answers), alpha)
    if now:
        assert certified("a", whole(answers + "a"), alpha)
        assert certified("a", whole(answers), alpha * 2)
    else:
        assert not certified("a", whole(answers + "b"), alpha)


@settings(max_examples=examples(1_000))
@given(ballots, ballots)
def test_what_is_needed_is_the_weakest_of_all_pairs_the_unseen_answer_among_them(
    before: str, answers: str
) -> None:
    counts = Counter(answers)
    pairs = [log_pair_evidence(counts["a"], counts[other]) for other in "bcd"]
    assert weakest_evidence("a", whole(answers)) == pytest.approx(min(pairs))


@settings(max_examples=examples(500))
@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.0, 1.0)), max_size=20))
def test_weighted_evidence_is_a_martingale_against_a_vote_that_is_as_often_for_the_other(
    votes: list[tuple[str, float]],
) -> None:
    half = [*votes, ("c", 0.5)]  # not all whole: the weighted form throughout

    def wealth(more: tuple[str, float]) -> float:
        only = [v for v in [*half, more] if v[0] != "c"]
        return exp(weakest_evidence("a", [*only, ("c", 0.0)]))

    # Both stand alone against a: with an unseen answer there is no loss, so the least is b's.
    assert (wealth(("a", 0.7)) + wealth(("b", 0.7))) / 2 <= exp(
        weakest_evidence("a", [*[v for v in half if v[0] != "c"], ("c", 0.0)])
    ) * (1 + 1e-9)


def test_weights_next_to_one_give_nearly_what_whole_votes_give() -> None:
    for answers in ("aaab", "aabbbaac", "a" * 20):
        near = [(a, 1.0 - 1e-9) for a in answers]
        assert weakest_evidence("a", near) == pytest.approx(
            weakest_evidence("a", whole(answers)), abs=0.05
        )
