"""Completions and models, as OpenAI's client sees them."""

import json
from typing import Any

import openai
import pytest

from frontrunner.runtime.engines import BranchScript, Piece
from frontrunner.runtime.engines.protocol import Generation

from .conftest import ENDLESS, Serve

OPTIONS = {"frontrunner": {"branches": 4, "deadline": 2}}


async def test_a_completion_is_what_the_model_wrote(serve: Serve) -> None:
    async with serve(BranchScript.answering("42", seconds=0.02, tokens=2)) as served:
        reply = await served.openai.completions.create(
            model="scripted", prompt="6 times 7 is", extra_body=OPTIONS
        )
        assert reply.choices[0].text == "step0 \\boxed{42}"
        assert reply.frontrunner["answer"] == "42"  # type: ignore[attr-defined]
        assert served.engine.requests[0].prompt == served.engine.encode("6 times 7 is")


async def test_token_ids_are_taken_as_they_are(serve: Serve) -> None:
    async with serve() as served:
        for prompt in ([5, 6, 7], [[5, 6, 7]]):
            await served.openai.completions.create(
                model="scripted", prompt=prompt, extra_body=OPTIONS
            )
            assert served.engine.requests[-1].prompt == (5, 6, 7)


async def test_a_stream(serve: Serve) -> None:
    async with serve(BranchScript.answering("42", seconds=0.02, tokens=3)) as served:
        stream = await served.openai.completions.create(
            model="scripted",
            prompt="q",
            n=2,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=OPTIONS,
        )
        chunks = [chunk async for chunk in stream]
        texts = {0: "", 1: ""}
        for chunk in chunks:
            for choice in chunk.choices:
                texts[choice.index] += choice.text
        assert texts == dict.fromkeys((0, 1), "step0 step1 \\boxed{42}")
        assert chunks[-1].usage is not None
        assert chunks[-1].choices == []


async def test_a_list_of_prompts_is_answered_in_its_order(serve: Serve) -> None:
    async with serve(BranchScript.answering("42", seconds=0.02, tokens=2)) as served:
        for prompts in (["one", "two three"], [[1], [2, 3]]):
            served.engine.requests.clear()
            reply = await served.openai.completions.create(
                model="scripted", prompt=prompts, n=2, echo=prompts[0] == "one", extra_body=OPTIONS
            )
            began = ["one", "one", "two three", "two three"] if prompts[0] == "one" else [""] * 4
            assert [c.index for c in reply.choices] == [0, 1, 2, 3]
            assert [c.text for c in reply.choices] == [
                f"{text}step0 \\boxed{{42}}" for text in began
            ]
            races = reply.frontrunner["races"]  # type: ignore[attr-defined]
            assert [race["answer"] for race in races] == ["42", "42"]
            assert len({race["race_id"] for race in races}) == 2
            assert reply.usage is not None
            assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (3, 8)
            encode = served.engine.encode
            asked = [(1,), (2, 3)] if prompts[0] != "one" else [encode(p) for p in prompts]
            assert {request.prompt for request in served.engine.requests} == set(asked)


async def test_one_prompt_that_cannot_be_run_refuses_the_list(serve: Serve) -> None:
    async with serve(ENDLESS) as served:
        body = {"prompt": ["one", "two " * 200_000], "frontrunner": {"deadline": 60}}
        async with served.http.post("v1/completions", json=body) as response:
            assert response.status == 400
            assert (await response.json())["error"]["code"] == "context_length_exceeded"
        await served.idle()


