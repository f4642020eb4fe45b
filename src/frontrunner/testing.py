"""Races without a model, for tests of what you build on Frontrunner.

A ``ScriptedEngine`` plays a ``Script``: what each branch writes, and when. ``run_race`` runs one
race on it, and ``run_virtual`` any coroutine function, in virtual time: a race of ten seconds takes
milliseconds, and its times are exact::

    result = run_race(
        [BranchScript.answering("42", seconds=1.0), BranchScript.answering("41", seconds=3.0)],
        deadline=2.0,
    )
    assert result.answer == "42"
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, Unpack

import anyio

from frontrunner._virtual_time import VirtualLoop as VirtualLoop
from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.scripted import BranchScript as BranchScript
from frontrunner.runtime.engines.scripted import Piece as Piece
from frontrunner.runtime.engines.scripted import Script as Script
from frontrunner.runtime.engines.scripted import ScriptedEngine as ScriptedEngine
from frontrunner.runtime.racing.race_options import RaceOptions
from frontrunner.runtime.result import Result
from frontrunner.runtime.rewards import RewardModel, make_reward_model
from frontrunner.runtime.runtime import Runtime

__all__ = [
    "BranchScript",
    "Piece",
    "Script",
    "ScriptedEngine",
    "VirtualLoop",
    "run_race",
    "run_virtual",
]

T = TypeVar("T")


def run_virtual(function: Callable[[], Awaitable[T]]) -> T:
    """What ``await function()`` gives, in an event loop of its own whose time is virtual."""
    return anyio.run(function, backend_options={"loop_factory": VirtualLoop})


def run_race(
    script: Script | Sequence[BranchScript],
    *,
    question: str = "?",
    settings: Mapping[str, Any] | None = None,
    rewards: RewardModel | None = None,
    **options: Unpack[RaceOptions],
) -> Result:
    """One race on a scripted engine, in virtual time.

    Args:
        script: what the branches do. There are as many branches as it has items, unless the
            settings or the options say otherwise.
        settings: as in a config file, as nested dictionaries. A strategy, an extractor or a stop
            rule of your own may be given in them as ``package.module:Class``. Answers are compared
            by spelling and number only, unless they say otherwise.
        rewards: what scores branches; without it what the settings name.
        options: those of ``Runtime.solve``.

    Raises:
        ConfigError: a setting is wrong.
        BadRequest: an option is.
    """
    played = script if isinstance(script, Script) else Script(script)
    given = dict(settings or {})
    given["answers"] = {"workers": 0, **given.get("answers", {})}
    given["race"] = {"branches": max(1, len(played.branches)), **given.get("race", {})}
    read = Settings.from_dict(given)
    engine = ScriptedEngine(played)

    async def run() -> Result:
        scores = rewards or make_reward_model(read.rewards, engine)
        async with Runtime(engine, read, rewards=scores) as runtime:
            return await runtime.solve(question, **options)

    return run_virtual(run)
