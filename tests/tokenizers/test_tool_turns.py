"""Results of tools, as each family's chat template puts them behind a turn that made calls."""

import json
from typing import Any

import pytest

from frontrunner.errors import BadRequest
from frontrunner.runtime.engines.openai.placeholder_ids import Results, read_parts, spell_results
from frontrunner.runtime.engines.openai.tool_turns import results_between
from frontrunner.runtime.engines.protocol import ToolTurn

from .families import SHOW_CALLS
from .tokenized_engine import local_tokenizer

#: What ends a turn that makes calls.
ENDS = {
    "qwen3": "<|im_end|>",
    "deepseek-v3": "<｜end▁of▁sentence｜>",
    "llama3.1": "<|eot_id|>",
    "gpt-oss": "<|call|>",
}
TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": "count", "parameters": {"type": "object", "properties": {}}},
    }
]
ASKED: Any = {"role": "user", "content": "How many?"}


def conversation(results: list[str]) -> Any:
    calls = [
        {
            "id": f"call{i:05}",
            "type": "function",
            "function": {"name": "count", "arguments": {"where": f"canal {i}"}},
        }
        for i in range(len(results))
    ]
    told = [
        {"role": "tool", "name": "count", "tool_call_id": f"call{i:05}", "content": result}
        for i, result in enumerate(results)
    ]
    return [ASKED, {"role": "assistant", "content": "", "tool_calls": calls}, *told]


@pytest.mark.parametrize("results", [["31"], ["31", "none\nat all"]], ids=["one", "two"])
def test_a_branch_and_its_results_are_the_conversation(
    family: str, tokenizer: Any, results: list[str]
) -> None:
    if family not in ENDS or (len(results) > 1 and family not in SHOW_CALLS):
        pytest.skip("its template takes no tools, or one call a turn")
    local = local_tokenizer(tokenizer)
    calls = [("count", {"where": f"canal {i}"}) for i in range(len(results))]
    last = tokenizer.convert_tokens_to_ids(ENDS[family])
    turn = local.tool_turn(ToolTurn(calls, results, last, TOOLS))
    whole = local.encode_chat(conversation(results), TOOLS)
    assert whole[-len(turn) :] == turn
    # Right before it the template ends the turn as the model does; DeepSeek's forgets to where
    # there is one call.
    if family != "deepseek-v3" or len(results) > 1:
        assert whole[-len(turn) - 1] == last
    text = tokenizer.decode(turn)
    assert all(result in text for result in results)
    assert "canal" not in text


@pytest.mark.parametrize("results", [["31"], ["31", "none\nat all"]], ids=["one", "two"])
def test_an_endpoint_that_tokenizes_conversations_tells_the_same(
    family: str, tokenizer: Any, results: list[str]
) -> None:
    """There the results are found by the tokens of two conversations, without their text."""
    if family not in ENDS or (len(results) > 1 and family not in SHOW_CALLS):
        pytest.skip("its template takes no tools, or one call a turn")
    calls = [("count", {"where": f"canal {i}"}) for i in range(len(results))]
    for last in (tokenizer.convert_tokens_to_ids(ENDS[family]), None):
        turn = ToolTurn(calls, results, last, TOOLS)
        (spelled,) = read_parts(spell_results(turn, {}))
        assert isinstance(spelled, Results)
        called, answered = (
            tokenizer.apply_chat_template(
                _with_data(said.messages), tools=said.tools, add_generation_prompt=prompt,
                tokenize=True, return_dict=False,
            )
            for said, prompt in ((spelled.called, False), (spelled.answered, True))
        )  # fmt: skip
        found = results_between(called, answered, spelled.last_token)
        assert found == local_tokenizer(tokenizer).tool_turn(turn)


def _with_data(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As an endpoint hands them to its template: the arguments of calls as data."""
    for message in messages:
        for call in message.get("tool_calls") or ():
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return messages


def test_a_template_without_tools_is_told_so(family: str, tokenizer: Any) -> None:
    if family in ENDS:
        pytest.skip("its template takes tools")
    with pytest.raises(BadRequest, match="template"):
        local_tokenizer(tokenizer).tool_turn(ToolTurn([("count", {})], ["31"], None, TOOLS))
