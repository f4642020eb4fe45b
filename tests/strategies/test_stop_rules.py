from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.strategies.stop_rules import (
    STOP_NAMES,
    Poll,
    StopName,
    make_rule,
    rule_parameters,
    stops_on_clinch,
)
from frontrunner.strategies.stopping import leader_probability

THOROUGH = settings(max_examples=examples(10_000))
RULES: list[StopName] = [name for name in STOP_NAMES if name not in ("none", "clinch")]
#: Rules that look at the counts alone.
COUNTING: list[StopName] = [name for name in RULES if name not in ("esc", "certified")]
#: Some easy and some hard to satisfy.
PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "flip_risk": [{}, {"max_flip_risk": 0.0}, {"max_flip_risk": 0.9, "min_votes": 1}],
    "beta": [{}, {"threshold": 0.5, "min_votes": 1}],
    "dirichlet": [{}, {"threshold": 0.5, "min_votes": 1}, {"threshold": 0.8, "top": 3}],
    "lead": [{}, {"lead": 0.5, "min_votes": 1}],
    "sprt": [{}, {"alternative": 0.9, "min_votes": 1}],
    "esc": [{}, {"window": 2, "min_votes": 1}],
    "certified": [{"alpha": 0.5}, {"alpha": 0.9, "min_votes": 1}],
}

ballots = st.text("abcd", max_size=16)
expecting = st.integers(0, 20)


def poll_of(answers: str, expected: int = 0) -> Poll:
    """These votes, launched and arrived in this order."""
    return Poll(
        Counter(answers),
        len(answers),
        lambda: expected,
        lambda: answers,
        lambda: [(answer, 1.0) for answer in answers],
    )


def rules(names: Sequence[StopName]) -> st.SearchStrategy[tuple[StopName, dict[str, Any]]]:
    return st.sampled_from([(name, given) for name in names for given in PARAMETERS[name]])


@THOROUGH
@given(rules(RULES), ballots, expecting, st.integers(0, 2**32))
def test_what_holds_for_every_rule(
    rule: tuple[StopName, dict[str, Any]], answers: str, expected: int, seed: int
) -> None:
    name, parameters = rule
    made, poll, mix = make_rule(name, parameters), poll_of(answers, expected), Random(seed)
    least = parameters.get("min_votes", 2)
    settled = made.settled(poll)
    if settled:
        # It settles no tie, and nothing before its least number of votes.
        best = [*sorted(Counter(answers).values(), reverse=True), 0, 0]
        assert best[0] > best[1]
        assert len(answers) >= least
        # Further votes for the leader never unsettle.
        assert poll.leader is not None
        assert made.settled(poll_of(answers + poll.leader * mix.randint(1, 3), expected))
    if name not in COUNTING:
        return
    # Neither the order of votes matters nor how answers are called.
    shuffled = "".join(mix.sample(answers, len(answers)))
    renamed = shuffled.translate(str.maketrans("abcd", "".join(mix.sample("wxyz", 4))))
    assert made.settled(poll_of(renamed, expected)) == settled
    # What settles does so with a vote less against the leader.
    against = [i for i, answer in enumerate(answers) if answer != poll.leader]
    if settled and against and len(answers) > least:
        fewer = answers[: against[-1]] + answers[against[-1] + 1 :]
        assert made.settled(poll_of(fewer, expected))


@pytest.mark.parametrize(
    ("name", "parameters", "needed"),
    [
        ("beta", {}, [4, 6, 8, 9, 11, 12]),
        ("beta", {"threshold": 0.9}, [3, 5, 6, 8, 9, 11]),
        ("beta", {"threshold": 0.8, "min_votes": 1}, [2, 3, 5, 6, 7, 9]),
        ("dirichlet", {}, [4, 6, 8, 9, 11, 12]),
        ("lead", {}, [3, 4, 5, 6, 7, 8]),
        ("sprt", {}, [3, 4, 5, 6, 7, 8]),
    ],
)
def test_the_leader_needs_as_many_votes_as_published(
    name: StopName, parameters: dict[str, Any], needed: list[int]
) -> None:
    rule = make_rule(name, parameters)
    for runner_up, least in enumerate(needed):
        assert not rule.settled(poll_of("b" * runner_up + "a" * (least - 1)))
        assert rule.settled(poll_of("b" * runner_up + "a" * least))


@settings(max_examples=examples(1_000))
@given(ballots.filter(bool), st.sampled_from([0.5, 0.8, 0.95]), st.integers(2, 5))
def test_the_bounds_that_spare_the_integral_change_nothing(
    answers: str, threshold: float, top: int
) -> None:
    rule = make_rule("dirichlet", {"threshold": threshold, "top": top, "min_votes": 1})
    ranked = sorted(Counter(answers).values(), reverse=True)
    tied = len(ranked) > 1 and ranked[0] == ranked[1]
    probability = leader_probability(ranked, top)
    if abs(probability - threshold) > 1e-9:
        assert rule.settled(poll_of(answers)) == (probability >= threshold and not tied)


@settings(max_examples=examples(1_000))
@given(st.text("ab", max_size=20), st.integers(2, 5))
def test_esc_stops_on_a_unanimous_window_of_those_that_follow_each_other(
    answers: str, window: int
) -> None:
    rule = make_rule("esc", {"window": window, "min_votes": 1})
    windows = [answers[i : i + window] for i in range(0, len(answers), window)]
    unanimous = any(len(w) == window and w == w[0] * window for w in windows)
    tied = answers.count("a") == answers.count("b")
    assert rule.settled(poll_of(answers)) == (unanimous and not tied)


def test_a_certificate_waits_for_votes_to_be_released() -> None:
    rule, answers = make_rule("certified", {}), "a" * 12
    released = [(answer, 1.0) for answer in answers]
    assert rule.settled(Poll({"a": 12}, 12, released=lambda: released))
    assert not rule.settled(Poll({"a": 12}, 12, released=lambda: released[:8]))


def test_a_certificate_for_another_answer_than_the_leader_settles_nothing() -> None:
    released = [("a", 1.0)] * 12
    rule = make_rule("certified", {})
    assert not rule.settled(Poll({"a": 12, "b": 20}, 32, released=lambda: released))


def test_none_and_clinch_leave_it_to_the_race() -> None:
    for name in ("none", "clinch"):
        assert not make_rule(name, {}).settled(poll_of("a" * 50))
        assert rule_parameters(name) == frozenset()
    assert not stops_on_clinch(make_rule("none", {}))
    assert all(stops_on_clinch(make_rule(name, {})) for name in STOP_NAMES if name != "none")


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [(name, "min_votes", 0) for name in RULES]
    + [
        ("flip_risk", "max_flip_risk", 1.0),
        ("beta", "threshold", 0.49),
        ("dirichlet", "threshold", 1.0),
        ("dirichlet", "top", 1),
        ("lead", "lead", 0.0),
        ("lead", "lead", float("nan")),
        ("sprt", "alpha", 0.0),
        ("sprt", "beta", 1.0),
        ("sprt", "alternative", 0.5),
        ("esc", "window", 1),
        ("certified", "alpha", 1.0),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(
    name: StopName, parameter: str, value: float
) -> None:
    with pytest.raises(ValueError, match=parameter):
        make_rule(name, {parameter: value})
