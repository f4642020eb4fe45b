"""JSON values: read strictly, under limits, and written in one canonical form.

The canonical form of JSON: keys sorted, no white space, numbers by value (``1.0``, ``1e0`` and
``1`` are one number), so that equal data are equal strings. It is JSON itself, and what a result
shows.
"""

import json
from decimal import Context, Decimal, InvalidOperation
from typing import Any, Final

#: Levels of nesting; deeper data are no answer.
MAX_DEPTH: Final = 64
#: Digits of one number; longer ones are no answer.
MAX_NUMBER_CHARS: Final = 64
_PLACES: Final = Context(prec=2 * MAX_NUMBER_CHARS)


class NoValueError(ValueError):
    """Text that is no value, or one that is read no further.

    Attributes:
        end: up to where the text was looked at.
    """

    def __init__(self, end: int) -> None:
        super().__init__()
        self.end = end


def value_at(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that begins at ``start``, and where it ends. Numbers are ``Decimal``.

    Raises:
        NoValueError: if none begins there, or one beyond the limits.
    """
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise NoValueError(error.pos) from error
    except (ValueError, RecursionError) as error:
        # A number that is none, or nesting beyond the stack: it has gone far by then.
        raise NoValueError(len(text)) from error
    if not depth_fits(value):
        raise NoValueError(end)
    return value, end


def only_value(text: str) -> Any:
    """The value that ``text`` is, white space around it aside.

    Raises:
        NoValueError: if it is none.
    """
    stripped = text.strip()
    value, end = value_at(stripped, 0)
    if end != len(stripped):
        raise NoValueError(end)
    return value


def canonical_json(value: Any) -> str:
    """The canonical form of parsed data."""
    match value:
        case dict():
            items = sorted(value.items())
            return "{" + ",".join(f"{_quoted(k)}:{canonical_json(v)}" for k, v in items) + "}"
        case list():
            return "[" + ",".join(map(canonical_json, value)) + "]"
        case Decimal():
            return _spelled(value)
        case str():
            return _quoted(value)
        case _:
            return json.dumps(value)


def plain(value: Any) -> Any:
    """The data with numbers that a schema validator knows."""
    match value:
        case dict():
            return {key: plain(inner) for key, inner in value.items()}
        case list():
            return [plain(inner) for inner in value]
        case Decimal():
            small = abs(value.adjusted()) <= MAX_NUMBER_CHARS
            return int(value) if small and value == value.to_integral_value() else float(value)
        case _:
            return value


def number(text: str) -> Decimal:
    """
    Raises:
        NoValueError: if it has too many digits, or too large an exponent.
    """
    if len(text) > MAX_NUMBER_CHARS:
        raise NoValueError(len(text))
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise NoValueError(len(text)) from error


def depth_fits(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        if not inner:
            return True
        level = inner
    return False


def _refuse(constant: str) -> Any:
    raise NoValueError(len(constant))  # NaN and Infinity are no JSON


def _spelled(value: Decimal) -> str:
    if not value:
        return "0"
    short = value.normalize(_PLACES)
    # Plain digits as far as they stay readable: a large exponent would write out its zeros.
    if -MAX_NUMBER_CHARS <= short.adjusted() <= MAX_NUMBER_CHARS:
        return format(short, "f")
    return str(short)


def _quoted(text: str) -> str:
    # Lone surrogates stay escaped: nothing could encode them.
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(text)
    return json.dumps(text, ensure_ascii=False)


_DECODER: Final = json.JSONDecoder(parse_int=number, parse_float=number, parse_constant=_refuse)
