"""Real races on the scripted engine, whose events are kept in ``streams/``.

``python -m tests.runtime.events.recorded_races`` from the root of the repository writes them anew.
Each race has a file ``NAME.ndjson`` with its events and a file ``NAME.json`` with what is known of
it after so many of them. Between two recordings tasks may take their turns in another order.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anyio
import orjson
from tests.backends import run_virtual
from tests.strategies.counted import counted

from frontrunner import Runtime
from frontrunner.agents import Tool
from frontrunner.runtime.cli.display.ndjson import event_line
from frontrunner.runtime.engines.scripted import BranchScript, Piece
from frontrunner.runtime.events.event_lines import read_event
from frontrunner.runtime.events.event_stream import EventStream
from frontrunner.runtime.events.fold import RaceState
from frontrunner.runtime.events.types import (
    BranchExtended,
    BranchForcing,
    Event,
    ToolCalled,
    ToolReturned,
)
from frontrunner.strategies.beam import Beam
from frontrunner.strategies.best_of_n import BestOfN
from frontrunner.strategies.budget_forcing import BudgetForcing
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.probe import Probing
from frontrunner.strategies.weighted import Weighted

from ..agents.calling import SETTINGS, CallingEngine, call
from ..agents.calling import says as says_later
from ..race_harness import (
    Rewards,
    Setup,
    WatchedEngine,
    at_its_limit,
    fails,
    forced_says,
    says,
    stalls,
)

STREAMS: Final = Path(__file__).parent / "streams"

#: With characters that JavaScript counts as two.
THOUGHT: Final = (Piece(1, "so 𝟮·𝟯 ", 2), Piece(1, "= 𝟲</think>The", 3), Piece(1, " \\boxed{1}", 2))


def plain() -> Setup:
    engine = WatchedEngine([says("7", 1), says("8", 2), says("7", 3), says("7", 9)])
    return Setup(engine, Majority(4, stop="clinch"))


def lost() -> Setup:
    return Setup(WatchedEngine([says("7", 1), fails("gone"), says("7", 3)]), counted(3))


def forced() -> Setup:
    """Two are stopped for their answers, for which the engine has no room beside them; one of the
    answers is lost."""
    engine = WatchedEngine(
        [stalls("long 𝟮 "), stalls("longer ")],
        [forced_says("8", 0.01), fails("gone", 0.02)],
        max_branches=2,
    )
    return Setup(engine, Majority(2, stop="none"), deadline=4)


def forced_beside() -> Setup:
    """Three are asked beside themselves: one finishes by itself, two are cut back."""
    words = tuple(Piece(0.25, f"word{i} ", 2) for i in range(64))
    engine = WatchedEngine(
        [says("7", 3.9, 39), BranchScript(words), BranchScript(words)], [forced_says("8", 0.01)]
    )
    return Setup(engine, Majority(3, stop="none"), deadline=4, forced_tokens=64)


def extended() -> Setup:
    """Goes on twice, in place of its end of thinking."""
    again = BranchScript((Piece(1, " 𝟰 ", 1), Piece(1, "</think>\\boxed{2}", 3)))
    last = BranchScript((Piece(1, " \\boxed{6}", 3),))
    engine = WatchedEngine([says(None, 1)])
    scripts = iter([BranchScript(THOUGHT), again, last])
    engine.script.chooser = lambda request: next(scripts)
    return Setup(engine, BudgetForcing(1, min_tokens=20, max_extensions=2))


def extended_and_cut() -> Setup:
    """Was made to go on, and then never ended."""
    engine = WatchedEngine([says(None, 1)])
    scripts = iter([BranchScript(THOUGHT), stalls("hm ")])
    engine.script.chooser = lambda request: None if request.forced else next(scripts)
    return Setup(engine, BudgetForcing(1, min_tokens=20), deadline=6)


def forks() -> Setup:
    """A beam search: steps are scored, the best go on twice."""
    steps = tuple(Piece(0.5, f"step 𝟮{i}\n\n", 3) for i in range(2))
    script = BranchScript((*steps, Piece(0.5, "\\boxed{7}", 2)))
    rewards = Rewards([0.25, 0.75, 0.5, 0.125] * 8)
    strategy = Beam(branches=4, width=2, max_steps=2)
    return Setup(WatchedEngine([script]), strategy, rewards=rewards, branches=8)


def probes() -> Setup:
    engine = WatchedEngine([says("7", 4, 16), says("7", 6, 24)], [forced_says("7", 0.25)])
    return Setup(engine, Probing(2, every=4, prune=False, stop="none"))


def best_of_n() -> Setup:
    """The votes are with 42, the best score with 7."""
    engine = WatchedEngine([says("42", 1), says("42", 2), says("7", 3), says("42", 4)])
    strategy = BestOfN(4, threshold=0.99)
    return Setup(engine, strategy, rewards=Rewards([0.5, 0.25, 0.875, 0.125]))


def weighted() -> Setup:
    engine = WatchedEngine([says("42", 1), says("42", 2), says("7", 3)])
    return Setup(engine, Weighted(3, stop="none"), rewards=Rewards([0.25, 0.25, 0.875]))


def all_lost() -> Setup:
    return Setup(WatchedEngine([fails("gone"), fails("gone, too", 1)]), counted(2))


def no_answer() -> Setup:
    return Setup(WatchedEngine([says(None, 1), says(None, 2)]), counted(2, force_answers=False))


def truncated() -> Setup:
    """Both run into their token limit; the one that had not answered by then is asked."""
    engine = WatchedEngine(
        [at_its_limit("long 𝟮 ", 1), at_its_limit("\\boxed{3} but ", 2)], [forced_says("8", 0.01)]
    )
    return Setup(engine, counted(2))


def cancelled() -> Setup:
    return Setup(WatchedEngine([says("7", 1), stalls("hm ")]), Majority(2, stop="none"))


class ToolSetup:
    """A race whose branches call tools, one of which loses its branch."""

    def __init__(self) -> None:
        self.publish: Callable[[Event], None] = print

    async def race(self) -> "ToolSetup":
        return self

    async def run(self) -> None:
        async def add(a: int, b: int) -> int:
            await anyio.sleep(0.5)
            return a + b if a else a // a

        engine = CallingEngine(
            [
                [call("add", {"a": 3, "b": 4}), says_later("7")],
                [call("add", {"a": 3, "b": 4}, 1.25), says_later("7")],
                [call("add", {"a": 0, "b": 4})],
            ]
        )
        async with (
            Runtime(engine, SETTINGS, tools=[Tool(add)]) as runtime,
            runtime.stream(
                "?", branches=3, deadline=10.0, race_id="race", parameters={"stop": "none"}
            ) as events,
        ):
            async for event in events:
                self.publish(event)


def tools() -> ToolSetup:
    return ToolSetup()


RACES: Final[dict[str, Callable[[], Setup | ToolSetup]]] = {
    race.__name__: race
    for race in (
        plain,
        lost,
        forced,
        forced_beside,
        extended,
        extended_and_cut,
        forks,
        probes,
        best_of_n,
        weighted,
        all_lost,
        no_answer,
        truncated,
        cancelled,
        tools,
    )
}


def run(name: str) -> list[Event]:
    """The events of a race; ``cancelled`` is given up by its caller after two seconds."""
    events: list[Event] = []

    async def race() -> None:
        setup = RACES[name]()
        setup.publish = events.append
        with anyio.move_on_after(2.0 if name == "cancelled" else 1_000.0):
            await (await setup.race()).run()

    run_virtual(race)
    return events


def states(events: list[Event]) -> dict[str, Any]:
    """What is known after half of the events, wherever a branch changes its course, before the last
    event, and at the end."""
    turns = (BranchForcing, BranchExtended, ToolCalled, ToolReturned)
    moments = {count for count, event in enumerate(events, 1) if isinstance(event, turns)}
    moments |= {len(events) // 2, len(events) - 1, len(events)}
    known: dict[str, Any] = {}
    race = RaceState()
    for count, event in enumerate(events, 1):
        race.apply(event)
        if count in moments:
            known[str(count)] = race.to_dict()
    return known


def recorded(name: str) -> list[Event]:
    return [read_event(line) for line in (STREAMS / f"{name}.ndjson").read_bytes().splitlines()]


def joined(events: list[Event]) -> list[Event]:
    """As a reader gets them who only comes at the end."""
    stream, read = EventStream(), list[Event]()
    for event in events:
        stream.push(event)
    stream.close()

    async def read_all() -> None:
        async for event in stream:
            read.append(event)

    run_virtual(read_all)
    return read


def write() -> None:
    for name in RACES:
        events = run(name)
        (STREAMS / f"{name}.ndjson").write_bytes(b"".join(map(event_line, events)))
        pretty = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        (STREAMS / f"{name}.json").write_bytes(orjson.dumps(states(events), option=pretty))


if __name__ == "__main__":
    write()
