"""Answers that are JSON: which of the data in a text are what it answers with.

Text is hostile: a bounded tail is read, with a budget for what turns out to be no JSON.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from .json_pieces import JSON_SCAN_CHARS, Piece, State, pieces
from .json_values import MAX_DEPTH, MAX_NUMBER_CHARS, canonical_json, plain
from .schema import satisfies

__all__ = ["JSON_SCAN_CHARS", "MAX_DEPTH", "MAX_NUMBER_CHARS", "last_json", "settled_json"]

#: Numbers in one mark: ``[1]``, ``[2, 3]``, and the interval ``[0, 1]``.
_MAX_MARK_ITEMS: Final = 3
#: Sources that a text may refer to by their numbers.
_MAX_SOURCES: Final = 1000
# Characters before numbers that are searched for what leads to them.
_LEAD_CHARS: Final = 64
_BLANKS_AND_FENCES: Final = " \t\r\n>*_`~"
# What may stand around data on lines of their own: quotation, lists, emphasis, a full stop.
_BEFORE: Final = " \t>*_`\"'-"
_AFTER: Final = " \t*_`\"'.,;。"
# Characters of a line that are looked at on either side of data.
_LINE_CHARS: Final = 256
_LEADS: Final = (":", "：", "=")
_INDEXED: Final = re.compile(r"[A-Za-z0-9_)\]]")


def last_json(text: str, schema: Mapping[str, Any] | None = None) -> str | None:
    """The data that the text answers with: the last object or array that is complete.

    What is broken or unfinished hides what it encloses, and broken data hide those before them;
    unfinished ones do not. Data in a code block count before data within a sentence. A mark in
    prose (``[1]``, ``x[0]``, an empty ``{}``) counts only where there are no other data, and so
    does a reference on a line of its own that data come before.

    Args:
        schema: JSON Schema, checked before. Data that do not satisfy it are no answer, and hide
            those before them: they were the branch's last word.

    Returns:
        The canonical form, or None.
    """
    tail = text[-JSON_SCAN_CHARS:]
    return _answer(tail, pieces(tail, cut=len(tail) < len(text)), schema)


def settled_json(text: str, schema: Mapping[str, Any] | None = None) -> str | None:
    """``last_json`` of a text that is still being written, once it is no longer likely to change.

    That is with nothing open, and with data that are more than a mark and stand by themselves: at
    the beginning of a line, after a colon, or in a code block.
    """
    tail = text[-JSON_SCAN_CHARS:]
    found = pieces(tail, cut=len(tail) < len(text))
    if not found or any(piece.state is State.UNFINISHED for piece in found):
        return None
    last = found[-1]
    if _is_mark(tail, last) or not (last.fenced or _is_led(tail, last)):
        return None
    if _may_be_mark(last) and not last.fenced and "\n" not in tail[last.end :]:
        return None  # its line may go on: `[1] says so`, `[ ] to do`
    answer = _answer(tail, found, schema)
    return answer if last.state is State.WHOLE and answer == canonical_json(last.value) else None


def _answer(text: str, found: list[Piece], schema: Mapping[str, Any] | None) -> str | None:
    marks: list[Piece] = []
    data: list[Piece] = []
    for piece in found:
        if _is_mark(text, piece) or (data and _is_reference(text, piece, data[-1])):
            marks.append(piece)
        elif _counts(piece):
            data.append(piece)
    if any(piece.fenced for piece in data):
        fenced = next(piece for piece in data if piece.fenced)
        data = [p for p in data if p.fenced or (p.start > fenced.start and _stands_out(text, p))]
    last = data[-1] if data else _last_mark(text, marks, schema)
    if last is None or last.state is not State.WHOLE:
        return None
    if schema is not None and not satisfies(plain(last.value), schema):
        later = [p for p in marks if p.start > last.start and p.value]
        last = _last_mark(text, later, schema)
    return None if last is None else canonical_json(last.value)


def _counts(piece: Piece) -> bool:
    """Whether it is data that were finished, well or not."""
    return piece.state is State.WHOLE or (piece.state is State.BROKEN and piece.certain)


def _is_mark(text: str, piece: Piece) -> bool:
    """Whether it is a reference, an index, an interval or an empty bracket in prose."""
    if piece.state is not State.WHOLE:
        return False
    if _is_index(text, piece):
        return True
    return _may_be_mark(piece) and not _is_alone(text, piece)


def _may_be_mark(piece: Piece) -> bool:
    """Whether it is a few numbers or nothing, which are no data within a sentence."""
    return not piece.value or (_are_numbers(piece.value) and len(piece.value) <= _MAX_MARK_ITEMS)


def _is_reference(text: str, piece: Piece, before: Piece) -> bool:
    """Whether numbers in brackets, alone on a line, refer to sources of what stands before.

    After data in a code block no numbers without a block are data, unless something leads to them.
    """
    if piece.fenced or not _are_numbers(piece.value):
        return False
    between = text[max(before.end, piece.start - _LEAD_CHARS) : piece.start]
    if between.rstrip(_BLANKS_AND_FENCES)[-1:] in _LEADS:
        return False
    if before.fenced:
        return True
    if any(not 0 <= item < _MAX_SOURCES or item % 1 for item in piece.value):
        return False
    if not isinstance(before.value, list):
        return len(piece.value) <= _MAX_MARK_ITEMS
    return len(piece.value) == 1 and (len(before.value) > 1 or not _are_numbers(before.value))


def _are_numbers(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(isinstance(item, Decimal) for item in value)
    )


def _is_index(text: str, piece: Piece) -> bool:
    before = text[piece.start - 1 : piece.start]
    return isinstance(piece.value, list) and _INDEXED.match(before) is not None


def _last_mark(text: str, marks: list[Piece], schema: Mapping[str, Any] | None) -> Piece | None:
    """What is an answer among marks: one that satisfies the schema, or is led up to or longer."""
    for piece in reversed(marks):
        if _is_index(text, piece):
            continue
        if schema is not None:
            if satisfies(plain(piece.value), schema):
                return piece
        elif len(piece.value) > 1 or _stands_out(text, piece):
            return piece
    return None


def _is_alone(text: str, piece: Piece) -> bool:
    return not _line_before(text, piece).strip(_BEFORE) and _ends_line(text, piece)


def _stands_out(text: str, piece: Piece) -> bool:
    return _is_led(text, piece) and _ends_line(text, piece)


def _is_led(text: str, piece: Piece) -> bool:
    before = _line_before(text, piece).rstrip(_BEFORE)
    return not before or before.endswith(_LEADS)


def _line_before(text: str, piece: Piece) -> str:
    begin = max(0, piece.start - _LINE_CHARS)
    return text[max(begin, text.rfind("\n", begin, piece.start) + 1) : piece.start]


def _ends_line(text: str, piece: Piece) -> bool:
    return not text[piece.end : piece.end + _LINE_CHARS].partition("\n")[0].strip(_AFTER)
