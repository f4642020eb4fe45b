"""The Responses API over HTTP, as OpenAI's client sees it."""

import asyncio
from pathlib import Path
from typing import Any

import openai
import orjson
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from tests.backends import until

from frontrunner.runtime.engines import BranchScript, Piece

from .conftest import ENDLESS, Serve, Served

QUESTION = "What is 6 times 7?"


def options(**more: Any) -> dict[str, Any]:
    return {"frontrunner": {"branches": 4, "deadline": 2, **more}}


async def create(served: Served, question: Any = QUESTION, **more: Any) -> Response:
    extra = more.pop("extra_body", options())
    return await served.openai.responses.create(
        model="scripted", input=question, extra_body=extra, **more
    )


async def events(served: Served, **more: Any) -> list[ResponseStreamEvent]:
    extra = more.pop("extra_body", options())
    stream = await served.openai.responses.create(
        model="scripted", input=QUESTION, stream=True, extra_body=extra, **more
    )
    return [event async for event in stream]


def race_of(response: Response) -> dict[str, Any]:
    return response.frontrunner  # type: ignore[attr-defined]


async def connect(served: Served, body: dict[str, Any]) -> asyncio.StreamWriter:
    """Post ``body`` over a connection of one's own, and read nothing."""
    data = orjson.dumps(body)
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    head = f"POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)
    await until(lambda: served.engine.load().running > 0)
    return writer


async def test_a_whole_response(serve: Serve) -> None:
    async with serve() as served:
        response = await create(served, instructions="Be brief.", metadata={"a": "b"})
        assert response.status == "completed"
        assert response.output_text == "42"
        reasoning, message = response.output
        assert reasoning.type == "reasoning"
        assert reasoning.content is not None
        assert reasoning.content[0].text.endswith("\\boxed{42}")
        assert message.type == "message"
        assert message.status == "completed"
        assert response.metadata == {"a": "b"}
        assert response.instructions == "Be brief."
        race = race_of(response)
        assert race["answer"] == "42"
        assert response.id == f"resp_{race['race_id']}"
        assert response.usage is not None
        assert response.usage.output_tokens == 10  # of the winner; of the race:
        assert race["tokens_generated"] > 10
        assert response.usage.total_tokens == (
            response.usage.input_tokens + response.usage.output_tokens
        )
        assert served.engine.requests[0].prompt == served.engine.encode(f"Be brief. {QUESTION}")


