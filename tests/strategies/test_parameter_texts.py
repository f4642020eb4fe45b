from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.strategies.parameter_texts import parse_parameter, parse_value, spelled


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("4", 4),
        ("-4", -4),
        ("0.1", 0.1),
        (".5", 0.5),
        ("1e-3", 1e-3),
        ("null", None),
        ("[1, 2]", [1, 2]),
        ('{"a": 1}', {"a": 1}),
        ('"4"', "4"),
        ("none", "none"),
        ("", ""),
        ("1|3", "1|3"),
        ("[1", "[1"),
        ("\ud800", "\ud800"),
    ],
)
def test_values(text: str, value: Any) -> None:
    read = parse_value(text)
    assert (read, type(read)) == (value, type(value))


@given(st.booleans() | st.integers() | st.floats(allow_nan=False))
def test_what_is_spelled_is_read(value: float) -> None:
    assert parse_value(spelled(value)) == value


def test_a_parameter_is_a_name_and_a_value() -> None:
    assert parse_parameter(" stop = lead") == ("stop", "lead")
    assert parse_parameter("text=a=b") == ("text", "a=b")


@pytest.mark.parametrize("text", ["", "stop", "=4", "a b=4", "4=a"])
def test_what_is_no_parameter(text: str) -> None:
    with pytest.raises(ValueError, match="key=value"):
        parse_parameter(text)
