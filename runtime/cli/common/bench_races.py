"""The races of a benchmark: users who ask one question after another."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio

from ...answers import Equivalence
from ...errors import FrontrunnerError
from ...experiments.bench import BenchRace, Task
from ...result import Result
from ...runtime import Runtime
from .command_races import RaceOptions
from .questions import Asked

#: Stands for the strategy that the config names.
CONFIGURED = "config"


async def race_task(
    runtime: Runtime,
    task: Task,
    questions: Sequence[Asked],
    options: RaceOptions,
    equivalence: Equivalence,
    ended: Callable[[BenchRace], None],
) -> None:
    """Race the questions of ``task``, as many at once as its cell has users. After the engine's
    death no further race is begun.

    Args:
        ended: is told of each race as it ends.

    Cancelling it aborts what runs.
    """
    waiting = list(reversed(task.questions))

    async def user() -> None:
        while waiting and runtime.engine.failure is None:
            place = waiting.pop()
            seeded = replace(options, seed=_seed(options.seed or 0, task.round, place))
            race, result = await _race(runtime, task, place, questions[place], seeded)
            right = await _is_right(result, questions[place], equivalence)
            ended(race.model_copy(update={"right": right}))

    async with anyio.create_task_group() as users:
        for _ in range(min(task.cell.users, len(task.questions))):
            users.start_soon(user)


async def _race(
    runtime: Runtime, task: Task, place: int, asked: Asked, options: RaceOptions
) -> tuple[BenchRace, Result | None]:
    cell = task.cell
    about = {
        "config": cell.config,
        "strategy": cell.strategy,
        "branches": cell.branches,
        "deadline": cell.deadline,
        "users": cell.users,
        "round": task.round,
        "question": place,
        "right": False,
    }
    result, refusal = None, None
    began = time.perf_counter()
    try:
        result = await runtime.solve(
            asked.question,
            deadline=options.deadline,
            branches=options.branches,
            seed=options.seed,
            strategy=options.strategy,
            parameters=options.parameters,
        )
    except FrontrunnerError as error:
        refusal = str(error)
    elapsed = time.perf_counter() - began
    if result is None:
        told = {"answer": None, "tokens": 0, "stop_reason": "refused", "error": refusal}
    else:
        told = {
            "answer": result.answer,
            "tokens": result.tokens_generated,
            "stop_reason": result.stop_reason.value,
            "confidence": result.confidence,
            "forced": result.answer is not None and not result.votes,
        }
    return BenchRace.model_validate({**about, "elapsed": elapsed, **told}), result


async def _is_right(result: Result | None, asked: Asked, equivalence: Equivalence) -> bool:
    if result is None or result.answer is None or asked.answer is None:
        return False
    return await equivalence.same(result.answer, asked.answer)


def _seed(seed: int, number: int, place: int) -> int:
    """One of its own for each race; the same in all cells."""
    return (seed * 1_000_003 + number * 100_003 + place) % 2**31
