"""Chat completions, as OpenAI's client sees them."""

from typing import Any

import openai
import orjson
import pytest
from openai.types.chat import ChatCompletionChunk

from frontrunner.runtime.engines import BranchScript, Piece
from frontrunner.runtime.serving.runs.leader_stream import SEPARATOR

from .conftest import ENDLESS, Serve, Served

QUESTION: Any = [{"role": "user", "content": "What is 6 times 7?"}]


def options(**more: Any) -> dict[str, Any]:
    return {"frontrunner": {"branches": 4, "deadline": 2, **more}}


async def chunks(served: Served, **more: Any) -> list[ChatCompletionChunk]:
    extra = more.pop("extra_body", options())
    stream = await served.openai.chat.completions.create(
        model="scripted", messages=QUESTION, stream=True, extra_body=extra, **more
    )
    return [chunk async for chunk in stream]


def text_of(stream: list[ChatCompletionChunk], field: str, index: int = 0) -> str:
    deltas = [c.delta for chunk in stream for c in chunk.choices if c.index == index]
    return "".join(getattr(delta, field, None) or "" for delta in deltas)


async def test_a_whole_reply(serve: Serve) -> None:
    async with serve() as served:
        reply = await served.openai.chat.completions.create(
            model="scripted", messages=QUESTION, extra_body=options()
        )
        (choice,) = reply.choices
        assert choice.message.content == "42"
        assert choice.message.reasoning_content.endswith("\\boxed{42}")  # type: ignore[attr-defined]
        assert choice.finish_reason == "stop"
        race = reply.frontrunner  # type: ignore[attr-defined]
        assert race["answer"] == "42"
        assert race["deadline"] == 2
        assert race["overshoot"] == 0
        assert race["votes"]["42"] >= 1
        assert race["branches"]["launched"] == 4
        assert reply.usage is not None
        assert reply.usage.completion_tokens == 10  # of the winner; of the race:
        assert race["tokens_generated"] > 10
        assert reply.usage.frontrunner == race  # type: ignore[attr-defined]
        assert reply.id == f"chatcmpl-{race['race_id']}"


async def test_a_stream_tells_the_leader_and_then_the_answer(serve: Serve) -> None:
    async with serve() as served:
        stream = await chunks(served, stream_options={"include_usage": True})
        assert stream[0].choices[0].delta.role == "assistant"
        reasoning = text_of(stream, "reasoning_content")
        assert reasoning.startswith("step0 ")
        assert reasoning.endswith("\\boxed{42}")
        assert text_of(stream, "content") == "42"
        reasons = [c.finish_reason for chunk in stream for c in chunk.choices if c.finish_reason]
        assert reasons == ["stop"]
        last = stream[-1]
        assert last.choices == []
        assert last.usage is not None
        assert last.usage.frontrunner["answer"] == "42"  # type: ignore[attr-defined]
        assert stream[-2].frontrunner == last.usage.frontrunner  # type: ignore[attr-defined]
        assert {chunk.id for chunk in stream} == {last.id}


async def test_the_reasoning_ends_with_the_winners(serve: Serve) -> None:
    wrong = BranchScript((Piece(0.001, "first to speak "), Piece(0.03, "\\boxed{1}")))
    right = BranchScript((Piece(0.005, "later "), Piece(0.015, "\\boxed{42}")))
    async with serve(wrong, right, right, right) as served:
        stream = await chunks(served)
        reasoning = text_of(stream, "reasoning_content")
        assert reasoning.startswith("first to speak ")
        assert reasoning.endswith(f"{SEPARATOR}later \\boxed{{42}}")


async def test_a_deadline_brings_the_best_answer(serve: Serve) -> None:
    async with serve(ENDLESS) as served:
        stream = await chunks(served, extra_body=options(deadline=0.3))
        assert text_of(stream, "content") == "7"
        race = stream[-1].frontrunner  # type: ignore[attr-defined]
        assert race["stop_reason"] == "deadline"
        assert race["forced_votes"] == {"7": 4}
        assert race["elapsed"] <= race["deadline"] + 1


async def test_several_choices(serve: Serve) -> None:
    answers = ("42", "41", "42", "42")
    branches = [BranchScript.answering(a, seconds=0.02) for a in answers]
    no_early_exit = options(parameters={"stop": "none"}, strategy="majority")
    async with serve(*branches) as served:
        reply = await served.openai.chat.completions.create(
            model="scripted", messages=QUESTION, n=4, extra_body=no_early_exit
        )
        assert [choice.message.content for choice in reply.choices] == ["42", "42", "42", "41"]
        stream = await chunks(served, n=4, extra_body=no_early_exit)
        assert [text_of(stream, "content", i) for i in range(4)] == ["42", "42", "42", "41"]
        reasons = {c.index: c.finish_reason for x in stream for c in x.choices if c.finish_reason}
        assert reasons == dict.fromkeys(range(4), "stop")


