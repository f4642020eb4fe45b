"""The last branch of a race, which says nothing any more, is not waited for until the deadline."""

from dataclasses import replace
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples
from tests.strategies.counted import counted

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.events.types import ToolCalled, ToolReturned
from frontrunner.runtime.racing.race import Race
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.protocol import StopReason

from ...backends import run_virtual
from ..race_harness import Setup, WatchedEngine, check_result, fails, stalls, statuses

DEADLINE = 600.0


def writes(answer: str | None, *silences: float) -> BranchScript:
    """Writes a token after each of these silences, and answers with the last one; without an
    answer it goes on saying nothing."""
    pieces = [Piece(seconds, "hm ") for seconds in silences]
    if answer is None:
        return BranchScript(tuple(pieces), stall=True)
    pieces[-1] = replace(pieces[-1], text=f"\\boxed{{{answer}}}")
    return BranchScript(tuple(pieces))


async def race_of(engine: WatchedEngine, factor: float = 3.0, **setup: Any) -> Race:
    strategy = setup.pop("strategy", None) or counted(len(engine.script.branches))
    race = await Setup(engine, strategy, deadline=DEADLINE, **setup).race()
    spec = replace(race.spec, silence_factor=factor)
    return Race(spec, strategy, race._services)  # pyright: ignore[reportPrivateUsage]


async def run(engine: WatchedEngine, factor: float = 3.0) -> Result:
    race = await race_of(engine, factor)
    result = await race.run()
    check_result(result)
    engine.check_idle()
    assert race.unacknowledged == []
    return result


async def test_a_branch_that_never_began_is_given_up_once_the_others_have_ended() -> None:
    engine = WatchedEngine([writes("a", 0.5, 1.0), writes("b", 0.25, 0.25), stalls()])
    result = await run(engine)
    assert result.elapsed == pytest.approx(1.5 + 3 * 1.0)
    assert statuses(result) == ["finished", "finished", "failed"]
    assert "race.silence_factor" in (result.branches[2].error or "")
    assert "race-b2" in engine.told_to_abort


async def test_a_branch_that_fell_silent_is_given_up_with_what_it_wrote() -> None:
    engine = WatchedEngine([writes("a", 1.0, 1.0), writes("b", 2.0), writes(None, 0.5, 1.0)])
    result = await run(engine)
    assert result.elapsed == pytest.approx(2.0 + 3 * 2.0)  # it became the last at 2 s
    assert result.branches[2].text == "hm hm "


async def test_silences_shorter_than_half_a_second_are_nothing() -> None:
    engine = WatchedEngine([writes("a", 0.01, 0.01), writes("b", 0.02), stalls()])
    assert (await run(engine)).elapsed == pytest.approx(0.02 + 0.5)


async def test_a_slow_branch_is_heard_out() -> None:
    """Its silences are no longer than three times the others'."""
    engine = WatchedEngine([writes("a", 1.0), writes("b", 1.0), writes("a", *[2.9] * 5)])
    result = await run(engine)
    assert statuses(result) == ["finished"] * 3
    assert result.votes == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    "others",
    [
        [stalls()],
        [fails(), fails()],
        [BranchScript((Piece(0.5, "no answer"),))],
        [writes("a", 0.5), stalls(), stalls()],
    ],
    ids=["two silent", "all lost", "no answer", "two silent of three"],
)
async def test_it_does_not_happen_while_nothing_has_answered_or_others_run(
    others: list[BranchScript],
) -> None:
    engine = WatchedEngine([*others, stalls()], [stalls()])
    result = await run(engine)
    assert result.elapsed > DEADLINE / 2
    assert result.stop_reason is StopReason.DEADLINE


async def test_with_a_factor_of_0_it_never_happens() -> None:
    engine = WatchedEngine([writes("a", 0.1), writes("b", 0.1), stalls()], [stalls()])
    result = await run(engine, factor=0.0)
    assert result.stop_reason is StopReason.DEADLINE


