"""JSON Schema, by the library that implements it; imported only where a schema is used."""

from collections.abc import Mapping
from typing import Any


def check_schema(schema: Mapping[str, Any]) -> None:
    """
    Raises:
        ValueError: if ``schema`` is no JSON Schema (draft 2020-12).
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"not a JSON Schema: {error.message}") from error


def satisfies(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether parsed JSON satisfies a checked schema; False for what cannot be decided."""
    from jsonschema import Draft202012Validator

    try:
        return Draft202012Validator(schema).is_valid(value)
    except Exception:  # noqa: BLE001 - a reference that leads nowhere, a recursion without end
        return False