async def test_more_choices_than_branches_by_default_race_more(serve: Serve) -> None:
    async with serve(settings={"race": {"branches": 2}}) as served:
        reply = await served.openai.chat.completions.create(
            model="scripted", messages=QUESTION, n=3
        )
        assert len(reply.choices) == 3
        with pytest.raises(openai.BadRequestError, match="as many branches") as caught:
            await served.openai.chat.completions.create(
                model="scripted", messages=QUESTION, n=5, extra_body=options()
            )
        assert caught.value.param == "n"


async def test_what_the_client_says_reaches_the_engine(serve: Serve) -> None:
    async with serve() as served:
        await served.openai.chat.completions.create(
            model="scripted",
            messages=[
                {"role": "system", "content": [{"type": "text", "text": "Be "}]},
                {"role": "user", "content": [{"type": "text", "text": "very brief"}]},
            ],
            temperature=0.5,
            top_p=0.9,
            seed=5,
            extra_body=options(max_tokens=33, stop="END"),
        )
        request = served.engine.requests[0]
        assert request.prompt == served.engine.encode("Be  very brief")
        assert request.sampling.temperature == 0.5
        assert request.sampling.top_p == 0.9
        assert request.sampling.stop == ("END",)
        assert request.max_tokens == 33
        assert request.seed is not None


TOOLS: Any = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
CALLS = BranchScript(
    (Piece(0.01, '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>', 9),)
)


async def test_tool_calls(serve: Serve) -> None:
    async with serve(CALLS) as served:
        reply = await served.openai.chat.completions.create(
            model="scripted", messages=QUESTION, tools=TOOLS, extra_body=options()
        )
        (choice,) = reply.choices
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content is None
        assert choice.message.tool_calls is not None
        (call,) = choice.message.tool_calls
        assert call.type == "function"
        assert (call.function.name, call.function.arguments) == ("add", '{"a":1}')

        stream = await chunks(served, tools=TOOLS)
        assert text_of(stream, "content") == ""
        (delta,) = [c.delta for x in stream for c in x.choices if c.delta.tool_calls]
        assert delta.tool_calls is not None
        assert delta.tool_calls[0].function is not None
        assert delta.tool_calls[0].function.name == "add"
        assert stream[-1].choices[0].finish_reason == "tool_calls"


async def test_with_tools_a_reply_may_still_be_text(serve: Serve) -> None:
    plain = BranchScript((Piece(0.01, "I need no tool."),))
    async with serve(plain) as served:
        stream = await chunks(served, tools=TOOLS)
        assert text_of(stream, "content") == "I need no tool."
        assert stream[-1].choices[0].finish_reason == "stop"


async def test_a_request_may_say_how_its_answers_are_compared(serve: Serve) -> None:
    scripts = [BranchScript.answering(a, seconds=0.01) for a in ("5 cm", "5", "5 km", "5")]
    async with serve(*scripts) as served:
        for answers, classes in ((None, 1), ({"units": "keep"}, 3), ({"kind": "boxed"}, 1)):
            reply = await served.openai.chat.completions.create(
                model="scripted",
                messages=QUESTION,
                extra_body=options(answers=answers, parameters={"stop": "none"}),
            )
            assert len(reply.frontrunner["votes"]) == classes  # type: ignore[attr-defined]


