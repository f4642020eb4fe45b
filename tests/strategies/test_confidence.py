from collections.abc import Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize
from tests.profiles import examples

from frontrunner.strategies.confidence import Confidence
from frontrunner.strategies.group_confidence import GroupConfidence
from frontrunner.strategies.protocol import (
    BranchFailed,
    BranchFinished,
    BranchForced,
    BranchProgressed,
    BranchStatus,
    CallTimeReached,
    Cancel,
    Command,
    Decide,
    Force,
    Launch,
    Needs,
    StopReason,
)
from frontrunner.strategies.registry import create_strategy

from .any_race import AnyRace
from .views import FakeView, view_of


def progress(
    strategy: Confidence, view: FakeView, index: int, confidences: Sequence[float]
) -> Sequence[Command]:
    view.branches[index].confidences.extend(confidences)
    view.branches[index].tokens += len(confidences)
    return strategy.observe(BranchProgressed(index, len(confidences)), view)


def finish(
    strategy: Confidence, view: FakeView, index: int, answer: str | None, confidence: float
) -> Sequence[Command]:
    """A branch that was equally sure of all its four tokens ends."""
    branch = view.branches[index]
    branch.confidences, branch.answer = [confidence] * 4, answer
    branch.status = BranchStatus.FINISHED
    view.arrivals.append(index)
    return strategy.observe(BranchFinished(index), view)


def warmed(strategy: Confidence, votes: Sequence[tuple[str | None, float]]) -> FakeView:
    """A race whose warm-up is over, with the rest running."""
    view = FakeView()
    (launch,) = strategy.start(view)
    assert isinstance(launch, Launch)
    for _ in range(launch.count):
        view.add()
    for index, (answer, confidence) in enumerate(votes):
        commands = finish(strategy, view, index, answer, confidence)
        for command in commands:
            assert isinstance(command, Launch)
            for _ in range(command.count):
                view.add()
    return view


def test_it_needs_log_probabilities_and_progress() -> None:
    assert Confidence(logprobs=5).needs == Needs(progress=True, logprobs=5)


def test_the_rest_is_launched_when_the_warm_up_is_over() -> None:
    strategy, view = Confidence(8, warmup=2, group=2), FakeView()
    assert strategy.start(view) == [Launch(2)]
    view.add()
    view.add()
    assert finish(strategy, view, 0, "a", 5.0) == []
    assert finish(strategy, view, 1, "b", 5.0) == [Launch(6)]


def test_a_lost_warm_up_branch_is_not_waited_for() -> None:
    strategy, view = Confidence(8, warmup=2, group=2), view_of(running=2)
    strategy.start(FakeView())
    finish(strategy, view, 0, "a", 5.0)
    view.branches[1].status = BranchStatus.FAILED
    assert strategy.observe(BranchFailed(1), view) == [Launch(6)]


def test_or_all_are_launched_at_once() -> None:
    assert Confidence(8, warmup=2, at_once=True).start(FakeView()) == [Launch(8)]
    assert Confidence(4).start(FakeView()) == [Launch(4)]


def test_a_branch_whose_confidence_falls_below_the_bar_is_cut() -> None:
    strategy = Confidence(4, warmup=2, group=2, eta=50)
    view = warmed(strategy, [("a", 4.0), ("b", 6.0)])  # the bar is the median, 5
    assert progress(strategy, view, 2, [1.0]) == []  # no full group yet
    assert progress(strategy, view, 2, [9.0]) == []  # exactly at the bar
    assert progress(strategy, view, 3, [6.0, 6.0, 3.5]) == [
        Cancel((3,), "confidence fell below that of the warm-up")
    ]


def test_a_chunk_of_many_tokens_is_cut_for_its_worst_group() -> None:
    strategy = Confidence(4, warmup=2, group=2, eta=50)
    view = warmed(strategy, [("a", 4.0), ("b", 6.0)])
    (cancel,) = progress(strategy, view, 2, [9.0, 1.0, 1.0, 9.0, 9.0])
    assert isinstance(cancel, Cancel)


def test_eta_is_the_share_of_the_warm_up_that_stays_above_the_bar() -> None:
    confidences = [float(i) for i in range(1, 12)]
    for eta, bar in ((10.0, 10.0), (90.0, 2.0), (100.0, 1.0)):
        strategy = Confidence(13, warmup=11, group=2, eta=eta)
        view = warmed(strategy, [("abcdefghijk"[i], c) for i, c in enumerate(confidences)])
        assert progress(strategy, view, 11, [bar, bar]) == []
        assert progress(strategy, view, 12, [bar, bar - 0.1]) != []


def test_warm_up_branches_are_never_cut() -> None:
    strategy, view = Confidence(4, warmup=2, at_once=True, group=2, eta=50), view_of(running=4)
    strategy.start(FakeView())
    assert progress(strategy, view, 0, [0.0] * 10) == []
    assert progress(strategy, view, 2, [1.0] * 10) == []  # the bar is not known yet
    finish(strategy, view, 0, "a", 4.0)
    (cancel,) = finish(strategy, view, 1, "b", 6.0)
    assert isinstance(cancel, Cancel)
    assert cancel.branches == (2,)  # it had fallen below before there was a bar


def test_the_vote_weighs_confidence_and_leaves_out_what_is_below_the_bar() -> None:
    strategy = Confidence(5, warmup=3, group=2, eta=50)
    view = warmed(strategy, [("a", 1.0), ("a", 5.0), ("b", 8.0)])  # the bar is 5
    finish(strategy, view, 3, "a", 5.0)
    # a: 5 + 5, the first is left out; b: 8.
    assert strategy.conclude(view).answer == "a"
    (decision,) = finish(strategy, view, 4, "b", 7.0)
    assert isinstance(decision, Decide)
    assert (decision.answer, decision.stop_reason) == ("b", StopReason.EXHAUSTED)


