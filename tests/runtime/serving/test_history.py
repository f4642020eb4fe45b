"""What was said earlier reaches the chat template, in the same way through both APIs."""

from collections.abc import Mapping, Sequence
from typing import Any

import openai
import pytest

from frontrunner.runtime.engines import BranchScript, Piece
from frontrunner.runtime.engines.openai.placeholder_ids import (
    Conversation,
    read_parts,
    spell_conversation,
)

from .conftest import Serve, Served

Json = dict[str, Any]

CALLS = BranchScript(
    (
        Piece(0.01, "I had better add. "),
        Piece(0.01, '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>', 9),
    )
)
CHAT_TOOLS: Any = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
TOOLS: Any = [{"type": "function", "name": "add", "parameters": {"type": "object"}}]
OPTIONS: Json = {"frontrunner": {"branches": 2, "deadline": 2}}


class Told:
    """What the chat template is told."""

    def __init__(self, served: Served) -> None:
        self.messages: list[Json] = []
        self.tools: list[Json] = []
        self._encode = served.engine.encode_chat
        served.engine.encode_chat = self._listen

    def _listen(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        self.messages = [dict(message) for message in messages]
        self.tools = [dict(tool) for tool in tools or ()]
        return self._encode(messages, tools, arguments)


async def post(served: Served, path: str, body: Json) -> tuple[int, Json]:
    async with served.http.post(path, json={**OPTIONS, **body}) as response:
        return response.status, await response.json()


async def chat(served: Served, *messages: Json, **more: Any) -> tuple[int, Json]:
    return await post(served, "v1/chat/completions", {"messages": list(messages), **more})


async def respond(served: Served, *items: Json, **more: Any) -> tuple[int, Json]:
    return await post(served, "v1/responses", {"input": list(items), **more})


def called(arguments: Any, **more: Any) -> Json:
    function = {"name": "add", "arguments": arguments}
    return {
        "role": "assistant",
        "tool_calls": [{"id": "c1", "type": "function", **more, "function": function}],
    }


USER: Json = {"role": "user", "content": "add"}
OUTPUT: Json = {"role": "tool", "tool_call_id": "c1", "content": "three"}


@pytest.mark.parametrize(
    ("arguments", "read"),
    [
        ('{"a": [1, {"b": "ü"}]}', {"a": [1, {"b": "ü"}]}),
        ("", {}),
        (" ", {}),
        ("{}", {}),
        ({"a": 1}, {"a": 1}),
    ],
)
async def test_arguments_are_data_in_both_apis(serve: Serve, arguments: Any, read: Json) -> None:
    async with serve() as served:
        told = Told(served)
        status, _ = await chat(served, USER, called(arguments), OUTPUT)
        assert status == 200
        (call,) = told.messages[1]["tool_calls"]
        assert call == {
            "id": "c1",
            "type": "function",
            "function": {"name": "add", "arguments": read},
        }
        by_chat = told.messages
        if not isinstance(arguments, str):
            return
        status, _ = await respond(
            served,
            USER,
            {"type": "function_call", "call_id": "c1", "name": "add", "arguments": arguments},
            {"type": "function_call_output", "call_id": "c1", "output": "three"},
        )
        assert status == 200
        assert told.messages == by_chat


@pytest.mark.parametrize(
    "arguments",
    ["{", "[1]", "7", '"x"', "null", "NaN", "{" * 5000, '{"a":' * 200 + "1" + "}" * 200],
)
async def test_arguments_that_are_no_object_are_refused_by_name(
    serve: Serve, arguments: str
) -> None:
    async with serve() as served:
        status, told = await chat(served, USER, called(arguments))
        assert status == 400
        param = "messages[1].tool_calls[0].function.arguments"
        assert told["error"]["param"] == param
        assert param in told["error"]["message"]
        legacy = {"role": "assistant", "function_call": {"name": "add", "arguments": arguments}}
        status, told = await chat(served, USER, legacy)
        assert (status, told["error"]["param"]) == (400, "messages[1].function_call.arguments")
        call = {"type": "function_call", "call_id": "c", "name": "add", "arguments": arguments}
        status, told = await respond(served, USER, call)
        assert (status, told["error"]["param"]) == (400, "input[1].arguments")


@pytest.mark.parametrize(
    ("call", "param"),
    [
        ({"type": "function"}, "messages[1].tool_calls[0].function"),
        ({"type": "function", "function": {}}, "messages[1].tool_calls[0].function.name"),
        ({"type": "mcp"}, "messages[1].tool_calls[0].type"),
        ({"type": 7}, "messages[1].tool_calls[0].type"),
        ("x", "messages[1].tool_calls[0]"),
    ],
)
async def test_what_is_no_call_is_named(serve: Serve, call: Any, param: str) -> None:
    async with serve() as served:
        status, told = await chat(served, USER, {"role": "assistant", "tool_calls": [call]})
        assert status == 400
        assert told["error"]["param"].startswith(param)


async def test_turns_of_all_kinds(serve: Serve) -> None:
    async with serve() as served:
        told = Told(served)
        status, _ = await chat(
            served,
            {"role": "developer", "content": "be brief"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}],
                "name": "ann",
            },
            {"role": "assistant", "content": "three", "reasoning_content": "because"},
            {"role": "assistant", "content": None, "reasoning": "why"},
            {"role": "assistant", "content": None, "refusal": "I would rather not."},
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "c", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
                ],
            },
            {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "files"}]},
            {"role": "assistant", "function_call": {"name": "add", "arguments": "{}"}},
            {"role": "function", "name": "add", "content": "four"},
        )
        assert status == 200
        assert told.messages == [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "one two", "name": "ann"},
            {"role": "assistant", "content": "three", "reasoning_content": "because"},
            {"role": "assistant", "content": "", "reasoning_content": "why"},
            {"role": "assistant", "content": "I would rather not."},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {
                        "id": "c",
                        "type": "function",
                        "function": {"name": "sh", "arguments": {"input": "ls"}},
                    }
                ],
            },
            {"role": "tool", "content": "files", "tool_call_id": "c"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": {}}}],
            },
            {"role": "tool", "content": "four", "name": "add"},
        ]


