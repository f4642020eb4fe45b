"""Budget forcing, by example and under a driver that does anything a race might."""

from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize
from tests.profiles import examples

from frontrunner.strategies.budget_forcing import BudgetForcing
from frontrunner.strategies.protocol import (
    BranchStatus,
    Command,
    Decide,
    Extend,
    Force,
    Launch,
    Needs,
    StopReason,
)
from frontrunner.strategies.stopping import preference

from .any_race import AnyRace
from .small_race import SmallRace


def test_a_branch_that_ends_too_early_goes_on() -> None:
    race = SmallRace(BudgetForcing(min_tokens=100))
    assert race.first == [Launch(1)]
    assert race.finish(0, "a", tokens=50) == [Extend(0, "Wait", "</think>")]
    assert race.status(0) is BranchStatus.RUNNING
    race.finish(0, "b", tokens=120)
    assert race.decision == Decide("b", 0, StopReason.EXHAUSTED, preference(1, 0))


def test_it_goes_on_only_so_often() -> None:
    race = SmallRace(BudgetForcing(min_tokens=100, max_extensions=2, text="Hm", before=""))
    assert race.finish(0, "a", tokens=10) == [Extend(0, "Hm", "")]
    assert race.finish(0, "a", tokens=20) == [Extend(0, "Hm", "")]
    race.finish(0, "a", tokens=30)
    assert race.decision is not None


def test_a_branch_that_is_long_enough_is_left_alone() -> None:
    race = SmallRace(BudgetForcing(min_tokens=100))
    race.finish(0, "a", tokens=100)
    assert race.decision is not None


def test_a_branch_at_its_maximum_is_forced_to_answer() -> None:
    race = SmallRace(BudgetForcing(max_tokens=100))
    assert race.strategy.needs == Needs(progress=True, continues=True)  # pyright: ignore[reportAttributeAccessIssue]
    assert race.progress(0, 99) == []
    assert race.progress(0, 100) == [Force((0,))]
    assert race.progress(0, 105) == []  # its forced answer
    race.forced(0, "a")
    assert race.decision == Decide("a", 0, StopReason.EXHAUSTED, preference(1, 0))


def test_without_a_maximum_it_needs_no_progress() -> None:
    assert BudgetForcing().needs == Needs(continues=True)


def test_the_former_answer_stands_where_no_other_comes() -> None:
    race = SmallRace(BudgetForcing(min_tokens=100))
    race.finish(0, "a", tokens=50)
    assert race.conclude() == Decide("a", 0, StopReason.DEADLINE, preference(1, 0))
    race.fail(0)
    assert race.decision == Decide("a", 0, StopReason.EXHAUSTED, preference(1, 0))


def test_time_is_up_for_extensions_at_the_call_time() -> None:
    race = SmallRace(BudgetForcing(2, min_tokens=100))
    assert race.call_time() == [Force((0, 1), let_run=True)]
    race = SmallRace(BudgetForcing(2, min_tokens=100, force_answers=False))
    assert race.call_time() == []
    assert race.finish(0, "a", tokens=10) == []


def test_several_branches_vote_until_the_lead_cannot_be_overtaken() -> None:
    race = SmallRace(BudgetForcing(5, min_tokens=10))
    race.finish(0, "a", tokens=20)
    race.finish(1, "a", tokens=5)
    race.finish(2, "a", tokens=20)
    assert race.decision is None
    race.finish(1, "a", tokens=15)
    assert race.decision == Decide("a", 0, StopReason.CLINCHED, preference(3, 0))


def test_answers_forced_by_the_budget_do_not_outvote_finished_ones() -> None:
    race = SmallRace(BudgetForcing(3, max_tokens=100))
    for index in (0, 1):
        race.progress(index, 100)
        race.forced(index, "a")
    race.finish(2, "b", tokens=60)
    assert race.decision is not None
    assert race.decision.answer == "b"


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("branches", 0),
        ("min_tokens", -1),
        ("max_tokens", 0),
        ("max_extensions", -1),
        ("text", ""),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(parameter: str, value: object) -> None:
    with pytest.raises(ValueError, match=parameter):
        BudgetForcing(**{parameter: value})  # pyright: ignore[reportArgumentType]


def test_the_maximum_is_not_below_the_minimum() -> None:
    with pytest.raises(ValueError, match="max_tokens"):
        BudgetForcing(min_tokens=10, max_tokens=9)


class AnyBudgetForcing(AnyRace):
    def __init__(self) -> None:
        super().__init__()
        self.former: dict[int, str] = {}
        self.extended: dict[int, int] = {}

    @initialize(
        branches=st.integers(1, 6),
        min_tokens=st.sampled_from([0, 100, 400]),
        max_tokens=st.sampled_from([None, 400, 900]),
        max_extensions=st.integers(0, 2),
    )
    def begin(
        self, branches: int, min_tokens: int, max_tokens: int | None, max_extensions: int
    ) -> None:
        self.start(BudgetForcing(branches, min_tokens, max_tokens, max_extensions))

    def check_commands(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if isinstance(command, Extend):
                branch = self.view.branches[command.branch]
                assert branch.tokens < self.strategy.min_tokens
                assert not self.called
                self.extended[branch.index] = self.extended.get(branch.index, 0) + 1
                assert self.extended[branch.index] <= self.strategy.max_extensions
                if branch.answer is not None:
                    self.former[branch.index] = branch.answer

    def _check_answer(self, decision: Decide) -> None:
        came = [self.view.branches[i] for i in self.view.arrivals]
        finished = [b for b in came if b.answer and b.status is BranchStatus.FINISHED]
        if finished:
            votes = [b.answer for b in finished]
            assert max(map(votes.count, votes)) == votes.count(decision.answer)
        known = {i: b.answer or self.former.get(i) for i, b in self.view.branches.items()}
        if decision.answer is None:
            # Replies stand against answers that no more branches agree on.
            silent = sum(b.status is BranchStatus.FINISHED and not known[b.index] for b in came)
            guesses = [answer for answer in known.values() if answer]
            assert not finished
            assert max(map(guesses.count, guesses), default=0) <= silent
            assert decision.confidence == 0.0
            return
        assert decision.branch is not None
        assert known[decision.branch] == decision.answer
        assert 0.5 <= decision.confidence <= 1.0


TestAnyBudgetForcing = AnyBudgetForcing.TestCase
TestAnyBudgetForcing.settings = settings(max_examples=examples(150), stateful_step_count=40)
