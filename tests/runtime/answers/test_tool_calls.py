import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.answers.extraction.tool_calls import MAX_TOOL_CALLS, last_tool_call

#: What MiniMax-M3 writes before each of its tags.
M3 = "]<]minimax[>["
ARGUMENTS = '{"x": 1, "y": "a"}'
CALL = f'{{"name": "f", "arguments": {ARGUMENTS}}}'
ANSWER = '{"arguments":{"x":1,"y":"a"},"name":"f"}'
OTHER = '{"name": "g", "arguments": {}}'
OTHER_ANSWER = '{"arguments":{},"name":"g"}'

#: One call in the format of each family, by name.
FORMATS = {
    "hermes": f"<tool_call>\n{CALL}\n</tool_call>",
    "hermes, not closed": f"<tool_call>\n{CALL}",
    "hermes, fenced": f"<tool_call>\n```json\n{CALL}\n```\n</tool_call>",
    "hermes, python": "<tool_call>{'name': 'f', 'arguments': {'x': 1, 'y': 'a'}}</tool_call>",
    "glm": "<tool_call>f\n<arg_key>x</arg_key>\n<arg_value>1</arg_value>\n"
    "<arg_key>y</arg_key>\n<arg_value>a</arg_value>\n</tool_call>",
    "qwen3-coder": "<tool_call>\n<function=f>\n<parameter=x>\n1\n</parameter>\n"
    "<parameter=y>\na\n</parameter>\n</function>\n</tool_call>",
    "seed-oss": "<seed:tool_call><function=f><parameter=x>1</parameter>"
    "<parameter=y>a</parameter></function></seed:tool_call>",
    "minimax-m2": '<minimax:tool_call><invoke name="f"><parameter name="x">1</parameter>'
    '<parameter name="y">a</parameter></invoke></minimax:tool_call>',
    "minimax-m3": f'{M3}<tool_call>\n{M3}<invoke name="f">\n{M3}<x>1{M3}</x>\n'
    f"{M3}<y>a{M3}</y>\n{M3}</invoke>\n{M3}</tool_call>",
    "minimax-m1": f"<tool_calls>\n{CALL}\n</tool_calls>",
    "deepseek-v3.2": '<｜DSML｜function_calls>\n<｜DSML｜invoke name="f">\n'
    '<｜DSML｜parameter name="x" string="false">1</｜DSML｜parameter>\n'
    '<｜DSML｜parameter name="y" string="true">a</｜DSML｜parameter>\n'
    "</｜DSML｜invoke>\n</｜DSML｜function_calls>",
    "deepseek-v3": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n"
    f"{ARGUMENTS}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "deepseek-v3.1": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>"
    f"{ARGUMENTS}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "kimi": "<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0"
    f"<|tool_call_argument_begin|>{ARGUMENTS}<|tool_call_end|><|tool_calls_section_end|>",
    "kimi, no tokens": f"functions.f:0{ARGUMENTS}",
    "step-3": "<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜>"
    '<steptml:invoke name="f"><steptml:parameter name="x">1</steptml:parameter>'
    '<steptml:parameter name="y">a</steptml:parameter></steptml:invoke>'
    "<｜tool_call_end｜><｜tool_calls_end｜>",
    "gpt-oss": "<|channel|>commentary to=functions.f <|constrain|>json<|message|>"
    f"{ARGUMENTS}<|call|>",
    "gpt-oss, recipient first": "<|start|>assistant to=functions.f<|channel|>commentary json"
    f"<|message|>{ARGUMENTS}<|call|>",
    "gpt-oss, while thinking": "<|channel|>analysis to=functions.f code<|message|>"
    f"{ARGUMENTS}<|call|>",
    "gpt-oss, no tokens": f"assistantcommentary to=functions.f json{ARGUMENTS}",
    "mistral": f"[TOOL_CALLS][{CALL}]",
    "mistral, name": f"[TOOL_CALLS]f{ARGUMENTS}",
    "mistral, name and marks": f"[TOOL_CALLS]f[CALL_ID]abcdefghi[ARGS]{ARGUMENTS}</s>",
    "llama": f'<|python_tag|>{{"name": "f", "parameters": {ARGUMENTS}}}',
    "llama, function": f"<function=f>{ARGUMENTS}</function>",
    "llama-4": '<|python_start|>[f(x=1, y="a")]<|python_end|>',
    "pythonic": "[f(x=1, y='a')]",
    "lfm": '<|tool_call_start|>[f(x=1, y="a")]<|tool_call_end|>',
    "granite": f"<|tool_call|>[{CALL}]",
    "granite-20b": f"<function_call> {CALL}",
    "jamba": f"<tool_calls>[{CALL}]</tool_calls>",
    "phi": f"functools[{CALL}]",
    "nemotron": f"<TOOLCALL>[{CALL}]</TOOLCALL>",
    "internlm": f"<|action_start|><|plugin|>\n{CALL}<|action_end|>",
    "command": '<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "f", "parameters": '
    f"{ARGUMENTS}}}]<|END_ACTION|>",
    "apertus": f'<|tools_prefix|>[{{"f": {ARGUMENTS}}}]<|tools_suffix|>',
    "gemma": '<|tool_call>call:f{x:1,y:<|"|>a<|"|>}<tool_call|>',
    "functiongemma": "<start_function_call>call:f{x:<escape>1<escape>,y:<escape>a<escape>}"
    "<end_function_call>",
    "gemma, code": "```tool_code\nprint(f(x=1, y='a'))\n```",
    "llama, built in": "<|python_tag|>f.call(x=1, y='a')",
    "react": f"Action: f\nAction Input: {ARGUMENTS}",
    "xlam": f"```json\n[{CALL}]\n```",
    "openai": json.dumps({"tool_calls": [{"function": {"name": "f", "arguments": ARGUMENTS}}]}),
    "openai, entry": f'{{"type": "function", "function": {CALL}}}',
    "openai, responses": json.dumps({"type": "function_call", "name": "f", "arguments": ARGUMENTS}),
    "anthropic": f'{{"type": "tool_use", "id": "t", "name": "f", "input": {ARGUMENTS}}}',
    "anthropic, message": '{"content": [{"type": "text", "text": "Well."}, '
    f'{{"type": "tool_use", "name": "f", "input": {ARGUMENTS}}}]}}',
    "gemini": f'{{"functionCall": {{"name": "f", "args": {ARGUMENTS}}}}}',
    "json": CALL,
    "json, python": "{'name': 'f', 'arguments': {'x': 1, 'y': 'a'}}",
    "code": f"`{CALL}`",
}
#: Formats that the text's end or layout tells, and what follows would hide.
ALONE = {"hermes, not closed", "code", "pythonic", "react"}


