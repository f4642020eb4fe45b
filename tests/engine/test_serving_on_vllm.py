"""Real clients against the server on the real engine."""

import asyncio
import os
import random
import shutil
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import openai
import orjson
import pytest
from aiohttp.test_utils import TestServer
from tests.backends import until
from websockets.asyncio.client import connect

from frontrunner.runtime.demo.corpus import prompt_text
from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.engines.supervised import running_engine
from frontrunner.runtime.engines.vllm.engine import VllmEngine
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving import create_app
from frontrunner.runtime.serving.runs.run import RUNS

QUESTION = hard_problems("select", 1)[0].question
#: Clients that go away at a random moment; more where somebody has the time.
DISCONNECTS = int(os.environ.get("FRONTRUNNER_DISCONNECTS", "60"))


@pytest.fixture(scope="module")
async def server(runtime: Runtime) -> AsyncGenerator[TestServer, None]:
    started = TestServer(create_app(runtime))
    await started.start_server()
    yield started
    await started.close()


@pytest.fixture(scope="module")
async def client(server: TestServer) -> AsyncGenerator[openai.AsyncOpenAI, None]:
    base = str(server.make_url("/v1"))
    async with openai.AsyncOpenAI(base_url=base, api_key="none", max_retries=0) as made:
        yield made


def race(**more: Any) -> dict[str, Any]:
    return {"frontrunner": {"deadline": 300, "branches": 8, **more}}


async def test_chat_completions(client: openai.AsyncOpenAI) -> None:
    asked: Any = [{"role": "user", "content": QUESTION}]
    reply = await client.chat.completions.create(
        model="demo", messages=asked, seed=7, extra_body=race()
    )
    assert reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop"
    summary: Any = reply.frontrunner  # type: ignore[attr-defined]
    assert summary["answer"] in reply.choices[0].message.content
    assert summary["overshoot"] == 0
    stream = await client.chat.completions.create(
        model="demo",
        messages=asked,
        seed=7,
        stream=True,
        stream_options={"include_usage": True},
        extra_body=race(strategy="majority", parameters={"stop": "none"}),
    )
    chunks = [chunk async for chunk in stream]
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    last: Any = chunks[-1]
    assert last.usage.frontrunner["answer"] in said
    assert last.usage.frontrunner["branches"]["launched"] == 8
    thought = [getattr(c.choices[0].delta, "reasoning_content", None) for c in chunks if c.choices]
    assert "\\boxed{" in "".join(filter(None, thought))


async def test_a_deadline_is_a_reply_and_not_an_error(client: openai.AsyncOpenAI) -> None:
    asked: Any = [{"role": "user", "content": QUESTION}]
    reply = await client.chat.completions.create(
        model="demo",
        messages=asked,
        extra_headers={"x-request-timeout-ms": "20000"},
        extra_body={"frontrunner": {"branches": 8}},
    )
    summary: Any = reply.frontrunner  # type: ignore[attr-defined]
    assert summary["deadline"] == pytest.approx(20.0)
    assert reply.choices[0].finish_reason in ("stop", "length")


async def test_completions(client: openai.AsyncOpenAI) -> None:
    reply = await client.completions.create(
        model="demo", prompt=prompt_text(QUESTION), max_tokens=700, extra_body=race()
    )
    assert "\\boxed{" in reply.choices[0].text
    stream = await client.completions.create(
        model="demo", prompt=prompt_text(QUESTION), stream=True, extra_body=race()
    )
    text = "".join([c.choices[0].text async for c in stream if c.choices])
    assert "\\boxed{" in text


async def test_responses(client: openai.AsyncOpenAI) -> None:
    response = await client.responses.create(model="demo", input=QUESTION, extra_body=race())
    assert response.status == "completed"
    assert response.output_text
    kinds = list[str]()
    text = ""
    stream = await client.responses.create(
        model="demo", input=QUESTION, stream=True, extra_body=race()
    )
    async for event in stream:
        kinds.append(event.type)
        if event.type == "response.output_text.delta":
            text += event.delta
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert text


async def test_openais_websocket_client(client: openai.AsyncOpenAI, runtime: Runtime) -> None:
    async with client.responses.connect() as connection:
        await connection.send(
            {"type": "response.create", "model": "demo", "input": QUESTION, **race()}  # type: ignore[arg-type]
        )
        async for event in connection:
            if event.type == "response.completed":
                assert event.response.output_text
                break
    await until(lambda: runtime.load().running == 0)


async def test_a_websocket_client_watches_and_cancels(server: TestServer, runtime: Runtime) -> None:
    async with connect(f"ws://127.0.0.1:{server.port}/v1/responses") as socket:
        create = {"type": "response.create", "model": "demo", "input": QUESTION}
        asked = race(events=True, parameters={"stop": "none"})
        await socket.send(orjson.dumps({**create, **asked}).decode())
        seen = list[dict[str, Any]]()
        while not any(event["type"] == "frontrunner.branch.delta" for event in seen):
            seen.append(orjson.loads(await socket.recv()))
        created = seen[0]["response"]["id"]
        await socket.send(
            orjson.dumps({"type": "response.cancel", "response_id": created}).decode()
        )
        while seen[-1]["type"] != "response.incomplete":
            seen.append(orjson.loads(await socket.recv()))
        assert seen[-1]["response"]["status"] == "cancelled"
        await until(lambda: runtime.load().running == 0)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl(server: TestServer) -> None:
    body = {"model": "demo", "messages": [{"role": "user", "content": QUESTION}], "stream": True}
    command = ["curl", "-sN", str(server.make_url("/v1/chat/completions")), "-d", "@-"]
    done = await anyio.run_process(
        [*command, "-H", "Content-Type: application/json"], input=orjson.dumps({**body, **race()})
    )
    lines = [line for line in done.stdout.decode().splitlines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    assert orjson.loads(lines[-2][6:])["frontrunner"]["answer"]


@pytest.mark.timeout(max(1_800, 3 * DISCONNECTS))
async def test_clients_that_go_away_at_random_moments_leave_nothing(
    server: TestServer, runtime: Runtime
) -> None:
    rng = random.Random(3)
    turns = anyio.Semaphore(8)
    problems = hard_problems("select", 20)

    async def leave(index: int) -> None:
        async with turns:
            question = problems[index % 20].question
            await (over_socket if index % 2 else over_events)(question)

    async def over_events(question: str) -> None:
        body = {"messages": [{"role": "user", "content": question}], "stream": True}
        data = orjson.dumps({**body, **race(events=True)})
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode() + data)
        await some(lambda: reader.read(2000))
        writer.transport.abort()

    async def over_socket(question: str) -> None:
        async with connect(f"ws://127.0.0.1:{server.port}/v1/responses") as socket:
            create = {"type": "response.create", "model": "demo", "input": question}
            await socket.send(orjson.dumps({**create, **race(events=True)}).decode())
            await some(socket.recv)
            if rng.random() < 0.5:
                socket.transport.abort()

    async def some(receive: Any) -> None:
        for _ in range(rng.choice([0, 1, 3, 10, 60, 200])):
            with anyio.move_on_after(5) as waiting:  # deltas are coalesced: there may be fewer
                await receive()
            if waiting.cancelled_caught:
                return

    async with anyio.create_task_group() as group:
        for index in range(DISCONNECTS):
            group.start_soon(leave, index)
    await until(lambda: runtime.load().running == 0)
    assert server.app is not None
    await until(lambda: server.app[RUNS].running == 0)  # type: ignore[index]
    engine = running_engine(runtime.engine)
    assert isinstance(engine, VllmEngine)
    assert engine.load().waiting == 0
