import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize
from tests.profiles import examples

from frontrunner.strategies.first_to_m import FirstToM
from frontrunner.strategies.protocol import (
    BranchFinished,
    BranchForced,
    BranchStatus,
    CallTimeReached,
    Decide,
    Force,
    Launch,
    StopReason,
)
from frontrunner.strategies.registry import create_strategy
from frontrunner.strategies.stopping import preference
from frontrunner.strategies.votes import tally

from .any_race import AnyRace
from .views import FakeView, view_of


def test_it_stops_with_the_m_th_answer() -> None:
    strategy = FirstToM(8)
    assert strategy.start(FakeView()) == [Launch(8)]
    assert strategy.observe(BranchFinished(1), view_of(["a", "b"], running=6)) == []
    assert strategy.observe(BranchFinished(2), view_of(["a", "b", "b"], running=5)) == [
        Decide("b", 1, StopReason.FIRST_TO_M, preference(2, 1))
    ]


def test_with_m_of_one_the_first_finisher_wins() -> None:
    (decision,) = FirstToM(8, m=1).observe(BranchFinished(0), view_of(["a"], running=7))
    assert isinstance(decision, Decide)
    assert (decision.answer, decision.stop_reason) == ("a", StopReason.FIRST_TO_M)


def test_level_answers_go_to_the_first_to_arrive() -> None:
    (decision,) = FirstToM(8).observe(BranchFinished(2), view_of(["c", "a", "b"], running=5))
    assert isinstance(decision, Decide)
    assert decision.answer == "c"


def test_branches_without_an_answer_and_forced_answers_do_not_count() -> None:
    view = view_of(["a", None, "a", None], running=2)
    assert FirstToM(6).observe(BranchFinished(3), view) == []
    assert FirstToM(6).observe(BranchForced(2), view_of(["a"], ["a", "a"], running=2)) == []


def test_where_fewer_answers_come_all_are_waited_for() -> None:
    (decision,) = FirstToM(2, m=3).observe(BranchFinished(1), view_of(["a", "b"]))
    assert decision == Decide("a", 0, StopReason.EXHAUSTED, 0.5)


def test_at_the_call_time_a_leader_stands_and_a_tie_is_broken_by_forcing() -> None:
    assert FirstToM(3).observe(CallTimeReached(), view_of(["a"], running=2)) == []
    view = view_of(["a", "b"], running=2)
    assert FirstToM(4).observe(CallTimeReached(), view) == [Force((2, 3), let_run=True)]
    assert FirstToM(4, force_answers=False).observe(CallTimeReached(), view) == []


@pytest.mark.parametrize("parameter", ["branches", "m"])
def test_parameters_out_of_range_are_refused(parameter: str) -> None:
    with pytest.raises(ValueError, match=parameter):
        create_strategy("first_to_m", {parameter: 0})


class AnyFirstToM(AnyRace):
    @initialize(branches=st.integers(1, 10), m=st.integers(1, 5), force_answers=st.booleans())
    def begin(self, branches: int, m: int, force_answers: bool) -> None:
        self.start(FirstToM(branches, m, force_answers))

    def check(self, decision: Decide) -> None:
        votes = tally(self.view)
        assert (decision.stop_reason is StopReason.FIRST_TO_M) == (
            votes.total == self.strategy.m
        ), "a vote too early or too late"
        assert decision.answer == votes.leader
        if decision.branch is not None:
            shown = self.view.branches[decision.branch]
            assert shown.status in (
                BranchStatus.FINISHED,
                BranchStatus.FORCED,
                BranchStatus.TRUNCATED,
            )


TestAnyFirstToM = AnyFirstToM.TestCase
TestAnyFirstToM.settings = settings(max_examples=examples(200), stateful_step_count=40)
