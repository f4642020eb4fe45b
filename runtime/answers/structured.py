"""Answers that are data: JSON, and calls of tools.

The canonical form of JSON: keys sorted, no white space, numbers by value (``1.0``, ``1e0`` and
``1`` are one number), so that equal data are equal strings. It is JSON itself, and what a result
shows. Text is hostile: a bounded tail is read, with a budget for what turns out to be no JSON.
"""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Context, Decimal, InvalidOperation
from typing import Any, Final

from .schema import satisfies

#: Characters, from the end of the text: final answers stand at the end.
JSON_SCAN_CHARS: Final = 32_768
#: Levels of nesting; deeper data are no answer.
MAX_DEPTH: Final = 64
#: Digits of one number; longer ones are no answer.
MAX_NUMBER_CHARS: Final = 64
MAX_TOOL_CALLS: Final = 32
# What may be read in vain, in characters: each opening bracket may begin the answer. An attempt
# costs time of its own, and one that ends in recursion has gone far by then. The worst text known
# takes some tens of milliseconds.
_BUDGET: Final = 4 * JSON_SCAN_CHARS
_ATTEMPT: Final = 64
_RECURSION: Final = JSON_SCAN_CHARS // 2
_OPENING: Final = re.compile(r"[{\[]")
_CALL: Final = re.compile(r"<tool_call>((?:(?!</?tool_call>).)*)</tool_call>", re.DOTALL)
_PLACES: Final = Context(prec=2 * MAX_NUMBER_CHARS)


class _NoAnswerError(ValueError):
    """Data that are read no further."""


def last_json(text: str, schema: Mapping[str, Any] | None = None) -> str | None:
    """The last object or array of the text that is complete (and satisfies ``schema``).

    Args:
        schema: JSON Schema, checked before. Data that do not satisfy it are no answer, and hide
            those before them: they were the branch's last word.

    Returns:
        The canonical form, or None.
    """
    last: Any = None
    for value in _values(text[-JSON_SCAN_CHARS:]):
        last = value
    if last is None or (schema is not None and not satisfies(_plain(last), schema)):
        return None
    return canonical_json(last)


def last_tool_call(text: str) -> str | None:
    """The tool calls that the text ends with, as ``{"arguments":{…},"name":"…"}``.

    Reads ``<tool_call>{…}</tool_call>`` (Hermes, Qwen), and without tags the last JSON in OpenAI's
    forms: a message with ``tool_calls``, an entry of it (``function``), or name and arguments, as
    an object or as the string that OpenAI makes of them. Calls inside ``<think>…</think>`` were
    only thought of. Several calls are one answer, an array in their order.
    """
    said = text.rsplit("</think>", 1)[-1][-JSON_SCAN_CHARS:]
    tagged = [match[1] for match in _CALL.finditer(said)]
    if len(tagged) > MAX_TOOL_CALLS:
        return None
    if tagged:
        values = [_only_value(content) for content in tagged]
    else:
        values = [None]
        for value in _values(said):
            values = [value]
    calls: list[dict[str, Any]] = []
    for value in values:
        read = _calls(value)
        if not read:
            return None
        calls += read
    if len(calls) > MAX_TOOL_CALLS:
        return None
    return canonical_json(calls[0] if len(calls) == 1 else calls)


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


def _values(text: str) -> Iterator[Any]:
    """The outermost objects and arrays in ``text``, in order."""
    budget, position = _BUDGET, 0
    while budget > 0 and (opening := _OPENING.search(text, position)):
        start = opening.start()
        try:
            value, position = _DECODER.raw_decode(text, start)
        except json.JSONDecodeError as error:
            budget -= _ATTEMPT + error.pos - start
        except (ValueError, RecursionError):
            budget -= _RECURSION
        else:
            if _depth_fits(value):
                yield value
            continue
        position = start + 1


def _only_value(text: str) -> Any:
    try:
        value = _DECODER.decode(text.strip())
    except (ValueError, RecursionError):
        return None
    return value if _depth_fits(value) else None


def _calls(value: Any) -> list[dict[str, Any]]:
    """The tool calls in one JSON value; empty if it is none."""
    if isinstance(value, dict) and isinstance(value.get("tool_calls"), list):
        value = value["tool_calls"]
    if isinstance(value, list):
        read = [_call(entry) for entry in value]
        return [call for call in read if call is not None] if None not in read else []
    call = _call(value)
    return [call] if call is not None else []


def _call(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not value["name"]:
        return None
    arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = _only_value(arguments)
    if not isinstance(arguments, dict):
        return None
    return {"name": value["name"], "arguments": arguments}


def _depth_fits(value: Any) -> bool:
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


def _number(text: str) -> Decimal:
    if len(text) > MAX_NUMBER_CHARS:
        raise _NoAnswerError
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise _NoAnswerError from error


def _refuse(constant: str) -> Any:
    raise _NoAnswerError(constant)  # NaN and Infinity are no JSON


def _spelled(number: Decimal) -> str:
    if not number:
        return "0"
    short = number.normalize(_PLACES)
    # Plain digits as far as they stay readable: a large exponent would write out its zeros.
    if -MAX_NUMBER_CHARS <= short.adjusted() <= MAX_NUMBER_CHARS:
        return format(short, "f")
    return str(short)


def _plain(value: Any) -> Any:
    """The data with numbers that a schema validator knows."""
    match value:
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case Decimal():
            small = abs(value.adjusted()) <= MAX_NUMBER_CHARS
            return int(value) if small and value == value.to_integral_value() else float(value)
        case _:
            return value


def _quoted(text: str) -> str:
    # Lone surrogates stay escaped: nothing could encode them.
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(text)
    return json.dumps(text, ensure_ascii=False)


_DECODER: Final = json.JSONDecoder(parse_int=_number, parse_float=_number, parse_constant=_refuse)
