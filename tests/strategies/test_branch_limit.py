"""Branches given back while other races need the engine."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.strategies.best_of_n import BestOfN
from frontrunner.strategies.branch_limit import REASON, shed_branches
from frontrunner.strategies.budget_forcing import BudgetForcing
from frontrunner.strategies.first_to_m import FirstToM
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.probe import Probing
from frontrunner.strategies.protocol import (
    BranchLimitLowered,
    BranchStatus,
    Cancel,
    Decide,
    StopReason,
)

from .counted import counted
from .views import FakeView

statuses = st.sampled_from(BranchStatus)


def view_of(*branches: tuple[BranchStatus, int]) -> FakeView:
    view = FakeView()
    for status, tokens in branches:
        branch = view.add()
        branch.status, branch.tokens = status, tokens
    return view


@given(st.lists(st.tuples(statuses, st.integers(0, 50)), max_size=20), st.integers(1, 20))
def test_the_branches_furthest_from_a_vote_go(
    branches: list[tuple[BranchStatus, int]], share: int
) -> None:
    view = view_of(*branches)
    running = {i for i, b in view.branches.items() if b.status is BranchStatus.RUNNING}
    commands = shed_branches(view, share)
    cut = {i for command in commands for i in command.branches}
    assert cut <= running
    assert len(running - cut) == min(len(running), share)
    assert all(
        view.branches[gone].tokens <= view.branches[left].tokens
        for gone in cut
        for left in running - cut
    )
    assert bool(commands) == bool(cut)


def test_of_equals_the_last_launched_go() -> None:
    view = view_of(*[(BranchStatus.RUNNING, 5)] * 4)
    assert shed_branches(view, 1) == [Cancel((1, 2, 3), REASON)]


@pytest.mark.parametrize(
    "strategy",
    [counted(8), FirstToM(8), BudgetForcing(8), BestOfN(8, threshold=1.0), Probing(8)],
    ids=lambda s: type(s).__name__,
)
def test_strategies_of_branches_that_are_alike_do(strategy: Any) -> None:
    view = FakeView()
    (launch,) = strategy.start(view)
    for _ in range(launch.count):
        view.add()
    assert strategy.observe(BranchLimitLowered(3), view) == [Cancel((3, 4, 5, 6, 7), REASON)]
    assert strategy.observe(BranchLimitLowered(8), view) == []


def test_with_fewer_votes_to_come_a_lead_may_be_clinched() -> None:
    view = view_of(*[(BranchStatus.FINISHED, 9)] * 2, *[(BranchStatus.RUNNING, 9)] * 4)
    for index in (0, 1):
        view.branches[index].answer = "a"
        view.arrivals.append(index)
    strategy = Majority(6, stop="clinch")
    cut, decision = strategy.observe(BranchLimitLowered(1), view)
    assert cut == Cancel((3, 4, 5), REASON)
    assert isinstance(decision, Decide)
    assert (decision.answer, decision.stop_reason) == ("a", StopReason.CLINCHED)
    assert Majority(6, stop="clinch").observe(BranchLimitLowered(3), view) == [Cancel((5,), REASON)]
