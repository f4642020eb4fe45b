"""Every strategy on the real engine, with the embedded model and its reward model."""

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from frontrunner.runtime.config import DEMO_REWARD_MODEL, Settings
from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.protocol import BranchStatus
from frontrunner.strategies.registry import strategy_names

#: Generous: a test asserts no speed, and other work may share the machine.
DEADLINE = 30.0
PROBLEMS = 20
#: What the demo's short lines ask for, where the defaults are meant for long reasoning.
PARAMETERS: dict[str, dict[str, Any]] = {
    "budget_forcing": {"min_tokens": 80, "max_tokens": 600},
    "confidence": {"warmup": 4, "window": 32},
    "prune": {"every": 64},
    "beam": {"delimiter": "\n"},
    "dvts": {"delimiter": "\n"},
    "particle": {"delimiter": "\n"},
    "probe": {"every": 64},
}


@pytest.fixture(scope="module")
async def rewarded(
    runtime: Runtime, demo_settings: Settings
) -> AsyncGenerator[Runtime, None]:
    """A second engine with a reward model beside it; the first one idles meanwhile."""
    settings = Settings.from_dict(
        demo_settings.model_dump(exclude_unset=True)
        | {"rewards": {"kind": "pooling", "model": DEMO_REWARD_MODEL}}
    )
    async with Runtime.from_config(settings) as started:
        yield started


@pytest.mark.parametrize("strategy", strategy_names())
async def test_each_strategy_answers_by_the_deadline_and_leaves_nothing(
    rewarded: Runtime, strategy: str
) -> None:
    problems = hard_problems("test", PROBLEMS, seed=11)
    results: dict[int, Result] = {}
    turns = anyio.Semaphore(4)

    async def race(index: int) -> None:
        async with turns:
            results[index] = await rewarded.solve(
                problems[index].question,
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
    right = sum(results[i].answer == str(p.answer) for i, p in enumerate(problems))
    # A single branch is right half of the time: 3 of 20 is far below what chance allows.
    assert right >= 4
    assert rewarded.load().running == 0
