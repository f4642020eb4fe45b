"""What requests of the API have the model told beside their messages, and what their replies say of
answers that were forced."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from frontrunner.runtime.engines import BranchScript, Piece
from frontrunner.runtime.engines.protocol import ChatSupport
from frontrunner.runtime.prompts.instructions import CONDITIONAL, INSTRUCTIONS

from .conftest import Serve, Served

AUTO: Any = {"prompt": {"instruction": "auto"}}
TOOLS: Any = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
SCHEMA: Any = {"type": "object", "properties": {"age": {"type": "integer"}}}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
CHAT, RESPONSES = "v1/chat/completions", "v1/responses"


class Told:
    """What the chat template is given."""

    def __init__(self, served: Served) -> None:
        self.system, self.said, self.arguments = "", "", None
        self._encode = served.engine.encode_chat
        served.engine.encode_chat = self._listen

    def _listen(self, messages: Any, tools: Any = None, arguments: Any = None) -> Any:
        by_role: Mapping[str, str] = {m["role"]: m["content"] for m in messages}
        self.system, self.said = by_role.get("system", ""), by_role["user"]
        self.arguments = arguments
        return self._encode(messages, tools, arguments)


async def ask(served: Served, path: str = CHAT, **more: Any) -> tuple[int, Any]:
    own = {"branches": 2, "deadline": 1, **more.pop("frontrunner", {})}
    question = {"input": "Who?"} if path == RESPONSES else {"messages": [user("Who?")]}
    body = {**question, "frontrunner": own, **more}
    async with served.http.post(path, json=body) as response:
        return response.status, await response.json()


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_a_chat_is_asked_for_an_answer_where_it_has_one(serve: Serve, path: str) -> None:
    async with serve(settings=AUTO, content="reply") as served:
        told = Told(served)
        await ask(served, path)
        assert (told.system, told.said) == (CONDITIONAL["boxed"], "Who?")
        await ask(served, path, frontrunner={"answers": "boxed"})
        assert told.system == INSTRUCTIONS["boxed"]
        await ask(served, path, frontrunner={"answers": {"kind": "multiple_choice"}})
        assert told.system == INSTRUCTIONS["multiple_choice"]


async def test_who_asks_for_a_form_gets_that_and_no_other(serve: Serve) -> None:
    async with serve(settings=AUTO, content="reply") as served:
        told = Told(served)
        await ask(served, messages=[user(r"Answer in \boxed{}.")])
        assert told.system == ""
        await ask(served, tools=TOOLS)
        assert told.system == ""
        await ask(served, tools=TOOLS, tool_choice="required")
        assert told.system == "Answer with a call of the tool add."
        await ask(served, response_format=FORMAT)
        assert told.system.startswith("Answer with JSON that satisfies this schema:\n{")
        await ask(served, response_format=FORMAT, messages=[user("JSON with the age, please")])
        assert told.system == ""


async def test_a_format_is_told_whatever_the_settings_say(serve: Serve) -> None:
    async with serve(content="reply") as served:
        told = Told(served)
        await ask(served)
        assert told.system == ""
        await ask(served, response_format={"type": "json_object"})
        assert told.system == "Answer with JSON: an object, and nothing after it."
        await ask(served, response_format=FORMAT, frontrunner={"instruction": ""})
        assert told.system == ""


async def test_a_request_says_what_is_added(serve: Serve) -> None:
    async with serve(settings=AUTO) as served:
        told = Told(served)
        await ask(served, frontrunner={"instruction": ""})
        assert told.system == ""
        await ask(served, frontrunner={"instruction": "Be brief."})
        assert told.system == "Be brief."
        status, reply = await ask(served, frontrunner={"instruction": 3})
        assert (status, reply["error"]["param"]) == (400, "frontrunner.instruction")


# ── variables of the template ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_variables_of_the_template_are_honoured(serve: Serve, path: str) -> None:
    settings = {"prompt": {"instruction": "", "template_arguments": {"date": "today"}}}
    async with serve(settings=settings) as served:
        told = Told(served)
        status, reply = await ask(served, path, chat_template_kwargs={"enable_thinking": False})
        assert (status, reply["frontrunner"]["ignored"]) == (200, [])
        assert told.arguments == {"date": "today", "enable_thinking": False}
        await ask(served, path, chat_template_kwargs={"date": "tomorrow"})
        assert told.arguments == {"date": "tomorrow"}


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize(
    "arguments",
    [
        {"tokenize": True},
        {"chat_template": "{{ 1 }}"},
        {"messages": []},
        {"a": "x" * 5000},
        {"no name": 1},
        {f"a{i}": i for i in range(33)},
        [1],
    ],
)
async def test_what_cannot_be_one_is_refused(serve: Serve, path: str, arguments: Any) -> None:
    async with serve() as served:
        status, reply = await ask(served, path, chat_template_kwargs=arguments)
        assert status == 400
        assert reply["error"]["param"] == "chat_template_kwargs"
        assert served.engine.requests == []


def effort(path: str, value: str | None) -> dict[str, Any]:
    """How much is to be thought, as an API has it."""
    return {"reasoning": {"effort": value}} if path == RESPONSES else {"reasoning_effort": value}


THINKS = {
    "thinking": {
        "start": "<think>",
        "end": "</think>",
        "on_arguments": {"enable_thinking": True},
        "off_arguments": {"enable_thinking": False},
    },
    "prompt": {"instruction": ""},
}


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_the_template_is_told_how_much_to_think(serve: Serve, path: str) -> None:
    async with serve(settings=THINKS) as served:
        told = Told(served)
        status, reply = await ask(served, path, **effort(path, "low"))
        assert (status, reply["frontrunner"]["ignored"]) == (200, [])
        assert told.arguments == {"reasoning_effort": "low", "enable_thinking": True}
        if path == RESPONSES:
            assert reply["reasoning"]["effort"] == "low"
        await ask(served, path, **effort(path, "none"))
        assert told.arguments == {"reasoning_effort": "none", "enable_thinking": False}
        own = {"enable_thinking": True}
        await ask(served, path, **effort(path, "none"), chat_template_kwargs=own)
        assert told.arguments == {"reasoning_effort": "none", "enable_thinking": True}
        await ask(served, path, **effort(path, None))
        assert not told.arguments
        status, reply = await ask(served, path, **effort(path, "a lot"))
        name = "reasoning.effort" if path == RESPONSES else "reasoning_effort"
        assert (status, reply["error"]["param"]) == (400, name)


@pytest.mark.parametrize("path", [CHAT, RESPONSES, "v1/completions"])
async def test_a_request_has_a_budget_of_thinking(serve: Serve, path: str) -> None:
    async def asked(served: Served, budget: int) -> tuple[int, Any]:
        more = {"prompt": "Who?"} if path == "v1/completions" else {}
        return await ask(served, path, thinking_token_budget=budget, **more)

    name = "thinking_token_budget"
    async with serve(settings=THINKS) as served:
        status, reply = await asked(served, 7)
        assert (status, reply["error"]["param"]) == (400, name)
        assert "keeps no budgets" in reply["error"]["message"]
        assert (await asked(served, -1))[0] == 200  # any number: asks for nothing
        assert (await asked(served, -2))[0] == 400
        served.engine._info = replace(served.engine.info, thinking_budgets=True)
        assert (await asked(served, 7))[0] == 200
        assert {r.sampling.thinking_tokens for r in served.engine.requests if not r.forced} == {
            None,
            7,
        }
    async with serve() as served:
        status, reply = await asked(served, 7)
        assert (status, reply["error"]["param"]) == (400, name)
        assert "not known how this model marks its thinking" in reply["error"]["message"]


# ── raw prompts ───────────────────────────────────────────────────────────────────────────────


async def test_a_completion_is_left_as_it_is_and_begins_as_the_tokenizer_has_it(
    serve: Serve,
) -> None:
    async with serve(settings=AUTO) as served:
        engine: Any = served.engine
        engine.encode_prompt = lambda text: (1, *engine.encode(text))

        async def prompt(**more: Any) -> tuple[int, ...]:
            engine.requests.clear()
            body = {"prompt": "once upon", "frontrunner": {"branches": 2, "deadline": 1}, **more}
            async with served.http.post("v1/completions", json=body) as response:
                assert response.status == 200
                assert (await response.json())["frontrunner"]["ignored"] == more.pop("ignored", [])
            return engine.requests[0].prompt

        bare = engine.encode("once upon")
        assert await prompt() == (1, *bare)
        assert await prompt(add_special_tokens=True) == (1, *bare)
        assert await prompt(add_special_tokens=False) == bare
        assert await prompt(prompt=[5, 6]) == (5, 6)


async def test_a_completion_takes_no_instruction(serve: Serve) -> None:
    async with serve() as served:
        body = {"prompt": "a", "frontrunner": {"instruction": "Be brief.", "deadline": 1}}
        async with served.http.post("v1/completions", json=body) as response:
            told = await response.json()
        assert told["frontrunner"]["ignored"] == ["frontrunner.instruction"]
        assert served.engine.requests[0].prompt == served.engine.encode("a")


# ── forced answers ────────────────────────────────────────────────────────────────────────────


async def test_replies_say_that_their_answer_was_forced(serve: Serve) -> None:
    endless = BranchScript(tuple(Piece(0.01, "hm ") for _ in range(1000)))
    forced = tuple(BranchScript((Piece(0.0, f"{answer}}}", 2),)) for answer in (1, 2))
    async with serve(endless, forced=forced) as served:
        _, reply = await ask(served, frontrunner={"deadline": 0.5})
        notes = reply["frontrunner"]["notes"]
        codes = [note["code"] for note in notes]
        assert codes == ["no_branch_answered", "forced_answers_differ"]
        assert all(note["text"].endswith(".") for note in notes)
    async with serve() as served:
        assert (await ask(served))[1]["frontrunner"]["notes"] == []


async def test_without_a_template_the_next_question_is_no_part_of_the_reply(serve: Serve) -> None:
    wrote = BranchScript((Piece(0.01, r"It is \boxed{8}." + "\n\nQuestion:", 4),))
    async with serve(wrote, content="reply") as served:
        chat = ChatSupport(template=False)
        served.engine._info = replace(served.engine.info, chat=chat)
        _, reply = await ask(served)
        assert reply["choices"][0]["message"]["content"] == "It is \\boxed{8}.\n"
        assert served.engine.requests[0].sampling.stop == ("\nQuestion:",)
