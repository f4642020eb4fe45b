"""The parameters of what is made by name: which there are, and whether values are of their types.

A factory is a class, most often a dataclass, or a function; its parameters are those that it can be
called with by name. Names and types are checked here. What values mean, and whether they lie in
range, is for the factory to say, with a ``ValueError``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import lru_cache
from inspect import Parameter as Argument
from inspect import isclass, signature
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from frontrunner._suggestions import did_you_mean

_KINDS: Final[dict[type, str]] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
}
_ANY_NAME: Final = (Argument.VAR_KEYWORD,)
_BY_NAME: Final = (Argument.POSITIONAL_OR_KEYWORD, Argument.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a factory."""

    name: str
    type: Any
    """Its annotation; ``Any`` without one."""
    default: Any = MISSING
    """``dataclasses.MISSING``: it must be given."""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of the field of a dataclass. ``choices``, a function without arguments, says which values
    there are at the moment."""

    @property
    def choices(self) -> Sequence[Any] | None:
        """The values that it may have, where they are few; None: they are not."""
        if "choices" in self.metadata:
            return tuple(self.metadata["choices"]())
        for kind in (self.type, *get_args(self.type)):
            if get_origin(kind) is Literal:
                return get_args(kind)
        return None


@lru_cache(maxsize=128)  # every race makes a strategy
def parameters_of(factory: Callable[..., Any]) -> Mapping[str, Parameter] | None:
    """The parameters of a factory by name; None: it takes any, and checks them itself."""
    given = signature(factory).parameters.values()
    if any(argument.kind in _ANY_NAME for argument in given):
        return None
    hints, own = _types(factory), _fields(factory)
    return {
        argument.name: Parameter(
            argument.name,
            hints.get(argument.name, Any),
            *own.get(argument.name, (_default(argument), {})),
        )
        for argument in given
        if argument.kind in _BY_NAME and not argument.name.startswith("_")
    }


def check_arguments(name: str, factory: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """See that ``factory`` can be called with ``arguments``. They come from files and command
    lines, where "3" is not 3.

    Args:
        name: of the factory, for the error.

    Raises:
        ValueError: there is no parameter of a name, one is missing, or a value is of another type.
    """
    known = parameters_of(factory)
    if known is None:
        return
    for key in sorted(set(arguments) - set(known)):
        there = ", ".join(known) if known else "none"
        slip = did_you_mean(key, known)
        raise ValueError(f"{name} has no parameter {key!r}; known: {there}{slip}")
    for parameter in known.values():
        if parameter.name not in arguments and parameter.default is MISSING:
            raise ValueError(f"{name} needs the parameter {parameter.name!r}")
    for key, value in arguments.items():
        if not _fits(value, known[key].type):
            raise ValueError(f"{name}: {key} must be {_described(known[key])}, not {value!r}")


def make(name: str, factory: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """``factory(**arguments)``, after ``check_arguments``.

    Raises:
        ValueError: an argument cannot be taken, or the factory failed on them.
    """
    check_arguments(name, factory, arguments)
    try:
        return factory(**arguments)
    except ValueError:
        raise
    except Exception as error:  # a user's factory may raise anything
        raise ValueError(f"{name} cannot be made: {type(error).__name__}: {error}") from error


def _types(factory: Any) -> Mapping[str, Any]:
    plain = isclass(factory) and not is_dataclass(factory)
    told: Any = factory.__init__ if plain else factory
    try:
        return get_type_hints(told)
    except Exception:  # noqa: BLE001 - a name that only type checkers import, or no annotations
        return {}


def _fields(factory: Callable[..., Any]) -> Mapping[str, tuple[Any, Mapping[str, Any]]]:
    """Defaults and metadata of a dataclass."""
    if not (isinstance(factory, type) and is_dataclass(factory)):
        return {}
    return {
        own.name: (
            own.default if own.default_factory is MISSING else own.default_factory(),
            own.metadata,
        )
        for own in fields(factory)
    }


def _default(argument: Argument) -> Any:
    return MISSING if argument.default is Argument.empty else argument.default


def _fits(value: Any, expected: Any) -> bool:
    """Whether a value is of a type, as far as that can be told: what is inside a list is not looked
    at."""
    if expected is Any:
        return True
    kinds = get_args(expected)
    match get_origin(expected):
        case None:
            pass
        case origin if origin in (Union, UnionType):
            return any(_fits(value, kind) for kind in kinds)
        case origin if origin is Literal:
            return any(value == kind and type(value) is type(kind) for kind in kinds)
        case _:
            return True
    if expected is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if expected is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if not isinstance(expected, type) or getattr(expected, "_is_protocol", False):
        return True
    return isinstance(value, expected)


def _described(parameter: Parameter) -> str:
    choices = parameter.choices
    if choices is not None:
        return f"one of {', '.join(map(str, choices))}"
    kinds = get_args(parameter.type) or (parameter.type,)
    told = [
        _KINDS.get(kind, getattr(kind, "__name__", str(kind)))
        for kind in kinds
        if kind is not NoneType
    ]
    return " or ".join(told)
