"""The majority strategy, by example and under a driver that does anything a race might."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.majority import Majority, StopRule
from frontrunner.strategies.protocol import (
    BranchFailed,
    BranchFinished,
    BranchForced,
    BranchProgressed,
    BranchScored,
    BranchStarted,
    BranchStatus,
    CallTimeReached,
    Command,
    Decide,
    Force,
    Launch,
    Observation,
    StopReason,
)
from frontrunner.strategies.stopping import clinched, flip_risk, majority_probability
from frontrunner.strategies.votes import tally

from .views import FakeView, view_of

# ── by example ────────────────────────────────────────────────────────────────────────────────


def after_finish(strategy: Majority, view: FakeView) -> Sequence[Command]:
    return strategy.observe(BranchFinished(view.arrivals[-1]), view)


def test_it_starts_all_its_branches_at_once() -> None:
    assert Majority(branches=5).start(FakeView()) == [Launch(5)]


def test_it_stops_when_the_lead_is_larger_than_what_still_runs() -> None:
    strategy = Majority(5, stop="clinch")
    assert after_finish(strategy, view_of(["a", "a"], running=3)) == []
    assert after_finish(strategy, view_of(["a", "a", "a"], running=2)) == [
        Decide("a", 0, StopReason.CLINCHED, majority_probability(3, 0))
    ]


def test_it_stops_when_a_flip_is_improbable_but_not_before_the_least_number_of_votes() -> None:
    strategy = Majority(16)
    assert after_finish(strategy, view_of(["a", "a"], running=14)) == []
    assert after_finish(strategy, view_of(["a", "a", "a"], running=13)) == [
        Decide("a", 0, StopReason.CONFIDENT_MAJORITY, majority_probability(3, 0))
    ]
    assert flip_risk(2, 0, 14) <= strategy.max_flip_risk  # it was the number of votes


def test_it_does_not_stop_on_a_tie_however_little_is_still_to_come() -> None:
    view = view_of(["a", "b", "a", "b"], running=2)
    assert after_finish(Majority(6, max_flip_risk=0.9), view) == []
    view.lengths, view.reachable_tokens = LengthModel.from_quantiles(1_000, 1_100), 0.0
    assert after_finish(Majority(6), view) == []


def test_the_clinch_rule_does_not_stop_on_a_small_flip_risk() -> None:
    assert after_finish(Majority(16, stop="clinch"), view_of(["a"] * 7, running=9)) == []


def test_waiting_for_all_does_not_stop_on_a_clinch() -> None:
    assert after_finish(Majority(9, stop="none"), view_of(["a"] * 8, running=1)) == []


@pytest.mark.parametrize("stop", ["flip_risk", "clinch", "none"])
def test_when_all_have_ended_it_is_exhausted(stop: StopRule) -> None:
    (decision,) = after_finish(Majority(2, stop=stop), view_of(["a", "b"]))
    assert decision == Decide("a", 0, StopReason.EXHAUSTED, 0.5)


def test_a_failed_branch_can_settle_the_race() -> None:
    view = view_of(["a", "a"], running=1)
    lost = view.add(BranchStatus.FAILED)
    (decision,) = Majority(4, stop="clinch").observe(BranchFailed(lost.index), view)
    assert isinstance(decision, Decide)
    assert decision.stop_reason is StopReason.CLINCHED


def test_branches_without_an_answer_are_no_votes() -> None:
    assert after_finish(Majority(8), view_of(["a", None, None], running=5)) == []


def test_branches_that_are_not_expected_in_time_do_not_hold_up_the_decision() -> None:
    view = view_of(["a", "a", "b"], running=5)
    view.lengths, view.reachable_tokens = LengthModel.from_quantiles(1_000, 1_100), 10.0
    strategy = Majority(8, max_flip_risk=0.0)
    assert after_finish(strategy, view) != []
    view.lengths = None
    assert after_finish(strategy, view) == []


def test_with_a_strict_leader_at_the_call_time_nothing_is_forced_and_the_rules_go_on() -> None:
    strategy, view = Majority(5, stop="clinch"), view_of(["a", "b", "a"], running=2)
    assert strategy.observe(CallTimeReached(), view) == []
    view.branches[3].status, view.branches[3].answer = BranchStatus.FINISHED, "a"
    view.arrivals.append(3)
    assert after_finish(strategy, view) == [
        Decide("a", 0, StopReason.CLINCHED, majority_probability(3, 1))
    ]


def test_when_all_finish_by_themselves_after_the_call_time_nothing_was_cut_short() -> None:
    strategy, view = Majority(3, stop="none"), view_of(["a"], running=2)
    strategy.observe(CallTimeReached(), view)
    for index in (1, 2):
        view.branches[index].status, view.branches[index].answer = BranchStatus.FINISHED, "a"
        view.arrivals.append(index)
    (decision,) = after_finish(strategy, view)
    assert isinstance(decision, Decide)
    assert decision.stop_reason is StopReason.EXHAUSTED


def test_at_the_call_time_a_tie_is_broken_by_forcing_all_that_have_not_answered() -> None:
    view = view_of(["a", "b", None], running=2)
    view.add(BranchStatus.FAILED)
    view.add(BranchStatus.CANCELLED)
    assert Majority(7).observe(CallTimeReached(), view) == [Force((2, 3, 4))]


def test_at_the_call_time_without_any_vote_all_that_run_are_forced() -> None:
    assert Majority(3).observe(CallTimeReached(), view_of(running=3)) == [Force((0, 1, 2))]


def test_it_forces_nothing_when_told_not_to() -> None:
    strategy = Majority(3, force_answers=False)
    assert strategy.observe(CallTimeReached(), view_of(running=3)) == []
    (decision,) = after_finish(Majority(3, force_answers=False), view_of([None, None, None]))
    assert isinstance(decision, Decide)


def test_it_waits_for_all_forced_answers() -> None:
    strategy, view = Majority(3), view_of(running=3)
    strategy.observe(CallTimeReached(), view)
    for branch in view.branches.values():
        branch.status = BranchStatus.FORCING
    for index in range(3):
        view.branches[index].status, view.branches[index].answer = BranchStatus.FORCED, "a"
        view.arrivals.append(index)
        commands = strategy.observe(BranchForced(index), view)
        assert (commands == []) == (index < 2)


def test_branches_that_all_ended_without_an_answer_are_asked_for_one() -> None:
    view = view_of([None, None])
    view.add(BranchStatus.FAILED)
    assert after_finish(Majority(3), view) == [Force((0, 1))]


def test_a_race_that_ended_by_forcing_early_is_exhausted_and_not_out_of_time() -> None:
    strategy, view = Majority(1), view_of([None])
    assert after_finish(strategy, view) == [Force((0,))]
    view.branches[0].status, view.branches[0].answer = BranchStatus.FORCED, "a"
    (decision,) = strategy.observe(BranchForced(0), view)
    assert isinstance(decision, Decide)
    assert decision.stop_reason is StopReason.EXHAUSTED


def test_a_race_that_ended_without_an_answer_is_exhausted_and_not_out_of_time() -> None:
    (decision,) = after_finish(Majority(2, force_answers=False), view_of([None, None]))
    assert decision == Decide(None, None, StopReason.EXHAUSTED, 0.0)


def test_with_every_branch_lost_it_has_failed() -> None:
    view = FakeView()
    view.add(BranchStatus.FAILED)
    view.add(BranchStatus.FAILED)
    assert Majority(2).observe(BranchFailed(1), view) == [
        Decide(None, None, StopReason.FAILED, 0.0)
    ]
    assert Majority(2).conclude(FakeView()).stop_reason is StopReason.FAILED


def test_with_some_lost_and_none_answering_it_has_not_failed_but_knows_nothing() -> None:
    view = view_of(running=1)
    view.add(BranchStatus.FAILED)
    assert Majority(2).conclude(view) == Decide(None, None, StopReason.DEADLINE, 0.0)


@pytest.mark.parametrize("observation", [BranchStarted(0), BranchProgressed(0, 5), BranchScored(0)])
def test_progress_alone_settles_nothing(observation: Observation) -> None:
    assert Majority(4).observe(observation, view_of(["a"] * 3, running=1)) == []


def test_a_clinch_does_not_rest_on_an_estimate() -> None:
    view = view_of(["a"], running=5)
    view.lengths, view.reachable_tokens = LengthModel.from_quantiles(1_000, 1_100), 10.0
    assert after_finish(Majority(6, stop="clinch"), view) == []


# ── under any order of events ─────────────────────────────────────────────────────────────────

answers = st.sampled_from(["a", "b", "c", None])
pick = st.integers(0, 1_000)


class AnyRace(RuleBasedStateMachine):
    """Drives a strategy as a race would, with events in any order, and checks what it commands."""

    def __init__(self) -> None:
        super().__init__()
        self.view = FakeView()
        self.decision: Decide | None = None
        self.called = False

    @initialize(
        branches=st.integers(1, 12),
        stop=st.sampled_from(["flip_risk", "clinch", "none"]),
        min_votes=st.integers(1, 4),
        max_flip_risk=st.sampled_from([0.0, 0.2, 0.9]),
        force_answers=st.booleans(),
        lengths=st.none() | st.just(LengthModel.from_quantiles(100, 400)),
    )
    def start(
        self,
        branches: int,
        stop: StopRule,
        min_votes: int,
        max_flip_risk: float,
        force_answers: bool,
        lengths: LengthModel | None,
    ) -> None:
        self.strategy = Majority(branches, stop, min_votes, max_flip_risk, force_answers)
        self.view.lengths = lengths
        self.carry_out(self.strategy.start(self.view))
        assert len(self.view.branches) == branches

    def observe(self, observation: Observation) -> None:
        self.carry_out(self.strategy.observe(observation, self.view))

    def carry_out(self, commands: Sequence[Command]) -> None:
        for command in commands:
            assert self.decision is None, "a command after the decision"
            match command:
                case Launch(count):
                    assert not self.view.branches, "a second launch"
                    for _ in range(count):
                        self.view.add()
                case Force(indices):
                    assert self.strategy.force_answers
                    assert indices
                    for index in indices:
                        self.force(index)
                case Decide():
                    self.decision = command
                    self.check(command)
                case _:
                    raise AssertionError(f"a majority vote needs no {command}")

    def force(self, index: int) -> None:
        branch = self.view.branches[index]
        silent = branch.status is BranchStatus.FINISHED and branch.answer is None
        assert silent or branch.status is BranchStatus.RUNNING, "a command for one that is gone"
        branch.status = BranchStatus.FORCING
        if index in self.view.arrivals:
            self.view.arrivals.remove(index)

    def check(self, decision: Decide) -> None:
        view, votes = self.view, tally(self.view)
        self.check_answer(decision)
        ended = not view.active
        leader, runner_up = votes.lead()
        running = [b.tokens for b in view.running]
        match decision.stop_reason:
            case StopReason.CLINCHED:
                assert self.strategy.stop != "none"
                assert leader > runner_up
                if view.lengths is None:
                    assert clinched(leader, runner_up, len(running))
            case StopReason.CONFIDENT_MAJORITY:
                assert self.strategy.stop == "flip_risk"
                assert votes.total >= self.strategy.min_votes
                assert leader > runner_up
                if view.lengths is None:
                    assert flip_risk(leader, runner_up, len(running)) <= self.strategy.max_flip_risk
            case StopReason.EXHAUSTED | StopReason.FAILED:
                assert ended
            case StopReason.DEADLINE:
                assert self.called or ended
            case reason:
                raise AssertionError(f"no majority vote stops for {reason}")
        if self.strategy.stop == "none":
            assert ended or self.called

    def check_answer(self, decision: Decide) -> None:
        came = [self.view.branches[i] for i in self.view.arrivals]
        votes = Counter(
            b.answer for b in came if b.status is BranchStatus.FINISHED and b.answer is not None
        ) or Counter(
            b.answer for b in came if b.status is BranchStatus.FORCED and b.answer is not None
        )
        assert 0.0 <= decision.confidence <= 1.0
        if not votes:
            assert decision.answer is None
            assert decision.branch is None
            assert decision.confidence == 0.0
            return
        assert decision.answer is not None
        assert votes[decision.answer] == max(votes.values())
        assert decision.branch is not None
        assert self.view.branches[decision.branch].answer == decision.answer
        assert decision.confidence >= 0.5

    def undecided(self) -> bool:
        return self.decision is None

    def some_run(self) -> bool:
        return self.decision is None and bool(self.view.running)

    def some_are_forced(self) -> bool:
        return self.decision is None and any(
            b.status is BranchStatus.FORCING for b in self.view.branches.values()
        )

    @precondition(some_run)
    @rule(which=pick, tokens=st.integers(1, 500), reachable=st.none() | st.floats(0, 2_000))
    def progress(self, which: int, tokens: int, reachable: float | None) -> None:
        branch = self.view.running[which % len(self.view.running)]
        branch.tokens += tokens
        self.view.reachable_tokens = reachable
        self.observe(BranchProgressed(branch.index, tokens))
        assert self.decision is None, "progress is no vote"

    @precondition(some_run)
    @rule(which=pick, answer=answers)
    def finish(self, which: int, answer: str | None) -> None:
        branch = self.view.running[which % len(self.view.running)]
        branch.status, branch.answer = BranchStatus.FINISHED, answer
        self.view.arrivals.append(branch.index)
        self.observe(BranchFinished(branch.index))

    @precondition(some_are_forced)
    @rule(which=pick, answer=answers)
    def finish_forced(self, which: int, answer: str | None) -> None:
        forcing = [b for b in self.view.active if b.status is BranchStatus.FORCING]
        branch = forcing[which % len(forcing)]
        branch.status, branch.answer = BranchStatus.FORCED, answer
        self.view.arrivals.append(branch.index)
        self.observe(BranchForced(branch.index))

    @precondition(lambda self: self.decision is None and self.view.active)
    @rule(which=pick)
    def fail(self, which: int) -> None:
        branch = self.view.active[which % len(self.view.active)]
        branch.status = BranchStatus.FAILED
        self.observe(BranchFailed(branch.index))

    @precondition(lambda self: self.decision is None and not self.called)
    @rule()
    def reach_call_time(self) -> None:
        self.called, self.view.reachable_tokens = True, 0.0
        self.observe(CallTimeReached())

    @rule()
    def conclude(self) -> None:
        decision = self.strategy.conclude(self.view)
        self.check_answer(decision)
        assert decision.stop_reason in (StopReason.DEADLINE, StopReason.FAILED)

    @invariant()
    def it_is_decided_when_all_have_ended(self) -> None:
        if self.view.branches and not self.view.active:
            assert self.decision is not None


TestAnyRace = AnyRace.TestCase
TestAnyRace.settings = settings(max_examples=400, stateful_step_count=40)
