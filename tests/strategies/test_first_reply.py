"""Races in which branches reply and none answers."""

from frontrunner.strategies.budget_forcing import BudgetForcing
from frontrunner.strategies.first_reply import FirstReply
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.protocol import (
    BranchFinished,
    BranchStatus,
    CallTimeReached,
    Command,
    Decide,
    Extend,
    Force,
    StopReason,
)

from .counted import counted
from .views import FakeView


def view_of(*ends: str | None, running: int = 0) -> FakeView:
    """Finished branches: with an answer, without one (None), or cut at the token limit ("-")."""
    view = FakeView()
    for end in ends:
        if end == "-":
            view.add(BranchStatus.TRUNCATED)
        else:
            view.add(BranchStatus.FINISHED, end)
    for _ in range(running):
        view.add()
    return view


def after(strategy: FirstReply, view: FakeView) -> list[Command]:
    return list(strategy.observe(BranchFinished(view.arrivals[-1]), view))


def test_the_first_reply_ends_the_race() -> None:
    strategy = FirstReply(counted(3))
    assert after(strategy, view_of("-", running=2)) == []
    (decided,) = after(strategy, view_of("-", None, running=1))
    assert decided == Decide(None, 1, StopReason.FIRST_TO_M, 0.0)


def test_an_answer_is_a_reply_where_nothing_is_voted_on() -> None:
    (decided,) = after(FirstReply(counted(3), answers_count=True), view_of("call", running=2))
    assert isinstance(decided, Decide)
    assert (decided.answer, decided.branch) == ("call", 0)
    assert decided.confidence == 0.5


def test_answers_are_for_the_strategy_to_decide_on() -> None:
    strategy = FirstReply(Majority(5, stop="clinch"))
    assert after(strategy, view_of(None, "7", None, running=4)) == []
    assert strategy.conclude(view_of(None, "7", running=3)).answer == "7"


def test_most_must_have_replied() -> None:
    strategy = FirstReply(counted(4), most=True)
    assert after(strategy, view_of(None, None, running=2)) == []
    (decided,) = after(strategy, view_of("-", None, None, None, running=1))
    assert decided == Decide(None, 1, StopReason.FIRST_TO_M, 0.0)
    (forced,) = after(FirstReply(counted(4), most=True), view_of(None, "-", "-", "-"))
    assert isinstance(forced, Force)


def test_at_the_call_time_replies_come_before_guesses() -> None:
    called = CallTimeReached()
    (decided,) = FirstReply(counted(3), most=True).observe(called, view_of(None, None, running=1))
    assert decided == Decide(None, 0, StopReason.DEADLINE, 0.0)
    (forced,) = FirstReply(counted(3), most=True).observe(called, view_of(None, running=2))
    assert isinstance(forced, Force)


def test_a_reply_that_is_to_go_on_is_none_yet() -> None:
    strategy = FirstReply(BudgetForcing(branches=2, min_tokens=100))
    (command,) = after(strategy, view_of(None, running=1))
    assert isinstance(command, Extend)
