"""Calls of functions whose arguments are nested deeper than anybody reads them."""

from typing import Any

import openai
import pytest

from frontrunner.runtime.engines import BranchScript, Piece

from .conftest import Serve

DEEP = f'{{"a": {"[" * 300}{"]" * 300}}}'
TOOLS: Any = [
    {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}},
]
FLAT: Any = [{"type": "function", "name": "add", "parameters": {"type": "object"}}]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_branch_that_makes_one_has_no_answer(serve: Serve, streamed: bool) -> None:
    text = f'<tool_call>{{"name": "add", "arguments": {DEEP}}}</tool_call>'
    async with serve(BranchScript((Piece(0.01, text, 9),))) as served:
        race: Any = {"frontrunner": {"branches": 2, "deadline": 5}}
        asked = await served.openai.chat.completions.create(
            model="scripted",
            messages=[{"role": "user", "content": "?"}],
            tools=TOOLS,
            stream=streamed,
            extra_body=race,
        )
        if streamed:
            assert [chunk async for chunk in asked]  # type: ignore[union-attr]
        else:
            assert asked.choices[0].message.tool_calls is None  # type: ignore[union-attr]
        reply = await served.openai.responses.create(
            model="scripted", input="?", tools=FLAT, stream=streamed, extra_body=race
        )
        if streamed:
            assert [event async for event in reply]  # type: ignore[union-attr]
        assert served.runtime.load().running == 0
        assert served.runtime.admission_load().racing == 0


@pytest.mark.parametrize("depth", [64, 512])
@pytest.mark.parametrize("arguments", [DEEP, "[" * 300 + "]" * 300, "[" * 300])
async def test_one_in_the_history_is_refused(serve: Serve, arguments: str, depth: int) -> None:
    call: Any = {"id": "c", "type": "function", "function": {"name": "add"}}
    call["function"]["arguments"] = arguments
    script = BranchScript((Piece(0.01, "\\boxed{1}", 9),))
    async with serve(script, json_depth=depth) as served:
        with pytest.raises(openai.BadRequestError):
            await served.openai.chat.completions.create(
                model="scripted",
                messages=[
                    {"role": "assistant", "content": None, "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": "c", "content": "3"},
                    {"role": "user", "content": "?"},
                ],
                tools=TOOLS,
            )
        with pytest.raises(openai.BadRequestError):
            await served.openai.responses.create(
                model="scripted",
                input=[
                    {
                        "type": "function_call",
                        "call_id": "c",
                        "name": "add",
                        "arguments": arguments,
                    },
                    {"type": "function_call_output", "call_id": "c", "output": "3"},
                ],
            )
        assert served.runtime.admission_load().racing == 0
