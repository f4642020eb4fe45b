"""What a reply is: calls of tools, JSON, content that is cut, whole replies, one branch alone."""

from typing import Any

import openai
import orjson
import pytest
from tests.backends import virtual_asyncio

from frontrunner.runtime.engines import BranchScript, Piece
from frontrunner.runtime.engines.protocol import FinishReason

from .conftest import ENDLESS, Serve, Served

QUESTION: Any = [{"role": "user", "content": "What is 6 times 7?"}]
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("add", "look_up")
]
PERSON: Any = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
ANN = '{"name": "Ann", "age": 42}'


def writing(text: str, *, seconds: float = 0.01, tokens: int = 9) -> BranchScript:
    return BranchScript((Piece(seconds, text, tokens),))


def calling(name: str = "add", **arguments: Any) -> str:
    call = orjson.dumps({"name": name, "arguments": arguments}).decode()
    return f"<tool_call>{call}</tool_call>"


async def ask(served: Served, *, branches: int | None = 4, **more: Any) -> Any:
    """The reply to a question, whole."""
    race = {"deadline": 5, **more.pop("race", {})}
    body = {"frontrunner": race if branches is None else {"branches": branches, **race}}
    return await served.openai.chat.completions.create(
        model="scripted", messages=more.pop("messages", QUESTION), extra_body=body, **more
    )


async def stream(served: Served, **more: Any) -> tuple[str, str | None]:
    """The content of a streamed reply, and why it ended."""
    chunks = [chunk async for chunk in await ask(served, stream=True, **more)]
    choices = [choice for chunk in chunks for choice in chunk.choices]
    reason = next((c.finish_reason for c in reversed(choices) if c.finish_reason), None)
    return "".join(choice.delta.content or "" for choice in choices), reason


def no_forcing(served: Served) -> bool:
    return not any(request.forced for request in served.engine.requests)


# ── tools ─────────────────────────────────────────────────────────────────────────────────────────


async def test_tools_that_are_not_used_leave_the_race_as_it_is(serve: Serve) -> None:
    scripts = [BranchScript.answering(a, seconds=0.01) for a in ("41", "42", "42", "42")]
    async with serve(*scripts) as served:
        reply = await ask(served, tools=TOOLS, race={"parameters": {"stop": "none"}})
        assert reply.frontrunner["votes"] == {"42": 3, "41": 1}
        assert reply.choices[0].message.content == "42"
        assert reply.choices[0].message.tool_calls is None
        assert no_forcing(served)


async def test_calls_are_votes_beside_answers(serve: Serve) -> None:
    spelled = '{"arguments":{"a":1},"name":"add"}'
    scripts = [
        writing(calling(a=1)),
        writing(calling(a=1.0)),
        writing(f"\\boxed{{{spelled}}}"),
        writing("\\boxed{7}"),
    ]
    async with serve(*scripts) as served:
        reply = await ask(served, tools=TOOLS, race={"parameters": {"stop": "none"}})
        (choice,) = reply.choices
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content is None
        assert choice.message.tool_calls[0].function.arguments == '{"a":1}'
        assert reply.frontrunner["votes"][spelled] in (2, 3)
        assert reply.frontrunner["votes"]["7"] == 1


async def test_an_answer_that_wins_over_calls_is_no_call(serve: Serve) -> None:
    scripts = [writing("\\boxed{7}"), writing("\\boxed{7}"), writing(calling(a=1))]
    async with serve(*scripts) as served:
        reply = await ask(served, branches=3, tools=TOOLS, race={"parameters": {"stop": "none"}})
        assert reply.choices[0].message.content == "7"
        assert reply.choices[0].finish_reason == "stop"
        response = await served.openai.responses.create(
            model="scripted",
            input="?",
            tools=[{"type": "function", "name": "add", "parameters": {}, "strict": False}],
            extra_body={"frontrunner": {"branches": 3, "parameters": {"stop": "none"}}},
        )
        assert response.output_text == "7"