async def test_a_prompt_is_repeated_if_asked_for(serve: Serve) -> None:
    async with serve(BranchScript.answering("42", seconds=0.02, tokens=2)) as served:
        reply = await served.openai.completions.create(
            model="scripted", prompt="6 times 7 is ", echo=True, extra_body=OPTIONS
        )
        assert reply.choices[0].text == "6 times 7 is step0 \\boxed{42}"
        stream = await served.openai.completions.create(
            model="scripted", prompt="6 times 7 is ", echo=True, stream=True, extra_body=OPTIONS
        )
        text = "".join([c.text async for chunk in stream for c in chunk.choices])
        assert text == reply.choices[0].text


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["one", ""]}, "prompt[1]"),
        ({"prompt": [[1], []]}, "prompt[1]"),
        ({"prompt": [-1]}, "prompt[0]"),
        ({"prompt": ["q"] * 129}, "prompt"),
        ({"prompt": [5, 6], "echo": True}, "echo"),
        ({"prompt": "q", "suffix": "."}, "suffix"),
        ({"prompt": "q", "logprobs": 3}, "logprobs"),
        ({"prompt": "q", "logprobs": 0}, "logprobs"),
        ({"prompt": "q", "logprobs": 21}, "logprobs"),
        ({"prompt": "q", "logprobs": True}, "logprobs"),
        ({"prompt": [5, 6], "echo": True, "max_tokens": 0}, "echo"),
        ({"prompt": "q", "max_tokens": -1}, "max_tokens"),
        # What lm-eval asks for the likelihood of.
        ({"prompt": "q", "echo": True, "max_tokens": 0, "logprobs": 1}, "logprobs"),
        ({}, "prompt"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    serve: Serve, body: dict[str, Any], param: str
) -> None:
    async with serve() as served, served.http.post("v1/completions", json=body) as response:
        assert response.status == 400
        error = (await response.json())["error"]
        assert error["param"] == param
        assert param in error["message"]
        assert not served.engine.requests


async def test_the_text_is_as_it_was_written_up_to_the_stop_string(serve: Serve) -> None:
    written = BranchScript((Piece(0.0, "    return x\n"), Piece(0.0, "\n\ndef next")))
    async with serve(written) as served:
        body: dict[str, Any] = {"model": "scripted", "prompt": "def f(x):\n", "extra_body": OPTIONS}
        reply = await served.openai.completions.create(**body)
        assert reply.choices[0].text == "    return x\n\n\ndef next"
        reply = await served.openai.completions.create(**body, stop=["\ndef", "class"])
        assert reply.choices[0].text == "    return x\n\n"
        assert reply.choices[0].finish_reason == "stop"
        stream = await served.openai.completions.create(**body, stop="\ndef", stream=True)
        pieces = [c.text async for chunk in stream for c in chunk.choices]
        assert "".join(pieces) == "    return x\n\n"


async def test_how_the_reply_is_told_has_no_effect_and_is_said_so(serve: Serve) -> None:
    async with serve() as served:
        body = {"prompt": "q", "frontrunner": {"content": "answer", "deadline": 2}}
        async with served.http.post("v1/completions", json=body) as response:
            assert (await response.json())["frontrunner"]["ignored"] == ["frontrunner.content"]


async def test_a_text_that_was_cut_at_the_limit_says_so(serve: Serve) -> None:
    endless = BranchScript(tuple(Piece(0.0, "\\boxed{42} ") for _ in range(100)))
    async with serve(endless) as served:
        reply = await served.openai.completions.create(
            model="scripted", prompt="q", max_tokens=3, extra_body=OPTIONS
        )
        assert reply.choices[0].finish_reason == "length"


