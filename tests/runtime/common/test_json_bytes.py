from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.common.json_bytes import json_bytes


class Word(StrEnum):
    YES = "yes"


@dataclass(frozen=True, slots=True)
class Said:
    text: str
    words: tuple[Word, ...]


@pytest.mark.parametrize(
    ("value", "read"),
    [
        pytest.param({"a": [1, 0.5, None, True]}, {"a": [1, 0.5, None, True]}, id="JSON"),
        pytest.param(inf, None, id="a number that JSON does not have"),
        pytest.param(2**70, float(2**70), id="a number that is too large"),
        pytest.param("a\ud800", "a?", id="a lone surrogate"),
        pytest.param({"\ud800": ["\udfff"]}, {"?": ["?"]}, id="lone surrogates in depth"),
        pytest.param({1: "x"}, {"1": "x"}, id="a key that is no text"),
        pytest.param(Said("\ud800", (Word.YES,)), {"text": "?", "words": ["yes"]}, id="dataclass"),
        pytest.param(Said("a", (Word.YES,)), {"text": "a", "words": ["yes"]}, id="a plain one"),
    ],
)
def test_what_is_read(value: Any, read: Any) -> None:
    assert orjson.loads(json_bytes(value)) == read


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=6,
    )
)
def test_whatever_there_is_to_say_is_json(value: Any) -> None:
    orjson.loads(json_bytes(value))
