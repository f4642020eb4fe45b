"""Races inside vLLM's own server: the plugin on a real one."""

import json
import os
import urllib.error
from collections.abc import AsyncGenerator
from importlib.util import find_spec
from typing import Any

import anyio
import anyio.to_thread
import openai
import psutil
import pytest
import websockets

from frontrunner.runtime.demo.problems import hard_problems

from ..vllm_server import VllmServer
from .conftest import SERVER_KEY as KEY

pytestmark = [
    pytest.mark.program,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
]

RACES = int(os.environ.get("FRONTRUNNER_PLUGIN_RACES", "4"))
#: Seconds within which what is seen from outside must have come about.
PATIENCE = 300.0
#: Seconds that no race takes here: its branches end at their limit of tokens, and not where a busy
#: machine has got to by a deadline.
DEADLINE = 60.0
#: What is told of a deadline, less what passed before the race began.
ABOUT = pytest.approx(DEADLINE, abs=DEADLINE / 2)
TOKENS = 64


@pytest.fixture(scope="module")
def server(own_server: VllmServer) -> VllmServer:
    """vLLM's server with the plugin, a key, and races in place."""
    return own_server


@pytest.fixture
async def vllm(server: VllmServer) -> AsyncGenerator[openai.AsyncOpenAI, None]:
    """A client of vLLM's own routes."""
    url = f"{server.url}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0) as client:
        yield client


def question(number: int = 0) -> list[Any]:
    text = hard_problems("test", number + 1)[number].question
    return [{"role": "user", "content": text}]


def raced(deadline: float = DEADLINE) -> Any:
    return {"frontrunner": {"deadline": deadline}}


async def test_a_request_with_a_deadline_is_raced_in_place(vllm: openai.AsyncOpenAI) -> None:
    for number in range(RACES):
        reply = await vllm.chat.completions.create(
            model="demo", messages=question(number), max_tokens=TOKENS, extra_body=raced()
        )
        told: Any = reply.model_dump()["frontrunner"]
        assert told["deadline"] == ABOUT
        assert told["branches"]["launched"] == 16
        assert reply.model == "demo"


async def test_the_header_is_a_deadline_too(vllm: openai.AsyncOpenAI) -> None:
    reply = await vllm.chat.completions.create(
        model="demo",
        messages=question(),
        max_tokens=TOKENS,
        extra_headers={"X-Frontrunner-Deadline": str(DEADLINE)},
    )
    assert reply.model_dump()["frontrunner"]["deadline"] == ABOUT


async def test_all_other_requests_are_vllms(vllm: openai.AsyncOpenAI) -> None:
    chat = await vllm.chat.completions.create(
        model="demo", messages=question(), temperature=0, max_tokens=16
    )
    text = await vllm.completions.create(model="demo", prompt="1 + 1 =", max_tokens=4)
    response = await vllm.responses.create(model="demo", input="1 + 1 =", max_output_tokens=16)
    for reply in (chat, text, response):
        assert "frontrunner" not in reply.model_dump()


async def test_a_stream_is_raced(vllm: openai.AsyncOpenAI) -> None:
    stream = await vllm.chat.completions.create(
        model="demo", messages=question(), max_tokens=TOKENS, stream=True, extra_body=raced()
    )
    pieces = [chunk async for chunk in stream]
    assert pieces[-1].choices[0].finish_reason in ("stop", "length")


async def test_a_response_can_be_asked_for_again(vllm: openai.AsyncOpenAI) -> None:
    made = await vllm.responses.create(
        model="demo",
        input=question(),
        max_output_tokens=TOKENS,
        store=True,
        extra_body=raced(),
    )
    assert (await vllm.responses.retrieve(made.id)).output_text == made.output_text


ENDS = ("response.completed", "response.incomplete")


async def test_responses_over_the_websocket(server: VllmServer) -> None:
    url = server.url.replace("http", "ws") + "/v1/responses"
    headers = {"Authorization": f"Bearer {KEY}"}
    asked = {"type": "response.create", "model": "demo", "input": question(), **raced()}
    asked["max_output_tokens"] = TOKENS
    async with websockets.connect(url, additional_headers=headers) as socket:
        await socket.send(json.dumps(asked))
        event = json.loads(await socket.recv())
        while event["type"] not in (*ENDS, "error"):
            event = json.loads(await socket.recv())
    assert event["type"] in ENDS


async def test_the_whole_api_is_below_the_prefix(server: VllmServer) -> None:
    url = f"{server.url}/frontrunner/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=KEY) as client:
        assert [model.id async for model in client.models.list()] == ["demo"]
        reply = await client.completions.create(
            model="demo", prompt="1 + 1 =", max_tokens=TOKENS, extra_body=raced()
        )
    assert reply.choices[0].finish_reason in ("stop", "length")
    assert "<!doctype html>" in server.get("/frontrunner/")


@pytest.mark.parametrize("path", ["/frontrunner/v1/models", "/frontrunner/metrics", "/v1/models"])
def test_vllms_key_guards_races_as_well(server: VllmServer, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.get(path)
    assert refused.value.code == 401
    assert server.get(path, KEY)


async def test_metrics_stand_beside_vllms(server: VllmServer, vllm: openai.AsyncOpenAI) -> None:
    await vllm.chat.completions.create(
        model="demo", messages=question(), max_tokens=TOKENS, extra_body=raced()
    )
    told = server.get("/metrics")
    assert "frontrunner_requests_total{" in told
    assert "vllm:num_requests_running{" in told
    assert 'handler="/v1/chat/completions"' in told


async def test_a_client_that_leaves_frees_the_engine(
    server: VllmServer, vllm: openai.AsyncOpenAI
) -> None:
    async with await vllm.chat.completions.create(
        model="demo", messages=question(), stream=True, extra_body=raced(500.0)
    ) as stream:
        await anext(aiter(stream))
    for _ in range(6_000):
        if not server.requests():
            return
        await anyio.sleep(0.05)
    raise AssertionError(f"{server.requests()} requests still run for nobody")


async def test_killed_it_leaves_nothing_behind(
    server: VllmServer, vllm: openai.AsyncOpenAI
) -> None:
    family = server.family
    async with await vllm.chat.completions.create(
        model="demo", messages=question(), stream=True, extra_body=raced(500.0)
    ) as stream:
        await anext(aiter(stream))
        server.process.kill()
        _, left = await anyio.to_thread.run_sync(psutil.wait_procs, family, PATIENCE)
    assert not left