async def test_a_list_of_prompts_is_streamed_side_by_side(serve: Serve) -> None:
    def script(request: Generation) -> BranchScript | None:
        return BranchScript.answering(str(request.prompt[0]), seconds=0.02, tokens=3)

    async with serve() as served:
        served.engine.script.chooser = script
        stream = await served.openai.completions.create(
            model="scripted",
            prompt=[[1], [2], [3]],
            n=2,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=OPTIONS,
        )
        chunks = [chunk async for chunk in stream]
        texts, reasons = dict.fromkeys(range(6), ""), dict[int, str]()
        reasoning = dict.fromkeys(range(6), "")
        for chunk in chunks:
            for choice in chunk.choices:
                texts[choice.index] += choice.text
                reasoning[choice.index] += getattr(choice, "reasoning_content", None) or ""
                if choice.finish_reason:
                    assert choice.index not in reasons
                    reasons[choice.index] = choice.finish_reason
        assert texts == {i: f"step0 step1 \\boxed{{{i // 2 + 1}}}" for i in range(6)}
        assert reasons == dict.fromkeys(range(6), "stop")
        assert {i: r for i, r in reasoning.items() if r} == {i: texts[i] for i in (0, 2, 4)}
        assert len({chunk.id for chunk in chunks}) == 1
        assert all(chunk.usage is None for chunk in chunks[:-1])
        assert chunks[-1].choices == []
        assert chunks[-1].usage is not None
        assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (3, 18)
        races = chunks[-1].frontrunner["races"]  # type: ignore[attr-defined]
        assert [race["answer"] for race in races] == ["1", "2", "3"]


async def test_events_of_a_list_say_whose_they_are(serve: Serve) -> None:
    async with serve(BranchScript.answering("42", seconds=0.02, tokens=2)) as served:
        body = {"prompt": ["one", "two"], "stream": True, "frontrunner": {"events": True}}
        async with served.http.post("v1/completions", json=body) as response:
            text = await response.text()
        lines = [line.removeprefix("data: ") for line in text.splitlines() if line]
        assert lines[-1] == "[DONE]"
        told = [json.loads(line) for line in lines[:-1]]
        events = [chunk["frontrunner"] for chunk in told if not chunk["choices"]][:-1]
        assert {event["prompt"] for event in events} == {0, 1}


async def test_one_that_cannot_be_run_refuses_the_stream_of_a_list(serve: Serve) -> None:
    async with serve(ENDLESS) as served:
        prompts = ["one " * 110_000, "two " * 110_000]
        body = {"prompt": prompts, "stream": True, "frontrunner": {"deadline": 60}}
        async with served.http.post("v1/completions", json=body) as response:
            assert response.status == 400
            assert (await response.json())["error"]["code"] == "context_length_exceeded"
        await served.idle()


async def test_a_race_that_is_lost_ends_the_stream_of_a_list(serve: Serve) -> None:
    def script(request: Generation) -> BranchScript | None:
        lost = BranchScript((Piece(0.01, "so "), Piece(0.3, "it ")), error="lost")
        return lost if request.prompt == (2,) else None

    async with serve(ENDLESS) as served:
        served.engine.script.chooser = script
        body = {"prompt": [[1], [2]], "stream": True, "frontrunner": {"deadline": 60}}
        async with served.http.post("v1/completions", json=body) as response:
            assert response.status == 200
            text = await response.text()
        last, done = [line for line in text.splitlines() if line][-2:]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "engine_error"
        assert done == "data: [DONE]"
        await served.idle()


async def test_who_leaves_the_stream_of_a_list_ends_its_races(serve: Serve) -> None:
    async with serve(ENDLESS) as served:
        body = {"prompt": ["one", "two"], "stream": True, "frontrunner": {"deadline": 60}}
        async with served.http.post("v1/completions", json=body) as response:
            await response.content.readany()
            assert served.engine.load().running
            response.close()
        await served.idle()


async def test_models(serve: Serve) -> None:
    async with serve(model="racer") as served:
        assert [model.id async for model in served.openai.models.list()] == ["racer"]
        assert (await served.openai.models.retrieve("racer")).owned_by == "frontrunner"
        with pytest.raises(openai.NotFoundError):
            await served.openai.models.retrieve("gpt-9")
        reply = await served.openai.completions.create(model="racer", prompt="q")
        assert reply.model == "racer"


async def test_no_path_and_no_method(serve: Serve) -> None:
    async with serve() as served:
        async with served.http.get("v1/nothing") as response:
            assert response.status == 404
            assert (await response.json())["error"]["type"] == "invalid_request_error"
        async with served.http.delete("v1/models") as response:
            assert response.status == 405
            assert "GET" in response.headers["Allow"]
