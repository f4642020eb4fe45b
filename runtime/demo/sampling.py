"""Branches sampled from a demo checkpoint through ``Runtime``, waiting for every branch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import orjson

from frontrunner.strategies.protocol import BranchStatus

from ..common.whole_files import write_whole
from ..config import Settings, demo_config_path
from ..runtime import Runtime
from .problems import Problem

#: Races at once; with 16 branches each they fill the engine's 64 places.
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Sample:
    """One branch of the problem at ``problem`` in the list that was sampled from."""

    problem: int
    text: str
    answer: str | None
    finished: bool  # ended by itself


def demo_settings(model: str | None) -> Settings:
    """The demo's, with another checkpoint if one is named."""
    settings = Settings.from_toml(demo_config_path())
    if model is None:
        return settings
    engine = settings.engine.model_copy(update={"model": model})
    return settings.model_copy(update={"engine": engine})


async def sample(
    settings: Settings, problems: Sequence[Problem], *, branches: int, seed: int
) -> list[Sample]:
    """``branches`` branches of each problem, in the problems' order."""
    drawn: list[list[Sample]] = [[] for _ in problems]
    turns = anyio.Semaphore(_AT_ONCE)
    async with Runtime.from_config(settings) as runtime:

        async def race(index: int) -> None:
            async with turns:
                result = await runtime.solve(
                    problems[index].question,
                    deadline=600.0,
                    branches=branches,
                    seed=seed + index,
                    strategy="majority",
                    parameters={"stop": "none"},
                )
            drawn[index] = [
                Sample(index, b.text, b.answer, b.status is BranchStatus.FINISHED)
                for b in result.branches
            ]

        async with anyio.create_task_group() as tasks:
            for index in range(len(problems)):
                tasks.start_soon(race, index)
    return [one for race in drawn for one in race]


def sampled(
    file: Path, settings: Settings, problems: Sequence[Problem], *, branches: int, seed: int
) -> list[Sample]:
    """The samples kept in ``file`` (NDJSON), drawn first if there is none."""
    if not file.exists():
        drawn = anyio.run(lambda: sample(settings, problems, branches=branches, seed=seed))
        lines = b"".join(orjson.dumps(asdict(one)) + b"\n" for one in drawn)
        write_whole(file, lines)
    return [Sample(**orjson.loads(line)) for line in file.read_bytes().splitlines()]
