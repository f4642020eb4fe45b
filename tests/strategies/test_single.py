import pytest

from frontrunner.strategies.protocol import (
    BranchFailed,
    BranchFinished,
    BranchForced,
    BranchStatus,
    CallTimeReached,
    Decide,
    Force,
    Launch,
    StopReason,
)
from frontrunner.strategies.single import Single
from frontrunner.strategies.stopping import preference

from .views import FakeView, view_of


@pytest.mark.parametrize("branches", [1, 16])
def test_one_branch_is_launched_whatever_it_may_run(branches: int) -> None:
    assert Single(branches).start(FakeView()) == [Launch(1)]


def test_its_answer_is_the_answer() -> None:
    assert Single().observe(BranchFinished(0), view_of(["a"])) == [
        Decide("a", 0, StopReason.EXHAUSTED, preference(1, 0))
    ]


def test_it_is_forced_at_the_call_time_and_out_of_time_then() -> None:
    strategy, view = Single(), view_of(running=1)
    assert strategy.observe(CallTimeReached(), view) == [Force((0,), let_run=True)]
    view.branches[0].status, view.branches[0].answer = BranchStatus.FORCED, "a"
    view.arrivals.append(0)
    (decision,) = strategy.observe(BranchForced(0), view)
    assert isinstance(decision, Decide)
    assert (decision.answer, decision.stop_reason) == ("a", StopReason.DEADLINE)


def test_it_is_asked_for_an_answer_if_it_was_cut_at_its_limit_without_one() -> None:
    cut = view_of(truncated=[None])
    assert Single().observe(BranchFinished(0), cut) == [Force((0,), let_run=True)]
    assert Single(force_answers=False).observe(BranchFinished(0), cut) == [
        Decide(None, None, StopReason.EXHAUSTED, 0.0)
    ]


def test_without_an_answer_it_has_replied() -> None:
    assert Single().observe(BranchFinished(0), view_of([None])) == [
        Decide(None, 0, StopReason.EXHAUSTED, 0.0)
    ]


def test_with_it_the_race_is_lost() -> None:
    view = FakeView()
    view.add(BranchStatus.FAILED)
    assert Single().observe(BranchFailed(0), view) == [Decide(None, None, StopReason.FAILED, 0.0)]
