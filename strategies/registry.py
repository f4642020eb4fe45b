"""Strategies by name, with their parameters checked."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final

from .majority import Majority
from .protocol import Strategy

_STRATEGIES: Final[dict[str, Callable[..., Strategy]]] = {"majority": Majority}


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
    return factory(**parameters)


def parameter_names(name: str) -> tuple[str, ...]:
    """The parameters of a strategy that is a dataclass; empty for others."""
    factory: Any = _STRATEGIES[name]
    if not hasattr(factory, "__dataclass_fields__"):
        return ()
    return tuple(f.name for f in fields(factory) if not f.name.startswith("_"))
