"""A user's own function as a reward model, in virtual time."""

from math import nan

import anyio
import pytest

from frontrunner.runtime.rewards import FunctionReward, Scoring

from ...backends import every_backend, no_tasks_left, until


def items(*texts: str) -> list[Scoring]:
    return [Scoring([{"role": "user", "content": "2 + 2?"}], text, True) for text in texts]


@every_backend
async def test_scores_come_in_the_order_of_the_items_whatever_their_delays() -> None:
    async def function(question: str, text: str) -> float:
        assert question == "2 + 2?"
        await anyio.sleep(0.003 / int(text))
        return float(text)

    assert await FunctionReward(function).score(items("3", "1", "2")) == [3.0, 1.0, 2.0]


async def test_no_more_calls_run_at_once_than_allowed_over_all_races() -> None:
    running = most = 0

    async def function(question: str, text: str) -> float:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(1.0)
        running -= 1
        return 1.0

    reward = FunctionReward(function, concurrency=2, timeout=None)
    began = anyio.current_time()
    async with anyio.create_task_group() as races:
        races.start_soon(reward.score, items("a", "b", "c"))
        races.start_soon(reward.score, items("d", "e"))
    assert most == 2
    assert anyio.current_time() - began == 3.0


async def test_an_error_or_a_timeout_costs_that_score_only() -> None:
    async def function(question: str, text: str) -> float:
        match text:
            case "fails":
                raise RuntimeError("no")
            case "hangs":
                await anyio.sleep_forever()
            case "is no number":
                return nan
            case "is a text":
                return "0.5x"  # type: ignore[return-value]
        return 0.5

    texts = ("good", "fails", "hangs", "is no number", "is a text", "good")
    began = anyio.current_time()
    scores = await FunctionReward(function, timeout=2.0).score(items(*texts))
    assert scores == [0.5, None, None, None, None, 0.5]
    assert anyio.current_time() - began == 2.0


async def test_the_time_spent_waiting_for_a_place_is_not_counted() -> None:
    async def function(question: str, text: str) -> float:
        await anyio.sleep(1.5)
        return 1.0

    scores = await FunctionReward(function, concurrency=1, timeout=2.0).score(items(*"abc"))
    assert scores == [1.0, 1.0, 1.0]


@every_backend
async def test_a_race_that_is_over_cancels_its_calls_and_frees_their_places() -> None:
    called = cancelled = 0

    async def function(question: str, text: str) -> float:
        nonlocal called, cancelled
        if text == "quick":
            return 1.0
        called += 1
        try:
            await anyio.sleep_forever()
        finally:
            cancelled += 1
        raise AssertionError

    reward = FunctionReward(function, concurrency=2, timeout=None)
    async with no_tasks_left():
        async with anyio.create_task_group() as race:
            race.start_soon(reward.score, items("a", "b", "c"))
            await until(lambda: called == 2)
            race.cancel_scope.cancel()
        assert (called, cancelled) == (2, 2)
        assert await reward.score(items("quick")) == [1.0]


async def test_nothing_to_score_gives_nothing() -> None:
    async def function(question: str, text: str) -> float:
        raise AssertionError

    assert list(await FunctionReward(function).score([])) == []


@pytest.mark.parametrize("arguments", [{"concurrency": 0}, {"timeout": 0.0}, {"timeout": nan}])
def test_arguments_out_of_range_are_refused(arguments: dict[str, float]) -> None:
    async def function(question: str, text: str) -> float:
        return 0.0

    with pytest.raises(ValueError, match="must be"):
        FunctionReward(function, **arguments)  # type: ignore[arg-type]
