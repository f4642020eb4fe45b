"""Strategies by name, with their parameters checked."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_type_hints

from .beam import Beam, Dvts
from .best_of_n import BestOfN
from .budget_forcing import BudgetForcing
from .confidence import Confidence
from .first_to_m import FirstToM
from .majority import Majority
from .particle import ParticleFilter
from .probe import Probing
from .protocol import Strategy
from .prune import Prune
from .single import Single
from .weighted import Weighted

_STRATEGIES: Final[dict[str, Callable[..., Strategy]]] = {
    "single": Single,
    "budget_forcing": BudgetForcing,
    "majority": Majority,
    "first_to_m": FirstToM,
    "confidence": Confidence,
    "weighted": Weighted,
    "best_of_n": BestOfN,
    "prune": Prune,
    "beam": Beam,
    "dvts": Dvts,
    "particle": ParticleFilter,
    "probe": Probing,
}
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


def merge_parameters(
    name: str, given: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """``given`` with ``changes`` made to it, as where a caller changes what a config says.

    What the changes leave without a meaning is dropped from ``given`` (the config's
    ``max_flip_risk``, say, where the caller wants to wait for all), but never from ``changes``:
    that ``create_strategy`` refuses.
    """
    merged = {**given, **changes}
    idle = getattr(_STRATEGIES.get(name), "idle_parameters", None)
    dropped = (idle(merged) if idle is not None else frozenset[str]()) - set(changes)
    return {key: value for key, value in merged.items() if key not in dropped}


def _check_type(name: str, factory: Callable[..., Strategy], key: str, value: Any) -> None:
    """Numbers and switches come from files and command lines, where "3" is not 3."""
    expected = _parameter_types(factory).get(key)
    if isinstance(expected, UnionType) and NoneType in (kinds := get_args(expected)):
        if value is None:
            return
        expected = next(kind for kind in kinds if kind is not NoneType)
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return
    if isinstance(expected, type) and (
        not isinstance(value, expected) or (expected is int and isinstance(value, bool))
    ):
        raise ValueError(
            f"{name}: {key} must be {_KINDS.get(expected, expected.__name__)}, not {value!r}"
        )


@lru_cache(maxsize=64)  # a replay makes its strategies by the ten thousands
def _parameter_types(factory: Callable[..., Strategy]) -> Mapping[str, Any]:
    return get_type_hints(factory)


def parameter_names(name: str) -> tuple[str, ...]:
    """The parameters of a strategy that is a dataclass; empty for others."""
    factory: Any = _STRATEGIES[name]
    if not hasattr(factory, "__dataclass_fields__"):
        return ()
    return tuple(f.name for f in fields(factory) if not f.name.startswith("_"))
