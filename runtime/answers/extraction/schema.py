"""JSON Schema, by the library that implements it; imported only where a schema is used.

Schemas come from clients, what they are held against from models, and both are hostile: a verdict
takes bounded time. Patterns are matched in linear time, by Rust's engine, which has no look-around
and no references back; and what takes too many steps is not decided.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

from .json_values import canonical_json

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

#: Keywords that are looked at for one verdict; one takes some microseconds.
MAX_STEPS: Final = 5_000

# Making a validator costs more than asking one. By identity: a schema cannot be hashed. Each entry
# keeps its schema alive, so that no other takes its identity.
_MADE: Final[dict[int, tuple[Mapping[str, Any], "Validator | None"]]] = {}
_MAX_MADE: Final = 256


def check_schema(schema: Mapping[str, Any]) -> None:
    """
    Raises:
        ValueError: if ``schema`` is no JSON Schema (draft 2020-12), or has a pattern that cannot be
            matched in linear time.

    It takes half a millisecond for every object in it.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"not a JSON Schema: {error.message[:300]}") from error
    except RecursionError as error:
        raise ValueError("not a JSON Schema: nested too deep") from error
    for pattern in patterns_in(schema):
        if _compiled(pattern) is None:
            raise ValueError(
                f"the pattern {pattern[:100]!r} cannot be used: it is matched without look-around, "
                "references back, and very large repetitions"
            )


def patterns_in(schema: Any) -> list[str]:
    """All patterns of a schema."""
    found: list[str] = []
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            if isinstance(pattern := node.get("pattern"), str):
                found.append(pattern)
            if isinstance(named := node.get("patternProperties"), Mapping):
                found += [str(name) for name in named]
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return found


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
    _steps.left = MAX_STEPS
    try:
        return validator.is_valid(value)
    except Exception:  # noqa: BLE001 - a reference that leads nowhere, a recursion without end, …
        return None


def _validator(schema: Mapping[str, Any]) -> "Validator | None":
    made = _MADE.get(id(schema))
    if made is None:
        while len(_MADE) >= _MAX_MADE:
            del _MADE[next(iter(_MADE))]
        made = _MADE[id(schema)] = (schema, _make_validator(schema))
    return made[1]


def _make_validator(schema: Mapping[str, Any]) -> "Validator | None":
    from referencing import Registry

    try:
        # A registry of its own: without one the library fetches what a reference names from the
        # network, while the event loop waits.
        return _bounded_class()(schema, registry=Registry())
    except Exception:  # noqa: BLE001 - whatever a caller passes for a schema
        return None


# ── bounded time ──────────────────────────────────────────────────────────────────────────────────

_Keyword = Callable[[Any, Any, Any, Any], Any]


class _Undecided(Exception):
    """It would take too long to know."""


class _Steps:
    """Those that are left for the verdict that is being found."""

    left = 0


_steps: Final = _Steps()


@cache
def _bounded_class() -> Any:
    """The library's validator, but for keywords that take more than linear time."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    own: dict[str, _Keyword] = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "unevaluatedProperties": _unevaluated_properties,
        "uniqueItems": _unique_items,
    }
    keywords: dict[str, Any] = {**Draft202012Validator.VALIDATORS, **own}
    counted = {name: _counted(keyword) for name, keyword in keywords.items()}
    return extend(Draft202012Validator, counted)


def _counted(keyword: _Keyword) -> _Keyword:
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        _steps.left -= 1
        if _steps.left < 0:
            raise _Undecided
        return keyword(validator, value, instance, schema)

    return counted


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    """What matches a pattern in linear time; None: nothing does."""
    from pydantic_core import SchemaError, SchemaValidator, core_schema

    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        return None


def _matches(pattern: str, text: str) -> bool:
    compiled = _compiled(pattern)
    if compiled is None:
        raise _Undecided
    return bool(compiled.isinstance_python(text))


def _no(what: str) -> Any:
    from jsonschema.exceptions import ValidationError

    return ValidationError(what)


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield _no("the pattern does not match")


def _pattern_properties(validator: Any, named: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if isinstance(instance, dict):
        for pattern, inner in named.items():
            for key, value in instance.items():
                if _matches(pattern, key):
                    yield from validator.descend(value, inner)


def _additional_properties(validator: Any, inner: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if isinstance(instance, dict):
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        for key, value in instance.items():
            if key not in known and not any(_matches(pattern, key) for pattern in patterns):
                yield from validator.descend(value, inner)


def _unevaluated_properties(validator: Any, inner: Any, instance: Any, schema: Any) -> Any:
    from jsonschema import Draft202012Validator

    if any("patternProperties" in str(part) for part in (validator.schema, schema)):
        raise _Undecided  # the library would match them in its own way
    library: Any = Draft202012Validator.VALIDATORS["unevaluatedProperties"]
    return library(validator, inner, instance, schema)


def _unique_items(validator: Any, unique: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not unique or not isinstance(instance, list):
        return
    if len({canonical_json(item) for item in instance}) < len(instance):
        yield _no("the items are not unique")
