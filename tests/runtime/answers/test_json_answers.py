import json
import urllib.request
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.answers.extraction.json_answers import (
    JSON_SCAN_CHARS,
    MAX_DEPTH,
    MAX_NUMBER_CHARS,
    last_json,
    settled_json,
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


def test_what_a_schema_refers_to_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[object] = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda *args, **_: fetched.append(args))
    assert last_json('{"n": 1}', {"$ref": "http://127.0.0.1:9/schema"}) is None
    assert fetched == []


@pytest.mark.parametrize(
    "text",
    [
        '{"rows": [{"id": 7}, {"id": 8}],}',
        '{"rows": [[1, 2], [3, 4]], "mean": NaN}',
        '{"rows": [1, 2], "mean": .5}',
        '{"rows": [1, 2], "mean": +5}',
        '{"rows": [1, 2], "next": ',
        '{"rows": [1, 2], "next": {"id": 7}',
        '[{"id": 7}, {"id": 8}',
        "[[1, 2], [3, 4], [5",
        '{"file": "D:\\users\\me", "tags": ["a", "b"]}',
        '{"dir": "D:\\", "tags": ["a", "b"]}',
        '{"ok": False, "rows": [1, 2]}',
        '{"ok": None, "row": {"id": 7}}',
        "{'rows': [1, 2]}",
        "{'title': 'it's', 'rows': [1, 2]}",
        "{rows: [1, 2]}",
        '{"rows": [1, 2] // all of them\n}',
        '{/* all of them */ "rows": [1, 2]}',
        '{"rows": [1, 2]; "n": 2}',
        '{"rows" = [1, 2]}',
        '{"n": ' + "9" * (MAX_NUMBER_CHARS + 1) + ', "rows": [1, 2]}',
        '{"n": 007, "rows": [1, 2]}',
        '{"text": "two\nlines", "rows": [1, 2]}',
        "{“rows”: [1, 2]}",
        '{{"rows": [1, 2]}}',
        '[{"id": 7}, ...]',
        "[(1, 2), [3, 4]]",
        '{"rows": [1, 2}',
        '```json\n{"rows": [1, 2],}\n```',
        '{"id": 7}\nNo: {"id": 8,}',
        '{"id": 7,} {"rows": [1, 2],}',
    ],
)
def test_nothing_inside_of_broken_or_unfinished_data_is_an_answer(text: str) -> None:
    assert last_json(text) is None
    assert settled_json(text) is None


@pytest.mark.parametrize(
    "broken",
    ['{"b": [1],}', "{'b': [1]}", '{"b": "5" tall", "c": [1]}', '{"b": "D:\\", "c": [1]}',
     "{b: [1]}", '{"b": [1}', "[1, 2,]"],
)  # fmt: skip
def test_data_after_broken_ones_are_found(broken: str) -> None:
    assert last_json(f'{broken}\nRather: {{"a": 1}}') == '{"a":1}'


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}\n\nSources: [1], [2, 3]',
        'The result is {"a": 1}. As [4] has it.',
        '{"a": 1}, where y[0] and row["k"] are inputs',
        '{"a": 1} and nothing else, neither {} nor []',
        '{"a": 1} for x in [0, 1)',
        '{"a": 1} for x in {x | x > 0}',
        '[7] says {"a": 1}',
        '\\[ {"a": 1} \\]',
        '{"a": 1}\n- [ ] check\n- [x] done',
        '{"a": 1}, see [the docs](https://example.org) and [this].',
        '```json\n{"a": 1}\n```\nNote that {"a": 2} is not it.',
        '```json\n{"a": 1}\n```\n```python\nrows = [[1, 2], [3, 4]]\n```',
        '```\n{"a": 1}\n```\nwith m[3]',
        'Input {"a": 0}:\n```json\n{"a": 1}\n```',
        '```json\n{"a": 0}\n```\nCorrected:\n{"a": 1}',
        '{"a": 1}\n\n[3]',
        '{"a": 1}\n\n[3]\n[4]',
        '{"a": 1}\n[3, 4]\n',
        '```json\n{"a": 1}\n```\n[3]',
        '```json\n{"a": 1}\n```\n\n[3, 4, 5, 6]',
        '```json\n{"a": 1}\n```\n```\nshow(y[0])\n```',
        '```json\n{"a": 1}\n```\n```\nfor y in [0, 1]: show(y)\n```',
    ],
)
def test_brackets_in_prose_are_no_data_beside_real_ones(text: str) -> None:
    assert last_json(text) == '{"a":1}'


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('["x", "y"]\n\n[3]', '["x","y"]'),
        ('[{"a": 1}]\n[3]', '[{"a":1}]'),
        ("[4, 5, 6]\n\n[3]", "[4,5,6]"),
        ("```json\n[4, 5]\n```\n[3]", "[4,5]"),
        ("[4]\n[3]", "[3]"),
        ('{"a": 1}\n\nCorrected:\n[3]', "[3]"),
        ('{"a": 1}\n\n[0.5]', "[0.5]"),
        ('{"a": 1}\n\n[1e99999]', "[1E+99999]"),
    ],
)
def test_a_reference_on_a_line_of_its_own_hides_no_data(text: str, answer: str) -> None:
    assert last_json(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("[5]", "[5]"),
        ("Answer: [5]", "[5]"),
        ("It is [5, 6].", "[5,6]"),
        ("So:\n[]", "[]"),
        ("Sorry, see [5].", None),
        ("y[5]", None),
        ("Neither {} nor [] will do.", None),
    ],
)
def test_a_mark_alone_is_an_answer_only_where_it_stands_as_one(
    text: str, answer: str | None
) -> None:
    assert last_json(text) == answer