@pytest.mark.parametrize("broken", ['<tool_call>{"name": "add", "arg', calling("unknown")])
async def test_what_a_broken_call_holds_is_no_answer(serve: Serve, broken: str) -> None:
    text = f"{broken} \\boxed{{13}}"
    right = writing("\\boxed{7}", seconds=0.03)
    async with serve(writing(text), right, right) as served:
        reply = await ask(served, branches=3, tools=TOOLS, race={"parameters": {"stop": "none"}})
        assert reply.frontrunner["votes"] == {"7": 2}


async def test_a_text_beside_tools_is_a_reply_and_not_forced(serve: Serve) -> None:
    async with serve(writing("Hello, how can I help?")) as served:
        assert await stream(served, tools=TOOLS) == ("Hello, how can I help?", "stop")
        assert no_forcing(served)


async def test_a_required_call(serve: Serve) -> None:
    scripts = [writing("\\boxed{7}"), writing("\\boxed{7}"), writing(calling(a=1))]
    async with serve(*scripts) as served:
        reply = await ask(served, branches=3, tools=TOOLS, tool_choice="required")
        assert reply.choices[0].message.tool_calls[0].function.name == "add"
        assert reply.frontrunner["votes"] == {'{"arguments":{"a":1},"name":"add"}': 1}


async def test_a_required_call_that_no_branch_makes_is_no_success(serve: Serve) -> None:
    async with serve(writing("I would rather talk.")) as served:
        reply = await ask(served, tools=TOOLS, tool_choice="required")
        assert reply.choices[0].finish_reason == "length"
        assert reply.choices[0].message.tool_calls is None
        assert no_forcing(served)


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "function": {"name": "look_up"}},
        {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "required",
                "tools": [{"type": "function", "function": {"name": "look_up"}}],
            },
        },
    ],
)
async def test_only_calls_of_the_named_function_are_answers(serve: Serve, choice: Any) -> None:
    scripts = [writing(calling("add")), writing(calling("add")), writing(calling("look_up"))]
    async with serve(*scripts) as served:
        reply = await ask(served, branches=3, tools=TOOLS, tool_choice=choice)
        assert reply.choices[0].message.tool_calls[0].function.name == "look_up"


async def test_no_tool_is_offered_where_none_may_be_called(serve: Serve) -> None:
    async with serve(writing(f"{calling()} \\boxed{{7}}")) as served:
        reply = await ask(served, tools=TOOLS, tool_choice="none")
        assert reply.choices[0].message.tool_calls is None
        assert reply.choices[0].message.content == "7"


async def test_one_call_at_a_time(serve: Serve) -> None:
    async with serve(writing(calling(a=1) + calling(a=2))) as served:
        both = await ask(served, tools=TOOLS)
        assert len(both.choices[0].message.tool_calls) == 2
        one = await ask(served, tools=TOOLS, parallel_tool_calls=False)
        assert [c.function.arguments for c in one.choices[0].message.tool_calls] == ['{"a":1}']


