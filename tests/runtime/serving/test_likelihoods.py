"""Log probabilities: ``/v1/completions`` as evaluation harnesses ask it for likelihoods."""

import json
from typing import Any

import pytest
from tests.backends import until

from frontrunner.runtime.engines import BranchScript, Piece
from frontrunner.runtime.engines.protocol import Generation
from frontrunner.runtime.serving.runs.run import RUNS

from .conftest import ENDLESS, Serve, Served

SIX = BranchScript((Piece(0.0, " is"), Piece(0.0, " 42"), Piece(0.0, ".")))


async def ask(served: Served, body: dict[str, Any]) -> dict[str, Any]:
    async with served.http.post("v1/completions", json=body) as response:
        told = await response.json()
        assert response.status == 200, told
        return told


async def test_the_likelihood_of_a_text(serve: Serve) -> None:
    async with serve(SIX, logprobs=True) as served:
        for most in (0, 1):
            served.engine.requests.clear()
            body = {"prompt": "six times seven", "echo": True, "logprobs": 1, "max_tokens": most}
            told = await ask(served, body)
            (choice,) = told["choices"]
            assert choice["text"] == "six times seven" + " is" * most
            assert choice["finish_reason"] == "length"
            told_of = choice["logprobs"]
            assert told_of["tokens"] == ["six", " times", " seven", " is"][: 3 + most]
            assert told_of["text_offset"] == [0, 3, 9, 15][: 3 + most]
            assert told_of["token_logprobs"][0] is None
            assert told_of["top_logprobs"][0] is None
            for text, own, top in zip(
                *(told_of[key][1:] for key in ("tokens", "token_logprobs", "top_logprobs")),
                strict=True,
            ):
                assert top[text] == own
            assert told["usage"]["prompt_tokens"] == 3
            assert told["usage"]["completion_tokens"] == most
            assert told["frontrunner"]["raced"] is False
            assert told["frontrunner"]["ignored"] == []
            assert len(served.engine.requests) == 1


@pytest.mark.parametrize("tokens", [False, True], ids=["text", "token ids"])
async def test_every_form_of_prompt(serve: Serve, tokens: bool) -> None:
    async with serve(SIX, logprobs=True) as served:
        texts = ["one", "two three", "four five six"]
        prompts: list[Any] = [list(served.engine.encode(t)) for t in texts] if tokens else texts
        for prompt in (prompts[2], prompts):
            body = {"prompt": prompt, "echo": True, "logprobs": 1, "max_tokens": 1, "n": 2}
            told = await ask(served, body)
            wanted = texts if prompt is prompts else texts[2:]
            assert [c["index"] for c in told["choices"]] == list(range(2 * len(wanted)))
            assert [c["text"] for c in told["choices"]] == [
                f"{text} is" for text in wanted for _ in range(2)
            ]
            for choice in told["choices"]:
                assert "".join(choice["logprobs"]["tokens"]) == choice["text"]


async def test_log_probabilities_of_what_is_written(serve: Serve) -> None:
    async with serve(SIX, logprobs=True) as served:
        told = await ask(served, {"prompt": "6 times 7", "logprobs": 0})
        (choice,) = told["choices"]
        assert (choice["text"], choice["finish_reason"]) == (" is 42.", "stop")
        assert choice["logprobs"] == {
            "tokens": [" is", " 42", "."],
            "token_logprobs": [-0.5, -0.5, -0.5],
            "top_logprobs": [{" is": -0.5}, {" 42": -0.5}, {".": -0.5}],
            "text_offset": [0, 3, 6],
        }
        assert told["usage"]["completion_tokens"] == 3


async def test_nothing_is_to_follow(serve: Serve) -> None:
    for logprobs in (False, True):
        async with serve(SIX, logprobs=logprobs) as served:
            told = await ask(served, {"prompt": ["one two", "three"], "max_tokens": 0})
            assert [c["text"] for c in told["choices"]] == ["", ""]
            assert [c["finish_reason"] for c in told["choices"]] == ["length", "length"]
            assert told["usage"]["prompt_tokens"] == 3
            told = await ask(served, {"prompt": "one two", "max_tokens": 0, "echo": True})
            assert told["choices"][0]["text"] == "one two"
            assert told["choices"][0]["logprobs"] is None
            assert not served.engine.requests


async def test_token_ids_are_repeated_as_text(serve: Serve) -> None:
    async with serve(SIX, logprobs=True) as served:
        ids = list(served.engine.encode("6 times 7"))
        frontrunner = {"branches": 2, "deadline": 2}
        body = {"prompt": [ids, ids], "echo": True, "frontrunner": frontrunner}
        told = await ask(served, body)
        assert [c["text"] for c in told["choices"]] == ["6 times 7 is 42."] * 2
        assert len(told["frontrunner"]["races"]) == 2
        told = await ask(served, {**body, "max_tokens": 0})
        assert [c["text"] for c in told["choices"]] == ["6 times 7"] * 2


async def test_a_stream(serve: Serve) -> None:
    async with serve(SIX, logprobs=True) as served:
        stream = await served.openai.completions.create(
            model="scripted",
            prompt=["six times seven", "twice 21"],
            echo=True,
            logprobs=2,
            stream=True,
            stream_options={"include_usage": True},
        )
        texts, tokens = {0: "", 1: ""}, dict[int, list[str]]({0: [], 1: []})
        offsets = dict[int, list[int]]({0: [], 1: []})
        chunks = [chunk async for chunk in stream]
        for chunk in chunks[:-1]:
            (choice,) = chunk.choices
            texts[choice.index] += choice.text
            assert choice.logprobs is not None
            tokens[choice.index] += choice.logprobs.tokens or []
            offsets[choice.index] += choice.logprobs.text_offset or []
        assert texts == {0: "six times seven is 42.", 1: "twice 21 is 42."}
        for index, text in texts.items():
            assert "".join(tokens[index]) == text
            assert offsets[index] == [text.index(token) for token in tokens[index]]
        assert chunks[-1].usage is not None
        assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (5, 6)


