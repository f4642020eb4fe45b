"""What a judge is asked, and how its picks are counted."""

from collections import Counter
from math import log

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from frontrunner.runtime.rewards.inputs import Template
from frontrunner.runtime.rewards.listwise import (
    MAX_REPLIES,
    QUESTION,
    Candidate,
    by_probability,
    by_text,
    candidates,
    fitted,
    orders,
    prompt,
    shares,
)

ASKED = [{"role": "user", "content": "Where is the tower?"}]
counts = st.integers(2, 26)
picks = st.integers(2, 12)
probabilities = st.floats(0.0, 1.0)


def replies(count: int, salt: str = "") -> list[Candidate]:
    return [Candidate(f"reply {index} {salt}", (index,)) for index in range(count)]


def asked(count: int, picks: int, salt: str = "") -> list[tuple[int, ...]]:
    return orders(replies(count, salt), picks)


# ── the order ─────────────────────────────────────────────────────────────────────────────────


@given(counts, picks, st.text(max_size=4))
def test_each_pick_shows_every_reply_once(count: int, picks: int, salt: str) -> None:
    shown = asked(count, picks, salt)
    assert all(sorted(order) == list(range(count)) for order in shown)
    assert len(shown) == (picks if count > picks else picks // count * count)
    assert shown == asked(count, picks, salt)


@given(counts, picks, st.text(max_size=4))
def test_no_reply_has_a_place_more_often_than_another(count: int, picks: int, salt: str) -> None:
    shown = asked(count, picks, salt)
    for place in range(count):
        times = Counter(order[place] for order in shown)
        assert max(times.values()) - min(times[reply] for reply in range(count)) <= (count > picks)


def test_the_order_depends_on_what_the_replies_say() -> None:
    assert len({tuple(asked(5, 4, salt)) for salt in "abcdefgh"}) > 1


# ── the count ─────────────────────────────────────────────────────────────────────────────────


@given(
    counts,
    picks,
    st.text(max_size=4),
    st.lists(st.integers(0, 100), min_size=26, max_size=26),
    st.sets(st.integers(0, 11)),
)
def test_a_judge_that_looks_at_the_place_alone_decides_nothing(
    count: int, picks: int, salt: str, likes: list[int], lost: set[int]
) -> None:
    assume(sum(likes[:count]))
    ballot = [like / sum(likes[:count]) for like in likes[:count]]
    shown = asked(count, picks, salt)
    ballots = [None if pick in lost else ballot for pick in range(len(shown))]
    assert shares(shown, ballots) is None


@given(counts, picks, st.text(max_size=4), st.integers(0, 25))
def test_a_judge_that_looks_at_what_is_said_agrees_with_itself(
    count: int, picks: int, salt: str, best: int
) -> None:
    best %= count
    shown = asked(count, picks, salt)
    ballots = [[float(reply == best) for reply in order] for order in shown]
    found = shares(shown, ballots)
    assert found == [float(reply == best) for reply in range(count)]


@given(counts, picks, st.data())
def test_shares_are_those_of_the_picks(count: int, picks: int, data: st.DataObject) -> None:
    shown = asked(count, picks)
    named = data.draw(
        st.lists(st.none() | st.integers(0, count - 1), min_size=len(shown), max_size=len(shown))
    )
    ballots = [
        None if name is None else [float(reply == name) for reply in order]
        for name, order in zip(named, shown, strict=True)
    ]
    found = shares(shown, ballots)
    votes = Counter(name for name in named if name is not None)
    most = max(votes.values(), default=0) / len(shown)
    if found is None:
        assert most <= max(1 / count, 1 / len(shown)) + 0.05 + 1e-6
    else:
        assert found == pytest.approx([votes[i] / len(shown) for i in range(count)])


def test_a_pick_that_was_lost_counts_against_agreement() -> None:
    shown = asked(2, 4)
    ballots = [None if pick == 0 else [float(r == 1) for r in o] for pick, o in enumerate(shown)]
    assert shares(shown, ballots) == [0.0, 0.75]


# ── the replies ───────────────────────────────────────────────────────────────────────────────


def test_who_say_the_same_are_one_reply() -> None:
    texts = ["Paris.", " Paris.\n", "", "Lyon.", "Paris. "]
    assert candidates(texts) == [Candidate("Paris.", (0, 1, 4)), Candidate("Lyon.", (3,))]
    assert candidates(["", "  "]) == []


def test_of_more_replies_than_letters_the_most_frequent_are_asked_about() -> None:
    texts = [f"reply {index}" for index in range(40)] + ["reply 39"]
    found = candidates(texts)
    assert len(found) == MAX_REPLIES
    assert found[-1] == Candidate("reply 39", (39, 40))
    assert found[:2] == [Candidate("reply 0", (0,)), Candidate("reply 1", (1,))]


@given(st.lists(st.text(max_size=60), min_size=1, max_size=8), st.integers(0, 300))
def test_replies_are_cut_to_fit_and_all_alike(texts: list[str], characters: int) -> None:
    cut = fitted(texts, characters)
    if sum(map(len, texts)) <= characters:
        assert cut == texts
        return
    assert sum(map(len, cut)) <= characters
    lengths = {len(short) for short, text in zip(cut, texts, strict=True) if short != text}
    assert len(lengths) <= 1
    for short, text in zip(cut, texts, strict=True):
        assert len(short) == min(len(text), *lengths)


def test_a_long_reply_keeps_its_beginning_and_its_end() -> None:
    assert fitted(["a" * 50 + "b" * 50, "short"], 26) == ["a" * 8 + " […] " + "b" * 8, "short"]


def test_the_question_comes_first_and_then_the_replies_by_letter() -> None:
    asked = prompt(Template.parse(QUESTION, "{replies}"), ASKED, ["Lyon.", "{question}"], [1, 3])
    assert asked.index("Where is the tower?") < asked.index("Reply A:\nLyon.")
    assert "Reply B (given 3 of 4 times):\n{question}\n" in asked
    own = Template.parse("{replies} ? {question}", "{replies}")
    assert prompt(own, ASKED, ["x"], [1]) == "Reply A:\nx ? Where is the tower?"


# ── the picks ─────────────────────────────────────────────────────────────────────────────────


def test_all_spellings_of_a_letter_are_brought_together() -> None:
    top = [(" A", log(0.3)), ("A", log(0.1)), ("(B", log(0.2)), (" the", log(0.3)), ("C", -3.0)]
    assert by_probability(top, 2) == [pytest.approx(0.4 / 0.6), pytest.approx(0.2 / 0.6)]


@pytest.mark.parametrize(
    "top", [[], [("The", 0.0)], [("A", log(0.05)), ("The", log(0.9))], [("a", 0.0)], [("AB", 0.0)]]
)
def test_a_model_that_would_say_something_else_has_not_picked(
    top: list[tuple[str, float]],
) -> None:
    assert by_probability(top, 3) is None


@given(st.lists(st.tuples(st.text(max_size=3), st.floats(-30, 5))), counts)
def test_a_pick_is_a_distribution(top: list[tuple[str, float]], count: int) -> None:
    found = by_probability(top, count)
    if found is not None:
        assert len(found) == count
        assert sum(found) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        (" b.", "B"),
        ("**B**", "B"),
        ("B, because it is right", "B"),
        ("B is right", "B"),
        ("Reply B", "B"),
        ("The best reply is C.", "C"),
        ("<think>A or B?</think> B", "B"),
        ("A", "A"),
        ("A: it is short", "A"),
        ("A good one is reply C", "C"),
        ("A good one", None),
        ("I would take reply B", "B"),
        ("Reply A and reply B", None),
        ("E", None),
        ("none of them", None),
        ("", None),
        ("Both", None),
    ],
)
def test_what_a_text_picks(text: str, letter: str | None) -> None:
    picked = by_text(text, 4)
    assert picked == (None if letter is None else [float(x == letter) for x in "ABCD"])


@given(st.text(), counts)
def test_any_text_is_one_pick_or_none(text: str, count: int) -> None:
    picked = by_text(text, count)
    assert picked is None or (len(picked) == count and sorted(picked)[-2:] == [0.0, 1.0])
