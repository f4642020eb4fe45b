"""JSON Schema, by the library that implements it; imported only where a schema is used."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

# Making a validator costs more than asking one. By identity: a schema cannot be hashed. Each entry
# keeps its schema alive, so that no other takes its identity.
_MADE: Final[dict[int, tuple[Mapping[str, Any], "Validator | None"]]] = {}
_MAX_MADE: Final = 256


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
    return _verdict(value, schema) is True


def violates(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether parsed JSON does not satisfy a schema; False if that cannot be decided.

    The schema need not have been checked: one that is no JSON Schema is violated by nothing.
    """
    return _verdict(value, schema) is False


def _verdict(value: Any, schema: Mapping[str, Any]) -> bool | None:
    validator = _validator(schema)
    if validator is None:
        return None
    try:
        return validator.is_valid(value)
    except Exception:  # noqa: BLE001 - a reference that leads nowhere, a recursion without end
        return None


def _validator(schema: Mapping[str, Any]) -> "Validator | None":
    made = _MADE.get(id(schema))
    if made is None:
        while len(_MADE) >= _MAX_MADE:
            del _MADE[next(iter(_MADE))]
        made = _MADE[id(schema)] = (schema, _make_validator(schema))
    return made[1]


def _make_validator(schema: Mapping[str, Any]) -> "Validator | None":
    from jsonschema import Draft202012Validator
    from referencing import Registry

    try:
        check_schema(schema)
        # A registry of its own: without one the library fetches what a reference names from the
        # network, while the event loop waits.
        return Draft202012Validator(schema, registry=Registry())
    except Exception:  # noqa: BLE001 - whatever a caller passes for a schema
        return None
