"""The reward threshold of best_of_n for a wanted precision."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import comb, inf, sqrt
from random import Random
from statistics import NormalDist

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.runtime.answers import Equivalence
from frontrunner.runtime.experiments.calibration import (
    Arrival,
    Figures,
    Fit,
    ScoredQuestion,
    decisions_needed,
    figures,
    fit_threshold,
    lower_bound,
    scored_question,
    split,
)
from frontrunner.runtime.simulation.simulated_race import SimulatedRace, Timing
from frontrunner.runtime.traces.trace_files import (
    RecordedBranch,
    RecordedQuestion,
    read_traces,
    unified,
)
from frontrunner.strategies.best_of_n import BestOfN
from frontrunner.strategies.protocol import StopReason

from .data import real_data

# ── samples ───────────────────────────────────────────────────────────────────────────────────


def scored(*branches: tuple[int, float, bool]) -> ScoredQuestion:
    """A question of branches ``(tokens, score, right)``."""
    arrivals = tuple(Arrival(*branch) for branch in sorted(branches, key=lambda b: b[0]))
    return ScoredQuestion(arrivals, tuple(arrival.tokens for arrival in arrivals))


def recorded(*branches: RecordedBranch, gold: str | None = "7") -> RecordedQuestion:
    right = frozenset({gold}) if gold is not None else frozenset[str]()
    return RecordedQuestion("q", gold, branches, right)


# Few different scores and lengths, so that ties are common.
_branches = st.tuples(st.integers(1, 9), st.integers(-3, 6).map(float), st.booleans())
_questions = st.lists(
    st.lists(_branches, min_size=1, max_size=5).map(lambda branches: scored(*branches)),
    min_size=1,
    max_size=12,
)
_precisions = st.integers(1, 19).map(lambda n: n / 20)
_confidences = st.sampled_from([None, 0.5, 0.8, 0.9, 0.99])


def by_hand(questions: list[ScoredQuestion], confidence: float | None) -> list[tuple[float, float]]:
    """Each candidate with its smoothed value, straight from the definitions."""
    scores = sorted({a.score for q in questions for a in q.arrivals})
    decisions = [[q.first_at(t) for q in questions] for t in scores]
    kept = [
        i
        for i in range(len(scores))
        if i + 1 == len(scores)
        or any(a is not b for a, b in zip(decisions[i], decisions[i + 1], strict=True))
    ]
    made = [[d for d in decisions[i] if d is not None] for i in kept]
    right = [sum(d.right for d in each) for each in made]

    def mean(low: int, high: int) -> Fraction:
        return Fraction(sum(right[low : high + 1]), sum(len(m) for m in made[low : high + 1]))

    found: list[tuple[float, float]] = []
    for i in range(len(kept)):
        # The max-min formula of isotonic regression.
        share = max(min(mean(a, b) for b in range(i, len(kept))) for a in range(i + 1))
        value = float(share)
        if confidence is not None:
            value = lower_bound(value, len(made[i]), confidence)
        found.append((scores[kept[i]], value))
    return found


# ── the fit ───────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=examples(500), deadline=None)
@given(_questions, _precisions, _confidences)
def test_the_threshold_is_the_smallest_allowed(
    questions: list[ScoredQuestion], precision: float, confidence: float | None
) -> None:
    fit = fit_threshold(questions, precision, confidence)
    values = by_hand(questions, confidence)
    allowed = [entry for entry in values if entry[1] >= precision]
    if allowed:
        assert fit == Fit(*allowed[0][:1], True, allowed[0][1])
    else:
        best = max(value for _, value in values)
        assert fit == Fit(min(t for t, value in values if value == best), False, best)


@settings(max_examples=examples(500), deadline=None)
@given(_questions, _precisions, _confidences)
def test_what_was_fitted_reaches_the_precision(
    questions: list[ScoredQuestion], precision: float, confidence: float | None
) -> None:
    fit = fit_threshold(questions, precision, confidence)
    seen = figures(questions, fit.threshold, confidence)
    value = seen.precision if confidence is None else seen.precision_bound
    assert value is not None
    assert value >= fit.smoothed
    assert fit.reached == (fit.smoothed >= precision)


@settings(max_examples=examples(500), deadline=None)
@given(_questions, _precisions, _confidences, st.data())
def test_more_right_branches_never_raise_it(
    questions: list[ScoredQuestion],
    precision: float,
    confidence: float | None,
    data: st.DataObject,
) -> None:
    better = [
        replace(
            question,
            arrivals=tuple(
                replace(a, right=a.right or data.draw(st.booleans())) for a in question.arrivals
            ),
        )
        for question in questions
    ]
    before = fit_threshold(questions, precision, confidence)
    after = fit_threshold(better, precision, confidence)
    if before.reached:
        assert after.reached
        assert after.threshold <= before.threshold


@settings(max_examples=examples(300), deadline=None)
@given(_questions, _precisions, _confidences, st.randoms(use_true_random=False))
def test_the_order_of_questions_changes_nothing(
    questions: list[ScoredQuestion], precision: float, confidence: float | None, random: Random
) -> None:
    mixed = random.sample(questions, len(questions))
    fit = fit_threshold(questions, precision, confidence)
    assert fit_threshold(mixed, precision, confidence) == fit
    assert figures(mixed, fit.threshold, confidence) == figures(
        questions, fit.threshold, confidence
    )


def test_a_lucky_low_threshold_is_not_chosen() -> None:
    # At 1 a question more is decided, and rightly; from 2 to 3 half are wrong; from 4 on all right.
    questions = [
        *(scored((5, 1.0, True)) for _ in range(4)),
        *(scored((5, 2.0, True), (6, 3.0, False), (7, 4.0, True)) for _ in range(4)),
    ]
    assert figures(questions, 1.0, None).precision == 1.0
    assert figures(questions, 3.0, None).precision == 0.0
    assert fit_threshold(questions, 0.9, None) == Fit(4.0, True, 1.0)


def test_the_first_branch_to_arrive_decides_not_the_best_one() -> None:
    question = scored((30, 9.0, True), (10, 2.0, False), (20, 1.0, True))
    assert question.first_at(2.0) == Arrival(10, 2.0, False)
    assert question.first_at(2.5) == Arrival(30, 9.0, True)
    assert question.first_at(9.5) is None
    assert fit_threshold([question], 0.5, None) == Fit(9.0, True, 1.0)


def test_nothing_reaches_the_precision() -> None:
    questions = [scored((5, 1.0, True)), scored((5, 2.0, False))]
    # One of two right at 1, none of one at 2: one of three together.
    assert fit_threshold(questions, 0.9, None) == Fit(1.0, False, 1 / 3)


def test_there_must_be_a_score() -> None:
    with pytest.raises(ValueError, match="no branch has a score"):
        fit_threshold([ScoredQuestion((), (5, 6))], 0.9, None)


# ── figures ───────────────────────────────────────────────────────────────────────────────────


def test_figures() -> None:
    questions = [
        scored((10, 1.0, False), (20, 5.0, True), (40, 6.0, True)),
        scored((10, 5.0, False), (30, 2.0, True)),
        scored((10, 1.0, True)),
        ScoredQuestion((), (20,)),
    ]
    assert figures(questions, 5.0, None) == Figures(
        questions=4,
        stopped=2,
        right=1,
        precision=0.5,
        precision_bound=None,
        stopped_share=0.5,
        branches_cut=2 / 7,
        tokens_saved=1 - 100 / 140,
    )
    nothing = figures(questions, 9.0, 0.9)
    assert (nothing.precision, nothing.precision_bound, nothing.tokens_saved) == (None, None, 0.0)


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.integers(1, 9), st.sampled_from([None, "7", "8"]), st.integers(-2, 4).map(float)
            ),
            min_size=1,
            max_size=5,
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(-3, 5),
)
def test_figures_are_those_of_the_live_strategy(
    drawn: list[list[tuple[int, str | None, float]]], threshold: int
) -> None:
    questions = [
        recorded(*(RecordedBranch(t, answer, score=score) for t, answer, score in branches))
        for branches in drawn
    ]
    stopped = right = ended = tokens = 0
    for question in questions:
        count = len(question.branches)
        strategy = BestOfN(count, threshold=float(threshold), force_answers=False)
        outcome = SimulatedRace(strategy, question.branches, Timing()).run()
        if outcome.decision.stop_reason is StopReason.REWARD_THRESHOLD:
            stopped += 1
            right += outcome.decision.answer in question.right
        tokens += outcome.tokens
        ended += outcome.ended
    usable = [s for s in map(scored_question, questions) if s is not None]
    assert len(usable) == len(questions)
    seen = figures(usable, float(threshold), None)
    branches = [b for question in questions for b in question.branches]
    assert (seen.stopped, seen.right) == (stopped, right)
    assert seen.branches_cut == pytest.approx(1 - ended / len(branches))
    assert seen.tokens_saved == pytest.approx(1 - tokens / sum(b.tokens for b in branches))


# ── the bound ─────────────────────────────────────────────────────────────────────────────────


@given(st.integers(1, 500), st.data(), st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]))
def test_the_bound_solves_wilsons_equation(
    count: int, data: st.DataObject, confidence: float
) -> None:
    share = data.draw(st.integers(1, count)) / count
    bound = lower_bound(share, count, confidence)
    z = NormalDist().inv_cdf(confidence)
    assert 0.0 <= bound <= share
    assert share - 0.5 / count - bound == pytest.approx(
        z * sqrt(bound * (1 - bound) / count), abs=1e-9
    )


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95, 0.99])
def test_the_bound_fails_hardly_more_often_than_it_says(confidence: float) -> None:
    # The plain Wilson bound does near 1: of 20 decisions at a true 0.92 all are right, and the
    # 90 % bound is above 0.92, in 19 % of all cases.
    for count in (1, 5, 20, 60):
        bounds = [lower_bound(k / count, count, confidence) for k in range(count + 1)]
        for p in (bound - 1e-9 for bound in bounds if bound > 0.5):  # the worst places
            failed = sum(
                comb(count, k) * p**k * (1 - p) ** (count - k)
                for k, bound in enumerate(bounds)
                if bound > p
            )
            assert failed <= 1 - confidence + 0.015, (count, p)
    assert lower_bound(0.0, 5, confidence) == 0.0


def test_the_decisions_that_are_needed() -> None:
    assert decisions_needed(0.95, 0.9) == 50
    assert lower_bound(1.0, 50, 0.9) >= 0.95 > lower_bound(1.0, 49, 0.9)
    assert decisions_needed(0.01, 0.5) == 1


# ── the split ─────────────────────────────────────────────────────────────────────────────────


@given(st.integers(2, 40), st.floats(0.001, 0.999), st.integers(0, 5))
def test_both_parts_of_a_split_hold_something_and_together_all(
    count: int, holdout: float, seed: int
) -> None:
    questions = [scored((5, float(number), True)) for number in range(count)]
    fitting, checking = split(questions, holdout, seed)
    assert fitting
    assert checking
    assert abs(len(checking) - holdout * count) <= 1
    assert sorted(q.arrivals[0].score for q in fitting + checking) == list(range(count))


# A split cannot tell questions apart that are alike but for what is right in them.
_different = _questions.map(
    lambda questions: list(
        {tuple((a.tokens, a.score) for a in q.arrivals): q for q in questions}.values()
    )
)


@settings(max_examples=examples(300), deadline=None)
@given(_different, st.randoms(use_true_random=False))
def test_the_order_of_questions_does_not_change_a_split(
    questions: list[ScoredQuestion], random: Random
) -> None:
    assume(len(questions) > 1)
    mixed = random.sample(questions, len(questions))
    assert split(mixed, 0.5, 3) == split(questions, 0.5, 3)


def test_the_seed_says_which_questions_are_held_out() -> None:
    questions = [scored((5, float(number), True)) for number in range(20)]
    assert split(questions, 0.5, 0) == split(questions, 0.5, 0)
    assert split(questions, 0.5, 0) != split(questions, 0.5, 1)
    with pytest.raises(ValueError, match="one to check on"):
        split(questions[:1], 0.5, 0)


# ── out of recordings ─────────────────────────────────────────────────────────────────────────


def test_branches_that_cannot_decide_still_take_tokens() -> None:
    question = recorded(
        RecordedBranch(30, "7", score=1.0),
        RecordedBranch(20, None, score=5.0),
        RecordedBranch(40, "8"),
        RecordedBranch(10, "8", score=2.0, lost=True),
    )
    assert scored_question(question) == ScoredQuestion((Arrival(30, 1.0, True),), (10, 20, 30, 40))


def test_arrivals_at_the_same_moment_keep_their_order() -> None:
    question = recorded(
        RecordedBranch(9, "8", score=2.0), RecordedBranch(9, "7", score=3.0), gold="7"
    )
    usable = scored_question(question)
    assert usable is not None
    assert usable.first_at(1.0) == Arrival(9, 2.0, False)


@pytest.mark.parametrize(
    ("question", "usable"),
    [
        (recorded(RecordedBranch(9, "7")), False),
        (recorded(RecordedBranch(9, "7", score=1.0), gold=None), False),
        (recorded(RecordedBranch(9, "7", False, score=1.0), gold=None), True),
        (recorded(RecordedBranch(9, None, score=1.0)), True),  # a race without a decision
    ],
)
def test_a_question_that_tells_nothing_is_left_out(
    question: RecordedQuestion, usable: bool
) -> None:
    assert (scored_question(question) is not None) == usable


async def test_real_rewards() -> None:
    read = await unified(read_traces([real_data("math_rm8.jsonl")]), Equivalence(None))
    questions = [s for s in map(scored_question, read) if s is not None]
    assert len(questions) == 60
    fit = fit_threshold(questions, 0.95, 0.9)
    assert fit.reached
    seen = figures(questions, fit.threshold, 0.9)
    first = figures(questions, -inf, 0.9)  # whatever comes first
    assert first.precision is not None
    assert seen.precision is not None
    assert seen.precision > first.precision
    assert seen.stopped_share > 0.5
    assert 0.0 < seen.tokens_saved < first.tokens_saved


def test_a_fit_takes_a_lower_precision_with_a_lower_threshold() -> None:
    random = Random(0)
    questions = [
        scored(
            *((random.randint(1, 99), s, random.random() < s) for s in _scores(random.random, 8))
        )
        for _ in range(400)
    ]
    fits = [fit_threshold(questions, p, 0.9) for p in (0.5, 0.7, 0.8, 0.9)]
    assert all(fit.reached for fit in fits)
    assert [fit.threshold for fit in fits] == sorted(fit.threshold for fit in fits)


def _scores(draw: Callable[[], float], count: int) -> list[float]:
    return [draw() for _ in range(count)]
