"""Schemas of clients, held against what models write: right, and bounded."""

from typing import Any

import pytest

from frontrunner.runtime.answers.extraction.schema import check_schema, satisfies, violates


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"pattern": "^a+$"}, "aa", "ab"),
        ({"pattern": "b"}, "abc", "ac"),
        ({"patternProperties": {"^x_": {"type": "integer"}}}, {"x_a": 1, "y": ""}, {"x_a": ""}),
        (
            {
                "properties": {"a": {}},
                "patternProperties": {"^x_": {}},
                "additionalProperties": False,
            },
            {"a": 1, "x_b": 2},
            {"b": 1},
        ),
        ({"additionalProperties": {"type": "string"}}, {"a": ""}, {"a": 1}),
        ({"uniqueItems": True}, [1, "1", True, {"a": 1}], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]),
        ({"properties": {"a": {}}, "unevaluatedProperties": False}, {"a": 1}, {"b": 1}),
        ({"$defs": {"n": {"type": "null"}}, "items": {"$ref": "#/$defs/n"}}, [None], [1]),
    ],
)
def test_what_satisfies(schema: Any, good: Any, bad: Any) -> None:
    check_schema(schema)
    assert satisfies(good, schema)
    assert not violates(good, schema)
    assert violates(bad, schema)
    assert not satisfies(bad, schema)


_DOUBLING = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(60)}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"$defs": {**_DOUBLING, "d60": {}}, "$ref": "#/$defs/d0"}, 1),
        ({"$ref": "#"}, 1),
        ({"$ref": "https://example.org/schema"}, 1),
        ({"items": {"type": "integer"}}, list(range(100_000))),
        ({"pattern": "(?=a)"}, "a"),
        ({"required": 5}, {}),
    ],
)
def test_what_takes_too_long_or_is_no_schema_is_not_decided(schema: Any, value: Any) -> None:
    assert not satisfies(value, schema)
    assert not violates(value, schema)


def test_patterns_take_linear_time() -> None:
    # By Python's engine this one would not end.
    assert violates("a" * 60_000 + "!", {"pattern": "^(a+)+$"})
    assert violates([*({"a": i} for i in range(3_000)), {"a": 1}], {"uniqueItems": True})


@pytest.mark.parametrize("pattern", ["(?=a)", r"(a)\1", "(", r"(\w{99}){99}"])
def test_patterns_that_cannot_be_used_are_named(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"pattern|JSON Schema"):
        check_schema({"properties": {"a": {"pattern": pattern}}})
