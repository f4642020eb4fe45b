"""The proposer in vLLM's worker: never too long, never an exception, rows in any order."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

pytest.importorskip("numba")

import numpy as np

from frontrunner.runtime.drafting import SETTINGS_KEY
from frontrunner.runtime.drafting.batch_rows import KEPT_PROMPT, Races
from frontrunner.runtime.drafting.proposer import CrossBranchProposer

ROWS, LENGTH, K = 8, 64, 4
NO_NUMBERS = np.full(KEPT_PROMPT + 500, -1, dtype=np.int32)


def proposer(**given: Any) -> CrossBranchProposer:
    return CrossBranchProposer(
        SimpleNamespace(
            additional_config={
                SETTINGS_KEY: {
                    "memory_mib": 1,
                    "min_probability": 0.0,
                    "token_cost": 0.0,
                    **given,
                }
            },
            speculative_config=SimpleNamespace(num_speculative_tokens=K),
            scheduler_config=SimpleNamespace(max_num_seqs=ROWS),
            model_config=SimpleNamespace(
                max_model_len=LENGTH, skip_tokenizer_init=True, get_vocab_size=lambda: 100
            ),
        )
    )


@pytest.fixture(scope="module")
def shared() -> CrossBranchProposer:
    return proposer()


class Batch:
    """vLLM's arrays, filled from lists of tokens."""

    def __init__(self) -> None:
        self.tokens = np.zeros((ROWS, LENGTH), dtype=np.int32)
        self.lengths = np.zeros(ROWS, dtype=np.int32)

    def propose(
        self, drafting: CrossBranchProposer, rows: list[tuple[list[int], int]]
    ) -> list[list[int]]:
        """``rows``: the tokens of each, and how many of them the last step brought."""
        for index, (row, _) in enumerate(rows):
            self.tokens[index, : len(row)] = row
            self.lengths[index] = len(row)
        sampled = [row[len(row) - new :] if new else [] for row, new in rows]
        return drafting.propose(sampled, self.lengths, self.tokens, slot_mappings=None)


ROWS_OF_TOKENS = st.lists(
    st.tuples(st.lists(st.integers(0, 9), min_size=2, max_size=LENGTH), st.integers(0, 3)),
    max_size=ROWS,
)


@given(st.lists(ROWS_OF_TOKENS, max_size=6))
@settings(max_examples=examples(200), deadline=None)
def test_any_sequence_of_batches_gets_drafts_that_vllm_can_take(
    shared: CrossBranchProposer, steps: list[list[tuple[list[int], int]]]
) -> None:
    batch = Batch()
    for given_rows in steps:
        rows = [(row, min(new, len(row) - 1)) for row, new in given_rows]
        drafts = batch.propose(shared, rows)
        assert len(drafts) == len(rows)
        for (row, new), draft in zip(rows, drafts, strict=True):
            assert len(draft) <= min(K, max(0, LENGTH - len(row) - 1))
            assert all(type(token) is int and 0 <= token <= 9 for token in draft)
            assert new or not draft
    assert shared._errors == 0


def test_a_partial_prefill_gets_no_draft_and_is_not_taken_for_a_prompt() -> None:
    drafting, batch = proposer(), Batch()
    assert batch.propose(drafting, [([1, 2, 3], 0)]) == [[]]
    assert len(drafting._races) == 0


def test_siblings_are_one_race_wherever_their_rows_go() -> None:
    drafting, batch = proposer(earlier_races=False), Batch()
    prompt = [1, 2, 3]
    batch.propose(drafting, [([*prompt, 20], 1), ([*prompt, 30], 1)])
    batch.propose(drafting, [([*prompt, 20, 21, 22, 23], 3), ([*prompt, 30, 31], 1)])
    # The first branch is gone and vLLM moves the second into its row.
    (draft,) = batch.propose(drafting, [([*prompt, 30, 31, 20, 21], 2)])
    assert draft[:2] == [22, 23]
    assert len(drafting._races) == 1


