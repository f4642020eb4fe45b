"""``usage`` is what the client received; and nothing is sent before there is text to send."""

from typing import Any

import orjson
import pytest

from frontrunner.runtime.engines import BranchScript, Piece

from .conftest import ENDLESS, Serve, Served

QUESTION: Any = [{"role": "user", "content": "What is 6 times 7?"}]
#: Ten tokens, of which the answer is one word.
BRANCH = BranchScript.answering("42", seconds=0.02)


def options(**more: Any) -> dict[str, Any]:
    """Of a request whose content is the answer alone."""
    return {"frontrunner": {"branches": 4, "deadline": 2, "answers": "boxed", **more}}


async def post(served: Served, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with served.http.post(path, json=body) as response:
        assert response.status == 200
        return await response.json()


async def streamed(served: Served, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The data of a stream's events."""
    async with served.http.post(path, json={**body, "stream": True}) as response:
        assert response.status == 200
        lines = [line.strip() async for line in response.content]
    data = [line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: ")]
    return [orjson.loads(piece) for piece in data if piece != b"[DONE]"]


async def test_it_counts_the_winner_and_not_the_race(serve: Serve) -> None:
    async with serve(BRANCH) as served:
        reply = await post(served, "v1/chat/completions", {"messages": QUESTION, **options()})
        usage, race = reply["usage"], reply["frontrunner"]
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (5, 10)
        assert usage["total_tokens"] == 15
        assert usage["completion_tokens_details"] == {"reasoning_tokens": 9}
        assert usage["frontrunner"] == race
        assert race["tokens_generated"] > 10

        reply = await post(served, "v1/responses", {"input": "What is 6 times 7?", **options()})
        usage = reply["usage"]
        assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (5, 10, 15)
        assert usage["output_tokens_details"] == {"reasoning_tokens": 9}

        reply = await post(served, "v1/completions", {"prompt": "What is", **options()})
        usage = reply["usage"]
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (2, 10)
        assert usage["total_tokens"] == 12


@pytest.mark.parametrize(
    ("path", "body"),
    [("v1/chat/completions", {"messages": QUESTION}), ("v1/completions", {"prompt": "q"})],
)
async def test_a_stream_counts_as_the_whole_reply_does(
    serve: Serve, path: str, body: dict[str, Any]
) -> None:
    counted = ("prompt_tokens", "completion_tokens", "total_tokens", "completion_tokens_details")
    async with serve(BRANCH) as served:
        whole = (await post(served, path, {**body, **options()}))["usage"]
        asked = {**body, **options(), "stream_options": {"include_usage": True}}
        *others, last = await streamed(served, path, asked)
        assert {key: last["usage"][key] for key in counted} == {key: whole[key] for key in counted}
        assert all(chunk["usage"] is None for chunk in others)


async def test_several_choices_are_counted_together_and_their_prompt_once(serve: Serve) -> None:
    branches = [BranchScript.answering("42", seconds=0.02, tokens=n) for n in (4, 5, 6, 7)]
    everyone = options(parameters={"stop": "none"}, strategy="majority")
    async with serve(*branches) as served:
        asked = {"messages": QUESTION, "n": 3, **everyone}
        reply = await post(served, "v1/chat/completions", asked)
        assert reply["frontrunner"]["tokens_generated"] == 22
        texts = [choice["message"]["reasoning_content"] for choice in reply["choices"]]
        usage = reply["usage"]
        assert usage["completion_tokens"] == sum(len(text.split()) for text in texts)
        assert usage["completion_tokens_details"]["reasoning_tokens"] == (
            usage["completion_tokens"] - 3
        )
        assert usage["prompt_tokens"] == 5


async def test_a_forced_answer_is_part_of_what_was_received(serve: Serve) -> None:
    async with serve(ENDLESS) as served:
        asked = {"messages": QUESTION, **options(deadline=0.3)}
        reply = await post(served, "v1/chat/completions", asked)
        assert reply["choices"][0]["message"]["content"] == "7"
        usage, race = reply["usage"], reply["frontrunner"]
        assert 0 < usage["completion_tokens"] < race["tokens_generated"]
        reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
        assert reasoning == usage["completion_tokens"] - 1


async def test_a_reply_without_reasoning_has_none_to_count(serve: Serve) -> None:
    plain = BranchScript((Piece(0.01, "I do "), Piece(0.01, "not know.")))
    async with serve(plain, forced=(BranchScript(),)) as served:
        asked = {"messages": QUESTION, **options(answers="text")}
        usage = (await post(served, "v1/chat/completions", asked))["usage"]
        assert usage["completion_tokens"] == 2
        assert usage["completion_tokens_details"] == {"reasoning_tokens": 0}


async def test_a_call_is_no_reasoning(serve: Serve) -> None:
    call = '<tool_call>{"name":"add","arguments":{"a":1}}</tool_call>'
    calls = BranchScript((Piece(0.01, "I had better add ", 4), Piece(0.01, call)))
    tools = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
    async with serve(calls) as served:
        asked = {"messages": QUESTION, "tools": tools, "frontrunner": {"branches": 2}}
        reply = await post(served, "v1/chat/completions", asked)
        assert reply["choices"][0]["finish_reason"] == "tool_calls"
        assert reply["usage"]["completion_tokens"] == 5
        assert reply["usage"]["completion_tokens_details"] == {"reasoning_tokens": 4}


async def test_the_first_chunk_comes_with_the_first_text(serve: Serve) -> None:
    async with serve(BRANCH) as served:
        asked = {"messages": QUESTION, **options(events=True)}
        chunks = await streamed(served, "v1/chat/completions", asked)
        # The race is told of before, in chunks without choices.
        assert chunks[0]["choices"] == []
        said = [i for i, chunk in enumerate(chunks) if chunk["choices"]]
        first, second = (chunks[i]["choices"][0]["delta"] for i in said[:2])
        assert first == {"role": "assistant", "content": ""}
        assert second["reasoning_content"].startswith("step0 ")
        assert said[1] == said[0] + 1
        progressed = [
            i
            for i, chunk in enumerate(chunks)
            if not chunk["choices"] and chunk["frontrunner"]["type"] == "frontrunner.branch.delta"
        ]
        assert said[0] <= progressed[0] + 1


async def test_every_choice_begins_with_its_role(serve: Serve) -> None:
    async with serve(BRANCH) as served:
        asked = {"messages": QUESTION, "n": 3, **options()}
        chunks = await streamed(served, "v1/chat/completions", asked)
        deltas: dict[int, list[dict[str, Any]]] = {0: [], 1: [], 2: []}
        for chunk in chunks:
            for choice in chunk["choices"]:
                deltas[choice["index"]].append(choice["delta"])
        for told in deltas.values():
            assert told[0] == {"role": "assistant", "content": ""}
            assert not any("role" in delta for delta in told[1:])


async def test_a_stream_in_which_no_branch_wrote_anything_is_an_error(serve: Serve) -> None:
    silent = BranchScript((), stall=True)
    async with serve(silent, forced=(silent,)) as served:
        asked = {"messages": QUESTION, **options(deadline=0.2)}
        *_, last = await streamed(served, "v1/chat/completions", asked)
        assert "no branch wrote anything" in last["error"]["message"]
