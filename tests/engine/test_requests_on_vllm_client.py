"""Our requests on a vLLM client that plays a part: turned away for the moment, aborted meanwhile,
and on a server that belongs to others."""

from collections.abc import AsyncGenerator, Callable
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.protocol import Chunk, FinishReason, Generation, Sampling
from frontrunner.runtime.engines.vllm.attached import AttachedEngine, check_acceptance
from frontrunner.runtime.engines.vllm.on_client import EngineOnClient
from frontrunner.runtime.errors import EngineError, EngineStartError

exceptions = pytest.importorskip("vllm.exceptions", reason="vLLM is not installed")

REQUEST = Generation("branch", (1, 2), 4, Sampling(), priority=7)


def output(text: str, finish: str | None = None) -> Any:
    said = SimpleNamespace(text=text, token_ids=(5,), finish_reason=finish, logprobs=None)
    return SimpleNamespace(outputs=[said], finished=finish is not None)


class Client:
    """vLLM's client, which turns away what ``turns_away`` says."""

    errored = False
    logger_manager = None

    def __init__(self, turns_away: Callable[[int], Exception | None], ranks: int = 1) -> None:
        self.asked: list[int] = []  # priorities
        self.ranks: list[int | None] = []
        self.vllm_config = SimpleNamespace(
            parallel_config=SimpleNamespace(local_engines_only=False, data_parallel_size=ranks)
        )
        self.aborted: list[str] = []
        self._turns_away = turns_away

    async def generate(
        self,
        prompt: Any,
        params: Any,
        request_id: str,
        *,
        priority: int,
        data_parallel_rank: int | None,
    ) -> AsyncGenerator[Any, None]:
        self.ranks.append(data_parallel_rank)
        self.asked.append(priority)
        if (error := self._turns_away(len(self.asked))) is not None:
            raise error
        yield output("a")
        yield output("b", "stop")

    async def abort(self, request_ids: list[str]) -> None:
        self.aborted += request_ids

    def get_num_unfinished_requests(self) -> int:
        return 1

    def check_admission(self, n: int, request_id: str) -> None:
        pass


def engine_on(client: Client) -> EngineOnClient:
    engine = EngineOnClient(max_branches=4)
    engine._llm, engine._failure = client, None  # type: ignore[assignment]
    return engine


def paused(times: int) -> Callable[[int], Exception | None]:
    """Turns the first ``times`` requests away, as vLLM 0.33 does while it is paused."""
    return lambda asked: exceptions.RetryableRequestError("paused") if asked <= times else None


async def chunks(engine: EngineOnClient) -> list[Chunk]:
    return [chunk async for chunk in engine.generate(REQUEST)]


async def test_a_paused_engine_is_asked_again_and_the_branch_is_not_lost() -> None:
    client = Client(paused(3))
    got = await chunks(engine_on(client))
    assert [chunk.text for chunk in got] == ["a", "b"]
    assert got[-1].finish is FinishReason.STOP
    assert client.asked == [7, 7, 7, 7]


async def test_a_request_that_is_aborted_while_the_engine_is_paused_is_not_asked_again() -> None:
    client = Client(paused(10**6))
    engine = engine_on(client)
    got: list[Chunk] = []

    async def run() -> None:
        got.extend(await chunks(engine))

    with anyio.fail_after(120):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await anyio.wait_all_tasks_blocked()
            await engine.abort(["branch"])
        asked = len(client.asked)
    assert [chunk.finish for chunk in got] == [FinishReason.ABORT]
    await anyio.wait_all_tasks_blocked()
    assert len(client.asked) == asked


async def test_a_caller_that_leaves_a_paused_engine_is_let_go() -> None:
    engine = engine_on(Client(paused(10**6)))
    with anyio.move_on_after(0.2):
        await chunks(engine)
    assert not engine._turned_away._waiting


async def test_a_branch_goes_on_at_the_rank_that_has_its_tokens() -> None:
    client = Client(lambda _: None, ranks=3)
    engine = engine_on(client)
    for branch in (0, 1, 2, 1, 0):
        asked = Generation(f"{branch}", (1,), 4, Sampling(), branch=branch, race="race")
        assert [chunk async for chunk in engine.generate(asked)]
    first, second, third = client.ranks[:3]
    assert {first, second, third} == {0, 1, 2}
    assert client.ranks[3:] == [second, first]


async def test_other_errors_lose_the_request() -> None:
    with pytest.raises(EngineError, match="vLLM lost the request: no room"):
        await chunks(engine_on(Client(lambda _: RuntimeError("no room"))))


async def test_what_has_begun_is_not_asked_again() -> None:
    class Breaking(Client):
        async def generate(self, *args: Any, **more: Any) -> AsyncGenerator[Any, None]:
            self.asked.append(0)
            yield output("a")
            raise exceptions.RetryableRequestError("later")

    client = Breaking(lambda _: None)
    with pytest.raises(EngineError, match="later"):
        await chunks(engine_on(client))
    assert client.asked == [0]


async def test_races_on_a_server_take_no_precedence_and_keep_to_its_limits() -> None:
    client = Client(lambda _: None)
    engine = AttachedEngine(client, Settings())  # type: ignore[arg-type]
    engine._llm, engine._failure = client, None  # type: ignore[assignment]
    await chunks(engine)
    assert client.asked == [0]

    def full(n: int, request_id: str) -> None:
        raise exceptions.QueueOverflowError

    client.check_admission = full  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="queue is full"):
        await chunks(engine)
    assert client.asked == [0]


@pytest.mark.parametrize("method", ["fly", "synthetic", "whatever comes next"])
def test_lossy_acceptance_is_refused_by_name(method: str) -> None:
    with pytest.raises(EngineStartError, match=method):
        check_acceptance(SimpleNamespace(rejection_sample_method=method))


@pytest.mark.parametrize("method", ["standard", "block"])
def test_exact_acceptance_is_taken(method: str) -> None:
    check_acceptance(SimpleNamespace(rejection_sample_method=method))
    check_acceptance(None)
