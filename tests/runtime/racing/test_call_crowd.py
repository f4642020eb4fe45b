"""Races that are called at one moment are called earlier."""

from math import inf

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.events.types import CallTimeReached
from frontrunner.runtime.racing.call_crowd import CallCrowd
from frontrunner.runtime.runtime import Runtime

from ...backends import virtual_asyncio

ENDLESS = BranchScript(tuple(Piece(0.02, "hm ") for _ in range(1_000)))


@given(st.lists(st.tuples(st.floats(0.1, 100.0), st.integers(1, 64)), max_size=30))
def test_who_has_left_counts_no_more(races: list[tuple[float, int]]) -> None:
    crowd = CallCrowd()
    for deadline, branches in races:
        crowd.enter(deadline, branches)
    for deadline, branches in races:
        assert 0.0 <= crowd.seconds(deadline, branches, 8.0) <= 2.0  # a quarter of its time
    for deadline, branches in races[1:]:
        crowd.leave(deadline, branches)
    for deadline, branches in races[:1]:
        assert crowd.seconds(deadline, branches, inf) == 0.0  # alone


def test_only_those_at_or_just_before_a_deadline_count() -> None:
    crowd = CallCrowd()
    crowd.enter(10.0, 8)
    for _ in range(50):
        crowd.enter(9.98, 8)
        crowd.enter(8.0, 8)
        crowd.enter(12.0, 8)
        crowd.enter(inf, 8)
    one = crowd.seconds(10.0, 8, 20.0) / 50
    assert one > 0.001
    assert crowd.seconds(8.0, 8, 20.0) == pytest.approx(49 * one)
    assert crowd.seconds(inf, 8, inf) == 0.0


@virtual_asyncio
async def test_races_of_one_deadline_are_called_earlier_by_what_the_others_need() -> None:
    forced = BranchScript.answering("4", seconds=0.01)
    engine = ScriptedEngine(Script([ENDLESS], [forced]), max_branches=1_000)
    async with Runtime(engine, Settings()) as runtime:

        async def race(deadline: float, called: list[float]) -> None:
            async with runtime.stream("?", branches=2, deadline=deadline) as stream:
                async for event in stream:
                    if isinstance(event, CallTimeReached):
                        called.append(event.reserve)  # noqa: PERF401 - one at most

        together, apart = list[float](), list[float]()
        await race(2.0, [])  # which measures what there is to measure
        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(race, 2.0, together)
                tasks.start_soon(race, 4.0 + number / 4, apart)  # each at a moment of its own
        others = CallCrowd()
        for _ in range(40):
            others.enter(1.0, 2)
        earlier = others.seconds(1.0, 2, 2.0)
        assert earlier > 0.03
        assert len(together) == len(apart) == 40
        assert min(together) >= max(apart) + earlier - 0.02
