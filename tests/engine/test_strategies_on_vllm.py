"""Every strategy on the real engine, with a rule for a reward model: do the equations hold?"""

import re
from collections.abc import AsyncGenerator
from itertools import islice
from typing import Any

import anyio
import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.demo.problems import problems
from frontrunner.runtime.engines.protocol import Engine
from frontrunner.runtime.errors import BadRequest
from frontrunner.runtime.result import Result
from frontrunner.runtime.rewards.function import FunctionReward
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.protocol import BranchStatus
from frontrunner.strategies.registry import strategy_names

#: Generous: a test asserts no speed, and other work may share the machine.
DEADLINE = 600.0
#: All at once; with 8 branches each they leave places for probes and children.
PROBLEMS = 6
#: Steps of a problem: a few lines, so that there is something to search and to cut.
LEVEL = 4
#: What the demo's short lines ask for, where the defaults are meant for long reasoning.
PARAMETERS: dict[str, dict[str, Any]] = {
    "budget_forcing": {"min_tokens": 80, "max_tokens": 600},
    "confidence": {"warmup": 4, "group": 32},
    "prune": {"every": 64},
    "beam": {"delimiter": "\n"},
    "dvts": {"delimiter": "\n"},
    "particle": {"delimiter": "\n", "seed": 1},
    "probe": {"every": 64},
}
_EQUATION = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")


async def equations_that_hold(question: str, text: str) -> float:
    """The share of the equations in ``text`` that are true."""
    found = _EQUATION.findall(text)
    results = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": lambda a, b: a / b if b else None,
    }
    right = sum(results[op](int(a), int(b)) == int(c) for a, op, b, c in found)
    return right / len(found) if found else 0.5


@pytest.fixture(scope="module")
async def rewarded(borrowed: Engine, demo_settings: Settings) -> AsyncGenerator[Runtime, None]:
    rewards = FunctionReward(equations_that_hold)
    async with Runtime(borrowed, demo_settings, rewards=rewards) as started:
        yield started


@pytest.mark.parametrize("strategy", strategy_names())
async def test_each_strategy_answers_by_the_deadline_and_leaves_nothing(
    rewarded: Runtime, strategy: str
) -> None:
    asked = list(islice(problems("test", LEVEL, seed=11), PROBLEMS))
    results: dict[int, Result] = {}

    async def race(index: int) -> None:
        results[index] = await rewarded.solve(
            asked[index].question,
            deadline=DEADLINE,
            branches=8,
            seed=index,
            strategy=strategy,
            parameters=PARAMETERS.get(strategy),
        )

    async with anyio.create_task_group() as tasks:
        for index in range(PROBLEMS):
            tasks.start_soon(race, index)
    assert all(r.answer is not None and r.elapsed <= DEADLINE for r in results.values())
    assert not any(b.status is BranchStatus.FAILED for r in results.values() for b in r.branches)
    # A single branch is right three times in four: none of 6 is far below what chance allows.
    assert any(results[i].answer == str(p.answer) for i, p in enumerate(asked))
    assert rewarded.load().running == 0


async def test_a_strategy_that_needs_rewards_is_refused_without_a_reward_model(
    runtime: Runtime,
) -> None:
    with pytest.raises(BadRequest, match="needs a reward model"):
        await runtime.solve("1 + 1?", strategy="best_of_n")
