"""Races that are asked for in one moment begin one after another."""

from itertools import pairwise
from math import inf

import anyio
import anyio.lowlevel
import pytest

from frontrunner.runtime.common.loop_clock import asyncio_loop
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.errors import Overloaded
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.scheduling.race_starts import RaceStarts

pytestmark = pytest.mark.parametrize("anyio_backend", ["virtual", "virtual-asyncio"], indirect=True)


class Starts(RaceStarts):
    """Of races that take ``cost`` seconds each to begin, by a clock that nothing else moves."""

    def __init__(self, cost: float) -> None:
        self.now, self._cost = 100.0, cost
        self.begun: list[float] = []  # deadlines, in order
        self.together: list[int] = []  # how many had begun after each turn
        super().__init__(lambda: self.now)

    async def race(self, deadline: float, name: str | None = None) -> float:
        deadline = await self.take_turn(deadline, name)
        self.now += self._cost
        self.begun.append(deadline)
        return deadline

    async def watch(self) -> None:
        """Note how many have begun after each turn of the event loop, until none does."""
        while len(self.together) < 5 or self.together[-1] != self.together[-5]:
            await anyio.lowlevel.checkpoint()
            self.together.append(len(self.begun))


async def test_all_begin_at_once_while_that_takes_no_time() -> None:
    starts = Starts(0.0)
    for deadline in (3.0, 1.0, 2.0):
        with anyio.fail_after(0):
            await starts.race(deadline)
    assert starts.begun == [3.0, 1.0, 2.0]


async def test_those_that_take_long_begin_one_in_a_turn_the_earliest_deadline_first() -> None:
    starts, asked = Starts(0.0025), anyio.Event()

    async def race(deadline: float) -> None:
        await asked.wait()
        await starts.race(deadline)

    deadlines = [207.0, 205.0, inf, 203.0, 204.0, 206.0]
    async with anyio.create_task_group() as tasks:
        for deadline in deadlines:
            tasks.start_soon(race, deadline)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(starts.watch)
        asked.set()
    first, *rest = starts.begun
    others = sorted(d for d in deadlines if d != first)
    if asyncio_loop() is None:  # trio runs those that were woken in any order
        assert sorted(rest) == others
        return
    assert rest == others
    steps = [b - a for a, b in pairwise(starts.together)]
    assert max(steps) <= 2  # the one who counts may come before or behind those that begin


async def test_a_busy_loop_lets_more_of_them_begin_in_a_turn() -> None:
    async def turns(cost: float) -> int:
        starts = Starts(cost)
        async with anyio.create_task_group() as tasks:
            for deadline in range(40):
                tasks.start_soon(starts.race, float(deadline))
            tasks.start_soon(starts.watch)
        assert len(starts.begun) == 40
        return starts.together.index(40)

    assert await turns(0.02) < await turns(0.0025)


async def test_one_that_gives_up_leaves_nothing_and_holds_up_nobody() -> None:
    starts = Starts(0.003)
    async with anyio.create_task_group() as tasks:
        for deadline in (1.0, 2.0):
            tasks.start_soon(starts.race, deadline)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await starts.race(0.5)
        for deadline in (3.0, 4.0):
            tasks.start_soon(starts.race, deadline)
    assert sorted(d for d in starts.begun if d != 0.5) == [1.0, 2.0, 3.0, 4.0]
    before = len(starts.begun)
    await starts.race(5.0)
    assert len(starts.begun) == before + 1


async def test_a_deadline_that_is_brought_forward_counts() -> None:
    starts = Starts(0.003)
    told: dict[str, float] = {}

    async def race(name: str, deadline: float) -> None:
        told[name] = await starts.race(deadline, name)

    async with anyio.create_task_group() as tasks:
        await starts.race(1.0)
        for name, deadline in (("a", 5.0), ("b", 6.0), ("c", 7.0)):
            tasks.start_soon(race, name, deadline)

        async def shorten() -> None:
            starts.shorten_deadline("c", 2.0)
            starts.shorten_deadline("c", 9.0)
            starts.shorten_deadline("nobody", 0.0)

        tasks.start_soon(shorten)
    assert set(told) == {"a", "b", "c"}
    assert told["c"] in (2.0, 7.0)  # it may have begun before
    assert (told["a"], told["b"]) == (5.0, 6.0)


async def test_those_that_were_decided_return_first_but_not_for_long() -> None:
    starts = Starts(0.003)
    starts.ends("a")
    async with anyio.create_task_group() as tasks:
        for deadline in (1.0, 2.0, 3.0, 4.0):
            tasks.start_soon(starts.race, deadline)
        tasks.start_soon(starts.watch)
        await anyio.lowlevel.checkpoint()
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        held = len(starts.begun)
        assert held < 4
        starts.now += 0.01  # longer than any is held
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        assert len(starts.begun) > held
        starts.ended("a")
        starts.ended("a")
    assert len(starts.begun) == 4


class Late(RaceStarts):
    """Lets each race wait for half a second."""

    deadline: float

    async def take_turn(self, deadline: float, name: str | None = None) -> float:
        self.deadline = deadline
        await anyio.sleep(0.5)
        return self.deadline

    def shorten_deadline(self, name: str, deadline: float) -> None:
        self.deadline = min(self.deadline, deadline)


def waiting(runtime: Runtime) -> Late:
    starts = Late()
    runtime._races._starts = starts  # type: ignore[reportPrivateUsage]
    return starts


def engine() -> ScriptedEngine:
    words = BranchScript(tuple(Piece(0.05, "hm ") for _ in range(200)))
    return ScriptedEngine(Script([words], [BranchScript((Piece(0.001, "42}"),))]))


async def test_the_wait_counts_against_the_deadline() -> None:
    async with Runtime(engine()) as runtime:
        waiting(runtime)
        began = anyio.current_time()
        result = await runtime.solve("?", branches=2, deadline=2.0)
        assert 1.0 < anyio.current_time() - began <= 2.0
        assert result.elapsed == pytest.approx(anyio.current_time() - began, abs=0.01)
        assert result.answer == "42"
        with pytest.raises(Overloaded, match="too many races begin at once"):
            await runtime.solve("?", branches=2, deadline=0.51)
        assert runtime.admission_load().racing == 0


async def test_a_deadline_that_is_brought_forward_while_it_waits_is_kept() -> None:
    async with Runtime(engine()) as runtime, anyio.create_task_group() as tasks:
        waiting(runtime)
        began = anyio.current_time()

        async def shorten() -> None:
            await anyio.sleep(0.1)
            runtime.shorten_deadline("mine", 1.4)

        tasks.start_soon(shorten)
        result = await runtime.solve("?", branches=2, deadline=9.0, race_id="mine")
        assert 0.5 < anyio.current_time() - began <= 1.5
        assert result.answer == "42"