@pytest.mark.parametrize("text", FORMATS.values(), ids=FORMATS.keys())
def test_a_call_is_read_in_the_format_of_every_family(text: str) -> None:
    assert last_tool_call(text) == ANSWER
    assert last_tool_call(f"I look that up.\n\n{text}\n") == ANSWER or text.startswith("`")


@pytest.mark.parametrize("name", sorted(FORMATS.keys() - ALONE))
def test_a_second_call_that_is_not_finished_leaves_no_answer(name: str) -> None:
    text = FORMATS[name]
    assert last_tool_call(f'{text}\n<tool_call>{{"name": "g", "argum') is None


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>{CALL}</tool_call>\n<tool_call>{OTHER}</tool_call>",
        f"<tool_call>{CALL}</tool_call>\n<tool_call>{OTHER}",
        f"<tool_calls>\n{CALL}\n{OTHER}\n</tool_calls>",
        f"[TOOL_CALLS]f[ARGS]{ARGUMENTS}[TOOL_CALLS]g[ARGS]{{}}",
        f"<|python_tag|>{CALL}; {OTHER}",
        f"{CALL}\n{OTHER}",
        f"{CALL};{OTHER}",
        f"[{CALL}, {OTHER}]",
        f'{{"tool_calls": [{CALL}, {OTHER}]}}',
        "[f(x=1, y='a'), g()]",
        "```tool_code\nf(x=1, y='a')\nprint(g())\n```",
        f"functions.f:0{ARGUMENTS}functions.g:1{{}}",
        f"<function=f>{ARGUMENTS}</function><function=g></function>",
        f"<tool_call>{CALL}</tool_call>\n<tool_call>g</tool_call>",
        f"```json\n{CALL}\n```\n```json\n{OTHER}\n```",
        f"```json\n{CALL}\n```\nand then\n```json\n{OTHER}\n```",
        f"{CALL} and {OTHER}",
    ],
)
def test_several_calls_are_one_answer_in_their_order(text: str) -> None:
    assert last_tool_call(text) == f"[{ANSWER},{OTHER_ANSWER}]"