async def test_functions_as_they_were_before_tools(serve: Serve) -> None:
    functions: Any = [tool["function"] for tool in TOOLS]
    async with serve(writing(calling(a=1))) as served:
        reply = await ask(served, functions=functions, function_call={"name": "add"})
        (choice,) = reply.choices
        assert choice.finish_reason == "function_call"
        assert choice.message.tool_calls is None
        assert choice.message.function_call.arguments == '{"a":1}'
        chunks = [c async for c in await ask(served, functions=functions, stream=True)]
        called = [c.delta.function_call for x in chunks for c in x.choices if c.delta.function_call]
        assert [call.name for call in called] == ["add"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": "perhaps"}, "tool_choice"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "sub"}}},
            "tool_choice",
        ),
        ({"tools": TOOLS, "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_object"}, "frontrunner": {"answers": "boxed"}},
            "frontrunner.answers",
        ),
        ({"frontrunner": {"content": "all"}}, "frontrunner.content"),
        ({"frontrunner": {"max_tokens": 0}}, "frontrunner.max_tokens"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(serve: Serve, body: Any, param: str) -> None:
    async with serve() as served:
        data = {"messages": QUESTION, **body}
        async with served.http.post("v1/chat/completions", json=data) as response:
            assert response.status == 400
            assert (await response.json())["error"]["param"] == param
        assert not served.engine.requests


# ── the end of a race whose kind cannot be forced ─────────────────────────────────────────────────


@virtual_asyncio
@pytest.mark.parametrize("kind", ["text", "tool_call", "code"])
async def test_nothing_is_forced_that_the_kind_cannot_answer(serve: Serve, kind: str) -> None:
    async with serve(ENDLESS) as served:
        reply = await ask(served, race={"answers": kind, "deadline": 0.5})
        assert reply.choices[0].finish_reason == "length"
        assert reply.choices[0].message.content.startswith("and then 0")
        assert reply.frontrunner["answer"] is None
        assert no_forcing(served)


@virtual_asyncio
async def test_what_a_branch_has_written_by_the_deadline_counts(serve: Serve) -> None:
    endless = BranchScript((Piece(0.01, calling(a=1)), *ENDLESS.pieces[:2000]))
    async with serve(endless) as served:
        reply = await ask(served, tools=TOOLS, tool_choice="required", race={"deadline": 0.5})
        assert reply.choices[0].finish_reason == "tool_calls"
        assert no_forcing(served)


@virtual_asyncio
@pytest.mark.parametrize("strategy", ["majority", "first_to_m", "confidence_free", "probe"])
async def test_the_first_finished_text_wins(serve: Serve, strategy: str) -> None:
    if strategy == "confidence_free":
        strategy = "budget_forcing"
    cut = BranchScript((Piece(0.1, "cut short"),), finish=FinishReason.LENGTH)
    async with serve(writing("late", seconds=2), writing("first", seconds=0.5), cut) as served:
        reply = await ask(served, branches=3, race={"answers": "text", "strategy": strategy})
        assert reply.choices[0].message.content == "first"
        assert reply.choices[0].finish_reason == "stop"
        assert reply.frontrunner["stop_reason"] == "first_to_m"
        assert reply.frontrunner["branches"]["cancelled"] == 1


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_reply_in_json(serve: Serve) -> None:
    other = '{"age": 42.0, "name": "Ann"}'
    scripts = [writing("\\boxed{7}"), writing(ANN), writing(f"So:\n```json\n{other}\n```")]
    async with serve(*scripts) as served:
        reply = await ask(
            served,
            branches=3,
            response_format=FORMAT,
            race={"parameters": {"stop": "none"}},
        )
        assert orjson.loads(reply.choices[0].message.content) == orjson.loads(ANN)
        assert list(reply.frontrunner["votes"].values()) == [2]
        assert reply.choices[0].finish_reason == "stop"
        response = await served.openai.responses.create(
            model="scripted",
            input="?",
            text={"format": {"type": "json_schema", "name": "p", "schema": PERSON}},
            extra_body={"frontrunner": {"branches": 3}},
        )
        assert orjson.loads(response.output_text) == orjson.loads(ANN)


@virtual_asyncio
@pytest.mark.parametrize("script", [writing("\\boxed{7}"), ENDLESS])
async def test_without_json_there_is_no_guess(serve: Serve, script: BranchScript) -> None:
    async with serve(script) as served:
        reply = await ask(served, response_format=FORMAT, race={"deadline": 1})
        assert reply.choices[0].finish_reason == "length"
        assert reply.choices[0].message.content != "7"
        assert reply.frontrunner["answer"] is None
        response = await served.openai.responses.create(
            model="scripted",
            input="?",
            text={"format": {"type": "json_object"}},
            extra_body={"frontrunner": {"branches": 3, "deadline": 1}},
        )
        assert response.status == "incomplete"
        # What ended by itself has said what it had to say; what was cut is asked.
        assert no_forcing(served) == (script is not ENDLESS)


@virtual_asyncio
async def test_what_was_cut_is_asked_for_its_json(serve: Serve) -> None:
    forced = BranchScript((Piece(0.01, ANN), Piece(0.01, "\n```\n"), Piece(0.01, "and so on")))
    async with serve(ENDLESS, forced=[forced]) as served:
        reply = await ask(served, response_format=FORMAT, race={"deadline": 1})
        assert reply.choices[0].finish_reason == "stop"
        assert orjson.loads(reply.choices[0].message.content) == orjson.loads(ANN)
        assert not no_forcing(served)


@virtual_asyncio
async def test_ordinary_chat_ends_in_a_reply_and_in_no_forced_box(serve: Serve) -> None:
    """Five of eight say it in prose; three are cut at their token limit in the middle of it."""
    prose = writing("The capital of France is Paris.")
    cut = BranchScript((Piece(0.01, "Well, the capital", 8),), FinishReason.LENGTH)
    async with serve(*[cut] * 3, *[prose] * 5, forced=[writing("0}")]) as served:
        asked = {"deadline": 1, "branches": 8}
        for answers in ({}, {"answers": "boxed"}, {"answers": "last_number"}):
            reply = await ask(served, race={**asked, **answers})
            assert reply.choices[0].message.content == "The capital of France is Paris."
            assert reply.frontrunner["answer"] is None
            assert reply.frontrunner["branches"]["truncated"] <= 3
        assert no_forcing(served)


@virtual_asyncio
@pytest.mark.parametrize("kind", ["text", "boxed"])
async def test_a_reply_that_was_cut_at_its_limit_says_so(serve: Serve, kind: str) -> None:
    cut = BranchScript((Piece(0.01, "so \\boxed{7} and then", 8),), FinishReason.LENGTH)
    async with serve(cut) as served:
        reply = await ask(
            served, race={"deadline": 1, "branches": 2, "answers": kind, "content": "reply"}
        )
        assert reply.choices[0].message.content == "so \\boxed{7} and then"
        assert reply.choices[0].finish_reason == "length"
        assert reply.frontrunner["votes"] == {}


async def test_the_model_is_told_of_the_schema(serve: Serve) -> None:
    async with serve(writing(ANN)) as served:

        async def told(asked: Any, *messages: Any) -> str:
            seen = list[Any]()
            engine: Any = served.engine
            encode = engine.encode_chat
            engine.encode_chat = lambda said, tools=None: seen.append(said) or encode(said, tools)
            await ask(served, messages=list(messages), response_format=asked)
            engine.encode_chat = encode
            return " ".join(str(message["content"]) for message in seen[0])

        said = await told(FORMAT, {"role": "user", "content": "Who?"})
        assert '"age":{"type":"integer"}' in said
        said = await told(FORMAT, {"role": "user", "content": "JSON with name and age, please"})
        assert said == "JSON with name and age, please"
        system = {"role": "system", "content": "Be brief."}
        said = await told({"type": "json_object"}, system, {"role": "user", "content": "Who?"})
        assert said.startswith("Be brief.\n\nAnswer with JSON")
        assert await told({"type": "text"}, {"role": "user", "content": "Who?"}) == "Who?"


async def test_a_call_where_json_is_asked_for_beside_tools(serve: Serve) -> None:
    async with serve(writing(calling(a=1))) as served:
        reply = await ask(served, tools=TOOLS, response_format=FORMAT)
        assert reply.choices[0].finish_reason == "tool_calls"
    async with serve(writing(ANN)) as served:
        reply = await ask(served, tools=TOOLS, response_format=FORMAT)
        assert orjson.loads(reply.choices[0].message.content) == orjson.loads(ANN)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objet"},
        {"properties": []},
        {"properties": {"a": {"pattern": "(?=x)(a+)+$"}}},
        {"properties": {"a": {"pattern": "(\\w{99}){99}"}}},
        {"allOf": [{}] * 5_000},
        {"enum": ["x" * 100_000]},
    ],
)
async def test_schemas_that_are_refused(serve: Serve, schema: Any) -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    async with serve(body_limit=1 << 20) as served:
        with pytest.raises(openai.BadRequestError) as caught:
            await ask(served, response_format=shape)
        assert (caught.value.param or "").startswith("response_format")


