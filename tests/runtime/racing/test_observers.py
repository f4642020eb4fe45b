"""Observers hear of every race, and can harm none."""

from typing import Any

import anyio
import pytest

from frontrunner.runtime.events.types import BranchEnded, Event, RaceDecided, RaceStarted
from frontrunner.runtime.racing.observers import RaceWatcher
from frontrunner.runtime.racing.spec import RaceSpec
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime

from ..race_harness import WatchedEngine, says, stalls


class Diary:
    """Writes down all it is told, as the observer and as the watcher of each race."""

    def __init__(self) -> None:
        self.specs: list[RaceSpec] = []
        self.events: list[Event] = []
        self.aborts: list[tuple[float, int, bool]] = []
        self.ends: list[Result | None] = []

    def watch(self, spec: RaceSpec, model: str) -> RaceWatcher:
        assert model == "scripted"
        self.specs.append(spec)
        return self

    def event(self, event: Event) -> None:
        assert len(self.ends) < len(self.specs), "nothing happens after the end"
        self.events.append(event)

    def aborted(self, seconds: float, requests: int, acknowledged: bool) -> None:
        self.aborts.append((seconds, requests, acknowledged))

    def ended(self, result: Result | None) -> None:
        self.ends.append(result)


class Broken:
    """Fails at what its name says."""

    def __init__(self, at: str) -> None:
        self.at = at

    def watch(self, spec: RaceSpec, model: str) -> RaceWatcher:
        return self.fail("watch")

    def fail(self, at: str) -> Any:
        if at == self.at:
            raise ZeroDivisionError(at)
        return self

    def event(self, *_: Any) -> None:
        self.fail("event")

    def aborted(self, *_: Any) -> None:
        self.fail("aborted")

    def ended(self, *_: Any) -> None:
        self.fail("ended")


async def test_an_observer_hears_a_race_from_its_start_to_its_result() -> None:
    diary = Diary()
    engine = WatchedEngine([says("1", 1.0), says("1", 2.0), stalls("hm")])
    async with Runtime(engine, observers=[diary]) as runtime:
        result = await runtime.solve("?", branches=3, deadline=10.0)
    assert isinstance(diary.events[0], RaceStarted)
    assert isinstance(diary.events[-1], RaceDecided)
    assert diary.ends == [result]
    assert [(spec.race_id, spec.strategy) for spec in diary.specs] == [(result.race_id, "majority")]
    assert [(requests, told) for _, requests, told in diary.aborts] == [(1, True)]


async def test_an_observer_hears_the_same_whether_or_not_somebody_reads_along() -> None:
    diary = Diary()
    async with Runtime(WatchedEngine([says("1", 1.0)]), observers=[diary]) as runtime:
        await runtime.solve("?", branches=1, seed=1)
        solved, diary.events = diary.events, []
        async with runtime.stream("?", branches=1, seed=1) as events:
            read = [event async for event in events]
    assert [type(e) for e in diary.events] == [type(e) for e in solved]
    assert [e for e in diary.events if isinstance(e, BranchEnded)] == [
        e for e in read if isinstance(e, BranchEnded)
    ]


async def test_a_race_that_is_given_up_ends_without_a_result() -> None:
    diary = Diary()
    async with Runtime(WatchedEngine([stalls("hm")]), observers=[diary]) as runtime:
        with anyio.move_on_after(1.0):
            await runtime.solve("?", branches=2, deadline=10.0)
    assert diary.ends == [None]
    assert sum(isinstance(event, BranchEnded) for event in diary.events) == 2


async def test_an_abort_that_hangs_is_told_with_what_it_took() -> None:
    diary = Diary()
    engine = WatchedEngine([says("1", 1.0), says("1", 1.0), stalls()], abort_delay=float("inf"))
    async with Runtime(engine, observers=[diary]) as runtime:
        await runtime.solve("?", branches=3, deadline=10.0)
    (seconds, requests, told), *_ = diary.aborts
    assert (seconds, requests, told) == (pytest.approx(1.0), 1, False)


@pytest.mark.parametrize("at", ["watch", "event", "aborted", "ended"])
async def test_an_observer_that_fails_harms_neither_the_race_nor_another(at: str) -> None:
    diary = Diary()
    engine = WatchedEngine([says("1", 1.0), says("1", 2.0), stalls("hm")])
    async with Runtime(engine, observers=[Broken(at), diary]) as runtime:
        result = await runtime.solve("?", branches=3, deadline=10.0)
    assert result.answer == "1"
    assert diary.ends == [result]
