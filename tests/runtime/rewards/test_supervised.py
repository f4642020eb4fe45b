"""A reward model whose engine dies or hangs is started again; races meanwhile go on without it."""

from collections.abc import Sequence

import anyio
import pytest

from frontrunner.runtime.engines.protocol import EngineLoad
from frontrunner.runtime.engines.scripted import BranchScript, Script, ScriptedEngine
from frontrunner.runtime.engines.supervision import Supervision
from frontrunner.runtime.errors import EngineClosed, EngineDead, EngineError, EngineRestarting
from frontrunner.runtime.rewards import Scoring
from frontrunner.runtime.rewards.supervised import SupervisedReward
from frontrunner.runtime.runtime import Runtime

from ..test_runtime import settings

START = 3.0
LIMITS = Supervision(stall_limit=2.0, restarts=2, key="the most")


class Reward:
    """Scores each text 0.5, until it dies or hangs."""

    def __init__(self, *, starts: bool = True) -> None:
        self.starts = starts
        self.failure: EngineError | None = EngineClosed("not yet")
        self.steps = 0
        self.hangs = False
        self.running = 0
        self.killed_for: str | None = None
        self._ended = anyio.Event()

    async def start(self) -> None:
        await anyio.sleep(START)
        if not self.starts:
            raise EngineDead("no room")
        self.failure = None

    async def aclose(self) -> None:
        self.failure = EngineClosed("closed")

    def load(self) -> EngineLoad:
        return EngineLoad(running=self.running)

    def kill(self, why: str = "killed") -> None:
        self.killed_for, self.failure = why, EngineDead(why)
        self._ended.set()

    async def score(self, items: Sequence[Scoring]) -> Sequence[float | None]:
        self.running += 1
        try:
            if self.hangs:
                await self._ended.wait()
            if self.failure is not None:
                raise self.failure
            self.steps += 1
            return [0.5] * len(items)
        finally:
            self.running -= 1


async def scores(runtime: Runtime) -> list[float | None]:
    options = {"strategy": "best_of_n", "branches": 2, "deadline": 20.0}
    result = await runtime.solve("?", **options)  # type: ignore[arg-type]
    assert result.answer == "42"
    return [branch.score for branch in result.branches]


def runtime_with(*rewards: Reward) -> tuple[Runtime, SupervisedReward[Reward]]:
    made = iter(rewards)
    supervised = SupervisedReward(lambda: next(made), LIMITS)
    engine = ScriptedEngine(Script([BranchScript.answering("42", seconds=0.1)]))
    return Runtime(engine, settings(), rewards=supervised), supervised


@pytest.mark.parametrize("hangs", [False, True])
async def test_it_is_started_again(hangs: bool) -> None:
    first, second = Reward(), Reward()
    runtime, supervised = runtime_with(first, second)
    async with runtime:
        assert await scores(runtime) == [0.5, 0.5]
        if hangs:
            first.hangs = True
        else:
            first.kill()
        assert await scores(runtime) == [None, None]
        await anyio.sleep(0.2)
        failure = supervised.failure
        assert isinstance(failure, EngineRestarting)
        assert ("hung" if hangs else "killed") in str(failure)
        await anyio.sleep(START + 1)
        assert supervised.inner is second
        assert supervised.restarts == 1
        assert await scores(runtime) == [0.5, 0.5]


async def test_it_is_given_up_after_some_starts() -> None:
    first = Reward()
    runtime, supervised = runtime_with(first, *(Reward(starts=False) for _ in range(3)))
    async with runtime:
        first.kill()
        await anyio.sleep(60)
        failure = supervised.failure
        assert isinstance(failure, EngineDead)
        assert "no more are tried (the most = 2)" in str(failure)
        assert await scores(runtime) == [None, None]
