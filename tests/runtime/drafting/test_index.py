"""The index drafts what was written after the same tokens: by race, bounded, honestly unsure."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

import numpy as np

from frontrunner.runtime.drafting.index import ContinuationIndex

K = 6


def ids(tokens: list[int]) -> np.ndarray:
    return np.array(tokens, dtype=np.int32)


def step(
    index: ContinuationIndex,
    rows: list[list[int]],
    races: list[int],
    *,
    new: list[int] | None = None,
    most: int = K,
    least: float = 0.0,
) -> list[list[int]]:
    width = max(map(len, rows))
    tokens = ids([token for row in rows for token in row + [0] * (width - len(row))])
    drafts, drafted = index.step(
        tokens.reshape(len(rows), width),
        np.array([len(row) for row in rows]),
        np.array(new if new is not None else [1] * len(rows)),
        np.array([index.salts(race) for race in races], dtype=np.uint64),
        np.full(len(rows), most),
        least,
        K,
    )
    return [list(map(int, d[:n])) for d, n in zip(drafts, drafted, strict=True)]


def test_what_followed_once_is_drafted_again() -> None:
    index = ContinuationIndex(mib=1)
    text = [5, 1, 2, 3, 4, 9, 8, 7, 6]
    index.learn(ids(text), 0, len(text), race=1)
    assert step(index, [[40, 1, 2, 3]], [1]) == [[4, 9, 8, 7, 6]]


def test_a_sibling_drafts_in_the_step_in_which_the_text_came() -> None:
    index = ContinuationIndex(mib=1)
    ahead, behind = [50, 10, 11, 12, 13, 14], [51, 10, 11]
    assert step(index, [ahead, behind], [1, 1], new=[6, 1])[1][:3] == [12, 13, 14]


@pytest.mark.parametrize("shared", [False, True])
def test_another_race_is_drafted_from_only_if_races_share(shared: bool) -> None:
    index = ContinuationIndex(mib=1, shared=shared)
    text = [1, 2, 3, 4, 5, 6]
    index.learn(ids(text), 0, len(text), race=1)
    (draft,) = step(index, [[1, 2, 3]], [2])
    assert (draft[:3] == [4, 5, 6]) is shared
    if not shared:
        assert set(draft) <= {1, 2, 3}  # its own text alone


def test_the_longer_match_decides_where_both_are_trusted_alike() -> None:
    index = ContinuationIndex(mib=1)
    for text in ([1, 2, 3, 10], [7, 2, 3, 20]):
        index.learn(ids(text), 0, 4, race=1)
    assert step(index, [[1, 2, 3]], [1], most=1) == [[10]]
    assert step(index, [[7, 2, 3]], [1], most=1) == [[20]]


@given(st.lists(st.sampled_from([4, 5, 6]), min_size=1, max_size=40))
@settings(max_examples=150)
def test_a_majority_of_the_continuations_is_drafted(continuations: list[int]) -> None:
    token, count = Counter(continuations).most_common(1)[0]
    index = ContinuationIndex(mib=0.1, orders=1, shared=False)
    for continuation in continuations:
        index.learn(ids([1, continuation]), 0, 2, race=1)
    (draft,) = step(index, [[2, 1]], [1], most=1, new=[0])
    assert draft == []  # a row without new tokens is left alone
    (draft,) = step(index, [[2, 1]], [1], most=1)
    assert draft[0] in continuations
    if 2 * count > len(continuations):
        assert draft == [token]


@given(
    st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=60), min_size=1, max_size=6),
    st.integers(0, K),
    st.floats(0, 1),
)
@settings(max_examples=150)
def test_drafts_are_short_enough_and_made_of_tokens_met(
    rows: list[list[int]], most: int, least: float
) -> None:
    index = ContinuationIndex(mib=0.01)  # small: contexts are overwritten all the time
    before = index.nbytes
    for _ in range(3):
        drafts = step(index, rows, list(range(len(rows))), most=most, least=least)
        assert all(len(draft) <= most for draft in drafts)
        assert {t for draft in drafts for t in draft} <= {t for row in rows for t in row}
    assert index.nbytes == before


def test_nothing_is_drafted_from_contexts_that_have_proved_wrong() -> None:
    index = ContinuationIndex(mib=1)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 50, 4000).astype(np.int32)
    index.learn(noise, 0, len(noise), race=1)
    (draft,) = step(index, [[int(t) for t in noise[-20:]]], [1], least=0.3)
    assert draft == []


def test_text_that_repeats_is_trusted() -> None:
    index = ContinuationIndex(mib=1)
    cycle = ids([1, 2, 3, 4, 5, 6, 7] * 40)
    index.learn(cycle, 0, len(cycle), race=1)
    assert step(index, [[3, 4, 5]], [1], least=0.8) == [[6, 7, 1, 2, 3, 4]]


def test_a_full_table_keeps_what_was_met_last() -> None:
    index = ContinuationIndex(mib=0.02)
    rng = np.random.default_rng(1)
    for race in range(30):
        noise = rng.integers(0, 30_000, 500).astype(np.int32)
        step(index, [[int(t) for t in noise]], [race], new=[500])
    last = [40_001, 40_002, 40_003, 40_004, 40_005]
    step(index, [last], [99], new=[5])
    assert step(index, [[40_001, 40_002]], [99])[0][:3] == [40_003, 40_004, 40_005]