async def test_an_engine_that_hangs_on_the_abort_holds_nothing_back() -> None:
    engine = WatchedEngine(
        [writes("a", 0.1), writes("b", 0.1), stalls()], [stalls()], abort_delay=float("inf")
    )
    race = await race_of(engine, abort_limit=1.0)
    result = await race.run()
    assert result.elapsed < 3.0
    assert race.unacknowledged == ["race-b2"]


async def test_a_tool_that_runs_is_no_silence() -> None:
    engine = WatchedEngine([writes("a", 0.1), writes("b", 0.1), writes("a", 0.1, 20.0)])
    race = await race_of(engine)

    async def call_a_tool() -> None:
        await anyio.sleep(0.25)
        race.tell(ToolCalled(0.25, 2, 1, "search", "{}"))
        await anyio.sleep(19.75)
        race.tell(ToolReturned(20.0, 2, 1, "search", "returned", "", 19.75))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call_a_tool)
        result = await race.run()
        assert result.votes == {"a": 2, "b": 1}


async def test_a_tool_that_has_returned_excuses_nothing() -> None:
    engine = WatchedEngine([writes("a", 0.1), writes("b", 0.1), stalls("hm", after=0.1)])
    race = await race_of(engine)

    async def call_a_tool() -> None:
        await anyio.sleep(0.25)
        race.tell(ToolCalled(0.25, 2, 1, "search", "{}"))
        await anyio.sleep(4.75)
        race.tell(ToolReturned(5.0, 2, 1, "search", "returned", "", 4.75))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call_a_tool)
        result = await race.run()
        assert 5.5 <= result.elapsed <= 6.0 + 0.5


@given(
    others=st.lists(
        st.lists(st.integers(1, 8).map(lambda n: n / 4), min_size=1, max_size=4),
        min_size=1,
        max_size=5,
    ),
    last=st.lists(st.integers(1, 60).map(lambda n: n / 4), min_size=1, max_size=4),
    stalled=st.booleans(),
)
@settings(max_examples=examples(100))
def test_only_silences_beyond_the_limit_lose_a_branch(
    others: list[list[float]], last: list[float], stalled: bool
) -> None:
    """Whatever comes when: the race ends no later than the limit behind the last word, and a branch
    whose every silence is within the limit counts."""
    scripts = [writes(f"a{i}", *silences) for i, silences in enumerate(others)]
    script = writes(None if stalled else "z", *last)
    engine = WatchedEngine([*scripts, script], [stalls()])
    result = run_virtual(lambda: run(engine))
    longest = max(silence for silences in others for silence in silences)
    status = result.branches[-1].status.value
    if result.stop_reason not in (StopReason.EXHAUSTED, StopReason.DEADLINE):
        assert status == "cancelled"  # the others had settled it
    elif max(last) <= 3 * longest and not stalled:
        assert status == "finished"
    elif stalled:
        end = max(sum(last), *map(sum, others))
        assert status == "failed"
        assert result.elapsed <= end + max(0.5, 3 * max(longest, *last)) + 1e-6


@pytest.mark.parametrize("many", [1, 3], ids=["one by one", "several at once"])
async def test_an_engine_that_feeds_is_heard_as_well(many: int) -> None:
    """Whatever it keeps back until it is asked."""
    slow = BranchScript((*[Piece(s, "hm ") for _ in range(6) for s in (2.5, *[0.0] * (many - 1))],))
    silent = writes(None, 1.0, 2.5, 2.5)
    answer = BranchScript((*slow.pieces, Piece(0.1, "\\boxed{a}")))
    engine = ScriptedEngine(Script([writes("a", *[1.0] * 4), writes("b", 1.0, 1.0), answer]))
    async with Runtime(engine, Settings.from_dict({"answers": {"workers": 0}})) as runtime:
        result = await runtime.solve("?", deadline=60.0, branches=3, parameters={"stop": "none"})
        assert result.votes == {"a": 2, "b": 1}
        engine.script.branches = [writes("a", *[1.0] * 4), writes("b", 1.0, 1.0), silent]
        result = await runtime.solve("?", deadline=60.0, branches=3, parameters={"stop": "none"})
        assert statuses(result) == ["finished", "finished", "failed"]
        assert result.elapsed < 30.0