# ── stop and max_tokens ───────────────────────────────────────────────────────────────────────────

REPLY = "First I add.\nThen \\boxed{42}.\nDONE Question: what else?"


@pytest.mark.parametrize("streamed", [False, True])
async def test_limits_are_about_what_the_client_reads(serve: Serve, streamed: bool) -> None:
    async with serve(writing(REPLY), content="reply") as served:

        async def told(**more: Any) -> tuple[str, str | None]:
            if streamed:
                return await stream(served, **more)
            (choice,) = (await ask(served, **more)).choices
            return choice.message.content, choice.finish_reason

        assert await told(stop=["DONE"]) == ("First I add.\nThen \\boxed{42}.\n", "stop")
        assert await told(stop=["\n"]) == ("42", "stop")
        assert await told(max_tokens=3) == ("42", "stop")
        whole = {"content": "reply"}
        assert await told(stop=["\n"], race=whole) == ("First I add.", "stop")
        content, reason = await told(max_tokens=3, race=whole)
        assert (content.strip(), reason) == ("First I add.", "length")
        assert await told(stop="\n", race={"answers": "boxed"}) == ("42", "stop")
        for request in served.engine.requests:
            assert request.sampling.stop == ()
            assert request.max_tokens > 1000


async def test_limits_of_a_response(serve: Serve) -> None:
    async with serve(writing("one two three four")) as served:
        response = await served.openai.responses.create(
            model="scripted",
            input="?",
            max_output_tokens=2,
            extra_body={"frontrunner": {"branches": 2, "content": "reply"}},
        )
        assert response.output_text.strip() == "one two"
        assert response.status == "incomplete"


