"""Who races when not all can: in exact virtual time, by themselves and through the runtime."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from random import Random
from typing import Any

import anyio
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples
from trio._core import _run as trio_run

from frontrunner.runtime.engines.scripted import BranchScript, Piece
from frontrunner.runtime.errors import BadRequest, EngineClosed, Overloaded
from frontrunner.runtime.events.types import RaceStarted
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.scheduling.admission import (
    Admission,
    Lease,
    branches_to_grant,
    expected_wait,
)
from frontrunner.runtime.serving.errors import error_response
from frontrunner.strategies.protocol import StopReason

from ...backends import every_backend, no_tasks_left, run_virtual, until
from ..race_harness import (
    MARGIN,
    Rewards,
    WatchedEngine,
    check_result,
    fails,
    forced_says,
    says,
    stalls,
    statuses,
)
from ..test_runtime import running
from ..test_runtime import settings as settings_of

# ── the rule ──────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=examples(300))
@given(st.data())
def test_what_is_granted_lies_between_the_minimum_and_what_is_wanted_and_free(
    data: st.DataObject,
) -> None:
    wanted = data.draw(st.integers(1, 64))
    minimum = data.draw(st.integers(1, wanted))
    free, waiting = data.draw(st.integers(0, 64)), data.draw(st.integers(0, 10))
    granted = branches_to_grant(wanted, minimum, free, waiting)
    if free < minimum:
        assert granted == 0
    else:
        assert minimum <= granted <= min(wanted, free)
        assert granted == min(wanted, free) or waiting


@pytest.mark.parametrize(
    ("free", "races", "granted"),
    [(16, [(16, 1)], [16]), (16, [(16, 1)] * 3, [5, 5, 6]), (2, [(16, 1)] * 3, [1, 1]),
     (16, [(16, 8)] * 3, [8, 8]), (16, [(4, 1), (16, 1)], [4, 12]), (6, [(16, 8), (1, 1)], [])],
)  # fmt: skip
async def test_races_that_wait_share_what_becomes_free(
    free: int, races: list[tuple[int, int]], granted: list[int]
) -> None:
    admission = Admission(free, queue=9)
    got: list[int] = []

    async def race(wanted: int, minimum: int) -> None:
        lease = await admission.admit(wanted, minimum, deadline=10 + len(got))
        got.append(lease.granted)

    with await admission.admit(free, free, deadline=5.0):
        async with anyio.create_task_group() as tasks:
            for number, (wanted, minimum) in enumerate(races):
                tasks.start_soon(race, wanted, minimum)
                await anyio.sleep(0.001 * (number + 1))
            if granted == []:  # the head needs more than there is: nobody overtakes it
                tasks.cancel_scope.cancel()
            else:
                await anyio.sleep(0.1)
                lease = next(iter(admission._leases))
                lease.close()
                await anyio.sleep(0.1)
                tasks.cancel_scope.cancel()
    assert got == granted


@settings(max_examples=examples(300))
@given(
    st.integers(-3, 60),
    st.none() | st.floats(0.001, 100),
    st.lists(st.tuples(st.floats(0, 100), st.integers(1, 16)), max_size=6),
)
def test_the_expected_wait_is_no_longer_than_the_holders_may_race(
    needed: int, holding: float | None, holders: list[tuple[float, int]]
) -> None:
    wait = expected_wait(needed, holding, holders)
    assert wait >= 0
    assert (wait == 0) or needed > 0
    assert wait <= expected_wait(needed + 1, holding, holders)
    if 0 < needed <= sum(places for _, places in holders):
        assert wait <= max(left for left, _ in holders)


def test_the_expected_wait_follows_the_rate_at_which_places_come_back() -> None:
    assert expected_wait(4, 2.0, [(10.0, 8), (9.0, 8)]) == pytest.approx(0.5)
    assert expected_wait(40, 2.0, [(10.0, 8), (9.0, 8)]) == pytest.approx(5.0)
    assert expected_wait(4, 9.0, [(10.0, 12), (1.0, 4)]) == 1.0  # that race is over then
    assert expected_wait(4, None, [(10.0, 12), (8.0, 4)]) == 2.5
    assert expected_wait(4, 1.0, []) == inf


# ── the queue by itself ───────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Arrival:
    """A race as a queue sees it."""

    at: float
    wanted: int
    minimum: int
    seconds: float  # to the deadline
    needs: float  # of these, to say anything
    holds: tuple[float, ...]  # how long between giving back one place and the next
    asks: int  # places that it asks for again half-way
    gives_up: float | None  # after so many seconds the caller does


@st.composite
def arrivals(draw: st.DrawFn, capacity: int) -> Arrival:
    wanted = draw(st.integers(1, capacity))
    tenths = st.integers(0, 30).map(lambda n: n / 10)
    return Arrival(
        at=draw(tenths),
        wanted=wanted,
        minimum=draw(st.integers(1, wanted)),
        seconds=draw(st.integers(1, 60)) / 10,
        needs=draw(st.integers(0, 10)) / 10,
        holds=tuple(draw(st.lists(tenths, max_size=4))),
        asks=draw(st.integers(0, capacity)),
        gives_up=draw(st.none() | tenths),
    )


@dataclass
class Queue:
    """Plays arrivals, and checks after everything that happens what must always hold."""

    admission: Admission
    capacity: int
    queue: int
    outcomes: list[str] = field(default_factory=list[str])
    retries: list[float] = field(default_factory=list[float])

    def check(self) -> None:
        load, waiting = self.admission.load(), self.admission._waiting
        assert load.granted == sum(lease.held for lease in self.admission._leases)
        assert 0 <= load.free <= load.capacity == self.capacity
        assert load.waiting == len(waiting) <= self.queue + 1  # one may be about to be refused
        assert all(one.order < other.order for one, other in pairwise(waiting))
        if waiting:  # nobody sleeps while there is room for him
            first = waiting[0]
            behind = len(waiting) - 1
            room = branches_to_grant(first.wanted, first.minimum, load.free, behind)
            assert room == 0 or first.woken.is_set()

    async def play(self, arrival: Arrival) -> None:
        await anyio.sleep_until(arrival.at)
        with anyio.move_on_after(arrival.gives_up if arrival.gives_up is not None else inf):
            try:
                await self._race(arrival)
            finally:
                self.check()
            return
        self.outcomes.append("gave up")

    async def _race(self, arrival: Arrival) -> None:
        deadline = arrival.at + arrival.seconds
        latest = deadline - arrival.needs
        try:
            lease = await self.admission.admit(
                arrival.wanted, arrival.minimum, deadline=deadline, latest=latest
            )
        except Overloaded as error:
            now = anyio.current_time()
            assert now == pytest.approx(arrival.at) or now == pytest.approx(latest)
            self.retries.append(error.retry_after)
            self.outcomes.append("refused")
            return
        with lease:
            assert arrival.minimum <= lease.granted == lease.held <= arrival.wanted
            assert lease.deadline == deadline
            assert lease.waited == pytest.approx(anyio.current_time() - arrival.at)
            assert lease.waited == 0 or anyio.current_time() <= latest + 1e-9
            self.check()
            with anyio.move_on_at(deadline):
                await self._use(lease, arrival)
        assert lease.held == 0
        self.outcomes.append("raced")

    async def _use(self, lease: Lease, arrival: Arrival) -> None:
        for seconds in arrival.holds:
            await anyio.sleep(seconds)
            lease.release_down_to(lease.held - 1)
            self.check()
        waited_for, free = self.admission.load().waiting, self.admission.load().free
        before = lease.held
        assert lease.acquire_up_to(arrival.asks) == lease.held
        expected = 0 if waited_for else min(free, max(0, arrival.asks - before))
        assert lease.held == before + expected
        self.check()
        await anyio.sleep(sum(arrival.holds))


@settings(max_examples=examples(200))
@given(st.data())
def test_places_are_shared_out_without_loss_and_in_the_order_of_deadlines(
    data: st.DataObject,
) -> None:
    capacity, queue = data.draw(st.integers(1, 8)), data.draw(st.integers(0, 5))
    plan = data.draw(st.lists(arrivals(capacity), max_size=12))
    played = Queue(Admission(capacity, queue), capacity, queue)

    async def play() -> None:
        async with anyio.create_task_group() as tasks:
            for arrival in plan:
                tasks.start_soon(played.play, arrival)

    run_virtual(play)
    load = played.admission.load()
    assert (load.free, load.racing, load.waiting) == (capacity, 0, 0)
    assert len(played.outcomes) == len(plan)
    assert all(0 < seconds < inf for seconds in played.retries)


async def admitted_after(admission: Admission, seconds: float, **limits: Any) -> float:
    """When a race that comes after so many seconds, for one branch, was admitted."""
    await anyio.sleep(seconds)
    with await admission.admit(1, 1, **limits):
        at = anyio.current_time()
        await anyio.sleep(1)
    return at


async def in_turn(*calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    """What they return, or raise, in the order in which they are done."""
    done: list[Any] = []

    async def run(call: Callable[[], Awaitable[Any]]) -> None:
        try:
            done.append(await call())
        except (Overloaded, EngineClosed) as error:
            done.append(error)

    async with anyio.create_task_group() as tasks:
        for call in calls:
            tasks.start_soon(run, call)
    return done


async def test_the_earliest_deadline_is_served_first_and_nobody_past_his_own() -> None:
    admission = Admission(1, queue=8)
    order: list[str] = []

    async def race(name: str, at: float, deadline: float, seconds: float) -> None:
        await anyio.sleep(at)
        with await admission.admit(1, 1, deadline=deadline):
            order.append(name)
            await anyio.sleep(seconds)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(race, "first", 0.0, 50.0, 5.0)
        tasks.start_soon(race, "patient", 1.0, 9.5, 1.0)
        # Later arrivals go before it only with earlier deadlines.
        for number in range(1, 6):
            tasks.start_soon(race, f"urgent {number}", 1.0 + number / 2, 4.0 + 2 * number, 1.0)
    assert order.index("patient") == 3
    assert order == [
        "first",
        "urgent 1",
        "urgent 2",
        "patient",
        *(f"urgent {n}" for n in (3, 4, 5)),
    ]


async def test_a_race_that_waits_in_vain_is_refused_when_it_is_too_late_to_begin() -> None:
    admission = Admission(1, queue=8)
    with await admission.admit(1, 1, deadline=1.0):  # which it does not keep
        with pytest.raises(Overloaded, match="no branches became free in time"):
            await admission.admit(1, 1, deadline=5.0, latest=3.0)
        assert anyio.current_time() == 3.0
    assert admission.load().waiting == 0


async def test_a_wait_that_cannot_end_in_time_is_refused_at_once() -> None:
    admission = Admission(2, queue=8)
    with await admission.admit(2, 1, deadline=8.0):
        with pytest.raises(Overloaded) as caught:
            await admission.admit(1, 1, deadline=5.0, latest=0.0)
        assert caught.value.retry_after == pytest.approx(4.0)  # half of the places in 8 s
        assert anyio.current_time() == 0.0
    # It becomes known that places are held for 2 s each.
    for _ in range(2):
        with await admission.admit(2, 2, deadline=20.0):
            await anyio.sleep(2)
    with await admission.admit(2, 2, deadline=90.0):
        began = anyio.current_time()
        with pytest.raises(Overloaded) as caught:
            await admission.admit(2, 2, deadline=began + 1.9)
        assert caught.value.retry_after == pytest.approx(2.0)
        assert anyio.current_time() == began
        with pytest.raises(Overloaded):
            await admission.admit(2, 2, deadline=began + 2.1)
        assert anyio.current_time() == pytest.approx(began + 2.1)


async def test_a_full_queue_refuses_at_once() -> None:
    admission = Admission(1, queue=2)
    with await admission.admit(1, 1, deadline=20.0):
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(
                    lambda: admitted_after(admission, 0, deadline=1_000.0, latest=900.0)
                )
            await anyio.sleep(1)
            with pytest.raises(Overloaded, match="2 races wait already") as caught:
                await admission.admit(1, 1, deadline=2_000.0)
            assert anyio.current_time() == 1.0
            # Three places, one after the other, each perhaps for as long as this one may be held.
            assert caught.value.retry_after == pytest.approx(3 * 19.0)
            tasks.cancel_scope.cancel()


async def test_a_race_that_waits_can_be_hurried() -> None:
    admission = Admission(1, queue=8)
    with await admission.admit(1, 1, deadline=10.0):
        outcomes = await in_turn(
            lambda: admission.admit(1, 1, deadline=60.0, latest=55.0, name="a"),
            lambda: admission.admit(1, 1, deadline=9.0, latest=8.0, name="b"),
            lambda: hurried(admission),
        )
    assert [str(o) if isinstance(o, float) else type(o).__name__ for o in outcomes] == [
        "1.0", "Overloaded", "Overloaded",
    ]  # fmt: skip
    assert anyio.current_time() == 8.0


async def hurried(admission: Admission) -> float:
    await anyio.sleep(1)
    admission.shorten_deadline("a", 7.0)
    admission.shorten_deadline("a", 30.0)
    admission.shorten_deadline("nobody", 2.0)
    assert [w.name for w in admission._waiting] == ["a", "b"]
    assert admission._waiting[0].latest == 2.0
    return anyio.current_time()


# ── through the runtime ───────────────────────────────────────────────────────────────────────


@dataclass
class Crowd:
    """Races on one runtime, and what came of them."""

    runtime: Runtime = field(init=False)
    results: dict[int, Result] = field(default_factory=dict[int, Result])
    refused: dict[int, tuple[float, Overloaded]] = field(
        default_factory=dict[int, tuple[float, Overloaded]]
    )
    cancelled: int = 0

    async def race(
        self, number: int, at: float = 0.0, gives_up: float = inf, **options: Any
    ) -> None:
        await anyio.sleep_until(at)
        try:
            with anyio.move_on_after(gives_up) as scope:
                self.results[number] = await self.runtime.solve(f"question {number}", **options)
                check_result(self.results[number])
            self.cancelled += scope.cancelled_caught
        except Overloaded as error:
            self.refused[number] = (anyio.current_time() - at, error)


def bounded(engine: WatchedEngine) -> None:
    """Let the engine notice if it is given more than it can run."""

    def check() -> None:
        assert len(engine.held) <= engine.info.max_branches

    engine.on_act = check


SCRIPTS = st.one_of(
    st.builds(
        says,
        st.sampled_from(["1", "2", "3", None]),
        st.integers(1, 40).map(lambda n: n / 8),
        st.integers(1, 8),
    ),
    st.builds(fails, after=st.integers(1, 16).map(lambda n: n / 8)),
    st.just(stalls("x ")),
)


@settings(max_examples=examples(80))
@given(st.data())
def test_the_engine_never_gets_more_than_it_can_run(data: st.DataObject) -> None:
    capacity = data.draw(st.integers(1, 8))
    engine = WatchedEngine(
        data.draw(st.lists(SCRIPTS, min_size=1, max_size=5)),
        [forced_says("1", 0.02), stalls()],
        max_branches=capacity,
    )
    bounded(engine)
    count = st.integers(1, capacity)
    plan = data.draw(
        st.lists(
            st.tuples(st.integers(0, 20), count, count, st.integers(2, 24), st.integers(1, 40)),
            min_size=1,
            max_size=10,
        )
    )
    dies_at = data.draw(st.sampled_from([inf, inf, inf, 2.0]))
    engine.script.dies_at = dies_at

    async def race() -> None:
        crowd = Crowd()
        async with running(engine, race={"queue": 4, "branches": capacity}) as runtime:
            crowd.runtime = runtime
            async with anyio.create_task_group() as tasks:
                for number, (at, one, other, eighths, gives_up) in enumerate(plan):
                    options = {
                        "branches": max(one, other),
                        "min_branches": min(one, other),
                        "deadline": eighths / 4,
                    }
                    tasks.start_soon(
                        lambda n=number, a=at / 8, g=gives_up / 8, o=options: crowd.race(
                            n, a, g, **o
                        )
                    )
            for number, result in crowd.results.items():
                assert len(result.branches) <= max(plan[number][1:3])
                assert len(result.branches) >= min(plan[number][1:3])
            assert len(crowd.results) + len(crowd.refused) + crowd.cancelled == len(plan)
            load = runtime.admission_load()
            assert (load.free, load.racing, load.waiting) == (capacity, 0, 0)

    run_virtual(race)


@pytest.mark.parametrize(("wanted", "least"), [(4, 4), (8, 1), (16, 2)])
async def test_ten_times_too_many_are_refused_at_once_or_answered_in_time(
    wanted: int, least: int
) -> None:
    """Races of one second each on 16 places: 16 / branches a second can be served."""
    engine = WatchedEngine([says("a", 1.0)], max_branches=16)
    bounded(engine)
    race = {"queue": 32, "parameters": {"stop": "none"}}
    crowd = Crowd()
    async with running(engine, race=race) as runtime:
        await runtime.solve("?", branches=16)  # so that it is known how long a race takes
        crowd.runtime = runtime
        options = {"branches": wanted, "min_branches": least, "deadline": 4.0}
        gap = 1 / (10 * 16 / least)
        total = round(10 / gap)
        async with anyio.create_task_group() as tasks:
            for number in range(total):
                tasks.start_soon(lambda n=number: crowd.race(n, 1.0 + n * gap, **options))
    assert len(crowd.results) + len(crowd.refused) == total
    assert all(result.answer is not None for result in crowd.results.values())
    # The engine was kept busy.
    assert sum(len(result.branches) for result in crowd.results.values()) >= 0.9 * 16 * 10
    # How long places are held is an estimate: a few hoped in vain, as long as there was hope.
    late = [waited for waited, _ in crowd.refused.values() if waited > 0]
    assert len(late) <= 0.01 * len(crowd.refused)
    assert all(3.0 < waited < 4.0 for waited in late)
    assert all(0.1 <= error.retry_after <= 4.0 for _, error in crowd.refused.values())


async def test_a_race_gets_as_many_branches_as_are_free_and_its_strategy_is_made_for_them() -> None:
    engine = WatchedEngine([says("a", 2.0)], max_branches=16)
    crowd = Crowd()
    async with running(engine) as runtime, anyio.create_task_group() as tasks:
        crowd.runtime = runtime
        none = {"stop": "none"}
        tasks.start_soon(lambda: crowd.race(0, branches=13, parameters=none))
        tasks.start_soon(lambda: crowd.race(1, 0.5, branches=8, parameters=none))
        # This one waits: until 2 s, when the first one is over.
        tasks.start_soon(lambda: crowd.race(2, 0.75, branches=8, min_branches=4, parameters=none))
        await anyio.sleep(1)
        load = runtime.admission_load()
        assert (load.granted, load.free, load.racing, load.waiting) == (16, 0, 2, 1)
        assert runtime.load().running == 16
    sizes = {n: len(result.branches) for n, result in crowd.results.items()}
    assert sizes == {0: 13, 1: 3, 2: 8}
    assert crowd.results[1].votes == {"a": 3}
    assert crowd.results[2].elapsed == pytest.approx(1.25 + 2.0)


async def test_the_wait_counts_against_the_deadline() -> None:
    engine = WatchedEngine([stalls("x ")], [forced_says("7", 0.01)], max_branches=4)
    crowd = Crowd()
    async with running(engine) as runtime, anyio.create_task_group() as tasks:
        crowd.runtime = runtime
        tasks.start_soon(lambda: crowd.race(0, branches=4, deadline=2.0))
        tasks.start_soon(lambda: crowd.race(1, 0.5, branches=4, deadline=3.0))
    late = crowd.results[1]
    assert late.deadline == 3.0
    assert late.answer == "7"
    assert late.elapsed <= 3.0
    assert late.branches[0].seconds < 3.0 - 1.2  # the first race took at least 1.7 s


async def test_places_come_back_as_branches_end() -> None:
    # A branch of the first race ends each second; then it is called.
    first = [*(says(None, n) for n in (1, 2, 3)), stalls("x ")]
    engine = WatchedEngine([], max_branches=4)
    prompt = engine.encode("question 0")
    engine.script.chooser = lambda r: first[r.branch] if r.prompt == prompt else stalls()
    bounded(engine)
    crowd = Crowd()
    async with running(engine) as runtime, anyio.create_task_group() as tasks:
        crowd.runtime = runtime
        tasks.start_soon(lambda: crowd.race(0, branches=4, deadline=8.0))
        for number in (1, 2, 3):
            tasks.start_soon(
                lambda n=number: crowd.race(n, 0.5, branches=1, deadline=7.0 + n, gives_up=9.0)
            )
        await anyio.sleep(0.75)
        for waiting in (3, 2, 1):
            assert runtime.admission_load().waiting == waiting
            await anyio.sleep(1)
        assert runtime.admission_load().waiting == 0
        tasks.cancel_scope.cancel()


async def test_a_branch_that_was_cut_holds_its_place_until_the_engine_knows() -> None:
    engine = WatchedEngine(
        [says("a", 1), says("a", 1), stalls("x ")], abort_delay=0.5, max_branches=3
    )
    bounded(engine)
    crowd = Crowd()
    async with running(engine) as runtime, anyio.create_task_group() as tasks:
        crowd.runtime = runtime
        tasks.start_soon(lambda: crowd.race(0, branches=3, parameters={"stop": "clinch"}))
        tasks.start_soon(
            lambda: crowd.race(1, 0.5, branches=3, min_branches=3, parameters={"stop": "clinch"})
        )
    assert crowd.results[0].elapsed == pytest.approx(1.5)
    assert crowd.results[1].elapsed == pytest.approx(1.0 + 1.5)


async def test_who_waits_goes_before_those_who_want_more() -> None:
    """Forced answers are asked for beside branches while there is room; else they are stopped."""
    engine = WatchedEngine([stalls("x ")], [forced_says("1", 0.01)], max_branches=8)
    bounded(engine)
    crowd = Crowd()
    async with running(engine) as runtime:
        alone = await runtime.solve("?", branches=4, deadline=2.0)
        assert engine.aborts[-1] != ()
        assert len(engine.forced_requests()) == 4
        assert alone.elapsed == pytest.approx(2.0 - MARGIN)  # they ran on to the end
        async with anyio.create_task_group() as tasks:
            crowd.runtime = runtime
            began = anyio.current_time()
            options = {"branches": 4, "deadline": 2.0}
            tasks.start_soon(lambda: crowd.race(0, began, **options))
            tasks.start_soon(lambda: crowd.race(1, began + 0.1, branches=4, deadline=3.0))
            tasks.start_soon(
                lambda: crowd.race(2, began + 0.1, branches=8, min_branches=8, deadline=9.0)
            )
    assert statuses(crowd.results[0]) == ["forced"] * 4
    assert crowd.results[0].elapsed < 2.0 - MARGIN


async def test_probes_take_free_places_only() -> None:
    engine = WatchedEngine([says("a", 4.0, tokens=16)], max_branches=4)
    bounded(engine)
    async with running(engine) as runtime:
        options: dict[str, Any] = {
            "strategy": "probe",
            "parameters": {"every": 2, "stop": "none"},
            "deadline": 9.0,
        }
        full = await runtime.solve("?", branches=4, **options)
        assert full.votes == {"a": 4}
        assert engine.forced_requests() == []
        half = await runtime.solve("?", branches=2, **options)
        assert half.votes == {"a": 2}
        assert len(engine.forced_requests()) == 2 * 7
        assert runtime.admission_load().free == 4


async def test_a_fork_takes_the_place_of_the_branch_that_was_cut_for_it() -> None:
    """With all places held and a race waiting: what is cut and forked in one breath stays held."""
    steps = BranchScript(tuple(Piece(1.0, f"step {n}\n\n", 4) for n in range(3)), stall=True)
    engine = WatchedEngine([steps], [forced_says("1", 0.01)], max_branches=4)
    beam = {"strategy": "beam", "parameters": {"width": 4}}
    rewards = Rewards([0.9, 0.1, 0.2, 0.3] * 5)
    crowd = Crowd()
    async with Runtime(engine, settings_of(), rewards=rewards) as runtime:
        crowd.runtime = runtime
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: crowd.race(0, branches=4, deadline=6.0, **beam))
            tasks.start_soon(lambda: crowd.race(1, 0.5, branches=1, deadline=9.0))
            await anyio.sleep(1.5)
            load = runtime.admission_load()
            assert (load.granted, load.waiting) == (4, 1)
            assert runtime.load().running == 4
        assert runtime.admission_load().free == 4
        engine.check_idle()
    assert statuses(crowd.results[0])[:4].count("cancelled") >= 3
    assert len(crowd.results[0].branches) >= 7
    assert len(crowd.results[1].branches) == 1


async def test_finished_branches_are_asked_again_only_with_places() -> None:
    """All run into their token limit; the last one to do so has a place of its own still."""
    engine = WatchedEngine([says("a", 4.0, tokens=8)], [forced_says("5", 0.01)], max_branches=2)
    bounded(engine)
    options: dict[str, Any] = {"branches": 2, "max_tokens": 2, "deadline": 9.0}
    crowd = Crowd()
    async with running(engine) as runtime, anyio.create_task_group() as tasks:
        crowd.runtime = runtime
        tasks.start_soon(lambda: crowd.race(0, **options))
        tasks.start_soon(lambda: crowd.race(1, 0.25, **options))
    assert {n: r.answer for n, r in crowd.results.items()} == {0: "5", 1: "5"}


async def test_a_stalled_engine_gives_its_places_back_at_the_deadline() -> None:
    engine = WatchedEngine([stalls()], [stalls()], abort_delay=inf, max_branches=2)
    async with running(engine, race={"abort_limit": 0.1}) as runtime:
        result = await runtime.solve("?", branches=2, deadline=1.0)
        check_result(result)
        assert runtime.admission_load().free == 2


async def test_a_dead_engine_holds_no_places() -> None:
    engine = WatchedEngine([stalls("x ")], max_branches=2, dies_at=1.0)
    crowd = Crowd()
    async with running(engine) as runtime, anyio.create_task_group() as tasks:
        crowd.runtime = runtime
        for number in range(3):
            tasks.start_soon(lambda n=number: crowd.race(n, 0.1 * n, branches=2))
    assert {r.stop_reason for r in crowd.results.values()} == {StopReason.FAILED}
    assert all(result.elapsed <= 1.0 for result in crowd.results.values())


async def test_a_stream_is_refused_or_waits_as_it_is_entered() -> None:
    engine = WatchedEngine([says("a", 2.0)], max_branches=1)
    async with (
        running(engine, race={"queue": 1, "branches": 1}) as runtime,
        runtime.stream("?", branches=1),
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(lambda: runtime.solve("?", branches=1))
        await anyio.sleep(0.5)
        with pytest.raises(Overloaded) as caught:
            async with runtime.stream("?", branches=1):
                raise AssertionError("the block was entered")
        assert caught.value.retry_after > 0
        assert anyio.current_time() == 0.5
        await anyio.sleep(2)
        async with runtime.stream("?", branches=1) as events:
            first = await anext(events)
            assert isinstance(first, RaceStarted)
            assert first.at == pytest.approx(1.5)
            assert anyio.current_time() == pytest.approx(4.0)


async def test_a_reader_that_lingers_holds_no_places() -> None:
    engine = WatchedEngine([says("a", 1.0)], max_branches=1)
    async with running(engine) as runtime, runtime.stream("?", branches=1):
        await anyio.sleep(2)
        assert runtime.admission_load().free == 1


@every_backend
async def test_who_waits_while_the_runtime_closes_is_told() -> None:
    engine = WatchedEngine([stalls("x ", after=0.001)], max_branches=1)
    outcomes: list[object] = []

    async def solve() -> None:
        try:
            outcomes.append(await runtime.solve("?", branches=1, deadline=60.0))
        except EngineClosed as error:
            outcomes.append(error)

    async with anyio.create_task_group() as tasks, Runtime(engine, settings_of()) as runtime:
        tasks.start_soon(solve)
        await until(lambda: runtime.admission_load().racing == 1)
        tasks.start_soon(solve)
        await until(lambda: runtime.admission_load().waiting == 1)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["EngineClosed", "Result"]


async def test_a_race_that_waits_is_hurried_with_the_others() -> None:
    engine = WatchedEngine([stalls("x ")], [forced_says("1", 0.01)], max_branches=1)
    crowd = Crowd()
    async with running(engine) as runtime, anyio.create_task_group() as tasks:
        crowd.runtime = runtime
        tasks.start_soon(lambda: crowd.race(0, branches=1, deadline=2.0))
        tasks.start_soon(lambda: crowd.race(1, 0.5, branches=1, deadline=60.0, race_id="second"))
        await anyio.sleep(1)
        runtime.shorten_deadline("second", 3.0)
    assert crowd.results[1].answer == "1"
    assert crowd.results[1].elapsed <= 3.5


@pytest.mark.parametrize("minimum", [0, -1, 5])
async def test_a_minimum_out_of_range_is_refused(minimum: int) -> None:
    engine = WatchedEngine([says("a", 1)])
    async with running(engine) as runtime:
        with pytest.raises(BadRequest, match="min_branches must lie between 1 and"):
            await runtime.solve("?", branches=4, min_branches=minimum)


async def test_the_minimum_of_the_settings_is_no_more_than_what_a_call_asks_for() -> None:
    engine = WatchedEngine([says("a", 1)], max_branches=8)
    crowd = Crowd()
    async with (
        running(engine, race={"branches": 8, "min_branches": 4}) as runtime,
        anyio.create_task_group() as tasks,
    ):
        crowd.runtime = runtime
        tasks.start_soon(lambda: crowd.race(0, branches=6))
        tasks.start_soon(lambda: crowd.race(1, 0.25, branches=8))
        tasks.start_soon(lambda: crowd.race(2, 0.25, branches=2, deadline=5.0))
    assert crowd.results[1].elapsed > 1.0
    assert crowd.results[2].elapsed == 1.0


# ── cancelling ────────────────────────────────────────────────────────────────────────────────


class CancelAfter(trio.abc.Instrument):
    """Cancels ``scope`` after ``step`` task steps; 0 only counts them."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.steps = 0
        self.scope = trio.CancelScope()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += 1
        if self.steps == self.step:
            self.scope.cancel()


