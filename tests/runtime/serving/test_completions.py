"""Completions and models, as OpenAI's client sees them."""

from typing import Any

import openai
import pytest

from frontrunner.runtime.engines import BranchScript

from .conftest import Serve

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


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": ["one", "two"]},
        {"prompt": []},
        {"prompt": ""},
        {"prompt": [[1], [2]]},
        {"prompt": [-1]},
        {"prompt": "q", "echo": True},
        {"prompt": "q", "suffix": "."},
        {"prompt": "q", "logprobs": 3},
        {},
    ],
)
async def test_what_cannot_be_done_is_refused(serve: Serve, body: dict[str, Any]) -> None:
    async with serve() as served, served.http.post("v1/completions", json=body) as response:
        assert response.status == 400


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