# ── content ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_reply_is_all_that_is_not_thought(serve: Serve) -> None:
    text = "<think>hm</think>\n\nIt is **\\boxed{42}**, as `6 * 7` says."
    async with serve(writing(text), content="reply") as served:
        for race in ({}, {"content": "reply"}, {"content": "reply", "answers": "boxed"}):
            reply = await ask(served, race=race)
            assert reply.choices[0].message.content == "It is **\\boxed{42}**, as `6 * 7` says."
            assert reply.frontrunner["answer"] == "42"
        assert (await stream(served))[0] == "It is **\\boxed{42}**, as `6 * 7` says."
        for race in ({"content": "answer"}, {"answers": "boxed"}):
            assert (await ask(served, race=race)).choices[0].message.content == "42"
        response = await served.openai.responses.create(model="scripted", input="?")
        assert response.output_text == "It is **\\boxed{42}**, as `6 * 7` says."


async def test_a_greeting_is_answered_by_a_greeting(serve: Serve) -> None:
    async with serve(writing("Hello!"), content="reply") as served:
        reply = await ask(served)
        assert reply.choices[0].message.content == "Hello!"
        assert reply.choices[0].finish_reason == "stop"
        assert no_forcing(served)


@virtual_asyncio
async def test_a_forced_answer_is_in_the_reply(serve: Serve) -> None:
    thinking = BranchScript((Piece(0.01, "<think>"), *ENDLESS.pieces[:2000]))
    async with serve(thinking, content="reply") as served:
        reply = await ask(served, race={"deadline": 0.5})
        content = reply.choices[0].message.content
        assert content.endswith("\\boxed{7}")
        assert "and then" not in content


# ── temperature 0 ─────────────────────────────────────────────────────────────────────────────────


async def test_equal_branches_are_not_raced(serve: Serve) -> None:
    async with serve() as served:

        async def launched(**more: Any) -> int:
            reply = await ask(served, branches=None, **more)
            assert len(reply.choices) == more.get("n", 1)
            return reply.frontrunner["branches"]["launched"]

        assert await launched() == 16
        assert await launched(temperature=0) == 1
        assert await launched(temperature=0, race={"branches": 4}) == 4
        assert await launched(temperature=0, race={"min_branches": 2}) == 2
        assert await launched(temperature=0, n=3) == 3
        assert (await ask(served, branches=None, temperature=0)).frontrunner["confidence"] < 0.8
    async with serve(settings={"sampling": {"temperature": 0.0}}) as served:
        assert await launched() == 1
        assert await launched(temperature=1) == 16