async def test_a_stream(serve: Serve) -> None:
    async with serve() as served:
        stream = await events(served)
        assert [event.sequence_number for event in stream] == list(range(len(stream)))  # type: ignore[union-attr]
        kinds = [event.type for event in stream]
        told = [kind for i, kind in enumerate(kinds) if i == 0 or kinds[i - 1] != kind]
        assert told == [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.reasoning_text.delta",
            "response.reasoning_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
        said = {"reasoning_text": "", "output_text": ""}
        for event in stream:
            told: Any = event
            name, _, step = event.type.removeprefix("response.").partition(".")
            if name in said and step == "delta":
                said[name] += told.delta
            elif name in said:
                assert told.text == said[name]
        last = stream[-1]
        assert last.type == "response.completed"
        assert last.response.output_text == said["output_text"] == "42"
        # The response that is asked for later is the one that was sent.
        again = await served.openai.responses.retrieve(last.response.id)
        assert again.to_dict() == last.response.to_dict()


async def test_the_streams_helper_of_the_sdk(serve: Serve) -> None:
    for told in (False, True):
        async with (
            serve() as served,
            served.openai.responses.stream(
                model="scripted", input=QUESTION, extra_body=options(events=told)
            ) as stream,
        ):
            seen = {event.type async for event in stream}
            final = await stream.get_final_response()
            assert final.output_text == "42"
            assert any(kind.startswith("frontrunner.") for kind in seen) == told


async def test_events_of_branches_and_votes_on_request(serve: Serve) -> None:
    async with serve() as served:
        stream = await events(served, extra_body=options(events=True))
        assert [event.sequence_number for event in stream] == list(range(len(stream)))  # type: ignore[union-attr]
        extra = [event for event in stream if event.type.startswith("frontrunner.")]
        kinds = {event.type for event in extra}
        assert {
            "frontrunner.race.started",
            "frontrunner.branch.started",
            "frontrunner.branch.delta",
            "frontrunner.branch.ended",
            "frontrunner.vote",
        } <= kinds
        texts: dict[int, str] = {}
        for event in extra:
            if event.type == "frontrunner.branch.delta":
                told: Any = event
                texts[told.branch] = texts.get(told.branch, "") + told.text
        assert len(texts) == 4
        assert any(text.endswith("\\boxed{42}") for text in texts.values())


async def test_a_deadline_brings_the_best_answer(serve: Serve) -> None:
    async with serve(ENDLESS) as served:
        response = await create(served, extra_body=options(deadline=0.3))
        assert response.status == "completed"
        assert response.output_text == "7"
        assert race_of(response)["stop_reason"] == "deadline"


async def test_headers_shorten_the_deadline(serve: Serve) -> None:
    async with serve(ENDLESS) as served:
        response = await create(served, extra_headers={"x-frontrunner-deadline": "0.25"})
        assert race_of(response)["deadline"] == 0.25


async def test_nothing_to_answer_with_is_a_failed_response(serve: Serve) -> None:
    async with serve(BranchScript((), error="lost")) as served:
        response = await create(served)
        assert response.status == "failed"
        assert response.error is not None
        assert response.error.code == "server_error"
        assert (await events(served))[-1].type == "response.failed"


async def test_a_response_for_which_no_branch_wrote_anything_has_failed(serve: Serve) -> None:
    silent = BranchScript((), stall=True)
    async with serve(silent, forced=(silent,)) as served:
        response = await create(served, extra_body=options(deadline=0.2))
        assert response.status == "failed"
        assert response.error is not None
        assert "no branch wrote anything" in response.error.message


TOOLS: Any = [{"type": "function", "name": "add", "parameters": {"type": "object"}}]
CALLS = BranchScript(
    (Piece(0.01, '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>', 9),)
)


async def test_a_call_and_its_output(serve: Serve) -> None:
    async with serve(CALLS) as served:
        response = await create(served, tools=TOOLS)
        call = response.output[-1]
        assert call.type == "function_call"
        assert (call.name, call.arguments) == ("add", '{"a":1}')
        assert response.tools[0].type == "function"

        stream = await events(served, tools=TOOLS)
        kinds = [event.type for event in stream]
        assert "response.function_call_arguments.delta" in kinds
        assert "response.function_call_arguments.done" in kinds
        assert kinds[-1] == "response.completed"

        items: Any = [
            {"role": "user", "content": QUESTION},
            *(item.to_dict() for item in response.output),
            {"type": "function_call_output", "call_id": call.call_id, "output": "three"},
        ]
        served.engine.requests.clear()
        await create(served, items)
        assert served.engine.requests[0].prompt == served.engine.encode(f"{QUESTION} three")


async def test_input_in_all_its_forms(serve: Serve) -> None:
    turns: Any = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "input_text", "text": "one "}]},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "two", "annotations": []}],
        },
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "user", "content": "three"},
    ]
    async with serve() as served:
        await create(served, turns)
        assert served.engine.requests[0].prompt == served.engine.encode("be brief one two three")


async def test_a_conversation_goes_on(serve: Serve) -> None:
    async with serve() as served:
        first = await create(served, "first", instructions="only here")
        second = await create(served, "second", previous_response_id=first.id)
        served.engine.requests.clear()
        third = await create(served, "third", previous_response_id=second.id)
        assert third.previous_response_id == second.id
        expected = served.engine.encode("first 42 second 42 third")
        assert served.engine.requests[0].prompt == expected


