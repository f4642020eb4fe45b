"""What vLLM's parsers of tool calls read in well-formed calls, and what we read there."""

import json
import re
from typing import Any

import pytest

from frontrunner.runtime.answers.extraction.tool_calls import last_tool_call

from ..runtime.answers.test_tool_calls import ANSWER, CALL, FORMATS, M3, OTHER

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {"x": {"type": "integer"}, "y": {"type": "string"}},
            },
        },
    }
    for name in ("f", "g")
]
#: vLLM's parser, by its name there, and a text that it reads.
PARSERS = {
    "apertus": FORMATS["apertus"],
    "deepseek_v3": FORMATS["deepseek-v3"],
    "deepseek_v31": FORMATS["deepseek-v3.1"],
    "deepseek_v32": FORMATS["deepseek-v3.2"],
    "ernie45": FORMATS["hermes"],
    "functiongemma": FORMATS["functiongemma"],
    "gemma4": FORMATS["gemma"],
    "glm45": FORMATS["glm"],
    "granite": FORMATS["granite"],
    "granite-20b-fc": FORMATS["granite-20b"],
    "hermes": f"<tool_call>\n{CALL}\n</tool_call>\n<tool_call>\n{OTHER}\n</tool_call>",
    "hunyuan_a13b": FORMATS["jamba"],
    "internlm": FORMATS["internlm"],
    "jamba": FORMATS["jamba"],
    "kimi_k2": FORMATS["kimi"],
    "lfm2": FORMATS["lfm"],
    "llama3_json": f"<|python_tag|>{CALL}; {OTHER}",
    "llama4_pythonic": FORMATS["llama-4"],
    "minimax_m2": FORMATS["minimax-m2"],
    "mistral": FORMATS["mistral"],
    "phi4_mini_json": FORMATS["phi"],
    "pythonic": '[f(x=1, y="a"), g()]',
    "qwen3_xml": FORMATS["qwen3-coder"],
    "seed_oss": FORMATS["seed-oss"],
    "step3": FORMATS["step-3"],
    "xlam": f"[{CALL}, {OTHER}]",
}


class MarksTokenizer:
    """As much of a tokenizer as parsers ask for: the marks in a text are tokens."""

    chat_template = None

    def __init__(self, text: str) -> None:
        marks = [
            "<think>",
            "</think>",
            "<seed:think>",
            *re.findall(r"<[^<>\s=]{2,60}>|\[[A-Z_]+\]", text),
        ]
        self._ids = {mark: i for i, mark in enumerate(dict.fromkeys(marks))}
        self.all_special_tokens = list(self._ids)
        self.all_special_ids = list(self._ids.values())

    def get_vocab(self) -> dict[str, int]:
        return self._ids

    def encode(self, text: str, **_: Any) -> list[int]:
        return [0]

    def decode(self, ids: Any, **_: Any) -> str:
        return ""


@pytest.mark.parametrize("name", PARSERS)
def test_a_call_is_what_vllms_parser_takes_it_for(name: str) -> None:
    managers = pytest.importorskip("vllm.tool_parsers")
    protocol = pytest.importorskip("vllm.entrypoints.openai.chat_completion.protocol")
    text = PARSERS[name]
    request = protocol.ChatCompletionRequest(
        model="m", messages=[{"role": "user", "content": "?"}], tools=TOOLS
    )
    parser = managers.ToolParserManager.get_tool_parser(name)(MarksTokenizer(text), request.tools)
    read = [
        {"name": call.function.name, "arguments": json.loads(call.function.arguments)}
        for call in parser.extract_tool_calls(text, request).tool_calls
    ]
    answer = last_tool_call(text, TOOLS)
    assert answer is not None
    assert answer.count(ANSWER) == 1
    assert json.loads(answer) == (read if len(read) > 1 else read[0])


@pytest.mark.parametrize(
    "elements",
    [
        "",
        f"{M3}<n>42{M3}</n>{M3}<s>42{M3}</s>",
        f"{M3}<list>{M3}<item>a{M3}</item>\n{M3}<item>b{M3}</item>{M3}</list>",
        f"{M3}<list>{M3}</list>{M3}<o>{M3}</o>",
        f"{M3}<o>{M3}<n>1{M3}</n>{M3}<s><b>x</b>\ny{M3}</s>{M3}</o>",
        f"{M3}<objects>{M3}<item>{M3}<s>a{M3}</s>{M3}</item>{M3}</objects>",
        f"{M3}<t>a{M3}</t>{M3}<t>b{M3}</t>",
    ],
)
def test_nested_elements_are_what_vllms_parser_takes_them_for(elements: str) -> None:
    parser = pytest.importorskip("vllm.parser.minimax_m3")
    entry = {"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}}
    properties = {
        **entry["properties"],
        "list": {"type": "array", "items": {"type": "string"}},
        "objects": {"type": "array", "items": entry},
        "o": entry,
    }
    schema = {"type": "object", "properties": properties}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    answer = last_tool_call(f'{M3}<invoke name="f">{elements}{M3}</invoke>', [tool])
    read = json.loads(parser._minimax_m3_arg_converter(elements, False, properties))
    assert answer is not None
    assert json.loads(answer)["arguments"] == read