def test_a_continuation_of_a_branch_belongs_to_its_race() -> None:
    drafting, batch = proposer(earlier_races=False), Batch()
    prompt = [1, 2, 3]
    batch.propose(drafting, [([*prompt, 20, 21, 22, 23, 24], 5)])
    (draft,) = batch.propose(drafting, [([*prompt, 40, 41, 50, 20, 21], 1)])
    assert draft[:3] == [22, 23, 24]


def test_other_races_are_left_out_when_earlier_ones_are_switched_off() -> None:
    drafting, batch = proposer(earlier_races=False), Batch()
    batch.propose(drafting, [([1, 2, 3, 20, 21, 22, 23, 24], 5)])
    (draft,) = batch.propose(drafting, [([7, 8, 9, 20, 21], 2)])
    assert 22 not in draft


def test_k_follows_the_number_of_rows_that_run() -> None:
    drafting = proposer(tokens_per_batch_size=[[1, 1, 3], [3, 4, 1], [5, 8, 0]])
    batch = Batch()
    text = [1, 2, 3, 4, 5, 6, 7, 8] * 3
    for rows, longest in ((1, 3), (2, 3), (3, 1), (5, 0)):
        drafts = batch.propose(drafting, [(text, 8)] * rows)
        assert max(map(len, drafts)) == longest


def test_costly_tokens_shorten_drafts_as_more_rows_run() -> None:
    cheap, dear = proposer(), proposer(token_cost=0.5)
    rng = np.random.default_rng(3)
    rows = [([int(t) for t in rng.integers(0, 6, 60)], 30) for _ in range(4)]
    batch = Batch()
    assert sum(map(len, batch.propose(cheap, rows))) > sum(map(len, batch.propose(dear, rows)))


def test_an_error_gives_no_draft_and_three_end_the_drafting() -> None:
    drafting, batch = proposer(), Batch()
    good = [([1, 2, 3, 1, 2], 3)]
    for errors in (1, 2, 3):
        drafts = drafting.propose([[1], [2]], None, None)
        assert drafts == [[], []]
        assert drafting._errors == errors
        assert bool(batch.propose(drafting, good)[0]) is (errors < 3)


def test_an_error_leaves_nothing_half_learned() -> None:
    drafting, batch = proposer(), Batch()
    batch.propose(drafting, [([1, 2, 3, 4, 5], 4)])
    drafting.propose([[1]], None, None)
    assert len(drafting._races) == 0


def test_the_races_known_are_bounded_and_the_oldest_goes() -> None:
    races = Races(limit=2, rows=1)
    prompts = [np.array([n, n], dtype=np.int32) for n in (1, 2, 3)]
    for now, prompt in enumerate(prompts):
        races.open(0, prompt, 2, NO_NUMBERS, now)
    assert len(races) == 2
    assert races.find(0, prompts[0], 2, 5) is None
    assert races.find(0, prompts[2], 2, 5) is not None


def test_of_prompts_that_begin_alike_the_longest_is_the_races() -> None:
    races = Races(limit=4, rows=2)
    long = np.array([1, 2, 3, 4], dtype=np.int32)
    races.open(0, long, 2, NO_NUMBERS, 0)
    own = races.open(1, long, 3, NO_NUMBERS, 0)
    races._of_row = [None, None]
    assert races.find(0, long, 4, 1) is own


def test_of_a_long_prompt_only_the_end_is_kept() -> None:
    races = Races(limit=1, rows=1)
    prompt = np.arange(KEPT_PROMPT + 500, dtype=np.int32)
    race = races.open(0, prompt, len(prompt), NO_NUMBERS, 0)
    assert len(race.prompt) == KEPT_PROMPT
    assert races.find(0, prompt, len(prompt), 1) is race
    other = prompt.copy()
    other[-1] = 7
    assert races.find(0, other, len(other), 1) is None