async def test_what_cannot_go_on(serve: Serve) -> None:
    async with serve() as served:
        unstored = await create(served, store=False)
        with pytest.raises(openai.NotFoundError) as caught:
            await create(served, previous_response_id=unstored.id)
        assert caught.value.code == "previous_response_not_found"
        assert caught.value.param == "previous_response_id"
        with pytest.raises(openai.NotFoundError):
            await served.openai.responses.retrieve(unstored.id)
        kept = await create(served)
        await served.openai.responses.delete(kept.id)
        with pytest.raises(openai.NotFoundError):
            await served.openai.responses.retrieve(kept.id)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"messages": [{"role": "user", "content": "x"}]}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": "x", "temperature": 3}, "temperature"),
        ({"input": "x", "max_output_tokens": 0}, "max_output_tokens"),
        ({"input": "x", "conversation": "c"}, "conversation"),
        ({"input": "x", "prompt": {"id": "p"}}, "prompt"),
        ({"input": "x", "frontrunner": {"deadlines": 1}}, "frontrunner.deadlines"),
        ({"input": "x", "frontrunner": {"strategy": "no such"}}, "frontrunner.strategy"),
        ({"input": "x", "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"input": "x", "tools": [{"type": 5}]}, "tools[0].type"),
        ({"input": "x", "tools": [{}]}, "tools[0].type"),
        ({"input": [{"type": ["x"]}]}, "input[0].type"),
        ({"input": [{}]}, "input[0].role"),
        ({"input": [{"type": "message", "role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "compaction", "id": "c"}]}, "input[0].type"),
        ({"input": [{"type": "computer_call_output", "call_id": "c"}]}, "input[0].type"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments"),
        ([], None),
    ],
)
async def test_what_is_wrong_is_named(serve: Serve, body: Any, param: str | None) -> None:
    async with serve() as served, served.http.post("/v1/responses", json=body) as reply:
        assert reply.status == 400
        error = (await reply.json())["error"]
        assert error["type"] == "invalid_request_error"
        assert (error["param"] or "").startswith(param or "")
        assert not served.engine.requests


async def test_another_model_is_not_served(serve: Serve) -> None:
    async with serve() as served:
        with pytest.raises(openai.NotFoundError) as caught:
            await served.openai.responses.create(model="gpt-9", input="x")
        assert caught.value.code == "model_not_found"


async def test_in_the_background(serve: Serve) -> None:
    async with serve(ENDLESS) as served:
        begun = await create(served, background=True, extra_body=options(deadline=1))
        assert begun.status == "in_progress"
        stream = await served.openai.responses.retrieve(begun.id, stream=True)
        seen = [event async for event in stream]
        assert seen[0].type == "response.created"
        assert seen[-1].type == "response.completed"
        assert [event.sequence_number for event in seen] == list(range(len(seen)))  # type: ignore[union-attr]
        again = await served.openai.responses.retrieve(begun.id, stream=True, starting_after=3)
        assert [e.sequence_number async for e in again] == list(range(4, len(seen)))  # type: ignore[union-attr]
        headers = {"Last-Event-ID": str(len(seen) - 2)}
        path = f"/v1/responses/{begun.id}?stream=true"
        async with served.http.get(path, headers=headers) as reply:
            text = await reply.text()
        assert text.startswith(f"event: response.completed\nid: {len(seen) - 1}\ndata: {{")
        assert (await served.openai.responses.retrieve(begun.id)).output_text == "7"


async def test_events_that_are_not_kept(serve: Serve) -> None:
    async with serve(ENDLESS, log_frames=2) as served:
        begun = await create(served, background=True, extra_body=options(deadline=0.3))
        await until(lambda: bool(served.engine.requests))
        await served.idle()
        with pytest.raises(openai.APIStatusError) as caught:
            await served.openai.responses.retrieve(begun.id, stream=True, starting_after=0)
        assert caught.value.status_code == 410
        assert caught.value.code == "events_expired"


async def test_events_go_before_the_response_does(serve: Serve) -> None:
    async with serve(kept_seconds=0) as served:
        response = await create(served)
        with pytest.raises(openai.APIStatusError) as caught:
            await served.openai.responses.retrieve(response.id, stream=True)
        assert caught.value.code == "events_expired"
        assert (await served.openai.responses.retrieve(response.id)).output_text == "42"


async def test_cancelling(serve: Serve) -> None:
    async with serve(ENDLESS) as served:
        begun = await create(served, background=True, extra_body=options(deadline=60))
        ended = await served.openai.responses.cancel(begun.id)
        assert ended.status == "cancelled"
        await served.idle()
        stream = await served.openai.responses.retrieve(begun.id, stream=True)
        last = [event async for event in stream][-1]
        assert last.type == "response.incomplete"
        assert last.response.status == "cancelled"
        # What has ended stays as it is.
        assert (await served.openai.responses.cancel(begun.id)).status == "cancelled"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_takes_its_race_along(serve: Serve, stream: bool) -> None:
    async with serve(ENDLESS) as served:
        body = {"input": "x", "stream": stream, **options(deadline=60)}
        writer = await connect(served, body)
        writer.close()
        await served.idle()


async def test_a_race_goes_on_without_its_client_if_asked(serve: Serve) -> None:
    async with serve(ENDLESS) as served:
        body = {"input": "x", **options(deadline=0.5, on_disconnect="continue")}
        writer = await connect(served, body)
        writer.close()
        await served.idle()
        race_id = served.engine.requests[0].request_id.partition("-")[0]
        stored = await served.openai.responses.retrieve(f"resp_{race_id}")
        assert race_of(stored)["stop_reason"] == "deadline"


async def test_others_do_not_get_it(serve: Serve, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("ann: key-of-ann\nbob: key-of-bob\n")
    async with serve(key_file=str(keys)) as served:
        ann, bob = (served.openai.with_options(api_key=f"key-of-{n}") for n in ("ann", "bob"))
        response = await ann.responses.create(model="scripted", input="x", extra_body=options())
        with pytest.raises(openai.NotFoundError):
            await bob.responses.retrieve(response.id)
        with pytest.raises(openai.NotFoundError):
            await bob.responses.cancel(response.id)
        with pytest.raises(openai.NotFoundError):
            await bob.responses.create(
                model="scripted", input="y", previous_response_id=response.id
            )
        with pytest.raises(openai.AuthenticationError):
            await served.openai.responses.retrieve(response.id)
        assert (await ann.responses.retrieve(response.id)).output_text == "42"
