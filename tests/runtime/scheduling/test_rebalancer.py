"""Races whose branches are planned share the engine: on the simulated engine, in exact times."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from tests.strategies.counted import counted

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.simulated import SimulatedEngine, SimulatedHardware
from frontrunner.runtime.engines.workloads import SampledWorkload
from frontrunner.runtime.events.types import BranchEnded, RaceDecided
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.branch_limit import REASON

from ...backends import no_tasks_left
from ..planning.simulating import LENGTHS, MODELS, STEP
from ..race_harness import MARGIN, SUFFIX, Setup, WatchedEngine, ids, stalls

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def planning(folder: Path, **race: Any) -> AsyncGenerator[Runtime, None]:
    models = folder / "models.json"
    MODELS.write(models)
    engine = SimulatedEngine(
        SimulatedHardware(
            STEP,
            MODELS.engine.acceptance,
            MODELS.schedule,
            max_branches=64,
            max_context_tokens=4096,
        ),
        SampledWorkload(LENGTHS, {"7": 0.4, "8": 0.3, "9": 0.3}),
    )
    settings = Settings.from_dict(
        {
            "answers": {"workers": 0},
            "forcing": {"suffix": SUFFIX, "max_tokens": 16},
            "planning": {"models": str(models)},
            "race": {"parameters": {"stop": "none"}, **race},
        }
    )
    async with no_tasks_left(), Runtime(engine, settings) as runtime:
        yield runtime
        assert engine.load().running == 0


@dataclass(frozen=True)
class Raced:
    launched: int
    given_back: int
    result: Result

    @property
    def kept(self) -> int:
        return self.launched - self.given_back


async def raced(runtime: Runtime, count: int, apart: float, **options: Any) -> list[Raced]:
    """The same question so many times, each begun ``apart`` seconds after the last."""
    found: dict[int, Raced] = {}

    async def race(number: int) -> None:
        await anyio.sleep(number * apart)
        async with runtime.stream("Q", seed=number, **options) as stream:
            events = [event async for event in stream]
        reasons = [event.reason for event in events if isinstance(event, BranchEnded)]
        last = events[-1]
        assert isinstance(last, RaceDecided)
        assert last.result.elapsed <= last.result.deadline
        found[number] = Raced(len(last.result.branches), reasons.count(REASON), last.result)

    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(race, number)
    return [found[number] for number in range(count)]


async def test_of_a_burst_the_first_gives_back_what_the_others_need(tmp_path: Path) -> None:
    async with planning(tmp_path) as runtime:
        (alone,) = await raced(runtime, 1, 0.0, deadline=2.0)
        burst = await raced(runtime, 8, 0.0, deadline=2.0)
    assert alone.given_back == 0
    launched = sorted(race.launched for race in burst)  # they begin in any order
    assert launched[-1] >= alone.launched
    assert launched[0] <= alone.launched / 4
    assert {race.kept for race in burst} == {launched[0]}


async def test_a_race_about_to_end_keeps_its_branches(tmp_path: Path) -> None:
    async with planning(tmp_path) as runtime:
        first, second = await raced(runtime, 2, 1.9, deadline=2.0)
    assert first.given_back == 0
    assert second.launched >= first.launched / 2


async def test_who_says_how_many_keeps_them_all(tmp_path: Path) -> None:
    async with planning(tmp_path) as runtime:
        races = await raced(runtime, 4, 0.1, deadline=3.0, branches=8)
    assert [(race.launched, race.given_back) for race in races] == [(8, 0)] * 4


async def test_a_race_keeps_what_it_said_it_needs(tmp_path: Path) -> None:
    async with planning(tmp_path) as runtime:
        races = await raced(runtime, 8, 0.01, deadline=2.0, min_branches=6)
    assert [race.kept for race in races] == [6] * 8
    async with planning(tmp_path, min_branches=5) as runtime:
        races = await raced(runtime, 8, 0.01, deadline=2.0)
    assert [race.kept for race in races] == [5] * 8


# ── one race ──────────────────────────────────────────────────────────────────────────────────


async def test_a_race_is_told_of_its_share_until_it_is_called() -> None:
    engine = WatchedEngine([stalls("hm ")])
    race = await Setup(engine, counted(8), deadline=4.0).race()
    race.set_branch_limit(6)  # before it begins
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(race.run)
        await anyio.sleep(1.0)
        assert engine.told_to_abort == set(ids(6, 7))
        race.set_branch_limit(2)
        await anyio.sleep(0.5)
        assert engine.told_to_abort == set(ids(*range(2, 8)))
        await anyio.sleep_until(race.deadline - MARGIN - 0.001)
        race.set_branch_limit(1)
        await anyio.lowlevel.checkpoint()
        assert engine.told_to_abort == set(ids(*range(2, 8)))
    engine.check_idle()
