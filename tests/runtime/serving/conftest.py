"""The server on real sockets, with races that play a script. All of it runs on asyncio."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from tests.backends import STEADY_ASYNCIO, until

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving import create_app

from .described_replies import DescribedReplies

#: Branches that talk on and on, so that a test always finds them at it.
ENDLESS = BranchScript(tuple(Piece(0.005, f"and then {i} ") for i in range(100_000)))
#: What a forced branch says.
FORCED = BranchScript((Piece(0.0, "7}", 2),))


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Real time without a busy machine's pauses."""
    return STEADY_ASYNCIO


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs, and who talks to it."""

    app: web.Application
    described: DescribedReplies
    runtime: Runtime
    engine: ScriptedEngine
    http: ClientSession
    openai: AsyncOpenAI
    port: int

    async def idle(self) -> None:
        """Wait until the engine runs nothing."""
        await until(lambda: self.engine.load().running == 0)


Serve = Callable[..., Any]


@asynccontextmanager
async def served(
    *branches: BranchScript,
    forced: Sequence[BranchScript] = (FORCED,),
    settings: dict[str, Any] | None = None,
    logprobs: bool = False,
    engine: ScriptedEngine | None = None,
    **server: Any,
) -> AsyncGenerator[Served, None]:
    """A server whose branches do this; ``server`` are settings of ``[server]``.

    The content of its replies is the answer, unless they or a request say otherwise. All JSON that
    it answers must be as ``/openapi.json`` has it. ``engine``
    takes the place of the one that plays these scripts.
    """
    script = Script(branches or (BranchScript.answering("42", seconds=0.02),), forced=forced)
    engine = engine or ScriptedEngine(script, step_seconds=0.001, logprobs=logprobs)
    own = {"port": 0, "drain_grace": 0, "content": "answer", **server}
    # What is asked reaches the engine as it is; test_prompting.py has what is added.
    data = {"server": own, "prompt": {"instruction": ""}, **(settings or {})}
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(Runtime(engine, Settings.from_dict(data)))
        app = create_app(runtime)
        described = DescribedReplies(app)
        test_server = TestServer(app)
        await test_server.start_server()
        stack.push_async_callback(test_server.close)
        base = str(test_server.make_url("/"))
        http = await stack.enter_async_context(ClientSession(base))
        openai = await stack.enter_async_context(
            AsyncOpenAI(
                base_url=f"{base}v1",
                api_key="none",
                max_retries=0,
                # Reading all certificates takes longer than most tests.
                http_client=DefaultAsyncHttpxClient(verify=False),
            )
        )
        assert test_server.port is not None
        yield Served(app, described, runtime, engine, http, openai, test_server.port)
        assert not described.faults, "what was answered, and /openapi.json"


@pytest.fixture
def serve() -> Serve:
    """``async with serve(branch, …) as served: …``"""
    return served
