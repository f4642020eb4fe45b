"""Races whose branches reply, and whose replies are scored: together by a judge, or one by one."""

from collections.abc import Mapping

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize

from frontrunner.runtime.racing import effects
from frontrunner.strategies.best_reply import BestReply
from frontrunner.strategies.budget_forcing import BudgetForcing
from frontrunner.strategies.first_reply import FirstReply
from frontrunner.strategies.first_to_m import FirstToM
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.protocol import (
    BranchFinished,
    BranchScored,
    BranchStatus,
    CallTimeReached,
    Cancel,
    Command,
    Decide,
    Extend,
    Force,
    Score,
    StopReason,
    Strategy,
)

from ..profiles import examples
from .any_race import AnyRace
from .views import FakeView

FINISHED = BranchStatus.FINISHED


class Race:
    """A race in which branches reply, one after another."""

    def __init__(
        self,
        branches: int,
        *,
        inside: Strategy | None = None,
        together: bool = True,
        agreement: float | None = 0.75,
        min_replies: int = 3,
    ) -> None:
        first = FirstReply(inside or Majority(branches), answers_count=True)
        self.strategy = BestReply(first, together, agreement, min_replies)
        self.view = FakeView()
        self.strategy.start(self.view)
        for _ in range(branches):
            self.view.add()
        self.called = False

    def reply(self, index: int) -> list[Command]:
        self.view.branches[index].status = FINISHED
        self.view.arrivals.append(index)
        return list(self.strategy.observe(BranchFinished(index), self.view))

    def score(self, index: int, score: float | None) -> list[Command]:
        self.view.branches[index].score = score
        return list(self.strategy.observe(BranchScored(index), self.view))

    def judge(self, *scores: float | None) -> list[Command]:
        """The scores of branches 0, 1, …, one after another; what the last one brings."""
        commands: list[Command] = []
        for index, score in enumerate(scores):
            assert commands == []
            commands = self.score(index, score)
        return commands

    def call(self) -> list[Command]:
        return list(self.strategy.observe(CallTimeReached(), self.view))


def after_replies(count: int, branches: int = 8) -> Race:
    """A race in which so many have replied and the judge is asked."""
    race = Race(branches, min_replies=count)
    for index in range(count - 1):
        assert race.reply(index) == []
    assert race.reply(count - 1) == [Score(tuple(range(count)))]
    return race


def test_a_judge_who_agrees_with_itself_ends_the_race() -> None:
    decided = after_replies(3).judge(0.1, 0.8, 0.1)
    assert decided == [Decide(None, 1, StopReason.REWARD_THRESHOLD, 0.8)]


def test_one_who_does_not_is_asked_again_when_there_are_half_as_many_more() -> None:
    race = after_replies(3)
    assert race.judge(0.4, 0.4, 0.2) == []
    assert race.reply(3) == []
    assert race.reply(4) == [Score((0, 1, 2, 3, 4))]
    assert race.judge(0.0, 0.0, 0.0, 0.0, 1.0) == [
        Decide(None, 4, StopReason.REWARD_THRESHOLD, 1.0)
    ]


def test_no_judgement_begins_while_another_is_under_way() -> None:
    race = after_replies(3)
    assert race.reply(3) == []
    assert race.reply(4) == []
    assert race.judge(0.4, 0.4, 0.2) == [Score((0, 1, 2, 3, 4))]


def test_when_all_have_ended_it_is_asked_about_those_it_has_not_seen() -> None:
    race = after_replies(3, branches=4)
    assert race.judge(0.4, 0.6, 0.0) == []
    assert race.reply(3) == [Score((0, 1, 2, 3))]
    assert race.judge(0.2, 0.2, 0.1, 0.5) == [Decide(None, 3, StopReason.EXHAUSTED, 0.5)]


def test_at_the_call_time_the_others_are_cut_and_those_that_came_are_judged() -> None:
    race = Race(4)
    assert race.reply(2) == []
    assert race.reply(0) == []
    cut, asked = race.call()
    assert cut == Cancel((1, 3), "too late for the judge")
    assert asked == Score((2, 0))
    for index in (1, 3):
        race.view.branches[index].status = BranchStatus.CANCELLED
    assert race.score(2, 0.4) == []
    assert race.score(0, 0.6) == [Decide(None, 0, StopReason.DEADLINE, 0.6)]


def test_at_the_call_time_one_reply_is_taken_and_none_is_waited_for() -> None:
    race = Race(3)
    assert race.call() == [Force((0, 1, 2), let_run=True)]  # it is the one inside that decides
    assert race.reply(1) == [Decide(None, 1, StopReason.DEADLINE, 0.0)]
    race = Race(3)
    assert race.reply(2) == []
    assert race.call() == [Decide(None, 2, StopReason.DEADLINE, 0.0)]


def test_who_has_judged_all_of_them_is_not_asked_again_at_the_call_time() -> None:
    race = after_replies(3)
    assert race.judge(0.3, 0.3, 0.4) == []
    assert race.call() == [Decide(None, 2, StopReason.DEADLINE, 0.4)]


def test_without_a_judgement_the_first_reply_is_taken() -> None:
    race = after_replies(3, branches=3)
    assert race.judge(None, None, None) == [Decide(None, 0, StopReason.EXHAUSTED, 0.0)]
    race = after_replies(3)
    assert race.strategy.conclude(race.view) == Decide(None, 0, StopReason.DEADLINE, 0.0)


