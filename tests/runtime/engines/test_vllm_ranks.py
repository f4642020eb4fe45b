"""Which data-parallel rank of vLLM a request goes to."""

from collections import Counter
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.engines.protocol import Generation, Sampling
from frontrunner.runtime.engines.vllm import ranks as module
from frontrunner.runtime.engines.vllm.ranks import BranchRanks


def request(race: str, branch: int, parent: int | None = None) -> Generation:
    name = f"{race}-b{branch}"
    return Generation(name, (1,), 8, Sampling(), branch=branch, race=race, parent=parent)


def rank_of(ranks: BranchRanks, asked: Generation, count: int = 4) -> int | None:
    with ranks.chosen(asked, count) as rank:
        return rank


def test_where_there_is_one_rank_vllm_is_told_nothing() -> None:
    assert rank_of(BranchRanks(), request("a", 0), count=1) is None


def test_what_belongs_to_no_race_is_vllms_to_place() -> None:
    assert rank_of(BranchRanks(), request("", 0)) is None


@given(st.integers(2, 8), st.integers(1, 40))
def test_a_branch_goes_on_where_its_tokens_are(count: int, branches: int) -> None:
    ranks, began = BranchRanks(), dict[int, int | None]()
    with ExitStack() as running:
        for branch in range(branches):
            began[branch] = running.enter_context(ranks.chosen(request("a", branch), count))
    held = Counter(began.values())
    assert max(held.values()) - min(held[each] for each in range(count)) <= 1
    for branch, rank in began.items():
        assert rank_of(ranks, request("a", branch), count) == rank
        assert rank_of(ranks, request("a", 100 + branch, parent=branch), count) == rank


def test_a_new_branch_begins_where_least_runs() -> None:
    ranks = BranchRanks()
    with ranks.chosen(request("a", 0), 2) as first, ranks.chosen(request("a", 1), 2) as second:
        assert {first, second} == {0, 1}
        with ranks.chosen(request("a", 0), 2):  # its forced answer
            assert rank_of(ranks, request("b", 0), 2) == second


def test_an_engine_that_was_made_smaller() -> None:
    ranks = BranchRanks()
    with ExitStack() as running:
        for branch in range(4):
            running.enter_context(ranks.chosen(request("a", branch), 4))
    assert {rank_of(ranks, request("a", branch), 2) for branch in range(4)} <= {0, 1}


def test_only_so_many_branches_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 8)
    ranks = BranchRanks()
    for race in range(50):
        rank_of(ranks, request(str(race), 0))
    assert len(ranks._of) == 8  # pyright: ignore[reportPrivateUsage]
    assert not +ranks._running  # pyright: ignore[reportPrivateUsage]