async def test_events_are_told_if_asked_for(serve: Serve) -> None:
    async with serve() as served:
        quiet = await chunks(served)
        assert all(chunk.choices for chunk in quiet)
        told = await chunks(served, extra_body=options(events=True))
        extras = [c.frontrunner for c in told if not c.choices]  # type: ignore[attr-defined]
        kinds = [extra["type"] for extra in extras]
        assert kinds[0] == "frontrunner.race.started"
        assert kinds.count("frontrunner.branch.started") == 4
        assert kinds.count("frontrunner.branch.ended") == 4
        assert "frontrunner.vote" in kinds
        pieces = [e["text"] for e in extras if e["type"] == "frontrunner.branch.delta"]
        assert "step0 " in "".join(pieces)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, None),
        ({"temperature": 3}, "temperature"),
        ({"n": 0}, "n"),
        ({"stop": ""}, None),
        ({"frontrunner": {"deadline": 0}}, "frontrunner.deadline"),
        ({"frontrunner": {"deadlines": 1}}, "frontrunner.deadlines"),
        ({"frontrunner": {"strategy": "nobody"}}, "frontrunner.strategy"),
        ({"frontrunner": {"parameters": {"stp": 1}}}, "frontrunner.parameters"),
        ({"frontrunner": {"branches": 100_000}}, "frontrunner.branches"),
        ({"frontrunner": {"branches": 2, "min_branches": 3}}, "frontrunner.min_branches"),
        ({"frontrunner": {"answers": "number"}}, "frontrunner.answers.kind"),
        ({"tools": [{}]}, "tools[0].function"),
        ({"tools": [{"type": "custom"}, {"function": {}}]}, "tools[1].function.name"),
        (
            {"tools": [{"function": {"name": "f", "parameters": []}}]},
            "tools[0].function.parameters",
        ),
        ({"functions": [{"name": ""}]}, "functions[0].name"),
        ({"frontrunner": {"answers": {"unit": "keep"}}}, "frontrunner.answers.unit"),
        ({"frontrunner": {"answers": {"units": "all"}}}, "frontrunner.answers.units"),
        ({"frontrunner": {"answers": 7}}, "frontrunner.answers"),
    ],
)
async def test_bad_requests_name_the_field(
    serve: Serve, body: dict[str, Any], param: str | None
) -> None:
    async with serve() as served:
        async with served.http.post(
            "v1/chat/completions", json={"messages": QUESTION, **body}
        ) as response:
            assert response.status == 400
            error = (await response.json())["error"]
        assert set(error) == {"message", "type", "param", "code"}
        if param is not None:
            assert error["param"] == param
        assert served.engine.requests == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
        b"[" * 100_000,
        b'{"messages": ' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"messages": [{"role": "user", "content": "q"}], "seed": 1' + b"0" * 400 + b"}",
    ],
)
async def test_bodies_that_are_none(serve: Serve, body: bytes) -> None:
    async with serve() as served, served.http.post("v1/chat/completions", data=body) as response:
        assert response.status == 400
        assert "error" in await response.json()


async def test_strange_text_comes_through(serve: Serve) -> None:
    async with serve(BranchScript((Piece(0.01, "\0\u202e\\boxed{\ud83d\ude00}"),))) as served:
        body = {"messages": [{"role": "user", "content": "\0 \u202e \U0001f600"}]}
        async with served.http.post("v1/chat/completions", data=orjson.dumps(body)) as response:
            assert response.status == 200
            assert "error" not in await response.json()


async def test_errors_of_the_client_library(serve: Serve) -> None:
    async with serve(body_limit=2000) as served:
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            await served.openai.chat.completions.create(model="gpt-9", messages=QUESTION)
        with pytest.raises(openai.APIStatusError) as caught:
            await served.openai.chat.completions.create(
                model="scripted", messages=[{"role": "user", "content": "x" * 3000}]
            )
        assert caught.value.status_code == 413


async def test_a_lost_engine_is_a_503(serve: Serve) -> None:
    async with serve(BranchScript(error="lost")) as served:
        with pytest.raises(openai.APIStatusError, match="lost every branch") as caught:
            await served.openai.chat.completions.create(model="scripted", messages=QUESTION)
        assert caught.value.status_code == 503
        with pytest.raises(openai.APIError, match="lost every branch"):
            await chunks(served)


@pytest.mark.parametrize(
    ("headers", "asked", "deadline"),
    [
        ({}, None, 10),
        ({}, 3.0, 3.0),
        ({"x-request-timeout-ms": "2500"}, None, 2.5),
        ({"x-request-timeout-ms": "2500"}, 2.0, 2.0),
        ({"x-frontrunner-deadline": "4"}, 20.0, 4.0),
        ({"x-stainless-read-timeout": "600"}, None, 10),
        ({"x-stainless-read-timeout": "5"}, None, 5),
        ({"x-stainless-read-timeout": "None"}, None, 10),
        ({"x-litellm-timeout": "1.5", "x-request-timeout-ms": "9000"}, 8.0, 1.5),
        ({}, 1e9, 30),
    ],
)
async def test_the_smallest_deadline_counts(
    serve: Serve, headers: dict[str, str], asked: float | None, deadline: float
) -> None:
    body: dict[str, Any] = {"messages": QUESTION}
    if asked is not None:
        body["frontrunner"] = {"deadline": asked}
    async with (
        serve(max_deadline=30) as served,
        served.http.post("v1/chat/completions", json=body, headers=headers) as response,
    ):
        assert (await response.json())["frontrunner"]["deadline"] == pytest.approx(deadline)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "soon", "1_0", "", "1e999"])
async def test_a_deadline_that_is_none(serve: Serve, value: str) -> None:
    headers = {"x-request-timeout-ms": value}
    body = {"messages": QUESTION}
    async with (
        serve() as served,
        served.http.post("v1/chat/completions", json=body, headers=headers) as response,
    ):
        assert response.status == 400
