"""Whatever breaks, a race gives one answer by its deadline and leaves nothing behind."""

from collections.abc import Sequence
from math import inf

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples
from tests.strategies.counted import counted

from frontrunner.runtime.answers import NoKey
from frontrunner.runtime.engines.protocol import FinishReason, Generation
from frontrunner.runtime.engines.scripted import BranchScript, Piece
from frontrunner.runtime.errors import EngineDead
from frontrunner.runtime.events.types import BranchEnded, Event, RaceDecided
from frontrunner.runtime.result import Result
from frontrunner.strategies.closing import decide_by_votes
from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.protocol import (
    BranchFinished,
    BranchStatus,
    Cancel,
    Command,
    Decide,
    Extend,
    Force,
    Fork,
    Launch,
    Observation,
    Probe,
    RaceView,
    Score,
    StopReason,
)
from frontrunner.strategies.stop_rules import STOP_NAMES

from ...backends import every_backend, no_tasks_left, run_virtual
from ..race_harness import (
    MARGIN,
    Setup,
    WatchedEngine,
    check_result,
    fails,
    forced_says,
    ids,
    run_race,
    says,
    stalls,
    statuses,
)

# ── engines ───────────────────────────────────────────────────────────────────────────────────


async def test_a_stalled_engine_that_hangs_on_aborts_does_not_hold_back_the_answer() -> None:
    engine = WatchedEngine([says("a", 1), says("b", 1), *[stalls("x ")] * 4], abort_delay=inf)
    engine.script.forced = [stalls()]
    setup = Setup(engine, counted(6))
    race = await setup.race()
    result = await race.run()
    check_result(result)
    assert result.answer in ("a", "b")
    assert result.stop_reason is StopReason.DEADLINE
    assert 10.0 - MARGIN < result.elapsed <= 10.0
    # What the engine could not be told is known, for whoever can tell it later.
    forced = {f"{request}-beside" for request in ids(2, 3, 4, 5)}
    assert set(race.unacknowledged) == {*ids(2, 3, 4, 5), *forced}


async def test_with_everything_stalled_the_race_ends_in_time_without_an_answer() -> None:
    engine = WatchedEngine([stalls()] * 4, [stalls()], abort_delay=inf)
    result = await run_race(engine)
    assert result.answer is None
    assert result.stop_reason is StopReason.DEADLINE
    assert result.elapsed <= 10.0
    assert statuses(result) == ["cancelled"] * 4


async def test_a_hanging_abort_delays_an_early_decision_by_no_more_than_its_limit() -> None:
    engine = WatchedEngine([*[says("a", 2)] * 3, stalls()], abort_delay=inf)
    setup = Setup(engine, Majority(4, stop="clinch"), abort_limit=0.5)
    race = await setup.race()
    result = await race.run()
    assert result.stop_reason is StopReason.CLINCHED
    assert result.elapsed == 2.5
    assert race.unacknowledged == list(ids(3))


async def test_a_slow_abort_before_the_forced_round_still_leaves_time_for_it() -> None:
    engine = WatchedEngine([stalls("x ")] * 2, [forced_says("5", 0.05)], abort_delay=inf)
    result = await run_race(engine)
    assert result.answer == "5"
    assert statuses(result) == ["forced", "forced"]


async def test_an_engine_that_dies_ends_the_race_with_the_best_answer_known() -> None:
    engine = WatchedEngine([says("a", 1), *[says("b", 5)] * 4], dies_at=2)
    result = await run_race(engine)
    assert result.elapsed == 2.0
    assert result.answer == "a"
    assert result.stop_reason is StopReason.EXHAUSTED
    assert statuses(result) == ["finished"] + ["failed"] * 4


async def test_an_engine_that_dies_before_any_answer_fails_the_race_at_once() -> None:
    engine = WatchedEngine([says("a", 5)] * 3, dies_at=2)
    result = await run_race(engine)
    assert result.elapsed == 2.0
    assert result.answer is None
    assert result.confidence == 0.0
    assert result.stop_reason is StopReason.FAILED
    assert all("died" in (branch.error or "") for branch in result.branches)