def test_more_calls_than_a_turn_has_are_no_answer() -> None:
    assert last_tool_call(f"<tool_call>{CALL}</tool_call>" * MAX_TOOL_CALLS) is not None
    assert last_tool_call(f"<tool_call>{CALL}</tool_call>" * (MAX_TOOL_CALLS + 1)) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('[TOOL_CALLS]rename[ARGS]{"name": "Eve"}', {"name": "Eve"}),
        ('<function=rename>{"name": "Eve", "arguments": {}}</function>',
         {"name": "Eve", "arguments": {}}),
        ("<|channel|>commentary to=functions.rename <|constrain|>json<|message|>"
         '{"name": "Eve"}<|call|>', {"name": "Eve"}),
        ('{"name": "rename", "arguments": null}', {}),
        ('{"name": "rename", "arguments": ""}', {}),
        ('<tool_call>{"name": "rename"}</tool_call>', {}),
        ("<tool_call>rename</tool_call>", {}),
        ("<tool_call>\nrename\n</tool_call>", {}),
        ("""{"name": "rename", "arguments": "{'to': 1}"}""", {"to": 1}),
        ('<tool_call>{"name": "rename", "arguments": {"to": "</tool_call>"}}</tool_call>',
         {"to": "</tool_call>"}),
        ("<function=rename><parameter=to>a </parameter> b</parameter></function>",
         {"to": "a </parameter> b"}),
        ("<function=rename><parameter=to>\n  two\nlines\n</parameter></function>",
         {"to": "  two\nlines"}),
        ('<function=rename><parameter=to>["a", {"b": 1}]</parameter></function>',
         {"to": ["a", {"b": 1}]}),
        ("[rename(to=['it\\'s', -1.50, None, True, {'a': (1, 2)}])]",
         {"to": ["it's", -1.5, None, True, {"a": [1, 2]}]}),
        ('<|tool_call_begin|>rename<|tool_call_argument_begin|>"{\\"to\\": [1]}"<|tool_call_end|>',
         {"to": [1]}),
        (f'{M3}<invoke name="rename">{M3}<to><i>a</i>\n{M3}</to>{M3}</invoke>',
         {"to": "<i>a</i>\n"}),
        (f'{M3}<invoke name="rename">{M3}<to>{M3}<item>1{M3}</item>{M3}<item>{M3}<a>b{M3}</a>'
         f"{M3}</item>{M3}</to>{M3}</invoke>", {"to": [1, {"a": "b"}]}),
    ],
)  # fmt: skip
def test_arguments_are_the_calls_own(text: str, answer: dict[str, Any]) -> None:
    found = last_tool_call(text)
    assert found is not None
    assert json.loads(found) == {"name": "rename", "arguments": answer}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no call",
        "{}",
        "[]",
        '{"name": "", "arguments": {}}',
        '{"name": 1, "arguments": {}}',
        '{"name": "f", "arguments": [1]}',
        '{"name": "f", "arguments": "no json"}',
        '{"name": "f", "arguments": "[1]"}',
        '<tool_call>{"name": "f"</tool_call>',
        "<tool_call>look it up</tool_call>",
        "<tool_call>None</tool_call>",
        "<tool_call>12</tool_call>",
        """{"name": "f", "arguments": "{'x': 1"}""",
        '<tool_call>{"name": "f", "arguments": {}}</tool_call><tool_call>x y</tool_call>',
        '[{"name": "f", "arguments": {}}, 1]',
        # A record or a tool's definition
        '{"name": "Eve", "age": 41}',
        'The user is {"name": "Eve"}.',
        '{"name": "net", "input": {"dim": 3}, "output": {"dim": 1}}',
        '{"name": "f", "description": "Does it.", "parameters": {}}',
        '{"name": "f", "parameters": {"type": "object", "properties": {}}}',
        '{"type": "person", "name": "Eve", "input": {}}',
        # What a call is called with
        f"create({OTHER})",
        f"create[ARGS]{OTHER}",
        f'{{"name": "f", "arguments": {{"calls": [{OTHER}], "n": ',
        f"[f(x={OTHER}",
        # Broken, or not finished
        '<tool_call>{"name": "f", "arguments": {"x": NaN}}</tool_call>',
        f"<tool_call>{CALL}}}</tool_call>",
        '<tool_call>{"name": "f", "x": 1}</tool_call>',
        "<function=f><parameter=x>1</parameter>",
        "<tool_call>f<arg_key>x</arg_key><arg_value>1</arg_value>",
        "[f(1)]",
        "[f(x=g())]",
        "[f(x=1), g(",
        f'{CALL}\n{{"name": "g", "argu',
        f"{CALL}\n{{",
        f"<tool_call>{CALL}</tool_call>\n<tool_call>",
        f"<tool_call>{CALL}</tool_call>\n<tool_",
        f"[TOOL_CALLS]f[ARGS]{ARGUMENTS}[TOOL_CALLS]",
        # Mentioned only
        f"I could say `{CALL}` but will not.",
        f"I could say `<tool_call>{CALL}</tool_call>` but will not.",
        f"One would say {CALL}, but I will not.",
        "The tag `<tool_call>` is not for this.",
        # Not the last word
        f'{CALL}\n{{"temperature": 20}}',
    ],
)
def test_what_is_no_call_is_no_vote(text: str) -> None:
    assert last_tool_call(text) is None


