from frontrunner.strategies.closing import (
    Closing,
    decide_by_votes,
    decide_for,
    force_unanswered,
    over,
    unanswered,
)
from frontrunner.strategies.protocol import BranchStatus, Command, Decide, Force, StopReason
from frontrunner.strategies.stopping import preference
from frontrunner.strategies.votes import count

from .views import FakeView, view_of


def every_status() -> FakeView:
    view = FakeView()
    for status in BranchStatus:
        view.add(status, "a" if status is BranchStatus.FORCED else None)
    return view


def test_a_race_is_over_when_nothing_runs_or_is_forced() -> None:
    assert over(FakeView())
    assert over(view_of(["a"], ["b"]))
    assert not over(view_of(["a"], running=1))
    forcing = FakeView()
    forcing.add(BranchStatus.FORCING)
    assert not over(forcing)


def test_branches_that_are_being_cancelled_do_not_keep_it_going() -> None:
    view = view_of(["a"], running=2)
    assert not over(view, besides=(1,))
    assert over(view, besides=(1, 2))


def test_only_what_was_cut_can_be_forced() -> None:
    statuses = [every_status().branches[i].status for i in unanswered(every_status())]
    assert statuses == [BranchStatus.RUNNING, BranchStatus.TRUNCATED]
    view = view_of(["a", None], running=1, truncated=["b", None])
    assert force_unanswered(view) == [Force((3, 4), let_run=True)]
    assert force_unanswered(view_of(["a", None], ["b"])) == []


def test_a_decision_by_votes_shows_the_first_branch_that_gave_the_answer() -> None:
    view = view_of(["b", "a", "a"])
    assert decide_by_votes(view, StopReason.CLINCHED) == Decide(
        "a", 1, StopReason.CLINCHED, preference(2, 1)
    )
    other = decide_by_votes(view, StopReason.CLINCHED, count(["b"]))
    assert (other.answer, other.branch) == ("b", 0)


def test_without_an_answer_a_race_has_failed_only_if_all_is_lost() -> None:
    lost = FakeView()
    lost.add(BranchStatus.FAILED)
    assert decide_by_votes(lost, StopReason.DEADLINE).stop_reason is StopReason.FAILED
    lost.add(BranchStatus.CANCELLED)
    assert decide_by_votes(lost, StopReason.DEADLINE).stop_reason is StopReason.DEADLINE
    assert decide_for(lost, "a", 0, StopReason.DEADLINE, 0.5) == Decide(
        "a", 0, StopReason.DEADLINE, 0.5
    )


def ended(closing: Closing, view: FakeView) -> list[Command]:
    return closing.when_over(view, lambda reason: Decide(None, None, reason, 0.0))


def reason_of(commands: list[Command]) -> StopReason:
    (decision,) = commands
    assert isinstance(decision, Decide)
    return decision.stop_reason


def test_without_an_answer_the_first_reply_is_shown() -> None:
    view = view_of([None, None], truncated=[None])
    assert decide_by_votes(view, StopReason.EXHAUSTED) == Decide(None, 0, StopReason.EXHAUSTED, 0.0)
    assert decide_by_votes(view_of(truncated=[None]), StopReason.EXHAUSTED).branch is None


def test_forced_answers_speak_where_more_of_them_agree_than_branches_replied() -> None:
    replied = view_of([None, None], ["0", "0", "1"])
    assert decide_by_votes(replied, StopReason.DEADLINE) == Decide(
        None, 0, StopReason.DEADLINE, 0.0
    )
    agreed = view_of([None, None], ["0", "0"], truncated=["0"])
    assert decide_by_votes(agreed, StopReason.DEADLINE).answer == "0"
    assert decide_by_votes(view_of([None, None, "7"], ["0"] * 9), StopReason.DEADLINE).answer == "7"


def test_what_could_not_outweigh_the_replies_is_not_asked_for() -> None:
    replied = view_of([None, None], running=2)
    assert Closing().at_call_time(replied, settled=False) == []
    assert reason_of(ended(Closing(), view_of([None], truncated=[None]))) is StopReason.EXHAUSTED
    more = view_of([None, None], running=3)
    assert Closing().at_call_time(more, settled=False) == [Force((2, 3, 4), let_run=True)]
    tie = view_of([None, "a", "b"], running=1)
    assert Closing().at_call_time(tie, settled=False) == [Force((3,), let_run=True)]


def test_branches_that_all_ran_into_their_limit_are_asked_once() -> None:
    closing, view = Closing(), view_of(truncated=[None, None])
    assert ended(closing, view) == [Force((0, 1), let_run=True)]
    assert reason_of(ended(closing, view)) is StopReason.EXHAUSTED
    assert reason_of(ended(Closing(force_answers=False), view)) is StopReason.EXHAUSTED
    assert reason_of(Closing().when_over(view, lambda r: Decide(None, None, r, 0.0), answered=True))


def test_only_answers_forced_by_the_clock_make_it_the_deadline() -> None:
    closing = Closing()
    assert closing.at_call_time(view_of(["a"], running=1), settled=True) == []
    assert reason_of(ended(closing, view_of(["a", "a"]))) is StopReason.EXHAUSTED
    assert reason_of(ended(closing, view_of(["a"], ["b"]))) is StopReason.DEADLINE
    assert reason_of(ended(Closing(), view_of(["a"], ["b"]))) is StopReason.EXHAUSTED


def test_at_the_call_time_all_are_forced_unless_it_is_settled_or_forbidden() -> None:
    view = view_of(["a", None], running=2, truncated=[None])
    assert Closing().at_call_time(view, settled=False) == [Force((2, 3, 4), let_run=True)]
    assert Closing().at_call_time(view, settled=True) == []
    assert Closing(force_answers=False).at_call_time(view, settled=False) == []
