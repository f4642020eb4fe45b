"""After races that ended in every way, the engine and the process are as before."""

import asyncio
import random
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

import anyio
import psutil
import pytest

from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.engines.protocol import Generation, Sampling
from frontrunner.runtime.engines.supervised import running_engine
from frontrunner.runtime.engines.vllm.engine import VllmEngine
from frontrunner.runtime.errors import DeadlineTooShort, EngineError, Overloaded
from frontrunner.runtime.events.types import BranchProgressed
from frontrunner.runtime.runtime import Runtime

RACES = 500


def descendants() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


async def probe(runtime: Runtime) -> tuple[int, float]:
    """Most requests and KV cache in use while a single known branch runs to its end.

    The core reports only while it steps, so this shows what else it still runs.
    """
    engine = running_engine(runtime.engine)
    assert isinstance(engine, VllmEngine)
    most, usage = 0, 0.0
    question = hard_problems("select", 1)[0].question
    async with runtime.stream(question, deadline=600.0, branches=1, seed=3) as events:
        async for event in events:
            if not isinstance(event, BranchProgressed):
                continue  # what the core said before may be from the races before
            report = engine.core_report()
            most, usage = max(most, report.running), max(usage, report.cache_usage)
    return most, usage


async def test_races_cancelled_at_random_moments_leave_nothing(runtime: Runtime) -> None:
    rng = random.Random(0)
    problems = hard_problems("select", 20)
    await runtime.solve(problems[0].question, deadline=600.0, branches=8)
    before = await probe(runtime)
    tasks, files, children = len(asyncio.all_tasks()), psutil.Process().num_fds(), descendants()

    async def race(index: int) -> None:
        # Some are cancelled before their first token, some in a forced round, some not at all.
        # Six of 16 branches ask for more than the engine's places: on a slow machine one may be
        # refused, or its deadline be too short, which must leave nothing either.
        cut = rng.choice([0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 5.0]) * rng.random()
        with suppress(Overloaded, DeadlineTooShort), anyio.move_on_after(cut):
            await runtime.solve(
                rng.choice(problems).question,
                deadline=rng.choice([0.3, 0.5, 1.0]),
                branches=rng.randint(1, 16),
            )

    turns = anyio.Semaphore(6)

    async def queued(index: int) -> None:
        async with turns:
            await race(index)

    async with anyio.create_task_group() as group:
        for index in range(RACES):
            group.start_soon(queued, index)

    assert runtime.load().running == 0
    assert runtime.load().waiting == 0
    assert await probe(runtime) == before
    assert len(asyncio.all_tasks()) == tasks
    # Fewer is no leak: a process that compared answers for a cancelled race is killed, and started
    # again only when there is something to compare.
    assert psutil.Process().num_fds() <= files
    assert len(descendants()) <= len(children)


@pytest.mark.parametrize(
    "changed",
    [
        {"sampling": Sampling(top_k=2**70)},
        {"sampling": Sampling(stop=("",))},
        {"sampling": Sampling(stop=("\ud800",))},
        {"sampling": Sampling(logprobs=1_000_000)},
        {"priority": 2**80},
        {"seed": 2**80},
        {"prompt": (2**80,)},
    ],
    ids=["top_k", "empty stop", "half a pair", "logprobs", "priority", "seed", "prompt"],
)
async def test_a_request_that_vllm_cannot_take_leaves_nothing(
    runtime: Runtime, changed: dict[str, Any]
) -> None:
    prompt = runtime.engine.encode("What is 1 + 1?")
    request = replace(Generation("odd", prompt, 8, Sampling()), **changed)
    async with aclosing(runtime.engine.generate(request)) as chunks:
        with pytest.raises(EngineError):
            await anext(chunks)
    assert runtime.load().running == 0
    assert runtime.load().waiting == 0
    assert runtime.engine.failure is None
