"""Strategies of other people's, that return something else than commands."""

from typing import Any

import pytest

from frontrunner.runtime.racing.commands import checked_commands, checked_decision
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.protocol import Cancel, Command, Decide, Launch, StopReason

from .race_harness import WatchedEngine, run_race, says


async def nothing_at_once() -> list[Command]:
    return []


NO_COMMANDS: list[Any] = [
    None,
    42,
    "launch",
    b"launch",
    {"launch": 4},
    Launch(4),
    iter([Launch(4)]),
    [None],
    ["launch"],
    [Launch],
    [Launch(4), None],
    [Launch("four")],  # type: ignore[arg-type]
    [Launch(2.5)],  # type: ignore[arg-type]
    [Cancel(None, "why")],  # type: ignore[arg-type]
    [Cancel((0,), None)],  # type: ignore[arg-type]
    [Cancel(([],), "why")],  # type: ignore[arg-type]
    [Decide(42, None, StopReason.EXHAUSTED, 1.0)],  # type: ignore[arg-type]
    [Decide("a", [0], StopReason.EXHAUSTED, 1.0)],  # type: ignore[arg-type]
    [Decide("a", 0, "whenever", 1.0)],  # type: ignore[arg-type]
    [Decide("a", 0, StopReason.EXHAUSTED, None)],  # type: ignore[arg-type]
    nothing_at_once,
]


class Odd(Majority):
    """One of whose methods returns whatever it is told to."""

    where = ""
    returned: Any = None

    def _or(self, where: str, usual: Any) -> Any:
        if where != self.where:
            return usual
        return self.returned() if self.returned is nothing_at_once else self.returned

    def start(self, view: Any) -> Any:
        return self._or("start", super().start(view))

    def observe(self, observation: Any, view: Any) -> Any:
        return self._or("observe", super().observe(observation, view))

    def conclude(self, view: Any) -> Any:
        return self._or("conclude", super().conclude(view))


IDS = [f"{type(value).__name__} {place}" for place, value in enumerate(NO_COMMANDS)]


@pytest.mark.parametrize("where", ["start", "observe", "conclude"])
@pytest.mark.parametrize("returned", NO_COMMANDS, ids=IDS)
async def test_a_strategy_that_returns_no_commands_costs_no_answer(
    where: str, returned: Any
) -> None:
    strategy = Odd(3, stop="none", force_answers=False)
    strategy.where, strategy.returned = where, returned
    result = await run_race(WatchedEngine([says("a", 1), says("a", 2), says("b", 3)]), strategy)
    assert result.answer == "a"
    assert result.votes["a"] >= 2


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(TypeError, match="a sequence of commands, not None"):
        checked_commands(None)
    with pytest.raises(TypeError, match="commands, not str"):
        checked_commands(["launch"])
    with pytest.raises(TypeError, match="without await"):
        checked_commands(nothing_at_once())
    with pytest.raises(TypeError, match="Decide, not Launch"):
        checked_decision(Launch(1))
    with pytest.raises(ValueError, match="count"):
        checked_commands([Launch("four")])  # type: ignore[arg-type]


class Cut(Cancel):
    """A command of somebody's own is what it is made from."""


def test_commands_pass() -> None:
    given = (Launch(2), Cut((0, 1), "why"), Decide(None, None, StopReason.EXHAUSTED, 0.0))
    assert checked_commands(given) == [Launch(2), Cancel((0, 1), "why"), given[2]]
    assert checked_commands([]) == []