def test_what_was_known_holds_where_a_later_judgement_is_lost() -> None:
    race = after_replies(3)
    assert race.judge(0.1, 0.6, 0.3) == []
    assert race.reply(3) == []
    assert race.reply(4) == [Score((0, 1, 2, 3, 4))]
    assert race.judge(*[None] * 5) == []
    assert race.strategy.conclude(race.view) == Decide(None, 1, StopReason.DEADLINE, 0.6)


def test_of_equals_the_first_to_reply_is_taken() -> None:
    race = Race(2)
    race.reply(1)
    assert race.reply(0) == [Score((1, 0))]
    assert race.score(0, 0.5) == []
    assert race.score(1, 0.5) == [Decide(None, 1, StopReason.EXHAUSTED, 0.5)]


def test_answers_are_for_the_strategy_inside_to_decide_on() -> None:
    first = FirstReply(Majority(4, stop="clinch"), most=True)
    strategy, view = BestReply(first), FakeView()
    for answer in (None, None, None):
        view.add(FINISHED, answer)
    view.add()
    assert strategy.observe(BranchFinished(2), view) == [Score((0, 1, 2))]
    view.branches[3].status, view.branches[3].answer = FINISHED, "7"
    view.arrivals.append(3)
    (decided,) = strategy.observe(BranchFinished(3), view)
    assert isinstance(decided, Decide)
    assert decided.answer == strategy.conclude(view).answer == "7"


def test_where_the_strategy_inside_has_seen_enough_the_judge_picks_among_what_there_is() -> None:
    race = Race(5, inside=FirstToM(5, m=2))
    race.view.branches[4].answer = "a call"
    race.view.branches[1].answer = "a call"
    assert race.reply(4) == []
    cut, asked = race.reply(1)
    assert isinstance(cut, Cancel)
    assert asked == Score((4, 1))


def test_a_reply_that_is_to_go_on_is_none_yet() -> None:
    race = Race(1, inside=BudgetForcing(branches=1, min_tokens=100))
    (command,) = race.reply(0)
    assert isinstance(command, Extend)


def test_a_model_that_scores_replies_one_by_one_is_asked_as_they_come() -> None:
    race = Race(4, together=False, agreement=0.9, min_replies=1)
    assert race.reply(2) == [Score((2,))]
    assert race.reply(0) == [Score((0,))]
    assert race.score(2, 0.5) == []
    assert race.score(0, 0.95) == [Decide(None, 0, StopReason.REWARD_THRESHOLD, 0.95)]


def test_its_scores_are_waited_for_and_the_best_one_wins() -> None:
    race = Race(2, together=False, agreement=None, min_replies=1)
    assert race.reply(0) == [Score((0,))]
    assert race.reply(1) == [Score((1,))]
    assert race.score(1, 2.5) == []
    assert race.score(0, None) == [Decide(None, 1, StopReason.EXHAUSTED, 1.0)]


def test_a_score_of_what_a_branch_had_written_before_is_not_the_replys() -> None:
    race = Race(2, together=False, agreement=0.5, min_replies=1)
    race.view.branches[0].tokens = 10
    assert race.reply(0) == [Score((0,))]
    race.view.branches[0].scored_tokens = 4
    assert race.score(0, 0.9) == []
    race.view.branches[0].scored_tokens = 10
    assert race.score(0, 0.9) == [Decide(None, 0, StopReason.REWARD_THRESHOLD, 0.9)]


class AnyJudgedRace(AnyRace):
    """Most branches must reply, and answers decide where there are some."""

    @initialize(
        branches=st.integers(1, 8),
        together=st.booleans(),
        agreement=st.none() | st.floats(0.5, 1.0),
        least=st.integers(1, 4),
    )
    def begin(self, branches: int, together: bool, agreement: float | None, least: int) -> None:
        first = FirstReply(Majority(branches, stop="clinch"), most=True)
        self.start(BestReply(first, together, agreement, least))

    def _check_answer(self, decision: Decide) -> None:
        told = {e.score for e in self.race.done if isinstance(e, effects.BranchScored)}
        told |= {branch.score for branch in self.view.branches.values()}
        if decision.answer is not None or decision.branch is None or told == {None}:
            super()._check_answer(decision)
            return
        whole = [b for i in self.view.arrivals if (b := self.view.branches[i]).status is FINISHED]
        assert {branch.answer for branch in whole} == {None}
        assert decision.branch in {branch.index for branch in whole}
        assert decision.confidence in {0.0, *told}

    def _check_reason(self, decision: Decide, statuses: Mapping[int, BranchStatus]) -> None:
        if decision.answer is not None or decision.stop_reason is not StopReason.REWARD_THRESHOLD:
            super()._check_reason(decision, statuses)
            return
        assert self.strategy.agreement <= decision.confidence


TestAnyJudgedRace = AnyJudgedRace.TestCase
TestAnyJudgedRace.settings = settings(max_examples=examples(200), stateful_step_count=60)


def test_its_needs_are_those_of_the_strategy_inside_and_scores() -> None:
    race = Race(2)
    assert race.strategy.needs.comparisons
    apart = Race(2, together=False)
    assert apart.strategy.needs.rewards
    assert not apart.strategy.needs.comparisons


@pytest.mark.parametrize("together", [True, False])
def test_the_leader_that_is_shown_is_the_one_it_would_decide_for(together: bool) -> None:
    race = Race(3, together=together, min_replies=2)
    for index, answer in enumerate(["first call", "second call"]):
        race.view.branches[index].answer = answer
        race.reply(index)
    assert race.strategy.standing(race.view).leader == "first call"
    race.score(0, 0.3)
    race.score(1, 0.7)
    assert race.strategy.standing(race.view).leader == "second call"
    assert race.strategy.conclude(race.view).answer == "second call"