def test_a_list_in_prose_that_a_schema_asks_for_is_the_answer() -> None:
    numbers = {"type": "array", "items": {"type": "integer"}}
    assert last_json('From {"rows": 2} follows [5, 6], they say.', numbers) == "[5,6]"
    assert last_json('[5, 6] became {"rows": 2}', numbers) is None


def test_what_remains_of_data_whose_beginning_is_too_far_back_is_no_answer() -> None:
    many = ", ".join('{"id": 7}' for _ in range(JSON_SCAN_CHARS // 8))
    assert last_json(f"[{many}]") is None
    assert last_json(f"[{many}, ") is None
    assert last_json(f'{{"rows": [{many}], "next": {{"id": 7}}') is None
    assert last_json(f'[{many}]\nIn short:\n{{"a": 1}}') == '{"a":1}'


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"a": [1]}', '{"a":[1]}'),
        ('```json\n{"a": 1}', '{"a":1}'),
        ('Final answer: {"a": 1}', '{"a":1}'),
        ('{"a": [1]', None),
        ('{"a": 1}\n{"a": ', None),
        ("See [1] for", None),
        ('With {"a": 1} given, the', None),
    ],
)
def test_a_growing_text_is_settled_with_data_that_stand_by_themselves(
    text: str, answer: str | None
) -> None:
    assert settled_json(text) == answer


@given(CONTAINERS, st.integers(0, 200))
def test_no_beginning_of_data_is_settled(data: Any, length: int) -> None:
    written = json.dumps(data)
    beginning = written[: min(length, len(written) - 1)]
    assert settled_json(beginning) is None
    assert last_json(beginning) is None


@given(CONTAINERS, st.sampled_from(["NaN", "tru", "'x'", "1.", "01", "x y"]))
def test_one_broken_value_breaks_all_of_the_data(data: Any, broken: str) -> None:
    assert last_json(f'{{"data": {json.dumps(data)}, "more": {broken}}}') is None


@pytest.mark.parametrize(
    "unit",
    ["{", "[", '{"', '{"a":', "[1,", '"', "\\", '{"a":1}', "[[1],", "<tool_call>", "</tool_call>",
     "<tool_call>{", "-", "[1e9", "<think>", "\ud800", '{"a":"\\u', "[]", "['", "{a:", "[x ",
     '{"a" ', '{"a": 1} x[0] ', "```json\n{", "```\n", "\\[{", "[1,)", "[}", '"]}', "{'a': '"],
)  # fmt: skip
def test_a_million_hostile_characters_take_no_time_to_speak_of(unit: str) -> None:
    # A quadratic reader would take minutes, which the time limit of the test run notices.
    hostile = unit * (1_000_000 // len(unit))
    last_json(hostile)
    settled_json(hostile)
    assert last_json("x" * JSON_SCAN_CHARS + '{"a": 1}') == '{"a":1}'


@given(
    st.lists(
        st.sampled_from(
            ['{"a":', "1", "}", "[", "]", ",", '"', "'", "\\", "```json\n", "\n", "-", "e9", "{a:"]
        ),
        max_size=30,
    ).map("".join)
)
def test_any_text_has_data_or_none(text: str) -> None:
    for answer in (last_json(text), settled_json(text)):
        assert answer is None or isinstance(json.loads(answer), dict | list)
        assert answer is None or last_json(answer) == answer


@pytest.mark.parametrize("text", ['{"a": 1}\n- [ ]', "[1]", '{"a": 1}\n[2, 3]'])
def test_what_may_be_a_mark_in_a_sentence_is_settled_with_its_line(text: str) -> None:
    assert settled_json(text) is None
    assert settled_json(text + "\n") is not None or last_json(text + " more\n") == '{"a":1}'
