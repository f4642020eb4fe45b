"""What can reach an engine at all: text that has bytes, values that are no deeper than they say.

A value that cannot is refused before anything starts. Found out only when it is sent, it would
leave requests in the engine's tables, or stop what runs beside it.
"""

from collections.abc import Mapping
from typing import Final, cast

from ..errors import BadRequest

#: Levels of lists and dictionaries in each other; also the end of one that holds itself.
MAX_DEPTH: Final = 128
#: A token's id: engines keep it in 32 bits.
_MAX_TOKEN: Final = 2**31 - 1


def check_value(value: object, name: str) -> None:
    """See that the texts in ``value`` have bytes, and that it is not nested without end.

    Args:
        value: of lists, tuples and mappings with text as keys; what else is in it is not looked at.
        name: the parameter's, for the error.

    Raises:
        BadRequest: naming the parameter and the place in it.
    """
    if isinstance(value, str):  # the usual case
        _check_text(value, name, ())
        return
    left: list[tuple[object, tuple[object, ...]]] = [(value, ())]
    while left:
        item, at = left.pop()
        if isinstance(item, str):
            _check_text(item, name, at)
        elif isinstance(item, Mapping | list | tuple):
            if len(at) >= MAX_DEPTH:
                raise BadRequest(f"{name}: nested deeper than {MAX_DEPTH}", name)
            if isinstance(item, Mapping):
                members = cast(Mapping[object, object], item)
                for key, member in members.items():
                    if not isinstance(key, str):
                        shown = f"{key!r:.40}"
                        raise BadRequest(
                            f"{_path(name, at)}: names are text, not {type(key).__name__} {shown}",
                            name,
                        )
                    _check_text(key, name, at)
                    left.append((member, (*at, key)))
            else:
                members = cast(list[object], item)
                left.extend((member, (*at, index)) for index, member in enumerate(members))


def check_token_ids(ids: object, name: str, vocabulary: int | None) -> tuple[int, ...]:
    """Token ids of a prompt.

    Args:
        vocabulary: tokens that the model has; None: not known.

    Raises:
        BadRequest: something among them is none of the model's.
    """
    if not isinstance(ids, tuple | list):
        raise BadRequest(f"{name}: text or token ids are expected, not {type(ids).__name__}", name)
    highest = _MAX_TOKEN if vocabulary is None else vocabulary - 1
    checked: list[int] = []
    for index, token in enumerate(cast(list[object], ids)):
        if type(token) is not int or not 0 <= token <= highest:
            raise BadRequest(
                f"{name}[{index}]: a token id is a whole number from 0 to {highest}, "
                f"not {token!r:.40}",
                name,
            )
        checked.append(token)
    return tuple(checked)


def _check_text(text: str, name: str, at: tuple[object, ...]) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadRequest(
            f"{_path(name, at)}: character {error.start} is half of a pair (a lone surrogate, "
            f"U+{ord(text[error.start]):04X}), which is no text: decode it as UTF-16 before, or "
            "leave it out",
            name,
        ) from None


def _path(name: str, at: tuple[object, ...]) -> str:
    shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}"[:60] for part in at[:8])
    return ascii(f"{name}{shown}")[1:-1]