async def test_an_engine_that_dies_during_the_forced_round_costs_only_these_answers() -> None:
    engine = WatchedEngine([says("a", 1), says("b", 1), *[stalls("x ")] * 2], [stalls()])
    setup = Setup(engine, counted(4))
    engine.script.dies_at = setup.call_time(running=2) + 0.01
    result = await setup.run()
    assert result.elapsed == pytest.approx(engine.script.dies_at)
    assert result.answer in ("a", "b")
    assert statuses(result) == ["finished", "finished", "failed", "failed"]


@every_backend
async def test_a_race_on_a_dead_engine_fails_and_raises_nothing() -> None:
    engine = WatchedEngine([says("a", 1)] * 3)
    await engine.start()
    engine.kill()
    assert isinstance(engine.failure, EngineDead)
    async with no_tasks_left():
        result = await (await Setup(engine, counted(3)).race()).run()
    check_result(result)
    assert result.stop_reason is StopReason.FAILED


@every_backend
async def test_when_every_branch_fails_the_race_has_failed() -> None:
    engine = WatchedEngine([fails("first", after=0.001), fails("second", after=0.002)])
    async with no_tasks_left():
        result = await run_race(engine)
    assert result.answer is None
    assert result.stop_reason is StopReason.FAILED
    assert [branch.error for branch in result.branches] == ["first", "second"]


class Odd(Exception):
    """An error that no engine promised; it has no message."""


