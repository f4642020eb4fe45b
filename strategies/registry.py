"""Strategies by name, with their parameters checked."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final, get_type_hints

from .majority import Majority
from .protocol import Strategy

_STRATEGIES: Final[dict[str, Callable[..., Strategy]]] = {"majority": Majority}
_KINDS: Final[dict[type, str]] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
}


def strategy_names() -> tuple[str, ...]:
    return tuple(_STRATEGIES)


def register_strategy(name: str, factory: Callable[..., Strategy]) -> None:
    """Make ``factory(**parameters)`` available under ``name``.

    Raises:
        ValueError: if the name is taken.
    """
    if name in _STRATEGIES:
        raise ValueError(f"strategy {name!r} is registered already")
    _STRATEGIES[name] = factory


def create_strategy(name: str, parameters: Mapping[str, Any]) -> Strategy:
    """A fresh strategy for one race.

    Raises:
        ValueError: unknown name, unknown parameter, or a parameter out of range.
    """
    if name not in _STRATEGIES:
        raise ValueError(f"unknown strategy {name!r}; known: {', '.join(_STRATEGIES)}")
    factory = _STRATEGIES[name]
    known = parameter_names(name)
    unknown = sorted(set(parameters) - set(known)) if known else []
    if unknown:
        raise ValueError(f"{name} has no parameter {unknown[0]!r}; known: {', '.join(known)}")
    for key, value in parameters.items():
        _check_type(name, factory, key, value)
    return factory(**parameters)


def _check_type(name: str, factory: Callable[..., Strategy], key: str, value: Any) -> None:
    """Numbers and switches come from files and command lines, where "3" is not 3."""
    expected = get_type_hints(factory).get(key)
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return
    if isinstance(expected, type) and (
        not isinstance(value, expected) or (expected is int and isinstance(value, bool))
    ):
        raise ValueError(
            f"{name}: {key} must be {_KINDS.get(expected, expected.__name__)}, not {value!r}"
        )


def parameter_names(name: str) -> tuple[str, ...]:
    """The parameters of a strategy that is a dataclass; empty for others."""
    factory: Any = _STRATEGIES[name]
    if not hasattr(factory, "__dataclass_fields__"):
        return ()
    return tuple(f.name for f in fields(factory) if not f.name.startswith("_"))
