import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.answers.structured import (
    JSON_SCAN_CHARS,
    MAX_DEPTH,
    MAX_NUMBER_CHARS,
    MAX_TOOL_CALLS,
    last_json,
    last_tool_call,
)

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.text(max_size=6),
    st.integers(-(10**6), 10**6).map(lambda eighths: eighths / 8),
)  # fmt: skip
DATA = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
CONTAINERS = st.one_of(
    st.lists(DATA, max_size=3), st.dictionaries(st.text(max_size=4), DATA, max_size=3)
)


def shuffled(value: Any, reverse: bool) -> Any:
    """The same data with its keys in another order."""
    if isinstance(value, dict):
        keys = sorted(value, reverse=reverse)
        return {key: shuffled(value[key], reverse) for key in keys}
    return [shuffled(v, reverse) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"b": 1, "a": [1, 2]}', '{"a":[1,2],"b":1}'),
        ('first {"a": 1}, then {"a": 2}.', '{"a":2}'),
        ('```json\n{"a": {"b": null}}\n```', '{"a":{"b":null}}'),
        ('{"a": 1.0, "b": 1e0, "c": 10e-1}', '{"a":1,"b":1,"c":1}'),
        ("[1e2, -0, -0.0, 0.10]", "[100,0,0,0.1]"),
        ("[1e300]", "[1E+300]"),
        ('["é", "\\u00e9"]', '["é","é"]'),
        ('["\\ud800"]', '["\\ud800"]'),
        ('{"a": 1} {"a": ', '{"a":1}'),
        ('it\'s {not json} but {"a": "}"}', '{"a":"}"}'),
        ('{"a": 1, "a": 2}', '{"a":2}'),
        ("{}", "{}"),
        ('{"a": NaN}', None),
        ("[Infinity]", None),
        ("7", None),
        ('"text"', None),
        ("{'a': 1}", None),
        ("", None),
        ("[" * 5_000 + "]" * 5_000, None),
        ("[" + "1" * (MAX_NUMBER_CHARS + 1) + "]", None),
        ("[1e999999999999999999999]", None),
    ],
)
def test_the_last_complete_data_are_the_answer(text: str, answer: str | None) -> None:
    assert last_json(text) == answer


@given(CONTAINERS, st.booleans(), st.sampled_from([None, 0, 2]))
def test_equal_data_are_one_answer_whatever_their_order_and_layout(
    data: Any, reverse: bool, indent: int | None
) -> None:
    answer = last_json(json.dumps(data))
    assert answer is not None
    written = json.dumps(shuffled(data, reverse), indent=indent, ensure_ascii=not reverse)
    assert last_json(f"So:\n{written}\n") == answer
    assert last_json(answer) == answer
    assert json.loads(answer) == data


@given(CONTAINERS, CONTAINERS)
def test_different_data_are_different_answers(a: Any, b: Any) -> None:
    same = last_json(json.dumps(a)) == last_json(json.dumps(b))
    # Python takes true for 1; JSON does not.
    assert same == (repr(a) == repr(b) or (a == b and same))
    if a != b:
        assert not same


@given(st.integers(1, MAX_DEPTH + 20))
def test_data_that_are_too_deep_are_no_answer(depth: int) -> None:
    assert (last_json("[" * depth + "]" * depth) is not None) == (depth <= MAX_DEPTH)


def test_a_schema_refuses_what_does_not_satisfy_it() -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "maximum": 9}, "x": {"type": "number"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    assert last_json('{"n": 3.0, "x": 0.5}', schema) == '{"n":3,"x":0.5}'
    assert last_json('{"n": 3.5}', schema) is None
    assert last_json('{"n": 10}', schema) is None
    assert last_json('{"n": 1} or rather {"m": 2}', schema) is None
    assert last_json('{"n": 1e500}', schema) is None
    assert last_json('{"n": 1}', {"$ref": "https://example.invalid/schema"}) is None
    assert last_json('{"n": 1}', {"$ref": "#"}) is None


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>\n{"name": "f", "arguments": {"x": 1, "y": "a"}}\n</tool_call>',
        '<tool_call>{"arguments": {"y": "a", "x": 1.0}, "name": "f"}</tool_call> done',
        'I call {"name": "f", "arguments": "{\\"x\\": 1, \\"y\\": \\"a\\"}"}',
        '{"type": "function", "function": {"name": "f", "arguments": {"x": 1, "y": "a"}}}',
        '{"tool_calls": [{"function": {"name": "f", "arguments": {"x": 1, "y": "a"}}}]}',
        '[{"name": "f", "parameters": {"x": 1, "y": "a"}}]',
        '<think><tool_call>{"name": "g", "arguments": {}}</tool_call></think>'
        '<tool_call>{"name": "f", "arguments": {"x": 1, "y": "a"}}</tool_call>',
    ],
)
def test_a_call_is_known_by_its_name_and_arguments_in_every_form(text: str) -> None:
    assert last_tool_call(text) == '{"arguments":{"x":1,"y":"a"},"name":"f"}'


def test_several_calls_are_one_answer_in_their_order() -> None:
    f, g = (json.dumps({"name": name, "arguments": {}}) for name in "fg")
    both = f"<tool_call>{f}</tool_call>\n<tool_call>{g}</tool_call>"
    answer = '[{"arguments":{},"name":"f"},{"arguments":{},"name":"g"}]'
    assert last_tool_call(both) == answer
    assert last_tool_call(f'{{"tool_calls": [{f}, {g}]}}') == answer
    assert last_tool_call(f"[{g}, {f}]") != answer
    many = f"<tool_call>{f}</tool_call>" * (MAX_TOOL_CALLS + 1)
    assert last_tool_call(many) is None


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
        '<tool_call>{"name": "f", "arguments": {}}</tool_call><tool_call>x</tool_call>',
        '[{"name": "f", "arguments": {}}, 1]',
        '<think>{"name": "f", "arguments": {}}</think>',
    ],
)
def test_what_is_no_call_is_no_vote(text: str) -> None:
    assert last_tool_call(text) is None


@pytest.mark.parametrize(
    "unit",
    ["{", "[", '{"', '{"a":', "[1,", '"', "\\", '{"a":1}', "[[1],", "<tool_call>", "</tool_call>",
     "<tool_call>{", "-", "[1e9", "<think>", "\ud800", '{"a":"\\u', "[]"],
)  # fmt: skip
def test_a_million_hostile_characters_take_no_time_to_speak_of(unit: str) -> None:
    # A quadratic reader would take minutes, which the time limit of the test run notices.
    hostile = unit * (1_000_000 // len(unit))
    last_json(hostile)
    last_tool_call(hostile)
    assert last_json("x" * JSON_SCAN_CHARS + '{"a": 1}') == '{"a":1}'


@given(
    st.lists(
        st.sampled_from(['{"a":', "1", "}", "[", "]", ",", '"', "\\", "<tool_call>", "-", "e9"]),
        max_size=30,
    ).map("".join)
)
def test_any_text_has_data_or_none(text: str) -> None:
    for answer in (last_json(text), last_tool_call(text)):
        assert answer is None or isinstance(json.loads(answer), dict | list)
