"""One race at a time, in exact virtual time."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import pytest
from tests.strategies.counted import counted

from frontrunner.runtime.answers import make_extractor
from frontrunner.runtime.config import AnswerSettings
from frontrunner.runtime.engines.protocol import Sampling
from frontrunner.runtime.engines.scripted import BranchScript, Piece
from frontrunner.runtime.events.types import (
    BranchEnded,
    BranchForcing,
    BranchProgressed,
    BranchScored,
    BranchStarted,
    CallTimeReached,
    Event,
    RaceDecided,
    RaceStarted,
    VoteChanged,
)
from frontrunner.runtime.racing.deadline_reserve import DeadlineReserve
from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.protocol import (
    BranchFinished,
    BranchProbed,
    BranchStatus,
    BranchStepped,
    Cancel,
    Command,
    Decide,
    Extend,
    Force,
    Fork,
    Launch,
    Needs,
    Observation,
    Probe,
    ProbeAnswer,
    RaceView,
    Score,
    StopReason,
)
from frontrunner.strategies.protocol import BranchProgressed as TellProgressed
from frontrunner.strategies.protocol import BranchScored as TellScored

from ...backends import every_backend, no_tasks_left
from ..race_harness import (
    MARGIN,
    PROMPT,
    SUFFIX,
    Rewards,
    Setup,
    WatchedEngine,
    at_its_limit,
    check_result,
    fails,
    forced_says,
    ids,
    run_race,
    says,
    stalls,
    statuses,
)


@dataclass
class Fixed:
    """A strategy that does as it is told: the next commands at each branch that finishes."""

    first: Sequence[Command]
    then: deque[Sequence[Command]] = field(default_factory=deque)

    def start(self, view: RaceView) -> Sequence[Command]:
        return self.first

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        if isinstance(observation, BranchFinished) and self.then:
            return self.then.popleft()
        return []

    def conclude(self, view: RaceView) -> Decide:
        return counted().conclude(view)


# ── stopping early ────────────────────────────────────────────────────────────────────────────


async def test_a_clinch_ends_the_race_at_that_moment_and_aborts_the_rest_in_one_call() -> None:
    engine = WatchedEngine([says("a", 1), says("a", 2), says("a", 3), says("b", 8), says("b", 9)])
    result = await run_race(engine, Majority(5, stop="clinch"))
    assert result.elapsed == 3.0
    assert result.stop_reason is StopReason.CLINCHED
    assert result.answer == "a"
    assert result.votes == {"a": 3}
    assert engine.aborts == [ids(3, 4)]
    assert statuses(result) == ["finished"] * 3 + ["cancelled"] * 2


async def test_a_confident_majority_ends_the_race_with_the_second_vote() -> None:
    engine = WatchedEngine([says("a", n) for n in (4, 2, 3)] + [says("b", 8)] * 5)
    result = await run_race(engine)
    assert result.elapsed == 3.0
    assert result.stop_reason is StopReason.CONFIDENT_MAJORITY
    assert result.confidence == pytest.approx(7 / 8)
    assert engine.aborts == [ids(0, 3, 4, 5, 6, 7)]


async def test_a_disputed_lead_lets_the_race_go_on() -> None:
    engine = WatchedEngine([says("a", 1), says("b", 2), says("c", 3), *[says("b", 4)] * 5])
    result = await run_race(engine)
    assert result.elapsed == 4.0
    assert result.answer == "b"


async def test_waiting_for_all_takes_as_long_as_the_last_and_aborts_nothing() -> None:
    engine = WatchedEngine([says("a", n) for n in (1, 2, 3, 9)])
    result = await run_race(engine, Majority(4, stop="none"))
    assert result.elapsed == 9.0
    assert result.stop_reason is StopReason.EXHAUSTED
    assert engine.aborts == []
    assert result.tokens_saved == 0


async def test_among_equal_votes_the_first_to_arrive_wins() -> None:
    engine = WatchedEngine([says("a", 4), says("b", 2), says("c", 3)])
    result = await run_race(engine)
    assert result.elapsed == 4.0
    assert result.stop_reason is StopReason.EXHAUSTED
    assert result.answer == "b"
    assert result.votes == {"a": 1, "b": 1, "c": 1}


async def test_answers_are_one_vote_however_they_are_spelled() -> None:
    engine = WatchedEngine([says("1/2", 1), says(r"\frac{1}{2}", 2), says("0.50", 3), says("3", 4)])
    result = await run_race(engine, Majority(4, stop="clinch"))
    assert result.elapsed == 3.0
    assert result.votes == {"1/2": 3}


async def test_a_lost_branch_is_a_missing_vote() -> None:
    engine = WatchedEngine([says("a", 1), fails("out of memory", after=2), says("a", 3)])
    result = await run_race(engine, Majority(3, stop="clinch"))
    # Two to come might have turned one vote; with one lost, only one is to come, and draws level.
    assert result.elapsed == 3.0
    assert statuses(result) == ["finished", "failed", "finished"]
    assert result.branches[1].error == "out of memory"
    assert result.votes == {"a": 2}


async def test_losing_a_branch_can_settle_the_race() -> None:
    engine = WatchedEngine([says("a", 1), says("a", 1.5), fails(after=2), says("b", 9)])
    result = await run_race(engine, Majority(4, stop="clinch"))
    assert result.elapsed == 2.0
    assert result.stop_reason is StopReason.CLINCHED


async def test_text_without_an_answer_is_no_vote() -> None:
    engine = WatchedEngine([says(None, 1), says(None, 1), says("a", 2)])
    result = await run_race(engine)
    assert result.answer == "a"
    assert result.votes == {"a": 1}
    assert statuses(result) == ["finished"] * 3
    assert result.stop_reason is StopReason.EXHAUSTED


async def test_branches_not_expected_before_the_deadline_are_not_waited_for() -> None:
    engine = WatchedEngine([says("a", n, tokens=8) for n in (1, 2, 3)] + [stalls("x", after=1)] * 5)
    setup = Setup(engine, counted(8, max_flip_risk=0.0))
    setup.lengths = LengthModel.from_quantiles(1_000, 1_100)
    result = await setup.run()
    assert result.elapsed < setup.call_time(running=5)
    assert result.answer == "a"


@every_backend
async def test_the_winner_is_the_same_on_every_event_loop() -> None:
    engine = WatchedEngine([*[says("a", 0.004)] * 3, *[stalls("x ", after=0.001)] * 2])
    async with no_tasks_left():
        result = await run_race(engine, Majority(5, stop="clinch"))
    assert result.stop_reason is StopReason.CLINCHED
    assert result.answer == "a"
    assert engine.aborts == [ids(3, 4)]


# ── the deadline ──────────────────────────────────────────────────────────────────────────────
#
# An engine of one place has no room for forced answers beside the branches: it stops these first.


@pytest.mark.parametrize("deadline", [0.5, 1.0, 10.0, 3_600.0])
@pytest.mark.parametrize("branches", [1, 7, 64])
async def test_the_call_time_is_the_deadline_less_the_predicted_reserve(
    deadline: float, branches: int
) -> None:
    events: list[Event] = []
    engine = WatchedEngine(
        [stalls("x ", after=0.1)] * branches, prefill_tokens_per_step=16, max_branches=1
    )
    setup = Setup(engine, counted(branches), deadline, publish=events.append)
    result = await setup.run()
    (call,) = [event for event in events if isinstance(event, CallTimeReached)]
    assert call.at == pytest.approx(max(0.0, setup.call_time(branches)), abs=1e-9)
    assert call.reserve == pytest.approx(deadline - call.at)
    assert result.elapsed == call.at  # the forced answers of this script take no time
    assert result.stop_reason is StopReason.DEADLINE


async def test_the_reserve_counts_only_branches_that_still_run() -> None:
    events: list[Event] = []
    finishing = [says("ab"[n % 2], 1 + n) for n in range(6)]
    engine = WatchedEngine([*finishing, *[stalls()] * 4], prefill_tokens_per_step=16)
    setup = Setup(engine, Majority(10, stop="none"), publish=events.append)
    await setup.run()
    (call,) = [event for event in events if isinstance(event, CallTimeReached)]
    assert setup.call_time(running=4) > setup.call_time(running=10)
    assert call.at == pytest.approx(setup.call_time(running=4), abs=1e-9)


async def test_unfinished_branches_are_forced_from_their_exact_tokens() -> None:
    pieces = (Piece(1, "one ", 3), Piece(1, "two ", 2))
    engine = WatchedEngine(
        [BranchScript(pieces, stall=True), BranchScript(pieces[:1], stall=True)],
        [forced_says("7", 0.05)],
        max_branches=1,
    )
    setup = Setup(engine, counted(2), sampling=Sampling(temperature=0.6, top_p=0.9))
    result = await setup.run()

    suffix = engine.encode(SUFFIX)
    originals = [request for request in engine.requests if not request.forced]
    first, second = sorted(engine.forced_requests(), key=lambda request: request.branch)
    assert {request.prompt for request in originals} == {PROMPT}
    assert {request.sampling for request in originals} == {setup.sampling}
    assert first.prompt == (*PROMPT, 0, 1, 2, 3, 4, *suffix)
    assert second.prompt == (*PROMPT, 0, 1, 2, *suffix)
    assert {request.max_tokens for request in (first, second)} == {setup.forced_tokens}
    assert {request.sampling.temperature for request in (first, second)} == {1.0}

    assert result.elapsed == pytest.approx(setup.call_time(running=2) + 0.05)
    assert result.stop_reason is StopReason.DEADLINE
    assert result.answer == "7"
    assert result.votes == {}
    assert result.forced_votes == {"7": 2}
    assert statuses(result) == ["forced", "forced"]
    assert [branch.text for branch in result.branches] == [
        f"one two {SUFFIX}7}}",
        f"one {SUFFIX}7}}",
    ]
    assert [branch.tokens for branch in result.branches] == [5 + 2, 3 + 2]


async def test_forcing_is_one_abort_and_then_the_continuations_before_all_other_work() -> None:
    engine = WatchedEngine([stalls("x ")] * 3, max_branches=1)
    await run_race(engine)
    originals, forced = engine.requests[:3], engine.requests[3:]
    assert engine.diary[3] == ("abort", ids(0, 1, 2))
    assert [what for what, _ in engine.diary] == ["generate"] * 3 + ["abort"] + ["generate"] * 3
    assert all(request.forced for request in forced)
    assert max(r.priority for r in forced) < min(r.priority for r in originals)
    assert not set(ids(0, 1, 2)) & {request.request_id for request in forced}


async def test_an_earlier_deadline_is_served_first() -> None:
    priorities: list[int] = []
    for deadline in (1.0, 2.0):
        engine = WatchedEngine([stalls("x ", after=0.1)])
        await run_race(engine, deadline=deadline)
        priorities += [request.priority for request in engine.requests]
    (early, early_forced, late, late_forced) = priorities
    assert early_forced < late_forced < 0 < early < late


async def test_with_a_strict_leader_at_the_call_time_branches_run_on_to_the_last_moment() -> None:
    engine = WatchedEngine([says("a", 1), says("b", 9.95), *[stalls("x ")] * 2], [forced_says("c")])
    setup = Setup(engine, counted(4, min_votes=4))
    assert setup.call_time(running=3) < 9.95 < setup.deadline - MARGIN
    result = await setup.run()
    assert result.elapsed == pytest.approx(setup.deadline - MARGIN)
    assert result.votes == {"a": 1, "b": 1}
    assert result.answer == "a"
    assert result.stop_reason is StopReason.DEADLINE
    assert engine.forced_requests() == []
    assert engine.aborts == [ids(2, 3)]


async def test_a_forced_answer_counts_as_soon_as_its_box_closes() -> None:
    chatty = BranchScript((Piece(0.01, "4", 1), Piece(0.01, "}", 1)), stall=True)
    engine = WatchedEngine([stalls("x ")] * 2, [chatty], max_branches=1)
    setup = Setup(engine, counted(2))
    result = await setup.run()
    assert result.elapsed == pytest.approx(setup.call_time(running=2) + 0.02)
    assert result.forced_votes == {"4": 2}
    assert sorted(engine.aborts[1:]) == [("race-b0-forced",), ("race-b1-forced",)]


async def test_a_branch_that_is_forced_alone_gives_its_best_guess() -> None:
    engine = WatchedEngine([stalls("x ")])
    await run_race(engine, counted(1))
    (forced,) = engine.forced_requests()
    assert forced.sampling.temperature == 0.0


async def test_where_the_engine_has_room_branches_run_on_beside_their_forced_answers() -> None:
    """The one that finishes in the time that was kept for forcing decides."""
    engine = WatchedEngine([says("a", 9.9), stalls("x "), stalls("y ")], [forced_says("7", 0.05)])
    setup = Setup(engine, counted(3), seed=1)
    call = setup.call_time(running=3)
    events: list[Event] = []
    setup.publish = events.append
    assert call + 0.05 < 9.9 < setup.deadline - MARGIN
    result = await setup.run()
    assert [e.at for e in events if isinstance(e, BranchForcing)] == [pytest.approx(call)] * 3
    assert result.elapsed == pytest.approx(setup.deadline - MARGIN)
    assert result.answer == "a"
    assert result.votes == {"a": 1}
    assert result.forced_votes == {"7": 2}
    assert statuses(result) == ["finished", "forced", "forced"]
    assert result.branches[1].text == f"x {SUFFIX}7}}"
    assert result.branches[1].tokens == 4 + 2
    # The forced requests end when their boxes close, the branches when the race does.
    assert sorted(engine.aborts[-1]) == list(ids(1, 2))


async def test_a_branch_that_runs_on_keeps_what_it_wrote_before_it_was_asked() -> None:
    pieces = (Piece(9.8, "one ", 3), Piece(0.1, "two ", 2))
    engine = WatchedEngine([BranchScript(pieces, stall=True)] * 2, [forced_says("7", 0.01)])
    setup = Setup(engine, counted(2))
    assert setup.call_time(running=2) < 9.8
    result = await setup.run()
    assert result.branches[0].text == f"{SUFFIX}7}}"
    assert result.branches[0].tokens == 5 + 2
    assert result.tokens_generated == 2 * (5 + 2)


async def test_a_lost_branch_leaves_its_forced_answer() -> None:
    engine = WatchedEngine([fails(after=9.9), stalls("x ")], [forced_says("7", 0.01), stalls()])
    setup = Setup(engine, counted(2))
    assert setup.call_time(running=2) + 0.01 < 9.9 < setup.deadline - MARGIN
    result = await setup.run()
    assert result.forced_votes == {"7": 1}
    assert statuses(result) == ["forced", "cancelled"]


async def test_a_branch_at_its_limit_without_an_answer_leaves_its_forced_answer() -> None:
    late = BranchScript((Piece(9.9, "hm", 5),))
    engine = WatchedEngine([late, stalls("x ")], [forced_says("7", 0.01), stalls()])
    result = await Setup(engine, counted(2), max_tokens=4).run()
    assert result.forced_votes == {"7": 1}
    assert statuses(result) == ["forced", "cancelled"]


async def test_a_tie_at_the_call_time_is_broken_by_forced_answers_and_by_no_third_answer() -> None:
    engine = WatchedEngine(
        [says("a", 1), says("b", 2), *[stalls("x ")] * 4],
        [forced_says("none"), forced_says("none"), *map(forced_says, "bccc")],
    )
    result = await run_race(engine)
    assert result.answer == "b"
    assert result.votes == {"a": 1, "b": 1}
    assert result.forced_votes == {"b": 1, "c": 3}
    assert result.text == "".join(f"step{n} " for n in range(7)) + "\\boxed{b}"
    assert result.confidence == 0.5


async def test_a_branch_that_holds_an_answer_at_the_call_time_is_not_asked_again() -> None:
    engine = WatchedEngine([stalls("so \\boxed{5} or "), stalls("x ")], [forced_says("6", 0.1)])
    result = await run_race(engine)
    assert [request.branch for request in engine.forced_requests()] == [1]
    assert engine.aborts[0] == ids(0, 1)
    assert result.forced_votes == {"5": 1, "6": 1}
    assert result.answer == "5"  # it was there first
    assert result.text == "so \\boxed{5} or "


async def test_forced_answers_that_take_too_long_are_cut_at_the_last_moment() -> None:
    engine = WatchedEngine(
        [stalls("x ")] * 3, [forced_says("1", 0.05), stalls(), stalls()], max_branches=1
    )
    setup = Setup(engine, counted(3))
    result = await setup.run()
    assert result.elapsed == pytest.approx(setup.deadline - MARGIN, abs=1e-9)
    assert result.answer == "1"
    assert statuses(result) == ["forced", "cancelled", "cancelled"]
    assert engine.aborts[1:] == [("race-b1-forced", "race-b2-forced")]


async def test_a_forced_answer_that_does_not_close_its_box_is_no_vote() -> None:
    engine = WatchedEngine(
        [stalls("x ")], [BranchScript((Piece(0.01, "1 + 1 + ", 20),))], max_branches=1
    )
    result = await run_race(engine)
    assert result.answer is None
    assert statuses(result) == ["forced"]
    assert result.stop_reason is StopReason.DEADLINE


async def test_without_forcing_the_race_waits_for_its_own_to_the_last_moment() -> None:
    engine = WatchedEngine([says("a", 9.9), stalls()])
    setup = Setup(engine, counted(2, force_answers=False))
    assert setup.call_time(running=2) < 9.9
    result = await setup.run()
    assert result.elapsed == pytest.approx(10.0 - MARGIN)
    assert result.answer == "a"
    assert engine.forced_requests() == []


async def test_a_deadline_too_short_for_the_reserve_forces_at_once() -> None:
    engine = WatchedEngine([stalls("x ", after=1)] * 2, [forced_says("4", 0.01)], max_branches=1)
    setup = Setup(engine, counted(2), deadline=0.1)
    assert setup.call_time(running=2) < 0
    result = await setup.run()
    assert result.elapsed == pytest.approx(0.01)
    assert result.answer == "4"


async def test_branches_that_all_reach_their_limit_without_an_answer_are_forced_early() -> None:
    engine = WatchedEngine([says("late", 8)] * 2, [forced_says("9", 0.05)])
    setup = Setup(engine, counted(2), max_tokens=4)
    result = await setup.run()
    assert result.elapsed == pytest.approx(4.05)
    assert result.answer == "9"
    assert result.forced_votes == {"9": 2}
    assert {request.prompt[len(PROMPT) :] for request in engine.forced_requests()} == {
        (0, 1, 2, 3, *engine.encode(SUFFIX))
    }
    assert engine.aborts == []


async def test_a_branch_stopped_by_its_limit_is_no_vote_while_others_answer() -> None:
    engine = WatchedEngine([says("late", 8, tokens=8), says("a", 6, tokens=4)])
    setup = Setup(engine, counted(2), max_tokens=4)
    result = await setup.run()
    assert result.elapsed == 6.0
    assert result.votes == {"a": 1}
    assert [branch.tokens for branch in result.branches] == [4, 4]


async def test_rounds_of_forced_answers_that_take_long_make_later_races_call_earlier() -> None:
    calls: list[float] = []
    reserve = DeadlineReserve(MARGIN, fallback_step=0.05)
    for _ in range(3):
        events: list[Event] = []
        engine = WatchedEngine([stalls("x ")], [forced_says("1", 0.36)])
        await Setup(engine, counted(1), reserve=reserve, publish=events.append).run()
        calls += [event.at for event in events if isinstance(event, CallTimeReached)]
    assert calls[0] > calls[1] > calls[2]


# ── commands ──────────────────────────────────────────────────────────────────────────────────


async def test_cancelled_branches_are_aborted_in_one_call_and_the_race_goes_on() -> None:
    strategy = Fixed([Launch(4)], deque([[Cancel((1, 2), "hopeless")], []]))
    events: list[Event] = []
    engine = WatchedEngine([says("a", 1), says("b", 5), says("b", 6), says("c", 7)])
    strategy.then[1] = [Decide("c", 3, StopReason.FIRST_TO_M, 1.0)]
    race = await Setup(engine, strategy, publish=events.append).race()
    result = await race.run()
    engine.check_idle()
    assert engine.aborts == [ids(1, 2)]
    assert result.elapsed == 7.0
    assert result.answer == "c"
    assert result.stop_reason is StopReason.FIRST_TO_M
    cut = [e for e in events if isinstance(e, BranchEnded) and e.status is BranchStatus.CANCELLED]
    assert [(event.at, event.branch, event.reason) for event in cut] == [
        (1.0, 1, "hopeless"),
        (1.0, 2, "hopeless"),
    ]


async def test_commands_for_branches_that_are_gone_or_never_were_change_nothing() -> None:
    strategy = Fixed([Launch(2)], deque([[Cancel((0, 7, -1), "?"), Score((0, 1)), Launch(0)]]))
    engine = WatchedEngine([says("a", 1), says("a", 2)])
    setup = Setup(engine, strategy, deadline=5)
    result = await setup.run()
    assert statuses(result) == ["finished", "finished"]


async def test_no_more_branches_are_launched_than_the_race_allows() -> None:
    strategy = Fixed([Launch(3), Launch(3)], deque([[Launch(9)]]))
    engine = WatchedEngine([says("a", 2), *[says("a", 3)] * 3, *[stalls("x ")] * 9])
    result = await Setup(engine, strategy, branches=4, deadline=5).run()
    # Four at first; one, when the first has made room.
    assert len(engine.requests) == len(result.branches) == 5


async def test_a_strategy_that_never_stops_launching_is_stopped() -> None:
    class Eager(Fixed):
        def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
            return [Launch(1)] if isinstance(observation, BranchFinished) else []

    engine = WatchedEngine([says("a", 0)])
    result = await Setup(engine, Eager([Launch(2)]), branches=2, deadline=5).run()
    assert len(result.branches) == 32


async def test_a_fork_goes_on_from_its_parents_exact_tokens_and_counts_only_its_own() -> None:
    pieces = (Piece(1, "one ", 3), Piece(1, "two ", 2), Piece(1, "three ", 1))
    engine = WatchedEngine([BranchScript(pieces), BranchScript((Piece(1, "\\boxed{b}", 4),))])
    events: list[Event] = []
    strategy = Fixed([Launch(1)], deque([[Fork(0, 5, 1)]]))
    setup = Setup(engine, strategy, max_tokens=20, deadline=8, publish=events.append)
    result = await setup.run()
    first, fork = engine.requests
    assert fork.prompt == (*first.prompt, 0, 1, 2, 3, 4)
    assert fork.max_tokens == 15
    child = result.branches[1]
    assert (child.text, child.tokens, child.inherited_tokens) == ("one two \\boxed{b}", 4, 5)
    assert child.parent == 0
    assert result.votes == {"b": 1}
    assert result.tokens_generated == 6 + 4
    assert [e.parent for e in events if isinstance(e, BranchStarted)] == [None, 0]


async def test_an_extended_branch_goes_on_in_place_of_its_end_and_votes_only_then() -> None:
    thought = (Piece(1, "hm", 2), Piece(1, "</think>", 1), Piece(1, "\\boxed{1}", 2))
    scripts = iter([BranchScript(thought), BranchScript((Piece(1, " \\boxed{2}", 3),))])
    engine = WatchedEngine([says(None, 1)])
    engine.script.chooser = lambda request: next(scripts)
    events: list[Event] = []
    strategy = Fixed([Launch(1)], deque([[Extend(0, "Wait", "</think>")], []]))
    result = await Setup(engine, strategy, deadline=8, publish=events.append).run()
    first, again = engine.requests
    assert again.prompt == (*first.prompt, 0, 1, *engine.encode("Wait"))
    assert result.branches[0].text == "hmWait \\boxed{2}"
    assert result.votes == {"2": 1}
    kinds = [e.type for e in events if e.type in ("branch_ended", "branch_extended")]
    assert kinds == ["branch_ended", "branch_extended", "branch_ended"]


# ── probes, steps and scores ──────────────────────────────────────────────────────────────────


@dataclass
class Asking(Fixed):
    """Answers observations of one kind with commands, a number of times."""

    needs: Needs = field(default_factory=Needs)
    on: type = BranchFinished
    ask: deque[Sequence[Command]] = field(default_factory=deque)
    seen: list[Observation] = field(default_factory=list)

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        self.seen.append(observation)
        if isinstance(observation, self.on) and self.ask:
            return self.ask.popleft()
        return []


async def test_a_probe_asks_beside_the_branch_which_runs_on() -> None:
    strategy = Asking([Launch(1)], needs=Needs(progress=True), on=TellProgressed)
    strategy.ask = deque([[Probe((0,)), Probe((0,))]])
    engine = WatchedEngine([says("5", 8)], [forced_says("4", 0.5)])
    result = await Setup(engine, strategy).run()
    (probe,) = engine.forced_requests()
    assert probe.prompt == (*PROMPT, 0, *engine.encode(SUFFIX))
    assert result.branches[0].probes == (ProbeAnswer(1, "4"),)
    assert [o for o in strategy.seen if isinstance(o, BranchProbed)] == [BranchProbed(0)]
    assert result.votes == {"5": 1}
    assert result.forced_votes == {}
    assert result.tokens_generated == 8 + 2


async def test_a_probe_whose_branch_has_ended_is_aborted_and_says_nothing() -> None:
    strategy = Asking([Launch(2)], needs=Needs(progress=True), on=TellProgressed)
    strategy.ask = deque([[Probe((0, 1))]])
    engine = WatchedEngine([says("5", 2, tokens=2), stalls("x ")], [stalls(), stalls()])
    await Setup(engine, strategy, deadline=5).run()
    assert engine.aborts[0] == ("race-b0-p1",)
    assert not any(isinstance(o, BranchProbed) for o in strategy.seen)


async def test_steps_end_where_the_delimiter_does_even_across_pieces() -> None:
    pieces = [Piece(1, "a", 2), Piece(1, "b\n", 1), Piece(1, "\nc", 1), Piece(1, "\n\nd", 3)]
    strategy = Asking([Launch(1)], needs=Needs(delimiter="\n\n"), on=BranchStepped)
    strategy.ask = deque([[Score((0,))], [Score((0,))]])
    engine = WatchedEngine([BranchScript((*pieces, Piece(1, "\\boxed{1}", 2)))])
    setup = Setup(engine, strategy)
    setup.rewards = rewards = Rewards([0.25, float("nan")])
    events: list[Event] = []
    setup.publish = events.append
    result = await setup.run()
    assert [o for o in strategy.seen if isinstance(o, BranchStepped)] == [BranchStepped(0)] * 2
    assert [s.text for (s,) in rewards.asked] == ["ab\n\nc", "ab\n\nc\n\nd"]
    assert [s.complete for (s,) in rewards.asked] == [False, False]
    scored = [e for e in events if isinstance(e, BranchScored)]
    assert [(e.tokens, e.score) for e in scored] == [(4, 0.25), (7, None)]
    assert result.branches[0].score is None


async def test_a_reward_model_that_fails_costs_the_scores_and_nothing_else() -> None:
    strategy = Asking([Launch(2)], on=BranchFinished, ask=deque([[Score((0, 1))]]))
    engine = WatchedEngine([says("a", 1), says("a", 2)])
    setup = Setup(engine, strategy, deadline=4)
    setup.rewards = Rewards([])
    result = await setup.run()
    assert result.answer == "a"
    assert [o for o in strategy.seen if isinstance(o, TellScored)] == [TellScored(0), TellScored(1)]


async def test_a_strategy_may_launch_more_branches_on_the_way() -> None:
    strategy = Fixed([Launch(1)], deque([[Launch(2)]]))
    engine = WatchedEngine([says("a", 1), says("b", 2), says("b", 3)])
    result = await Setup(engine, strategy, deadline=8).run()
    assert result.votes == {"b": 2, "a": 1}
    assert [branch.seconds for branch in result.branches] == [1.0, 2.0, 3.0]


async def test_what_is_commanded_after_a_decision_is_not_done() -> None:
    first, second = (Decide(answer, None, StopReason.FIRST_TO_M, 1.0) for answer in "ab")
    strategy = Fixed([Launch(2)], deque([[first, Launch(5), second]]))
    engine = WatchedEngine([says("a", 1), says("b", 2)])
    result = await (await Setup(engine, strategy).race()).run()
    assert result.answer == "a"
    assert len(engine.requests) == 2
    engine.check_idle()


@pytest.mark.parametrize("command", [Cancel((0, 0), "twice"), Force((0, 0))])
async def test_a_branch_named_twice_in_a_command_is_meant_once(command: Command) -> None:
    events: list[Event] = []
    engine = WatchedEngine([stalls("x ", after=2), says("a", 1)], [forced_says("b", 0.5)])
    strategy = Fixed([Launch(2)], deque([[command]]))
    await Setup(engine, strategy, publish=events.append).run()
    assert engine.aborts == [ids(0)]
    assert len(engine.forced_requests()) <= 1
    assert sum(isinstance(e, BranchEnded) and e.branch == 0 for e in events) == 1


async def test_losers_are_aborted_before_their_streams_are_closed() -> None:
    engine = WatchedEngine([*[says("a", 1)] * 3, *[stalls("x ")] * 3], abort_delay=0.5)
    result = await run_race(engine, counted(6, min_votes=3))
    assert result.elapsed == 1.5
    assert engine.aborts == [ids(3, 4, 5)]
    assert engine.cut == set()


@every_backend
async def test_a_race_decided_before_its_branches_began_leaves_no_request() -> None:
    late: list[Observation] = []

    class Watching(Fixed):
        def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
            late.append(observation)
            return []

    strategy = Watching([Launch(3), Decide(None, None, StopReason.FIRST_TO_M, 0.0)])
    engine = WatchedEngine([says("a", 1)])
    async with no_tasks_left():
        result = await Setup(engine, strategy).run()
    assert statuses(result) == ["cancelled"] * 3
    assert late == []
    assert result.answer is None


async def test_every_observation_is_made_once_and_in_order() -> None:
    seen: list[Observation] = []

    class Watching(Fixed):
        needs = Needs(progress=True)

        def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
            seen.append(observation)
            return super().observe(observation, view)

    engine = WatchedEngine([says("a", 1, tokens=2), fails(after=2)])
    await Setup(engine, Watching([Launch(2)]), deadline=5).run()
    assert Counter(type(observation).__name__ for observation in seen) == {
        "BranchStarted": 2,
        "BranchProgressed": 3,
        "BranchFinished": 1,
        "BranchFailed": 1,
        "CallTimeReached": 1,
    }
    assert [getattr(o, "branch", None) for o in seen] == [0, 1, 0, 0, 0, 1, 1, None]


# ── late answers ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_answers_that_come_with_the_decision_do_not_contradict_it() -> None:
    """One engine step can end many branches; they are read one after another."""
    engine = WatchedEngine([says("a", 0, tokens=1)] * 3 + [says("b", 0, tokens=1)] * 5)
    result = await (await Setup(engine, counted(8, min_votes=3)).race()).run()
    assert result.answer == "a"
    assert result.votes == {"a": 3}
    check_result(result)


# ── repeatability ─────────────────────────────────────────────────────────────────────────────


async def seeds_of(branches: int, seed: int | None) -> dict[str, int | None]:
    engine = WatchedEngine([stalls("x ")] * branches)
    await Setup(engine, counted(branches), seed=seed).run()
    return {request.request_id: request.seed for request in engine.requests}


async def test_the_same_seed_gives_the_same_branches_whatever_their_number() -> None:
    eight, sixteen = await seeds_of(8, 42), await seeds_of(16, 42)
    assert eight == await seeds_of(8, 42)
    assert eight.items() <= sixteen.items()
    assert len(eight) == 16  # the forced answers have seeds as well
    assert len(set(sixteen.values())) == 32
    assert not set(eight.values()) & set((await seeds_of(8, 43)).values())


async def test_without_a_seed_no_request_has_one() -> None:
    assert set((await seeds_of(4, None)).values()) == {None}


# ── events ────────────────────────────────────────────────────────────────────────────────────


async def test_events_tell_the_race_in_its_order() -> None:
    events: list[Event] = []
    engine = WatchedEngine([says("a", 1, tokens=2), fails(after=1.5), stalls("x ", after=2)])
    result = await Setup(engine, Majority(3, stop="none"), 5, seed=1, publish=events.append).run()
    told = [(event.type, getattr(event, "branch", None), event.at) for event in events]
    end = pytest.approx(result.elapsed)
    assert result.elapsed == pytest.approx(5 - MARGIN)
    (call,) = [event.at for event in events if isinstance(event, CallTimeReached)]
    assert told == [
        ("race_started", None, 0.0),
        *(("branch_started", index, 0.0) for index in range(3)),
        ("branch_progressed", 0, 0.5),
        ("branch_progressed", 0, 1.0),
        ("branch_ended", 0, 1.0),
        ("vote_changed", None, 1.0),
        ("branch_progressed", 1, 1.5),
        ("branch_ended", 1, 1.5),
        ("branch_progressed", 2, 2.0),
        ("call_time_reached", None, call),
        ("branch_ended", 2, end),
        ("race_decided", None, end),
    ]
    started, decided = events[0], events[-1]
    assert started == RaceStarted(0.0, "race", 5.0, 256, len(PROMPT))
    assert isinstance(decided, RaceDecided)
    assert decided.result == result
    ended = [event for event in events if isinstance(event, BranchEnded)]
    assert [(e.status.value, e.tokens, e.answer, e.reason) for e in ended] == [
        ("finished", 2, "a", None),
        ("failed", 1, None, "lost"),
        ("cancelled", 4, None, "deadline"),
    ]
    assert [e for e in events if isinstance(e, VoteChanged)] == [
        VoteChanged(1.0, {"a": 1}, {}, "a", {"a": 1.0})
    ]
    seeds = {request.branch: request.seed for request in engine.requests}
    assert {e.branch: e.seed for e in events if isinstance(e, BranchStarted)} == seeds


async def test_progress_adds_up_to_the_text_of_each_branch() -> None:
    events: list[Event] = []
    engine = WatchedEngine(
        [says("a", 1), says("b", 2), stalls("x "), stalls("\\boxed{3}"), fails()],
        [forced_says("a", 0.01)],
        max_branches=1,
    )
    result = await run_race(engine, publish=events.append)
    for branch in result.branches:
        mine = [e for e in events if isinstance(e, BranchProgressed) and e.branch == branch.index]
        own = "".join(event.text for event in mine if not event.forced)
        forced = "".join(event.text for event in mine if event.forced)
        assert branch.text == own + forced
        assert branch.tokens == sum(event.tokens for event in mine)


async def test_every_branch_ends_once_and_one_decision_comes_last() -> None:
    events: list[Event] = []
    engine = WatchedEngine(
        [says("a", 1), says("b", 2), at_its_limit("hm", 3), fails(), *[stalls("x ")] * 3],
        [forced_says("a"), forced_says("a"), forced_says("a"), forced_says("a"), stalls()],
        max_branches=1,
    )
    result = await run_race(engine, publish=events.append)
    ended = Counter(event.branch for event in events if isinstance(event, BranchEnded))
    assert ended == dict.fromkeys(range(7), 1) | {2: 2}  # asked again, having said nothing
    assert isinstance(events[-1], RaceDecided)
    assert sum(isinstance(event, RaceDecided) for event in events) == 1
    forcing = [event.branch for event in events if isinstance(event, BranchForcing)]
    assert forcing == [2, 4, 5, 6]
    assert statuses(result)[4:] == ["cancelled", "forced", "forced"]


async def test_a_branch_at_its_limit_that_is_asked_for_an_answer_ends_twice() -> None:
    """Its forcing stands between the two, so a reader can tell."""
    events: list[Event] = []
    engine = WatchedEngine([at_its_limit("hm", 1)], [forced_says("3", 0.01)])
    result = await run_race(engine, publish=events.append)
    assert result.branches[0].truncated
    told = [e for e in events if isinstance(e, BranchEnded | BranchForcing)]
    assert [type(event) for event in told] == [BranchEnded, BranchForcing, BranchEnded]
    assert [e.status.value for e in told if isinstance(e, BranchEnded)] == ["truncated", "forced"]


# ── replies, and branches that were cut at their limit ────────────────────────────────────────────


async def test_replies_that_hold_no_answer_are_not_forced_to_give_one() -> None:
    """Five say it in prose, and three are cut in the middle of a sentence."""
    prose = [BranchScript((Piece(1 + n / 8, "It is Paris.", 4),)) for n in range(5)]
    cut = [at_its_limit("Well, the capital of", 0.5)] * 3
    engine = WatchedEngine([*cut, *prose], [forced_says("0", 0.01)])
    result = await run_race(engine)
    check_result(result)
    assert (result.answer, result.confidence) == (None, 0.0)
    assert (result.text, result.branch, result.finish_reason) == ("It is Paris.", 3, "stop")
    assert engine.forced_requests() == []
    assert statuses(result) == ["truncated"] * 3 + ["finished"] * 5


async def test_replies_stand_against_forced_answers_that_scatter() -> None:
    """Eleven of sixteen are still at it at the call time, and guess."""
    prose = [BranchScript((Piece(1 + n / 8, "It is Paris.", 4),)) for n in range(5)]
    running = [stalls("x ")] * 11
    guesses = [forced_says(str(n % 3), 0.01) for n in range(16)]
    result = await run_race(WatchedEngine([*prose, *running], guesses, max_branches=64))
    check_result(result)
    assert (result.answer, result.text) == (None, "It is Paris.")
    assert sum(result.forced_votes.values()) == 11
    agreed = [forced_says("8", 0.01)] * 16
    result = await run_race(WatchedEngine([*prose, *running], agreed, max_branches=64))
    check_result(result)
    assert (result.answer, result.finish_reason) == ("8", "stop")


async def test_where_all_were_cut_the_longest_is_shown_and_said_to_be_cut() -> None:
    engine = WatchedEngine([at_its_limit("short", 1, tokens=2), at_its_limit("longer", 2)])
    result = await Setup(engine, counted(2, force_answers=False)).run()
    check_result(result)
    assert (result.answer, result.text, result.finish_reason) == (None, "longer", "length")


async def test_what_was_cut_does_not_vote_like_what_finished() -> None:
    cut = [at_its_limit("so \\boxed{1} hm", 0.5)] * 2
    engine = WatchedEngine([*cut, says("2", 1), says("2", 2), says("2", 3)])
    result = await run_race(engine)
    check_result(result)
    assert (result.answer, result.votes, result.forced_votes) == ("2", {"2": 2}, {"1": 2})
    alone = await run_race(WatchedEngine(cut))
    check_result(alone)
    assert (alone.answer, alone.finish_reason) == ("1", "length")


async def test_the_lengths_of_what_was_cut_are_only_known_to_be_longer() -> None:
    prior = LengthModel.from_quantiles(100, 400)
    scripts = [at_its_limit("x", 1, tokens=50)] * 4
    setup = Setup(WatchedEngine(scripts), counted(4, force_answers=False), lengths=prior)
    race = await setup.race()
    await race.run()
    assert race.lengths is not None
    assert race.lengths.median > prior.median


@pytest.mark.parametrize("room", [1, 64], ids=["stopped", "beside"])
async def test_a_number_in_the_middle_of_a_branch_is_no_forced_answer(room: int) -> None:
    numbers = make_extractor(AnswerSettings(kind="last_number"))
    forced = BranchScript(
        (Piece(0.01, "8"), Piece(0.01, " apples"), Piece(0.01, " and 3")), stall=True
    )
    engine = WatchedEngine([stalls("he has 3 + 5")], [forced], max_branches=room)
    assert numbers.suffix is not None
    result = await Setup(engine, counted(1), answers=numbers, suffix=numbers.suffix).run()
    check_result(result)
    assert (result.answer, result.forced_votes) == ("8", {"8": 1})
    silent = WatchedEngine([stalls("he has 3 + 5")], [BranchScript((Piece(0.01, "unknown"),))])
    result = await Setup(silent, counted(1), answers=numbers, suffix=numbers.suffix).run()
    check_result(result)
    assert result.answer is None


async def test_a_round_in_which_nothing_is_asked_teaches_the_reserve_nothing() -> None:
    """All branches hold a box already."""
    setup = Setup(WatchedEngine([stalls("\\boxed{5} so ")] * 2), counted(2))
    assert (await setup.run()).forced_votes == {"5": 2}
    assert setup.reserve is not None
    assert setup.reserve.rounds == 0
    asked = Setup(WatchedEngine([stalls("x ")] * 2, [forced_says("5", 0.01)]), counted(2))
    await asked.run()
    assert asked.reserve is not None
    assert asked.reserve.rounds == 1


async def test_times_in_events_never_run_backwards() -> None:
    events: list[Event] = []
    engine = WatchedEngine([says("a", n) for n in (1, 2)] + [stalls("x ")] * 3)
    await run_race(engine, Majority(5, stop="none"), publish=events.append)
    times = [event.at for event in events]
    assert times == sorted(times)
    assert times[0] == 0.0


# ── what is reported ──────────────────────────────────────────────────────────────────────────


async def test_tokens_saved_are_what_cut_branches_were_expected_to_generate_still() -> None:
    engine = WatchedEngine([*[says("a", 1, tokens=64)] * 3, *[stalls("x ", after=0.5)] * 2])
    setup = Setup(engine, counted(5), lengths=LengthModel.from_quantiles(64, 65))
    result = await setup.run()
    assert result.elapsed == 1.0
    assert result.tokens_generated == 3 * 64 + 2 * 4
    assert result.tokens_saved == pytest.approx(2 * (64 - 4), abs=4)


async def test_a_race_cancelled_from_outside_aborts_all_in_one_call_and_decides_nothing() -> None:
    events: list[Event] = []
    engine = WatchedEngine([stalls("x ")] * 4)
    race = await Setup(engine, counted(4), publish=events.append).race()
    with anyio.move_on_after(2) as scope:
        await race.run()
    assert scope.cancelled_caught
    assert anyio.current_time() == 2.0
    assert engine.aborts == [ids(0, 1, 2, 3)]
    engine.check_idle()
    ended = [event for event in events if isinstance(event, BranchEnded)]
    assert [event.reason for event in ended] == ["cancelled"] * 4
    assert not any(isinstance(event, RaceDecided) for event in events)