@pytest.mark.parametrize(
    "text",
    [
        f"Like `<tool_call>{OTHER}</tool_call>`:\n<tool_call>{CALL}</tool_call>",
        f"Like `<tool_call>{OTHER}</tool_call>`:\n{CALL}",
        f"Like\n```\n<tool_call>{OTHER}</tool_call>\n```\nso:\n<tool_call>{CALL}</tool_call>",
        f"Not `{OTHER}`. I call {CALL}.",
    ],
)
def test_a_call_after_an_example_is_the_answer(text: str) -> None:
    assert last_tool_call(text) == ANSWER


TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "f",
            "parameters": {
                "type": "object",
                "properties": {"x": {"type": "integer"}, "y": {"type": "string"}},
                "required": ["x"],
            },
        },
    },
    {"type": "function", "name": "g", "parameters": {"type": "nonsense"}},
    {"type": "web_search"},
]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (CALL, ANSWER),
        (OTHER, OTHER_ANSWER),
        ('{"name": "g"}', OTHER_ANSWER),
        ("<tool_call>g</tool_call>", OTHER_ANSWER),
        (f"f{ARGUMENTS}", ANSWER),
        ("```tool_code\nf(x=1, y='a')\n```", ANSWER),
        ("<function=f><parameter=x>1</parameter><parameter=y>2</parameter></function>",
         '{"arguments":{"x":1,"y":"2"},"name":"f"}'),
        ("<tool_call>f<arg_key>x</arg_key><arg_value>1</arg_value>"
         "<arg_key>y</arg_key><arg_value>null</arg_value></tool_call>",
         '{"arguments":{"x":1,"y":"null"},"name":"f"}'),
        ('{"name": "h", "arguments": {}}', None),
        ('{"name": "Eve"}', None),
        ('{"name": "f", "arguments": {}}', None),
        ('{"name": "f", "arguments": {"x": "1"}}', None),
        (f'[{CALL}, {{"name": "h", "arguments": {{}}}}]', None),
        ("<function=f><parameter=x>one</parameter></function>", None),
    ],
)  # fmt: skip
def test_tools_that_were_offered_type_a_call_and_refuse_others(
    text: str, answer: str | None
) -> None:
    assert last_tool_call(text, TOOLS) == answer


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(10**6), 10**6), st.text(max_size=8),
        st.sampled_from(["<tool_call>", "</tool_call>", "[TOOL_CALLS]", "`", "```json\n{", "to=a"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)  # fmt: skip


@given(
    st.lists(st.tuples(NAMES, st.dictionaries(NAMES, VALUES, max_size=3)), min_size=1, max_size=3)
)
def test_a_call_is_the_same_in_every_format_and_its_own_canonical_form(
    calls: list[tuple[str, dict[str, Any]]],
) -> None:
    written = [json.dumps({"name": name, "arguments": given}) for name, given in calls]
    answer = last_tool_call("[" + ",".join(written) + "]")
    assert answer is not None
    assert last_tool_call(answer) == answer
    tagged = "\n".join(f"<tool_call>\n{one}\n</tool_call>" for one in written)
    assert last_tool_call(tagged) == answer
    assert last_tool_call("\n".join(written)) == answer
    named = "".join(f"[TOOL_CALLS]{name}[ARGS]{json.dumps(given)}" for name, given in calls)
    assert last_tool_call(named) == answer
    python = ", ".join(
        f"{name}({', '.join(f'{key}={value!r}' for key, value in given.items())})"
        for name, given in calls
    )
    assert last_tool_call(f"<|python_start|>[{python}]<|python_end|>") == answer


@pytest.mark.parametrize(
    "unit",
    ["{", '{"a":', "[1,", '"', "\\", "<tool_call>", "</tool_call>", "<tool_call>{", "[]", "[f(",
     "<tool_call>{'", '"""', "<function=f>", "<function=f><parameter=x>",
     "<parameter=x></parameter>",
     "[TOOL_CALLS]", "[TOOL_CALLS]f", "to=", "to=functions.f", "functions.f:0", "a.", "<", "<|",
     "`<tool_call>`", "```\n", "<｜tool▁call▁begin｜>", "<|tool_call>call:f{", '<|"|>',
     "Action: f\n", " ", "\n[", CALL, f"<tool_call>{CALL}", "<function=f>{}", "f{", "\ud800",
     "<arg_key>x</arg_key>", "[f(x=1),", "<|channel|>commentary to=f"],
)  # fmt: skip
def test_a_million_hostile_characters_take_no_time_to_speak_of(unit: str) -> None:
    # A quadratic reader would take minutes, which the time limit of the test run notices.
    hostile = unit * (1_000_000 // len(unit))
    last_tool_call(hostile)
    last_tool_call(hostile, TOOLS)
    for opening in ("<tool_call>", "<function=f><parameter=x>", "[f(x=", "<tool_call>{'a': "):
        last_tool_call(opening + hostile[:30_000])


@given(
    st.lists(
        st.sampled_from(
            ["<tool_call>", "</tool_call>", "<function=f>", "<parameter=x>", "</parameter>", "}",
             '{"name": "f", ', '"arguments": {', "}", "[", "]", ",", '"', "'", "\\", "f(", "x=",
             ")",
             "[TOOL_CALLS]", "f", "to=functions.f", "<|message|>", "\n", "`", "1", "functools",
             CALL,
             "<|tool_call>call:f{", "x:", '<|"|>', "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "{}"]
        ),
        max_size=12,
    ).map("".join)
)  # fmt: skip
def test_any_text_has_calls_or_none(text: str) -> None:
    for tools in ((), TOOLS):
        answer = last_tool_call(text, tools)
        if answer is not None:
            value = json.loads(answer)
            for call in value if isinstance(value, list) else [value]:
                assert call.keys() == {"name", "arguments"}
                assert isinstance(call["arguments"], dict)
            assert last_tool_call(answer, tools) == answer


#: Formats that write each argument between tags.
TAGGED = ["glm", "qwen3-coder", "seed-oss", "minimax-m2", "minimax-m3", "deepseek-v3.2", "step-3"]


@pytest.mark.parametrize("name", TAGGED)
def test_a_misspelled_tag_makes_no_argument_part_of_another_one(name: str) -> None:
    text = FORMATS[name]
    for position in range(len(text)):
        for wrong in (text[:position] + text[position + 1 :],
                      text[:position] + text[position] + text[position:]):  # fmt: skip
            answer = last_tool_call(wrong)
            assert answer is None or len(json.loads(answer)["arguments"]) == 2, wrong
