import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.planning.plan import settings_toml

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | texts
values = scalars | st.lists(scalars | st.lists(scalars, max_size=2), max_size=3)
tables: Any = st.recursive(
    st.dictionaries(texts, values, max_size=3),
    lambda inner: st.dictionaries(texts, values | inner, max_size=3),
    max_leaves=8,
)


def without_empty(table: dict[str, Any]) -> dict[str, Any]:
    """Tables that say nothing are not written."""
    kept = {k: without_empty(v) if isinstance(v, dict) else v for k, v in table.items()}
    return {k: v for k, v in kept.items() if v != {}}


@given(tables)
def test_what_is_written_is_read(table: dict[str, Any]) -> None:
    assert tomllib.loads(settings_toml(table)) == without_empty(table)


def test_what_is_not_set_is_not_written() -> None:
    written = settings_toml(
        {"engine": {"model": "demo", "speculation": {"tokens": 3}}, "race": {"b": None}}
    )
    assert written == '[engine]\nmodel = "demo"\n\n[engine.speculation]\ntokens = 3\n'


def test_what_toml_has_not_is_refused() -> None:
    with pytest.raises(TypeError):
        settings_toml({"a": [None]})