async def test_options_of_a_race_that_there_is_none_of_are_named(serve: Serve) -> None:
    async with serve(SIX, logprobs=True) as served:
        asked = {"branches": 4, "strategy": "majority", "deadline": 2, "max_tokens": 2}
        told = await ask(served, {"prompt": "q", "logprobs": 1, "frontrunner": asked, "min_p": 0.1})
        ignored = told["frontrunner"]["ignored"]
        assert ignored == ["min_p", "frontrunner.branches", "frontrunner.strategy"]
        assert told["choices"][0]["text"] == " is 42"


async def test_sampling_is_what_was_asked_for(serve: Serve) -> None:
    async with serve(SIX, logprobs=True) as served:
        body = {"prompt": "q", "logprobs": 3, "temperature": 0, "seed": 7, "n": 2, "stop": ["x"]}
        await ask(served, {**body, "top_p": 0.5, "top_k": 9, "max_tokens": 5})
        for place, request in enumerate(served.engine.requests):
            sampling = request.sampling
            assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0, 0.5, 9)
            assert (sampling.stop, sampling.logprobs) == (("x",), 3)
            assert (request.max_tokens, request.seed) == (5, 7 + place)


async def test_an_engine_that_tells_none_is_named(serve: Serve) -> None:
    async with serve() as served:
        body = {"prompt": "q", "echo": True, "logprobs": 1, "max_tokens": 0}
        async with served.http.post("v1/completions", json=body) as response:
            error = (await response.json())["error"]
            assert (response.status, error["param"]) == (400, "logprobs")
            assert "engine.speculation.method" in error["message"]


async def test_what_was_written_by_the_deadline_counts(serve: Serve) -> None:
    async with serve(ENDLESS, logprobs=True) as served:
        body = {"prompt": "q", "logprobs": 1, "frontrunner": {"deadline": 0.3}}
        told = await ask(served, body)
        (choice,) = told["choices"]
        assert choice["finish_reason"] == "length"
        assert choice["text"].startswith("and then 0 ")
        assert len(choice["logprobs"]["tokens"]) == told["usage"]["completion_tokens"]
        await served.idle()


async def test_nothing_by_the_deadline_is_an_error(serve: Serve) -> None:
    async with serve(BranchScript(stall=True), logprobs=True) as served:
        body = {"prompt": ["q", "r"], "echo": True, "logprobs": 1, "frontrunner": {"deadline": 0.3}}
        async with served.http.post("v1/completions", json=body) as response:
            assert response.status == 503
            assert "deadline" in (await response.json())["error"]["message"]
        await served.idle()


async def test_one_that_is_lost_ends_the_others(serve: Serve) -> None:
    def script(request: Generation) -> BranchScript | None:
        return BranchScript(error="lost") if request.prompt == (2,) else None

    async with serve(ENDLESS, logprobs=True) as served:
        served.engine.script.chooser = script
        body = {"prompt": [[1], [2]], "logprobs": 1, "frontrunner": {"deadline": 60}}
        async with served.http.post("v1/completions", json=body) as response:
            assert response.status == 503
            assert "lost" in (await response.json())["error"]["message"]
        await served.idle()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_who_leaves_ends_it(serve: Serve, stream: bool) -> None:
    async with serve(ENDLESS, logprobs=True) as served:
        body = {"prompt": ["q", "r"], "logprobs": 1, "stream": stream}
        post = served.http.post("v1/completions", json={**body, "frontrunner": {"deadline": 60}})
        if stream:
            async with post as response:
                await until(lambda: served.engine.load().running == 2)
                response.close()
        else:
            reader, writer = await _raw(served, {**body, "frontrunner": {"deadline": 60}})
            await until(lambda: served.engine.load().running == 2)
            writer.close()
            post.close()
            del reader
        await served.idle()
        await until(lambda: served.app[RUNS].running == 0)  # a moment after the engine's


async def _raw(served: Served, body: dict[str, Any]) -> tuple[Any, Any]:
    import asyncio

    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    data = json.dumps(body).encode()
    head = (
        "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    writer.write(head.encode() + data)
    await writer.drain()
    return reader, writer


async def test_they_count_as_races_of_their_key_and_wait_for_places(serve: Serve) -> None:
    async with serve(ENDLESS, logprobs=True, per_key_races=1) as served:
        body = {"prompt": "q", "logprobs": 1, "frontrunner": {"deadline": 60}}
        async with served.http.post("v1/completions", json={**body, "stream": True}) as first:
            await first.content.readany()
            assert served.runtime.admission_load().granted == 1
            async with served.http.post("v1/completions", json=body) as second:
                assert second.status == 429
            first.close()
        await served.idle()
        await until(lambda: served.runtime.admission_load().granted == 0)


async def test_a_drain_brings_the_deadline_forward(serve: Serve) -> None:
    async with serve(ENDLESS, logprobs=True) as served:
        body = {"prompt": "q", "logprobs": 1, "stream": True, "frontrunner": {"deadline": 60}}
        async with served.http.post("v1/completions", json=body) as response:
            await response.content.readany()
            await served.app[RUNS].drain(0.2)
            text = await response.text()
        assert '"finish_reason":"length"' in text
        assert text.rstrip().endswith("data: [DONE]")
        async with served.http.post("v1/completions", json=body) as response:
            assert response.status == 503
