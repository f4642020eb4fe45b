"""The index drafts what was written after the same tokens: by race, bounded, honestly unsure."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

pytest.importorskip("numba")

import numpy as np

from frontrunner.runtime.drafting.batch_rows import Race
from frontrunner.runtime.drafting.index import ContinuationIndex
from frontrunner.runtime.drafting.vocabulary import Vocabulary

K = 6
WORDS = Vocabulary.of_texts([], 50_000)


def make(vocabulary: Vocabulary = WORDS, **given: Any) -> ContinuationIndex:
    return ContinuationIndex(vocabulary, rows=8, K=K, **{"mib": 1, **given})


def race(number: int, prompt: list[int] | None = None) -> Race:
    """Its prompt is one token that stands for all of it, unless one is given."""
    tokens = np.array(prompt or [0], dtype=np.int32)
    return Race(number, tokens, len(tokens), np.zeros((0, 2), dtype=np.int64))


def step(
    index: ContinuationIndex,
    rows: list[list[int]],
    races: list[int],
    *,
    new: list[int] | None = None,
    most: int = K,
    least: float = 0.0,
    choose: Callable[[Any], int] | None = None,
) -> list[list[int]]:
    """``rows`` without the token 0 that every prompt is; all but it is new if nothing is said."""
    width = max(map(len, rows)) + 1
    padded = [[0, *row] + [0] * (width - len(row) - 1) for row in rows]
    return index.step(
        np.array(padded, dtype=np.int32),
        np.array([len(row) + 1 for row in rows]),
        np.array(new if new is not None else [len(row) for row in rows]),
        [race(number) for number in races],
        np.full(len(rows), most),
        least,
        choose,
    )


def test_what_followed_once_is_drafted_again() -> None:
    index = make()
    step(index, [[5, 1, 2, 3, 4, 9, 8, 7, 6]], [1])
    assert step(index, [[40, 1, 2, 3]], [1])[0][:5] == [4, 9, 8, 7, 6]


def test_a_sibling_drafts_in_the_step_in_which_the_text_came() -> None:
    ahead, behind = [50, 10, 11, 12, 13, 14], [51, 10, 11]
    assert step(make(), [ahead, behind], [1, 1])[1][:3] == [12, 13, 14]


@pytest.mark.parametrize("shared", [False, True])
def test_another_race_is_drafted_from_only_if_races_share(shared: bool) -> None:
    index = make(shared=shared)
    step(index, [[1, 2, 3, 4, 5, 6]], [1])
    (draft,) = step(index, [[1, 2, 3]], [2])
    assert (draft[:3] == [4, 5, 6]) is shared
    if not shared:
        assert set(draft) <= {0, 1, 2, 3}  # its own text alone


def test_the_prompt_is_drafted_from() -> None:
    index = make()
    prompt = [0, 11, 12, 13, 14, 15]
    index.learn_prompt(np.array(prompt, dtype=np.int32), race(1, prompt))
    assert step(index, [[40, 11, 12]], [1])[0][:3] == [13, 14, 15]


def test_the_longer_match_decides_where_both_are_trusted_alike() -> None:
    index = make()
    step(index, [[1, 2, 3, 10], [7, 2, 3, 20]], [1, 1])
    assert step(index, [[1, 2, 3]], [1], new=[1], most=1) == [[10]]
    assert step(index, [[7, 2, 3]], [1], new=[1], most=1) == [[20]]


@given(st.lists(st.sampled_from([4, 5, 6]), min_size=1, max_size=40))
@settings(max_examples=examples(150), deadline=None)
def test_a_majority_of_the_continuations_is_drafted(continuations: list[int]) -> None:
    token, count = Counter(continuations).most_common(1)[0]
    index = make(mib=0.1, longest=1, shared=False)
    for continuation in continuations:
        step(index, [[1, continuation]], [1], new=[1])
    assert step(index, [[2, 1]], [1], most=1, new=[0]) == [[]]  # nothing new: left alone
    (draft,) = step(index, [[2, 1]], [1], most=1, new=[1])
    assert set(draft) <= set(continuations)
    if 2 * count > len(continuations):
        assert draft == [token]


@given(
    st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=60), min_size=1, max_size=6),
    st.integers(0, K),
    st.floats(0, 1),
)
@settings(max_examples=examples(150), deadline=None)
def test_drafts_are_short_enough_and_made_of_tokens_met(
    rows: list[list[int]], most: int, least: float
) -> None:
    index = make(mib=0.01)  # small: contexts are overwritten all the time
    before = index.nbytes
    for _ in range(3):
        drafts = step(index, rows, list(range(len(rows))), most=most, least=least)
        assert all(len(draft) <= most for draft in drafts)
        assert {t for draft in drafts for t in draft} <= {t for row in rows for t in row} | {0}
    assert index.nbytes == before


def test_nothing_is_given_from_contexts_that_have_proved_wrong() -> None:
    index = make()
    noise = [int(t) for t in np.random.default_rng(0).integers(1, 50, 3000)]
    draft: list[int] = [0]
    for end in range(20, 3000, 4):
        (draft,) = step(index, [noise[:end]], [1], new=[4], least=0.3)
    assert draft == []


def test_what_was_once_not_likely_enough_is_given_when_it_proves_right() -> None:
    index = make()
    noise = [int(t) for t in np.random.default_rng(0).integers(1, 50, 2000)]
    for end in range(20, 2000, 4):
        step(index, [noise[:end]], [1], new=[4], least=0.3)
    cycle = noise + [51, 52, 53, 54, 55, 56, 57] * 100
    given_last = [
        len(step(index, [cycle[:end]], [1], new=[4], least=0.3)[0])
        for end in range(2004, len(cycle), 4)
    ][-20:]
    assert min(given_last) >= 3


def test_text_that_repeats_is_trusted() -> None:
    index = make()
    cycle = [1, 2, 3, 4, 5, 6, 7] * 60
    end = 0
    for end in range(14, len(cycle), 5):
        step(index, [cycle[:end]], [1], new=[5], least=0.8)
    expected = (cycle[end:] + cycle)[:K]
    assert step(index, [cycle[:end]], [1], new=[1], least=0.8) == [expected]


def test_a_full_table_keeps_what_was_met_last() -> None:
    index = make(mib=0.05)
    rng = np.random.default_rng(1)
    for number in range(30):
        step(index, [[int(t) for t in rng.integers(1, 30_000, 500)]], [number])
    step(index, [[40_001, 40_002, 40_003, 40_004, 40_005]], [99])
    drafts = step(index, [[40_001, 40_002]], [99], new=[1])
    assert drafts[0][:3] == [40_003, 40_004, 40_005]


@given(
    st.lists(st.lists(st.integers(1, 4), min_size=3, max_size=30), min_size=1, max_size=8),
    st.integers(0, 48),
)
@settings(max_examples=examples(100), deadline=None)
def test_of_all_drafts_the_likeliest_tokens_are_given(rows: list[list[int]], number: int) -> None:
    races = [1 + row % 2 for row in range(len(rows))]
    every = step(make(), rows, races)
    seen: list[Any] = []

    def choose(chances: Any) -> int:
        seen.append(chances.copy())
        return number

    index = make()
    given_tokens = step(index, rows, races, choose=choose)
    (chances,) = seen
    assert len(chances) == sum(map(len, every))
    assert (np.diff(chances) <= 0).all()
    assert ((chances >= 0) & (chances <= 1)).all()
    assert sum(map(len, given_tokens)) == min(number, len(chances))
    for part, whole in zip(given_tokens, every, strict=True):
        assert part == whole[: len(part)]
    assert index.promised == pytest.approx(chances[:number].sum())


def test_memory_is_the_table_and_twelve_bytes_a_token() -> None:
    small = make(Vocabulary.of_texts([], 1_000), mib=8)
    large = make(Vocabulary.of_texts([], 201_000), mib=8)
    assert large.nbytes - small.nbytes == 12 * 200_000
    assert small.nbytes < 8.2 * 2**20
    assert make(mib=9).nbytes < 8.2 * 2**20 + 12 * 50_000
