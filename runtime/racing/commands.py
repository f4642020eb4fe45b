"""What a strategy returned, seen to be what a race can carry out.

A strategy may be anybody's. One that returns something else than commands has failed, just as one
that raises: that is found here, before any of it is carried out.
"""

from collections.abc import Sequence
from functools import cache
from inspect import iscoroutine
from typing import Any, Final, cast, get_args

from pydantic import TypeAdapter

from frontrunner.strategies.protocol import Command, Decide

_KINDS: Final = cast(tuple[type[Any], ...], get_args(Command))


def checked_commands(returned: object) -> Sequence[Command]:
    """What ``start`` or ``observe`` returned.

    Raises:
        TypeError: it is not a sequence of commands.
        ValueError: the fields of a command are not of their types.
    """
    if returned == []:
        return []  # by far the most frequent answer
    if isinstance(returned, str | bytes) or not isinstance(returned, Sequence):
        raise TypeError(f"a strategy returns a sequence of commands, not {_shown(returned)}")
    return [_checked(command) for command in cast(Sequence[object], returned)]


def checked_decision(returned: object) -> Decide:
    """What ``conclude`` returned.

    Raises:
        TypeError: it is no decision.
        ValueError: its fields are not of their types.
    """
    if not isinstance(returned, Decide):
        raise TypeError(f"a strategy concludes with Decide, not {_shown(returned)}")
    return cast(Decide, _checked(returned))


def _checked(command: object) -> Command:
    kind = next((kind for kind in _KINDS if isinstance(command, kind)), None)
    if kind is None:
        raise TypeError(f"a strategy returns commands, not {_shown(command)}")
    fields = {name: getattr(command, name) for name in kind.__match_args__}
    return _adapter(kind).validate_python(fields)


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _shown(returned: object) -> str:
    if iscoroutine(returned):
        returned.close()  # nobody awaits it
        return "a coroutine: strategies are asked without await"
    return "None" if returned is None else type(returned).__name__