async def test_items_in_the_forms_in_which_clients_repeat_them(serve: Serve) -> None:
    logprobs = [{"token": "two", "logprob": -0.1, "bytes": [1], "top_logprobs": []}]
    said = {
        "type": "output_text",
        "text": "two",
        "annotations": [{"type": "url_citation"}],
        "logprobs": logprobs,
    }
    async with serve() as served:
        told = Told(served)
        status, reply = await respond(
            served,
            {"role": "user", "content": "one"},
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "short"}],
                "encrypted_content": "gAAA",
            },
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [said],
            },
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "three"}],
            },
            {
                "type": "web_search_call",
                "id": "ws_1",
                "status": "completed",
                "action": {"type": "search"},
            },
            {
                "type": "reasoning",
                "id": "rs_2",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "long"}],
                "status": "completed",
            },
            {
                "type": "function_call",
                "id": "fc_1",
                "status": "completed",
                "call_id": "c1",
                "name": "add",
                "arguments": "{}",
            },
            {"type": "function_call", "call_id": "c2", "name": "add", "arguments": '{"a": 1}'},
            {
                "type": "function_call_output",
                "id": "o",
                "call_id": "c1",
                "output": [{"type": "input_text", "text": "x"}],
            },
            {"type": "function_call_output", "call_id": "c2", "output": "y"},
            {"type": "custom_tool_call", "call_id": "c3", "name": "sh", "input": "ls"},
            {"type": "custom_tool_call_output", "call_id": "c3", "output": "files"},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "refusal", "refusal": "no"}],
            },
            {"type": "reasoning", "id": "rs_3", "summary": [], "encrypted_content": "gAAA"},
            {"role": "user", "content": "four"},
        )
        assert status == 200, reply
        assert reply["frontrunner"]["ignored"] == ["input[4].web_search_call"]
        calls = [
            {"id": f"c{i}", "type": "function", "function": {"name": "add", "arguments": arguments}}
            for i, arguments in ((1, {}), (2, {"a": 1}))
        ]
        custom = {
            "id": "c3",
            "type": "function",
            "function": {"name": "sh", "arguments": {"input": "ls"}},
        }
        assert told.messages == [
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two", "reasoning_content": "short"},
            {"role": "user", "content": "three"},
            {"role": "assistant", "content": "", "reasoning_content": "long", "tool_calls": calls},
            {"role": "tool", "content": "x", "tool_call_id": "c1"},
            {"role": "tool", "content": "y", "tool_call_id": "c2"},
            {"role": "assistant", "content": "", "tool_calls": [custom]},
            {"role": "tool", "content": "files", "tool_call_id": "c3"},
            {"role": "assistant", "content": "no"},
            {"role": "user", "content": "four"},
        ]