def test_if_no_vote_is_above_the_bar_all_count() -> None:
    strategy = Confidence(3, warmup=2, group=2, eta=10)
    view = warmed(strategy, [("a", 1.0), (None, 8.0)])
    assert strategy.conclude(view).answer == "a"


def test_consensus_stops_the_race_once_the_warm_up_is_over() -> None:
    strategy = Confidence(16, warmup=3, group=2, eta=100)
    view = view_of(running=3)
    strategy.start(FakeView())
    finish(strategy, view, 0, "a", 5.0)
    finish(strategy, view, 1, "a", 5.0)
    (decision,) = finish(strategy, view, 2, "a", 5.0)
    assert isinstance(decision, Decide)
    assert decision.stop_reason is StopReason.CONFIDENT_MAJORITY


def test_too_few_votes_are_no_consensus() -> None:
    strategy, view = Confidence(16, warmup=1, group=2), view_of(running=1)
    strategy.start(FakeView())
    assert finish(strategy, view, 0, "a", 5.0) == [Launch(15)]


def test_a_race_ends_when_its_last_branch_is_cut() -> None:
    strategy = Confidence(3, warmup=2, group=2, eta=50)
    view = warmed(strategy, [("a", 4.0), ("b", 6.0)])
    cancel, decision = progress(strategy, view, 2, [1.0, 1.0])
    assert isinstance(cancel, Cancel)
    assert isinstance(decision, Decide)
    assert (decision.answer, decision.stop_reason) == ("b", StopReason.EXHAUSTED)


def test_nothing_is_launched_after_the_call_time() -> None:
    strategy, view = Confidence(8, warmup=2, group=2), view_of(running=2)
    strategy.start(FakeView())
    finish(strategy, view, 0, "a", 5.0)
    assert strategy.observe(CallTimeReached(), view) == []
    (decision,) = finish(strategy, view, 1, "b", 6.0)
    assert isinstance(decision, Decide)
    assert decision.stop_reason is StopReason.EXHAUSTED


def test_nothing_is_cut_after_the_call_time() -> None:
    strategy = Confidence(4, warmup=2, group=2, eta=50)
    view = warmed(strategy, [("a", 4.0), ("b", 6.0)])
    strategy.observe(CallTimeReached(), view)
    assert progress(strategy, view, 2, [1.0, 1.0]) == []


def test_at_the_call_time_without_a_vote_all_are_forced() -> None:
    strategy, view = Confidence(8, warmup=2, group=2), view_of(running=2)
    strategy.start(FakeView())
    assert strategy.observe(CallTimeReached(), view) == [Force((0, 1), let_run=True)]
    for index in (0, 1):
        view.branches[index].status, view.branches[index].answer = BranchStatus.FORCED, "a"
        view.arrivals.append(index)
    (decision,) = strategy.observe(BranchForced(1), view)
    assert isinstance(decision, Decide)
    assert (decision.answer, decision.stop_reason) == ("a", StopReason.DEADLINE)


def test_an_engine_without_log_probabilities_leaves_a_plain_vote() -> None:
    strategy, view = Confidence(3, warmup=2, group=2), view_of(running=2)
    strategy.start(FakeView())
    for index, answer in enumerate(["a", "b"]):
        view.branches[index].status, view.branches[index].answer = BranchStatus.FINISHED, answer
        view.arrivals.append(index)
        commands = strategy.observe(BranchFinished(index), view)
        assert commands == ([Launch(1)] if index == 1 else [])
    view.add()
    assert strategy.observe(BranchProgressed(2, 100), view) == []
    assert strategy.conclude(view).answer == "a"


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("branches", 0), ("warmup", 0), ("group", 0), ("logprobs", 0), ("min_votes", 0),
        ("eta", 0.0), ("eta", 101.0), ("consensus", 0.5), ("consensus", 1.1),
    ],
)  # fmt: skip
def test_parameters_out_of_range_are_refused(parameter: str, value: float) -> None:
    with pytest.raises(ValueError, match=parameter):
        create_strategy("confidence", {parameter: value})


class AnyConfidence(AnyRace):
    @initialize(
        branches=st.integers(1, 10),
        warmup=st.integers(1, 4),
        at_once=st.booleans(),
        eta=st.sampled_from([10.0, 50.0, 90.0]),
        consensus=st.sampled_from([0.6, 0.95, 1.0]),
        min_votes=st.integers(1, 3),
    )
    def begin(
        self,
        branches: int,
        warmup: int,
        at_once: bool,
        eta: float,
        consensus: float,
        min_votes: int,
    ) -> None:
        self.start(
            Confidence(
                branches,
                warmup,
                at_once,
                eta,
                group=100,
                consensus=consensus,
                min_votes=min_votes,
            )
        )

    def check(self, decision: Decide) -> None:
        if decision.stop_reason is StopReason.CONFIDENT_MAJORITY:
            first = list(self.view.branches.values())[: self.strategy.warmup]
            assert not any(b.status.active for b in first), "stopped during the warm-up"
        for branch in self.view.branches.values():
            if branch.status is BranchStatus.CANCELLED:
                assert branch.index >= self.strategy.warmup
                group = GroupConfidence(self.strategy.group)
                group.take(branch.confidences)
                assert group.lowest is not None, "cut before it had a full group"


TestAnyConfidence = AnyConfidence.TestCase
TestAnyConfidence.settings = settings(max_examples=examples(200), stateful_step_count=50)