@every_backend
@pytest.mark.parametrize(
    "error",
    [
        Odd(),
        ValueError("bad"),
        KeyError("missing"),
        TimeoutError(),
        OSError(5, "input/output error"),
        StopIteration(),
        ExceptionGroup("many", [ValueError("bad"), Odd()]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_of_any_kind_costs_one_branch(error: Exception) -> None:
    engine = WatchedEngine(
        [says("a", 0.002)] * 3, raises=lambda request: error if request.branch == 1 else None
    )
    async with no_tasks_left():
        result = await run_race(engine)
    assert statuses(result) == ["finished", "failed", "finished"]
    assert result.branches[1].error
    assert result.answer == "a"


@pytest.mark.parametrize("finish", [FinishReason.ERROR, FinishReason.ABORT])
async def test_a_branch_that_the_engine_ends_by_itself_is_lost(finish: FinishReason) -> None:
    gone = BranchScript((Piece(1, "\\boxed{b}"),), finish=finish)
    engine = WatchedEngine([gone, says("a", 2)])
    result = await run_race(engine)
    assert statuses(result) == ["failed", "finished"]
    assert finish in (result.branches[0].error or "")
    assert result.votes == {"a": 1}


async def test_tokens_that_come_after_an_abort_change_nothing() -> None:
    late = BranchScript((Piece(3, "\\boxed{b}", 5),), ignores_abort=True)
    engine = WatchedEngine([*[says("a", 1)] * 3, *[late] * 2])
    result = await run_race(engine, counted(5, min_votes=3))
    assert result.votes == {"a": 3}
    assert result.tokens_generated == 3 * 8
    assert result.elapsed == 1.0


async def test_tokens_that_come_while_a_branch_is_being_forced_change_nothing() -> None:
    """The abort is slow, and the branch goes on to another answer meanwhile."""
    late = BranchScript((Piece(1, "x ", 4), Piece(8.75, "\\boxed{9}", 5)), ignores_abort=True)
    engine = WatchedEngine([late], [forced_says("1", 0.01)], abort_delay=0.1, max_branches=1)
    setup = Setup(engine, counted(1))
    assert setup.call_time(running=1) < 9.75 < setup.call_time(running=1) + 0.1
    result = await setup.run()
    assert result.answer == "1"
    (continuation,) = engine.forced_requests()
    assert continuation.prompt[3:7] == (0, 1, 2, 3)
    assert "9" not in result.text


async def test_an_abort_that_raises_anything_does_not_cost_the_result() -> None:
    class Engine(WatchedEngine):
        async def abort(self, request_ids: Sequence[str]) -> None:
            await super().abort(request_ids)
            raise ConnectionResetError("gone")

    result = await run_race(Engine([*[says("a", 1)] * 3, stalls()]))
    assert result.answer == "a"


async def test_an_engine_error_on_abort_does_not_cost_the_result() -> None:
    class Engine(WatchedEngine):
        async def abort(self, request_ids: Sequence[str]) -> None:
            await super().abort(request_ids)
            raise EngineDead("gone")

    result = await run_race(Engine([*[says("a", 1)] * 3, stalls()]))
    assert result.answer == "a"


# ── answers ───────────────────────────────────────────────────────────────────────────────────


class SilentWorkers:
    """Never gives a formula its key."""

    def __init__(self) -> None:
        self.asked = 0

    async def key(self, formula: str, timeout_s: float) -> str | NoKey:
        self.asked += 1
        await anyio.sleep_forever()
        raise AssertionError


async def test_answers_still_being_compared_when_time_is_up_count_by_their_spelling() -> None:
    workers = SilentWorkers()
    engine = WatchedEngine([says("x+1", 1), *[says("1+x", n) for n in (2, 3)], stalls("x ")])
    setup = Setup(engine, counted(4), workers=workers)
    result = await setup.run()
    assert workers.asked > 0
    assert result.elapsed == pytest.approx(setup.call_time(running=3))
    assert result.answer == "1+x"
    assert result.votes == {"1+x": 2, "x+1": 1}
    assert [note.code for note in result.notes] == ["answers_not_compared"]
    assert "2 formulas" in result.notes[0].text
    assert engine.forced_requests() == []


async def test_forced_answers_still_being_compared_at_the_last_moment_count_as_well() -> None:
    engine = WatchedEngine([stalls("x ")] * 3, [*map(forced_says, ("x+1", "1+x", "1+x"))])
    engine.script.forced = [forced_says("x+1"), *[forced_says("1+x", 0.01)] * 2]
    setup = Setup(engine, counted(3), workers=SilentWorkers())
    result = await setup.run()
    assert result.elapsed == pytest.approx(10.0 - MARGIN)
    assert result.answer == "1+x"
    assert result.forced_votes == {"1+x": 2, "x+1": 1}


async def test_all_answers_being_compared_are_counted_before_the_race_is_called() -> None:
    answers = ["x+1", "1+x", "1+x", "2x", "2x", "2x"]
    engine = WatchedEngine([*[says(a, 1 + n) for n, a in enumerate(answers)], stalls("x ")])
    setup = Setup(engine, counted(7), workers=SilentWorkers())
    setup.lengths = LengthModel.from_quantiles(1_000, 1_100)
    setup.strategy = counted(7, min_votes=6)
    result = await (await setup.race()).run()
    assert result.votes == {"2x": 3, "1+x": 2, "x+1": 1}
    assert result.answer == "2x"


async def test_a_strategy_may_launch_branches_when_pending_answers_are_settled() -> None:
    class Eager(Majority):
        def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
            if isinstance(observation, BranchFinished) and len(view.branches) < 8:
                return [Launch(1)]
            return super().observe(observation, view)

    engine = WatchedEngine([says("x+1", 1), says("1+x", 2), stalls("x ")])
    result = await Setup(engine, Eager(2, stop="none"), workers=SilentWorkers()).run()
    assert result.answer is not None


async def test_workers_that_raise_cost_at_most_the_votes_they_were_asked_about() -> None:
    class Broken:
        async def key(self, formula: str, timeout_s: float) -> str | NoKey:
            raise RuntimeError("broken")

    engine = WatchedEngine([says("x+1", 1), says("1+x", 2)])
    result = await Setup(engine, counted(2), workers=Broken()).run()
    assert result.answer == "x+1"


@pytest.mark.parametrize(
    "text",
    ["\\boxed{" * 2_000, "}" * 10_000, "\\boxed{}", "\\boxed{" + "9" * 40_000 + "}", "\0\ud800"],
    ids=["open boxes", "braces", "an empty box", "a huge box", "no text at all"],
)
async def test_hostile_text_costs_at_most_its_own_vote(text: str) -> None:
    engine = WatchedEngine([BranchScript((Piece(1, text),)), says("a", 2), says("a", 3)])
    result = await run_race(engine)
    assert result.answer == "a"


# ── strategies ────────────────────────────────────────────────────────────────────────────────


class Broken(Majority):
    """Raises where it is told to."""

    where: str = ""

    def start(self, view: RaceView) -> Sequence[Command]:
        self.fail("start")
        return super().start(view)

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        self.fail("observe")
        if isinstance(observation, BranchFinished):
            self.fail("finish")
        return super().observe(observation, view)

    def conclude(self, view: RaceView) -> Decide:
        self.fail("conclude")
        return super().conclude(view)

    def fail(self, here: str) -> None:
        if here in self.where.split():
            raise ZeroDivisionError(here)


@pytest.mark.parametrize("where", ["observe", "finish", "conclude", "observe conclude"])
async def test_a_strategy_that_raises_does_not_cost_the_answer(where: str) -> None:
    engine = WatchedEngine([says("a", 1), says("b", 2), says("a", 3), stalls("x ")])
    strategy = Broken(4, stop="none", force_answers=False)
    strategy.where = where
    result = await run_race(engine, strategy)
    assert result.answer == "a"
    assert result.votes == {"a": 2, "b": 1}
    assert result.stop_reason is StopReason.DEADLINE


@pytest.mark.parametrize("where", ["start", "start observe conclude"])
async def test_a_strategy_that_cannot_even_start_is_replaced_by_a_plain_majority(
    where: str,
) -> None:
    engine = WatchedEngine([says("a", 1), says("a", 2), says("b", 3)])
    strategy = Broken(4)
    strategy.where = where
    setup = Setup(engine, strategy)
    setup.branches = 3
    result = await setup.run()
    assert result.answer == "a"
    assert result.votes == {"a": 2}


# ── anything at once ──────────────────────────────────────────────────────────────────────────

#: Delays that collide now and then, and lie before, around and after the call time.
delays = st.sampled_from([0.0, 0.01, 0.125, 0.25, 0.5, 0.71, 0.9, 1.0, 2.0])
texts = st.sampled_from(["x ", "so \\boxed{2} or "])
answers = st.sampled_from(["1", "2", "1/2", "x+1", "1+x", None])


@st.composite
def scripts(draw: st.DrawFn) -> BranchScript:
    """Anything a request may do."""
    pieces = [
        Piece(
            draw(delays),
            draw(texts),
            draw(st.integers(0, 3)),
        )
        for _ in range(draw(st.integers(0, 3)))
    ]
    answer = draw(answers)
    if answer is not None:
        pieces.append(Piece(draw(delays), f"\\boxed{{{answer}}}"))
    return BranchScript(
        tuple(pieces),
        finish=draw(st.sampled_from([FinishReason.STOP] * 3 + list(FinishReason))),
        error=draw(st.sampled_from([None, None, None, "lost"])),
        stall=draw(st.sampled_from([False, False, True])),
        ignores_abort=draw(st.booleans()),
    )


@st.composite
def forced_scripts(draw: st.DrawFn) -> BranchScript:
    return draw(st.one_of(scripts(), st.builds(forced_says, st.sampled_from("12"), delays)))


@st.composite
def engines(draw: st.DrawFn) -> WatchedEngine:
    error = draw(st.sampled_from([None, None, ValueError("odd")]))
    unlucky = draw(st.integers(0, 3))

    def raises(request: Generation) -> BaseException | None:
        return error if request.branch == unlucky else None

    return WatchedEngine(
        draw(st.lists(scripts(), min_size=1, max_size=8)),
        draw(st.lists(forced_scripts(), min_size=1, max_size=4)),
        max_branches=draw(st.sampled_from([1, 256])),
        dies_at=draw(st.sampled_from([inf, inf, inf, 0.3, 0.9])),
        abort_delay=draw(st.sampled_from([0.0, 0.0, 0.01, 0.2, inf])),
        raises=raises,
    )


@st.composite
def majorities(draw: st.DrawFn) -> Majority:
    stop = draw(st.sampled_from(STOP_NAMES))
    least = draw(st.integers(1, 4)) if stop in ("flip_risk", "beta", "lead") else 2
    return Majority(
        draw(st.integers(1, 8)), stop=stop, min_votes=least, force_answers=draw(st.booleans())
    )


def run_checked(setup: Setup, *, consistent: bool = True) -> Result:
    """One race in virtual time, with all that must hold of it."""
    events: list[Event] = []

    async def run() -> Result:
        setup.publish = events.append
        race = await setup.race()
        async with no_tasks_left():
            result = await race.run()
        if consistent:
            check_result(result)
        assert 0.0 <= result.elapsed <= setup.deadline + 1e-9
        assert anyio.current_time() == pytest.approx(result.elapsed)
        setup.engine.check_idle()
        return result

    result = run_virtual(run)
    assert [event for event in events if isinstance(event, RaceDecided)] == events[-1:]
    return result


@settings(max_examples=examples(250))
@given(engines(), majorities(), st.sampled_from([0.05, 0.2, 1.0, 1.5]), st.booleans())
def test_any_race_gives_one_result_in_time_and_leaves_nothing(
    engine: WatchedEngine, strategy: Majority, deadline: float, compares: bool
) -> None:
    setup = Setup(engine, strategy, deadline, lengths=LengthModel.from_quantiles(3, 9))
    setup.workers = SilentWorkers() if compares else None
    run_checked(setup)


commands = st.one_of(
    st.builds(Launch, st.integers(0, 4)),
    st.builds(Cancel, st.lists(st.integers(-1, 9), max_size=4).map(tuple), st.just("any")),
    st.builds(Force, st.lists(st.integers(-1, 9), max_size=4).map(tuple), st.booleans()),
    st.builds(Score, st.lists(st.integers(-1, 9), max_size=4).map(tuple)),
    st.builds(Probe, st.lists(st.integers(-1, 9), max_size=4).map(tuple)),
    st.builds(Fork, st.integers(-1, 9), st.integers(0, 9), st.integers(0, 4)),
    st.builds(Extend, st.integers(-1, 9), st.just("Wait"), st.sampled_from(["", "x"])),
)


class Erratic:
    """Commands anything at any time, but decides only at the end."""

    def __init__(self, plan: list[list[Command]]) -> None:
        self.plan = plan

    def start(self, view: RaceView) -> Sequence[Command]:
        return [Launch(3)]

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        return self.plan.pop() if self.plan else []

    def conclude(self, view: RaceView) -> Decide:
        return counted().conclude(view)


@settings(max_examples=examples(250))
@given(engines(), st.lists(st.lists(commands, max_size=3), max_size=12), st.booleans())
def test_whatever_a_strategy_commands_the_race_gives_one_result_in_time_and_leaves_nothing(
    engine: WatchedEngine, plan: list[list[Command]], compares: bool
) -> None:
    setup = Setup(engine, Erratic(plan), deadline=1.0, branches=8)
    setup.workers = SilentWorkers() if compares else None
    result = run_checked(setup)
    assert len(result.branches) <= 8 * 16
    assert all(branch.status is not BranchStatus.RUNNING for branch in result.branches)


class OnFinish:
    """Launches ``branches``; at the first finished one commands what it was given."""

    def __init__(self, branches: int, *commands: Command) -> None:
        self._branches, self._commands = branches, commands

    def start(self, view: RaceView) -> Sequence[Command]:
        return [Launch(self._branches)]

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        return self._commands if isinstance(observation, BranchFinished) else []

    def conclude(self, view: RaceView) -> Decide:
        return decide_by_votes(view, StopReason.DEADLINE)


DECIDE = Decide("a", 0, StopReason.CONFIDENT_MAJORITY, 0.5)


async def test_an_effect_that_fails_costs_no_other_above_all_not_the_decision() -> None:
    """A viewer that raises once, in the midst of what is done about one observation."""
    raised: list[Event] = []

    def publish(event: Event) -> None:
        if isinstance(event, BranchEnded) and event.branch == 1 and not raised:
            raised.append(event)
            raise RuntimeError("viewer")

    engine = WatchedEngine([says("a", 1), stalls("x "), stalls("x ")])
    strategy = OnFinish(3, Cancel((1,), "enough"), DECIDE)
    setup = Setup(engine, strategy, 2.0, publish=publish)
    with anyio.fail_after(3.0), pytest.raises(ExceptionGroup):
        await (await setup.race()).run()
    assert raised
    assert not engine.held


async def test_a_command_that_cannot_be_carried_out_costs_itself_alone() -> None:
    """An engine whose tokenizer fails, after a command that was carried out and before another."""

    class NoTokenizer(WatchedEngine):
        def encode(self, text: str) -> tuple[int, ...]:
            if text == "Wait":
                raise RuntimeError("tokenizer")
            return super().encode(text)

    engine = NoTokenizer([says("a", 1), stalls("x "), stalls("x ")])
    strategy = OnFinish(3, Cancel((1,), "enough"), Extend(0, "Wait"), Cancel((2,), "enough"))
    with anyio.fail_after(3.0):
        result = await Setup(engine, strategy, 2.0).run()
    assert statuses(result) == ["finished", "cancelled", "cancelled"]
    assert not engine.held