def raced_with_one_cancelled(step: int, which: int) -> int:
    """Three races on the places of one; race ``which`` is cancelled after ``step`` steps."""
    engine = WatchedEngine(
        [says("a", 0.5, tokens=1), says("a", 0.75, tokens=1), stalls("x ")], max_branches=3
    )
    bounded(engine)
    canceller = CancelAfter(step)

    async def race() -> None:
        sections = {"race": {"parameters": {"stop": "clinch"}, "abort_limit": 0.25}}
        crowd = Crowd()
        async with no_tasks_left(), Runtime(engine, settings_of(**sections)) as runtime:
            crowd.runtime = runtime

            async def one(number: int) -> None:
                options = {"branches": 3, "min_branches": 3, "deadline": 4.0 + number / 8}
                if number != which:
                    await crowd.race(number, **options)
                    return
                with canceller.scope:
                    await crowd.race(number, **options)

            async with anyio.create_task_group() as tasks:
                for number in range(3):
                    tasks.start_soon(one, number)
            engine.check_idle()
            load = runtime.admission_load()
            assert (load.free, load.racing, load.waiting) == (3, 0, 0)
            assert {0, 1, 2} - {which} <= set(crowd.results)
            assert {r.answer for r in crowd.results.values()} == {"a"}

    run_virtual(race, canceller)
    return canceller.steps


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("order", range(3))
def test_cancelling_one_race_after_any_step_leaves_nothing_and_serves_the_others(
    which: int, order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trio runs the tasks of one turn in a random order: here in a repeatable one."""

    def steps_when_cancelled_after(step: int) -> int:
        monkeypatch.setattr(trio_run, "_r", Random(order))
        return raced_with_one_cancelled(step, which)

    steps = steps_when_cancelled_after(0)
    assert steps > 10
    for step in range(1, steps + 1):
        steps_when_cancelled_after(step)


@every_backend
async def test_cancelling_a_race_that_waits_leaves_nothing() -> None:
    engine = WatchedEngine([stalls("x ", after=0.001)], max_branches=1)
    async with running(engine) as runtime, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: runtime.solve("?", branches=1, deadline=60.0))
        await until(lambda: runtime.admission_load().racing == 1)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as inner:
                inner.start_soon(lambda: runtime.solve("?", branches=1, deadline=60.0))
                await until(lambda: runtime.admission_load().waiting == 1)
                scope.cancel()
        assert runtime.admission_load().waiting == 0
        assert len(engine.requests) == 1
        tasks.cancel_scope.cancel()


async def test_a_race_joins_others_that_wait_only_with_time_to_think() -> None:
    admission = Admission(4, queue=99)
    now = anyio.current_time()
    with await admission.admit(4, 4, deadline=now + 1):
        await anyio.sleep(1.0)  # it is known that slots are held for a second
    leases = [await admission.admit(4, 4, deadline=anyio.current_time() + 10)]
    begun = list[int]()

    async def race(number: int, seconds: float) -> None:
        lease = await admission.admit(4, 4, deadline=anyio.current_time() + seconds)
        begun.append(number)
        await anyio.sleep(1.0)
        lease.close()

    async with anyio.create_task_group() as tasks:
        # Alone it may wait for as long as it can say anything.
        tasks.start_soon(race, 0, 1.5)
        await anyio.wait_all_tasks_blocked()
        # Two seconds until it begins, of the ten that it has.
        tasks.start_soon(race, 1, 10.0)
        await anyio.wait_all_tasks_blocked()
        # It would begin in time to say anything, but after more than half of its time.
        with pytest.raises(Overloaded):
            await admission.admit(4, 4, deadline=anyio.current_time() + 3.5)
        leases[0].close()
    assert begun == [0, 1]


async def test_a_race_does_not_make_another_wait_too_long() -> None:
    admission = Admission(4, queue=99)
    with await admission.admit(4, 4, deadline=anyio.current_time() + 1):
        await anyio.sleep(1.0)
    lease = await admission.admit(4, 4, deadline=anyio.current_time() + 10)
    async with anyio.create_task_group() as tasks:

        async def race(seconds: float) -> None:
            with await admission.admit(4, 4, deadline=anyio.current_time() + seconds):
                await anyio.sleep(1.0)

        tasks.start_soon(race, 3.0)  # begins in a second, and may wait for one and a half
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(Overloaded):  # it would go before that, and fit itself
            await admission.admit(4, 4, deadline=anyio.current_time() + 2.9)
        lease.close()


@pytest.mark.parametrize("before", [False, True], ids=["nothing is known", "holding times are"])
async def test_more_than_is_left_of_the_engine_is_refused_with_a_time_to_come_back(
    before: bool,
) -> None:
    """A replica of two is lost: nobody holds what is missing, and nobody will give it back."""
    admission = Admission(8, 4)
    if before:
        with await admission.admit(4, 1, deadline=anyio.current_time() + 5.0):
            await anyio.sleep(1.0)
    admission.resize(4)
    with pytest.raises(Overloaded, match="it runs 4 now, and at least 6 are asked for") as refused:
        await admission.admit(8, 6, deadline=anyio.current_time() + 3.0)
    assert 0.0 < refused.value.retry_after < 60.0
    assert int(error_response(refused.value).headers["Retry-After"]) == 5
    admission.resize(0)  # all of it
    with pytest.raises(Overloaded):
        await admission.admit(8, 1, deadline=anyio.current_time() + 3.0)