@pytest.mark.parametrize(
    ("items", "param", "kind"),
    [
        (
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "x"},
                        {"type": "input_image", "image_url": "data:"},
                    ],
                }
            ],
            "input[0].content[1].type",
            "input_image",
        ),
        (
            [USER, {"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}],
            "input[1].content[0].type",
            "input_file",
        ),
        (
            [{"role": "user", "content": [{"type": "input_audio"}]}],
            "input[0].content[0].type",
            "input_audio",
        ),
        (
            [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image"}]}],
            "input[0].output[0].type",
            "input_image",
        ),
        (
            [{"type": "computer_call_output", "call_id": "c", "output": {}}],
            "input[0].type",
            "computer_call_output",
        ),
        (
            [{"type": "mcp_approval_response", "approve": True}],
            "input[0].type",
            "mcp_approval_response",
        ),
    ],
)
async def test_what_is_not_supported_is_named(
    serve: Serve, items: list[Json], param: str, kind: str
) -> None:
    async with serve() as served:
        status, told = await respond(served, *items)
        assert (status, told["error"]["param"]) == (400, param)
        assert told["error"]["message"].startswith(f"{param}: {kind} is not supported")
        assert not served.engine.requests


async def test_parts_of_chat_messages_that_are_not_supported_are_named(serve: Serve) -> None:
    async with serve() as served:
        for kind in ("image_url", "input_audio", "file"):
            content = [{"type": "text", "text": "x"}, {"type": kind, kind: {}}]
            status, told = await chat(served, USER, {"role": "user", "content": content})
            assert (status, told["error"]["param"]) == (400, "messages[1].content[1].type")
            assert f"{kind} is not supported" in told["error"]["message"]


# ── references ────────────────────────────────────────────────────────────────────────────────────


async def test_items_are_found_by_reference(serve: Serve) -> None:
    async with serve(CALLS) as served:
        _, first = await respond(served, USER, tools=TOOLS)
        told = Told(served)
        for form in ({"type": "item_reference"}, {}):
            references = [{**form, "id": item["id"]} for item in first["output"]]
            status, second = await respond(
                served,
                USER,
                *references,
                {
                    "type": "function_call_output",
                    "call_id": first["output"][-1]["call_id"],
                    "output": "3",
                },
                tools=TOOLS,
            )
            assert status == 200, second
            by_reference = told.messages
            status, _ = await respond(
                served,
                USER,
                *first["output"],
                {
                    "type": "function_call_output",
                    "call_id": first["output"][-1]["call_id"],
                    "output": "3",
                },
                tools=TOOLS,
            )
            assert status == 200
            assert told.messages == by_reference
            assert told.messages[1]["tool_calls"][0]["function"]["arguments"] == {"a": 1}
            assert "better add" in told.messages[1]["reasoning_content"]


async def test_a_conversation_that_goes_on_reads_as_one_that_is_repeated(serve: Serve) -> None:
    async with serve(CALLS) as served:
        _, first = await respond(served, USER, tools=TOOLS)
        output = {
            "type": "function_call_output",
            "call_id": first["output"][-1]["call_id"],
            "output": "3",
        }
        told = Told(served)
        await respond(served, output, tools=TOOLS, previous_response_id=first["id"])
        by_id = told.messages
        await respond(served, USER, *first["output"], output, tools=TOOLS)
        assert told.messages == by_id


@pytest.mark.parametrize("name", ["msg_123_0", "rs_x", "nothing", "", "resp_1", "msg__", "_" * 300])
async def test_a_reference_that_leads_nowhere_is_named(serve: Serve, name: str) -> None:
    async with serve() as served:
        status, told = await respond(served, USER, {"type": "item_reference", "id": name})
        assert (status, told["error"]["param"]) == (404, "input[1].id")
        assert name[:100] in told["error"]["message"]
        assert not served.engine.requests


async def test_what_is_not_kept_or_somebody_elses_is_not_found(serve: Serve, tmp_path: Any) -> None:
    keys = tmp_path / "keys"
    keys.write_text("ann: key-of-ann\nbob: key-of-bob\n")
    async with serve(key_file=str(keys)) as served:
        ann, bob = (served.openai.with_options(api_key=f"key-of-{n}") for n in ("ann", "bob"))

        async def reply(client: openai.AsyncOpenAI, question: Any, **more: Any) -> Any:
            return await client.responses.create(
                model="scripted", input=question, extra_body=OPTIONS, **more
            )

        kept, unkept = await reply(ann, "x"), await reply(ann, "x", store=False)
        found: Any = [{"type": "item_reference", "id": kept.output[-1].id}, USER]
        await reply(ann, found)
        with pytest.raises(openai.NotFoundError):
            await reply(bob, found)
        with pytest.raises(openai.NotFoundError):
            await reply(ann, [{"type": "item_reference", "id": unkept.output[-1].id}, USER])
        await ann.responses.delete(kept.id)
        with pytest.raises(openai.NotFoundError):
            await reply(ann, found)


# ── tools that are no functions ───────────────────────────────────────────────────────────────────

HOSTED = [
    "web_search",
    "web_search_preview",
    "file_search",
    "code_interpreter",
    "computer_use_preview",
    "computer",
    "image_generation",
    "mcp",
    "local_shell",
    "shell",
    "apply_patch",
    "custom",
    "something_new",
]


async def test_other_tools_are_left_out_and_reported(serve: Serve) -> None:
    async with serve() as served:
        told = Told(served)
        others = [{"type": kind, "name": "x", "server_url": "http://x"} for kind in HOSTED]
        for choice in ({}, {"tool_choice": "auto"}):
            status, reply = await respond(served, USER, tools=[*TOOLS, *others], **choice)
            assert status == 200, reply
            names = [f"tools[{place}].{kind}" for place, kind in enumerate(HOSTED, 1)]
            assert reply["frontrunner"]["ignored"] == names
            assert [tool["function"]["name"] for tool in told.tools] == ["add"]
        status, reply = await respond(served, USER, tools=others)
        assert status == 200
        assert told.tools == []
        assert "42" in reply["output"][-1]["content"][0]["text"]
        status, reply = await respond(served, USER, tools=others, tool_choice="none")
        assert reply["frontrunner"]["ignored"] == []


@pytest.mark.parametrize("kind", HOSTED)
async def test_other_tools_that_are_demanded_are_refused(serve: Serve, kind: str) -> None:
    tools = [*TOOLS, {"type": kind, "name": "x"}]
    async with serve() as served:
        for choice in (
            "required",
            {"type": kind, "name": "x"},
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": kind}]},
        ):
            status, told = await respond(served, USER, tools=tools, tool_choice=choice)
            assert status == 400
            assert kind in told["error"]["message"]
            param = "tools[1].type" if choice == "required" else "tool_choice"
            assert told["error"]["param"] == param
        assert not served.engine.requests


async def test_custom_tools_of_chat_are_left_out_too(serve: Serve) -> None:
    async with serve() as served:
        told = Told(served)
        tools = [{"type": "custom", "custom": {"name": "sh"}}, *CHAT_TOOLS]
        status, reply = await chat(served, USER, tools=tools)
        assert status == 200
        assert reply["frontrunner"]["ignored"] == ["tools[0].custom"]
        assert told.tools == CHAT_TOOLS
        status, reply = await chat(served, USER, tools=tools, tool_choice="required")
        assert (status, reply["error"]["param"]) == (400, "tools[0].type")
        named = {"type": "custom", "custom": {"name": "sh"}}
        status, reply = await chat(served, USER, tools=tools, tool_choice=named)
        assert (status, reply["error"]["param"]) == (400, "tool_choice")
        allowed = {"mode": "required", "tools": [{"type": "custom"}]}
        choice = {"type": "allowed_tools", "allowed_tools": allowed}
        status, reply = await chat(served, USER, tools=tools, tool_choice=choice)
        assert (status, reply["error"]["param"]) == (400, "tool_choice")
        status, reply = await chat(served, USER, tools=[{"type": 7}])
        assert (status, reply["error"]["param"]) == (400, "tools[0].type")


# ── engines elsewhere ─────────────────────────────────────────────────────────────────────────────


def test_endpoints_are_sent_arguments_as_text() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "add", "arguments": {"a": "ü"}}}
    turn: Any = {"role": "assistant", "content": "", "tool_calls": [call]}
    (conversation,) = read_parts(spell_conversation([turn], None))
    assert isinstance(conversation, Conversation)
    (sent,) = conversation.messages
    assert sent["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a": "ü"}'}


def test_endpoints_are_sent_reasoning_by_both_its_names() -> None:
    turn: Any = {"role": "assistant", "content": "three", "reasoning_content": "because"}
    (conversation,) = read_parts(spell_conversation([turn], None))
    assert isinstance(conversation, Conversation)
    (sent,) = conversation.messages
    assert sent["reasoning"] == sent["reasoning_content"] == "because"
