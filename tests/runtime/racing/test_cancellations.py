"""Cancelling a race at any point leaves nothing running and raises nothing else.

In virtual time the cancellation comes after each single step of any task. On the real event loops
it comes with each single thing that happens at the engine.
"""

from collections.abc import Awaitable, Callable
from math import inf
from random import Random

import anyio
import pytest
import trio
from tests.strategies.counted import counted
from trio._core import _run as trio_run

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.scripted import BranchScript, Piece
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.majority import Majority

from ...backends import every_backend, no_tasks_left, run_virtual
from ..race_harness import (
    SUFFIX,
    Setup,
    WatchedEngine,
    check_result,
    fails,
    forced_says,
    says,
    stalls,
)
from .test_race_faults import SilentWorkers

ABORT_LIMIT = 0.25

#: An engine, and what is run on it and cancelled.
Prepared = tuple[WatchedEngine, Callable[[], Awaitable[None]]]
Scenario = Callable[[], Prepared]


def prepared(engine: WatchedEngine, strategy: Majority, **more: object) -> Prepared:
    setup = Setup(engine, strategy, deadline=2.0, abort_limit=ABORT_LIMIT)
    for name, value in more.items():
        setattr(setup, name, value)

    async def run() -> None:
        check_result(await (await setup.race()).run())

    return engine, run


def a_clinch() -> Prepared:
    engine = WatchedEngine([*[says("a", 0.5, tokens=2)] * 3, fails(), stalls("x ")])
    return prepared(engine, Majority(5, stop="clinch"))


def a_forced_round() -> Prepared:
    slow = BranchScript((Piece(0.02, "1"), Piece(0.02, "}")))
    engine = WatchedEngine(
        [says("a", 0.5, tokens=1), says("b", 0.5, tokens=1), stalls("x "), stalls()],
        [slow, slow, slow, stalls()],
        abort_delay=0.01,
    )
    return prepared(engine, counted(4))


def a_forced_round_while_aborts_hang() -> Prepared:
    engine = WatchedEngine([stalls("x "), stalls()], [forced_says("1", 0.01)], abort_delay=inf)
    return prepared(engine, counted(2))


def an_early_forced_round() -> Prepared:
    engine = WatchedEngine([says("x", 0.5, tokens=4)] * 2, [forced_says("1", 0.01)])
    return prepared(engine, counted(2), max_tokens=2)


def a_comparison_that_never_ends() -> Prepared:
    engine = WatchedEngine([says("x+1", 0.25, tokens=1), says("1+x", 0.5, tokens=1), stalls()])
    return prepared(engine, counted(3), workers=SilentWorkers())


def an_engine_that_dies() -> Prepared:
    engine = WatchedEngine([says("a", 0.5, tokens=1), stalls("x "), stalls()], dies_at=1.0)
    return prepared(engine, counted(3))


def a_slow_abort_at_the_end() -> Prepared:
    engine = WatchedEngine([*[says("a", 0.5, tokens=1)] * 2, stalls("x ")], abort_delay=0.1)
    return prepared(engine, Majority(3, stop="clinch"))


def tokens_after_the_abort() -> Prepared:
    late = BranchScript((Piece(0.5, "x "), Piece(0.5, "y ")), ignores_abort=True)
    engine = WatchedEngine([*[says("a", 0.75, tokens=1)] * 2, late])
    return prepared(engine, Majority(3, stop="clinch"))


def a_stream_with_its_reader() -> Prepared:
    engine = WatchedEngine([*[says("a", 0.5, tokens=2)] * 2, stalls("x "), stalls()])
    settings = Settings.from_dict(
        {
            "answers": {"workers": 0},
            "forcing": {"suffix": SUFFIX},
            "race": {"parameters": {"stop": "none"}, "abort_limit": ABORT_LIMIT},
        }
    )

    async def run() -> None:
        async with (
            Runtime(engine, settings) as runtime,
            runtime.stream("question", deadline=2.0, branches=4) as events,
        ):
            async for _ in events:
                await anyio.sleep(0.01)

    return engine, run


SCENARIOS = (
    a_clinch,
    a_forced_round,
    a_forced_round_while_aborts_hang,
    an_early_forced_round,
    a_comparison_that_never_ends,
    an_engine_that_dies,
    a_slow_abort_at_the_end,
    tokens_after_the_abort,
    a_stream_with_its_reader,
)


class CancelAfter(trio.abc.Instrument):
    """Cancels ``scope`` after ``step`` task steps; 0 only counts them."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.steps = 0
        self.scope = trio.CancelScope()
        self.cancelled_at = inf
        self.live: set[str] = set()
        self.engine: WatchedEngine | None = None

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.engine is None:
            return
        self.steps += 1
        if self.steps == self.step:
            self.cancelled_at = trio.current_time()
            self.live = set(self.engine.held)
            self.scope.cancel()


def cancelled_after(step: int, scenario: Scenario) -> int:
    """Run the scenario, cancel it after ``step`` steps, check; return how many steps it took."""
    engine, run = scenario()
    canceller = CancelAfter(step)

    async def cancelled() -> None:
        await engine.start()
        async with no_tasks_left():
            with canceller.scope:
                canceller.engine = engine
                await run()
                canceller.cancelled_at = inf  # too late
            canceller.engine = None
        if canceller.cancelled_at < inf:
            assert canceller.scope.cancelled_caught
            assert trio.current_time() - canceller.cancelled_at <= 2 * ABORT_LIMIT + 1e-9
            if engine.failure is None:
                assert canceller.live <= engine.told_to_abort
        engine.check_idle()

    run_virtual(cancelled, canceller)
    return canceller.steps


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@pytest.mark.parametrize("order", range(6))
def test_cancelling_after_any_step_leaves_nothing(
    scenario: Scenario, order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trio runs the tasks of one turn in a random order: here in a repeatable one."""

    def steps_when_cancelled_after(step: int) -> int:
        monkeypatch.setattr(trio_run, "_r", Random(order))
        return cancelled_after(step, scenario)

    steps = steps_when_cancelled_after(0)
    assert steps > 10
    for step in range(1, steps + 1):
        assert steps_when_cancelled_after(step) >= step


def quick_clinch() -> Prepared:
    engine = WatchedEngine([*[says("a", 0.002, tokens=2)] * 3, stalls("x ", after=0.001), stalls()])
    return prepared(engine, Majority(5, stop="clinch"))


def quick_forced_round() -> Prepared:
    engine = WatchedEngine([says("x", 0.004, tokens=4)] * 2, [forced_says("1", 0.001)])
    return prepared(engine, counted(2), max_tokens=2)


@every_backend
@pytest.mark.parametrize(
    "scenario", [quick_clinch, quick_forced_round], ids=lambda scenario: scenario.__name__
)
async def test_cancelling_with_anything_that_happens_at_the_engine_leaves_nothing(
    scenario: Scenario,
) -> None:
    act, reached = 0, True
    while reached:
        act, reached = act + 1, False
        engine, run = scenario()
        await engine.start()
        acts = 0
        scope = anyio.CancelScope()

        def cancel_at(act: int = act, scope: anyio.CancelScope = scope) -> None:
            nonlocal acts, reached
            acts += 1
            if acts == act:
                reached = True
                scope.cancel()

        engine.on_act = cancel_at
        async with no_tasks_left():
            with scope:
                await run()
        engine.check_idle()
    assert act > 8
