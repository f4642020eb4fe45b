"""Results of tools, as each family's chat template puts them behind a turn that made calls."""

from typing import Any

import pytest

from frontrunner.errors import BadRequest
from frontrunner.runtime.engines.openai.tokens import LocalTokenizer
from frontrunner.runtime.engines.protocol import ToolTurn

from .families import SHOW_CALLS

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
    local = LocalTokenizer(tokenizer)
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


def test_a_template_without_tools_is_told_so(family: str, tokenizer: Any) -> None:
    if family in ENDS:
        pytest.skip("its template takes tools")
    with pytest.raises(BadRequest, match="template"):
        LocalTokenizer(tokenizer).tool_turn(ToolTurn([("count", {})], ["31"], None, TOOLS))
