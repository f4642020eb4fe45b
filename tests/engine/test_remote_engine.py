"""The remote engine on a real vLLM server: the conformance suite, and races."""

import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from importlib.util import find_spec

import aiohttp
import anyio
import psutil
import pytest

from frontrunner.runtime.config import Settings, demo_config_path
from frontrunner.runtime.config.engine import OpenAISettings
from frontrunner.runtime.demo.problems import Problem, hard_problems
from frontrunner.runtime.engines.factory import make_engine
from frontrunner.runtime.engines.logprobs import SupportsLogprobs
from frontrunner.runtime.engines.openai.engine import OpenAIEngine
from frontrunner.runtime.engines.protocol import Engine, Generation, Sampling
from frontrunner.runtime.errors import DeadlineTooShort
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.protocol import BranchStatus

from ..runtime.engines.conformance import *  # noqa: F403 - the tests are written there
from ..vllm_server import MODEL, VllmServer
from .conftest import SERVER_KEY_VARIABLE

pytestmark = [
    pytest.mark.program,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
]

#: With each of the two tokenizers, and cancelled at moments of its own.
RACES = 30
#: All at once; with 8 branches each.
PROBLEMS = 6


@pytest.fixture(scope="module")
def server(own_server: VllmServer) -> str:
    """The URL of a vLLM server with the demo's model."""
    return f"{own_server.url}/v1"


def settings(url: str, **engine: str) -> Settings:
    """Those of the demo, with the engine elsewhere."""
    demo = Settings.from_toml(demo_config_path()).model_dump(exclude_unset=True)
    told = {"kind": "openai", "url": url, "key_env": SERVER_KEY_VARIABLE, **engine}
    return Settings.from_dict({**demo, "engine": told})


@pytest.fixture(scope="module", params=["the server's tokenizer", "a local tokenizer"])
def demo_on_server(server: str, request: pytest.FixtureRequest) -> Settings:
    local = request.param == "a local tokenizer"
    return settings(server, **({"tokenizer": str(MODEL)} if local else {}))


@pytest.fixture(scope="module")
async def engine_under_test(demo_on_server: Settings) -> AsyncGenerator[Engine, None]:
    engine = make_engine(demo_on_server.engine)
    await engine.start()
    yield engine
    await engine.aclose()


@pytest.fixture
async def engine_to_close(demo_on_server: Settings) -> AsyncGenerator[Engine, None]:
    engine = make_engine(demo_on_server.engine)
    await engine.start()
    yield engine
    await engine.aclose()


async def on_server(url: str) -> tuple[int, int]:
    """What the server itself says it runs, and what waits there."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url.removesuffix('/v1')}/metrics") as response,
    ):
        text = await response.text()
    found = {
        name: sum(int(float(n)) for n in re.findall(rf"^vllm:{name}{{.*}} (\S+)$", text, re.M))
        for name in ("num_requests_running", "num_requests_waiting")
    }
    return found["num_requests_running"], found["num_requests_waiting"]


async def server_runs(url: str, least: int, most: int) -> None:
    """Wait until it runs so many requests, and none waits."""
    for _ in range(10_000):
        running, waiting = await on_server(url)
        if least <= running <= most and not waiting:
            return
        await anyio.sleep(0.01)
    raise AssertionError(f"the server runs {await on_server(url)}")


async def test_all_that_vllm_can_do_is_found_out(engine_under_test: Engine) -> None:
    info = engine_under_test.info
    assert (info.model, info.max_context_tokens) == ("demo", 1024)
    assert info.logprobs
    assert info.seeded
    assert isinstance(engine_under_test, OpenAIEngine)
    assert engine_under_test._started.abilities.priority


async def test_log_probabilities_come_one_a_token(engine_under_test: Engine) -> None:
    greedy = Sampling(temperature=0.0, logprobs=5)  # a random one may end before
    generation = request(engine_under_test, LONG, 12, sampling=greedy)  # noqa: F405
    chunks = await run(engine_under_test, generation)  # noqa: F405
    assert sum(len(chunk.token_ids) for chunk in chunks) == 12
    assert sum(len(chunk.confidences) for chunk in chunks) == 12
    assert all(c > 0 for chunk in chunks for c in chunk.confidences)


async def test_likelihoods_are_the_tokens_own(engine_under_test: Engine) -> None:
    prompt = engine_under_test.encode_chat([{"role": "user", "content": "What is 3 + 4?"}])
    request = Generation("likely", prompt, 12, Sampling(likelihoods=True), seed=1)
    chunks = [chunk async for chunk in engine_under_test.generate(request)]
    ids = [i for chunk in chunks for i in chunk.token_ids]
    told = [c for chunk in chunks for c in chunk.confidences]
    assert isinstance(engine_under_test, SupportsLogprobs)
    whole = Generation("read", (*prompt, *ids), 0, Sampling(logprobs=1))
    scored = engine_under_test.scored(whole, prompt=True)
    read = [token.logprob async for chunk in scored for token in chunk.prompt]
    assert told == pytest.approx(read[len(read) - len(ids) :], abs=0.05)


async def test_aborts_reach_the_server(engine_under_test: Engine, server: str) -> None:
    prompt = engine_under_test.encode_chat(LONG)  # noqa: F405
    ids = [f"long-{n}" for n in range(24)]

    async def read(request_id: str) -> None:
        generation = Generation(request_id, prompt, 900, Sampling(), seed=1)
        await run(engine_under_test, generation)  # noqa: F405

    async with anyio.create_task_group() as tasks:
        for request_id in ids:
            tasks.start_soon(read, request_id)
        await server_runs(server, 12, 24)
        await engine_under_test.abort(ids)
    await server_runs(server, 0, 0)


async def test_races_are_answered_and_leave_nothing(demo_on_server: Settings, server: str) -> None:
    problems = hard_problems("select", PROBLEMS)
    right = 0

    async def race(problem: Problem) -> None:
        nonlocal right
        result = await runtime.solve(problem.question, deadline=600.0, branches=8, seed=3)
        right += result.answer == str(problem.answer)
        assert not any(b.status is BranchStatus.FAILED for b in result.branches)

    async with Runtime(make_engine(demo_on_server.engine), demo_on_server) as runtime:
        async with anyio.create_task_group() as tasks:
            for problem in problems:
                tasks.start_soon(race, problem)
        with suppress(DeadlineTooShort):  # for a busy machine
            tight = await runtime.solve(problems[0].question, deadline=2.0, branches=16)
            assert tight.branches
        await server_runs(server, 0, 0)
        assert runtime.load().running == runtime.load().waiting == 0
    assert right >= PROBLEMS // 2


async def test_races_that_are_cancelled_at_any_moment_leave_nothing(
    demo_on_server: Settings, server: str
) -> None:
    problems = hard_problems("select", 4)
    assert isinstance(demo_on_server.engine, OpenAISettings)
    own = 0.5 if demo_on_server.engine.tokenizer else 0.0
    async with Runtime(make_engine(demo_on_server.engine), demo_on_server) as runtime:
        files = psutil.Process().num_fds()
        for n in range(RACES):
            with anyio.move_on_after(0.3 * (n + own) / RACES):
                await runtime.solve(problems[n % 4].question, deadline=600.0, branches=8)
        await server_runs(server, 0, 0)
        assert runtime.load().running == runtime.load().waiting == 0
        # Connections that are kept for later are few: those of one race.
        assert psutil.Process().num_fds() <= files + 2 * 8
