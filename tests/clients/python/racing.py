"""Agents raced on a model that stands in: who loses is cancelled in mid-call.

The model calls a tool in its first turn. In the second one the first run gets a wrong answer, the
second run the right one as soon as all others wait for theirs, and these wait for ever.
"""

import asyncio
import json
import os
from contextlib import asynccontextmanager
from typing import Any

import anyio
from aiohttp import web
from aiohttp.test_utils import TestServer

from frontrunner import Runtime
from frontrunner.agents import AgentEngine
from frontrunner.strategies.protocol import StopReason

RUNS = 5


class StandIn:
    """An endpoint of OpenAI's chat completions, and what becomes of its requests."""

    def __init__(self) -> None:
        self.conversations = 0
        self.waiting: set[int] = set()
        self.aborted: set[int] = set()
        self._all_wait = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        called = [m["tool_call_id"] for m in body["messages"] if m["role"] == "tool"]
        if not called:
            number, self.conversations = self.conversations, self.conversations + 1
            function = {"name": "temperature", "arguments": '{"city": "Paris"}'}
            call = {"index": 0, "id": f"call_{number}", "type": "function", "function": function}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
            return await self._reply(request, body, message, "tool_calls")
        number = int(called[0].removeprefix("call_"))
        if number > 1:
            await self._never(number)
        if number == 1:
            await self._all_wait.wait()
        said = "It is cold." if number == 0 else "It is 21 degrees warm."
        return await self._reply(request, body, {"role": "assistant", "content": said}, "stop")

    async def _never(self, number: int) -> None:
        self.waiting.add(number)
        if len(self.waiting) == RUNS - 2:
            self._all_wait.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.waiting.discard(number)
            self.aborted.add(number)

    async def _reply(
        self, request: web.Request, body: dict[str, Any], message: dict[str, Any], reason: str
    ) -> web.StreamResponse:
        kind = "chat.completion.chunk" if body.get("stream") else "chat.completion"
        choice = {"index": 0, "finish_reason": reason}
        choice["delta" if body.get("stream") else "message"] = message
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        told = {"id": "1", "object": kind, "created": 1, "model": "m", "choices": [choice]}
        if not body.get("stream"):
            return web.json_response({**told, "usage": usage})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(f"data: {json.dumps(told)}\n\ndata: [DONE]\n\n".encode())
        return response


@asynccontextmanager
async def standing_in():
    """A stand-in that runs, and to which OpenAI's clients go by themselves."""
    stand_in, application = StandIn(), web.Application()
    application.router.add_post("/v1/chat/completions", stand_in.answer)
    server = TestServer(application)
    await server.start_server()  # which cancels handlers whose client has left
    os.environ["OPENAI_BASE_URL"] = str(server.make_url("/v1"))
    try:
        yield stand_in
    finally:
        await server.close()


async def race(agent: Any, verify: Any) -> str:
    """What went wrong with a race of five runs; nothing: "ok"."""
    async with standing_in() as stand_in:
        before = asyncio.all_tasks()
        engine = AgentEngine(agent, verify=verify)
        async with Runtime(engine) as runtime:
            result = await runtime.solve("How warm is it?", branches=RUNS, deadline=60.0)
            async with asyncio.timeout(30):
                while engine.load().running or stand_in.waiting:  # noqa: ASYNC110
                    await anyio.sleep(0.01)
        left = [
            task
            for task in asyncio.all_tasks() - before
            if "RequestHandler" not in repr(task.get_coro())
        ]
    if "21" not in str(result.answer) or result.stop_reason is not StopReason.REWARD_THRESHOLD:
        return f"decided for {result.answer!r} ({result.stop_reason})"
    if stand_in.aborted != set(range(2, RUNS)):
        return f"requests of {stand_in.aborted} were aborted"
    return f"left running: {left}" if left else "ok"


def raced(agent: Any, verify: Any) -> bool:
    """Whether a race ends as it should, its losers' requests aborted at the server."""
    said = asyncio.run(race(agent, verify))
    assert said == "ok", said
    return True
