"""Real replies of every endpoint are what ``/openapi.json`` says, to the field."""

from typing import Any

import orjson

from frontrunner.runtime.engines import BranchScript, Piece
from frontrunner.runtime.serving.reply_bodies import BODIES

from .conftest import ENDLESS, Serve, Served
from .described_replies import faults

QUESTION: Any = [{"role": "user", "content": "What is 6 times 7?"}]
TOOL: Any = {"name": "add", "parameters": {"type": "object"}}
TOOLS: Any = [{"type": "function", "function": TOOL}]
CALL = BranchScript(
    (Piece(0.001, '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'),)
)
ANSWER = BranchScript.answering("42", seconds=0.002)
#: Some are ended by the decision.
BRANCHES = (ANSWER, ANSWER, ANSWER, ENDLESS)
STREAM: Any = {"stream": True, "stream_options": {"include_usage": True}}
WITH_EVENTS: Any = {**STREAM, "frontrunner": {"events": True}}


async def ask(served: Served, path: str, body: Any) -> Any:
    async with served.http.post(path, json=body) as response:
        assert response.status == 200, await response.text()
        return orjson.loads(await response.read())


async def chunks(served: Served, path: str, body: Any) -> list[Any]:
    async with served.http.post(path, json=body) as response:
        assert response.status == 200, await response.text()
        events = (await response.read()).split(b"\n\n")
    data = [event.removeprefix(b"data: ") for event in events if event.startswith(b"data: ")]
    *chunks, done = data
    assert done == b"[DONE]"
    return [orjson.loads(chunk) for chunk in chunks]


async def test_chat(serve: Serve) -> None:
    async with serve(*BRANCHES) as served:
        for more in ({}, {"n": 2}, {"frontrunner": {"content": "reply"}}, {"seed": 1}):
            await ask(served, "v1/chat/completions", {"messages": QUESTION, **more})
        assert served.described.seen == {"ChatCompletion"}
    async with serve(CALL) as served:
        for more in ({"tools": TOOLS}, {"functions": [TOOL]}):
            reply = await ask(served, "v1/chat/completions", {"messages": QUESTION, **more})
            assert reply["choices"][0]["finish_reason"].endswith(("calls", "call"))


async def test_chunks_of_a_chat(serve: Serve) -> None:
    found, told = list[str](), set[str]()
    async with serve(*BRANCHES) as served:
        for more in ({"stream": True}, STREAM, WITH_EVENTS, {**WITH_EVENTS, "n": 2}):
            body = {"messages": QUESTION, **more}
            for chunk in await chunks(served, "v1/chat/completions", body):
                found += faults("ChatCompletionChunk", chunk)
                told.add(chunk.get("frontrunner", {}).get("type", "none"))
    assert not found
    assert {"frontrunner.race.started", "frontrunner.vote", "frontrunner.branch.ended"} <= told
    async with serve(CALL) as served:
        for more in ({"tools": TOOLS}, {"functions": [TOOL]}):
            body = {"messages": QUESTION, **STREAM, **more}
            for chunk in await chunks(served, "v1/chat/completions", body):
                found += faults("ChatCompletionChunk", chunk)
    assert not found


async def test_completions(serve: Serve) -> None:
    async with serve(*BRANCHES, logprobs=True) as served:
        for more in ({}, {"n": 2}, {"prompt": ["6 * 7", "7 * 6"]}, {"echo": True}):
            await ask(served, "v1/completions", {"prompt": "6 * 7", **more})
        # Without a race.
        for more in ({"logprobs": 2}, {"max_tokens": 0, "echo": True, "logprobs": 1}):
            await ask(served, "v1/completions", {"prompt": "6 * 7", "max_tokens": 3, **more})
        assert served.described.seen == {"Completion"}


async def test_chunks_of_a_completion(serve: Serve) -> None:
    found = list[str]()
    async with serve(*BRANCHES, logprobs=True) as served:
        for more in (STREAM, WITH_EVENTS, {**WITH_EVENTS, "prompt": ["6 * 7", "7 * 6"]}):
            for chunk in await chunks(served, "v1/completions", {"prompt": "6 * 7", **more}):
                found += faults("CompletionChunk", chunk)
        body = {"prompt": "6 * 7", "logprobs": 2, "max_tokens": 3, **STREAM}
        for chunk in await chunks(served, "v1/completions", body):
            found += faults("CompletionChunk", chunk)
    assert not found


async def test_responses(serve: Serve) -> None:
    async with serve(*BRANCHES) as served:
        response = await ask(served, "v1/responses", {"input": "6 * 7", "temperature": 0.5})
        await ask(served, "v1/responses", {"input": "6 * 7", "generate": False})
        path = f"v1/responses/{response['id']}"
        async with served.http.get(path) as reply:
            assert reply.status == 200
        async with served.http.delete(path) as reply:
            assert reply.status == 200
        assert served.described.seen == {"Response", "DeletedResponse"}
    async with serve(CALL) as served:
        flat = [{"type": "function", **TOOL}]
        response = await ask(served, "v1/responses", {"input": "6 * 7", "tools": flat})
        assert response["output"][-1]["type"] == "function_call"
    async with serve(ENDLESS) as served:
        body = {"input": "6 * 7", "background": True, "frontrunner": {"deadline": 60}}
        response = await ask(served, "v1/responses", body)
        assert response["status"] == "in_progress"
        response = await ask(served, f"v1/responses/{response['id']}/cancel", None)
        assert response["status"] == "cancelled"


async def test_what_the_server_says_of_itself_and_errors(serve: Serve) -> None:
    async with serve(*BRANCHES) as served:
        for path, status in (
            ("v1/models", 200),
            ("v1/models/scripted", 200),
            ("v1/models/another", 404),
            ("v1/responses/resp_gone", 404),
            ("no/such/path", 404),
            ("livez", 200),
            ("readyz", 200),
        ):
            async with served.http.get(path) as response:
                assert response.status == status
        async with served.http.post("v1/chat/completions", json={"n": 0}) as response:
            assert response.status == 400
        served.runtime.engine.kill()
        for path in ("livez", "readyz"):
            async with served.http.get(path) as response:
                assert response.status == 503
        assert served.described.seen == {"Models", "Model", "Error", "Live", "Ready"}


def test_there_is_a_test_for_every_body() -> None:
    """Each test above says which schemas it has seen; together they are all."""
    told = {"ChatCompletion", "ChatCompletionChunk", "Completion", "CompletionChunk", "Response"}
    told |= {"DeletedResponse", "Models", "Model", "Error", "Live", "Ready"}
    assert {body.__name__ for body in BODIES} == told


def test_another_field_a_missing_one_and_another_type_are_faults() -> None:
    live: dict[str, Any] = {"status": "alive"}
    assert faults("Live", live) == []
    assert faults("Live", {**live, "more": 1})
    assert faults("Live", {})
    assert faults("Models", {"object": "list", "data": []})
    assert faults("Error", {"error": {"message": "m", "type": "t", "param": 1, "code": None}})
