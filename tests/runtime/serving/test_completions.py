"""Completions and models, as OpenAI's client sees them."""

from typing import Any

import openai
import pytest

from frontrunner.runtime.engines import BranchScript

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
        ({"prompt": ["one", "two"], "stream": True}, "stream"),
        ({"prompt": [5, 6], "echo": True}, "echo"),
        ({"prompt": "q", "suffix": "."}, "suffix"),
        ({"prompt": "q", "logprobs": 3}, "logprobs"),
        ({"prompt": "q", "logprobs": 0}, "logprobs"),
        ({"prompt": "q", "max_tokens": 0}, "max_tokens"),
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
