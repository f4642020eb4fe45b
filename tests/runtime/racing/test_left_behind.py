"""Tasks that do not end when they are cancelled hold back no answer."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from frontrunner.runtime.engines.protocol import Chunk, Generation
from frontrunner.runtime.errors import Overloaded
from frontrunner.runtime.rewards.protocol import Scoring
from frontrunner.runtime.runtime import Runtime

from ...backends import no_tasks_left
from ..race_harness import Rewards, WatchedEngine, says, stalls
from ..test_runtime import settings

SLOW = 4.0


class SlowRewards(Rewards):
    """A reward model whose work cannot be cut short: a test in a thread, a shielded process."""

    async def score(self, items: Sequence[Scoring]) -> Sequence[float]:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(SLOW)
        return [1.0 for _ in items]


class SlowlyClosing(WatchedEngine):
    """An engine whose streams take long to close."""

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        async with aclosing(super().generate(request)) as chunks:
            try:
                async for chunk in chunks:
                    yield chunk
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(SLOW)


def slow_reward() -> tuple[Runtime, dict[str, Any]]:
    engine = WatchedEngine([says("a", 0.2), stalls("x ")])
    runtime = Runtime(engine, settings(), rewards=SlowRewards([]))
    return runtime, {"strategy": "best_of_n"}


def slow_stream() -> tuple[Runtime, dict[str, Any]]:
    return Runtime(SlowlyClosing([stalls("x "), stalls("x ")]), settings()), {}


@pytest.mark.parametrize("made", [slow_reward, slow_stream], ids=lambda made: made.__name__)
@pytest.mark.parametrize("streamed", [False, True], ids=["solve", "stream"])
async def test_a_race_returns_by_its_deadline_and_its_tasks_end_behind_it(
    made: Any, streamed: bool
) -> None:
    runtime, options = made()
    async with no_tasks_left(), runtime:
        began = anyio.current_time()
        if streamed:
            async with runtime.stream("?", branches=2, deadline=1.0, **options) as events:
                *_, last = [event async for event in events]
            result = last.result  # type: ignore[union-attr]
        else:
            result = await runtime.solve("?", branches=2, deadline=1.0, **options)
        assert anyio.current_time() - began <= 1.0
        assert result.elapsed <= 1.0
        assert runtime.lingering == 1
        await anyio.sleep(SLOW)
        assert runtime.lingering == 0


async def test_leaving_the_runtime_waits_no_longer_than_its_bound() -> None:
    runtime, options = slow_reward()
    async with runtime:
        await runtime.solve("?", branches=2, deadline=1.0, **options)
        left = anyio.current_time()
    assert anyio.current_time() - left < SLOW - 1
    await anyio.sleep(SLOW)


async def test_too_many_left_behind_let_no_race_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontrunner.runtime.scheduling.race_runner._MAX_LINGERING", 2)
    runtime, options = slow_reward()
    async with no_tasks_left(), runtime:
        for _ in range(2):
            await runtime.solve("?", branches=2, deadline=1.0, **options)
        with pytest.raises(Overloaded, match="does not end when it is cancelled"):
            await runtime.solve("?", branches=2, deadline=1.0, **options)
        await anyio.sleep(SLOW)
        await runtime.solve("?", branches=2, deadline=1.0, **options)
        await anyio.sleep(SLOW)
