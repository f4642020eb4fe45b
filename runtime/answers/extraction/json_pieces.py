"""Where data stand in a text, whole or broken, apart from brackets that belong to prose.

What begins like data and turns out broken, or is not finished, takes all of what it encloses with
it: a value inside of it is never one of its own. Text is hostile: one pass, and a budget for what
is decoded in vain.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from .json_values import NoValueError, only_value, value_at

#: Characters, from the end of the text: final answers stand at the end.
JSON_SCAN_CHARS: Final = 32_768
# What may be decoded in vain, in characters. An attempt costs time of its own. The worst text known
# takes some tens of milliseconds.
_BUDGET: Final = 4 * JSON_SCAN_CHARS
_ATTEMPT: Final = 64
#: Fences whose content is data and not a program. (No language: often data.)
_DATA_LANGUAGES: Final = frozenset(
    {"", "json", "jsonc", "json5", "jsonl", "ndjson", "geojson", "text", "txt", "plaintext"}
)
_FENCE: Final = re.compile(r"^[ \t>]*(?P<ticks>`{3,}|~{3,})(?P<language>[\w+#.-]*)[^\n`]*$", re.M)
_OPENING: Final = re.compile(r"[{\[]")
# Brackets that open one after the other; what follows them tells what they are.
_RUN: Final = re.compile(r"[\[{\s]*+")
_LATEX: Final = re.compile(r"\\[a-zA-Z]*$")
_LATEX_CHARS: Final = 24
_CONSTANT: Final = r"true|false|null|True|False|None|NaN|nan|-?Infinity|undefined"
_NUMBER: Final = r"[-+]?\.?\d[\w.+-]{0,99}"
# The typographic quotes are no JSON, but what some models write instead.
_DATA_BEGINS: Final = '"“”}]'
_SINGLE_QUOTED: Final = re.compile(r"'(?:[^'\\\n]|\\.){0,200}(?:'\s*(?:[:,\]}]|\Z)|\Z)")
# What no prose begins a bracket with: comments, values left out, tuples.
_ODD: Final = r"//|/\*|\.\.\.|…|,|\(\s*(?:['\"]|-?\d{1,20}\s*,)"
_KEY: Final = re.compile(rf"(?:[A-Za-z_$][\w$-]{{0,99}}|\d{{1,20}})\s*:(?![:=])|#|{_ODD}")
_ITEM: Final = re.compile(rf"(?:{_CONSTANT}|{_NUMBER})\s*(?:[,\]]|\Z)|{_ODD}")
_INTERVAL: Final = re.compile(r"\[[^\[\](){}\"]{0,99}\)")
_MARK: Final = re.compile(r"[\[\]{}\"']")
_PAIRS: Final = {"]": "[", "}": "{"}
# In broken data a quote ends a string only where a string may end.
_STRING_END: Final = {
    quote: re.compile(rf"\\.|{quote}(?=\s*(?:[,:}}\]]|//|/\*|\Z))", re.DOTALL) for quote in "\"'"
}
_BEFORE_STRING_CHARS: Final = 32

# What shows that data of a text whose beginning was cut off stand inside of other data.
_ENCLOSED: Final = re.compile(r"(?:\"\s*:|[}\]]\s*,)\s*\Z")
_ITEM_BEFORE: Final = re.compile(r"[:,\[]\s*\Z")
_ITEM_AFTER: Final = re.compile(r"\s*,")
_AROUND_CHARS: Final = 64


class State(Enum):
    WHOLE = auto()
    BROKEN = auto()
    UNFINISHED = auto()


class _Looks(Enum):
    """What an opening bracket begins, as far as its next characters show."""

    DATA = auto()
    PERHAPS = auto()
    PROSE = auto()


@dataclass(frozen=True, slots=True)
class Piece:
    """Outermost data in a text.

    Attributes:
        start, end: where, in the text.
        value: parsed, if whole.
        certain: whether it begins as nothing but data do; else it may be prose if not whole.
        fenced: whether it stands in a code block.
    """

    start: int
    end: int
    state: State
    value: Any = None
    certain: bool = True
    fenced: bool = False


@dataclass(frozen=True, slots=True)
class _Region:
    start: int
    end: int
    language: str | None = None  # None: no code block


def pieces(text: str, *, cut: bool = False) -> list[Piece]:
    """The data in ``text``, in their order. A program in a code block holds none.

    Args:
        cut: whether the text's beginning was cut off. What may stand inside of data that were cut
            is left out.
    """
    budget = [_BUDGET]
    found: list[Piece] = []
    for region in _regions(text):
        if region.language is None or region.language in _DATA_LANGUAGES:
            found += _in_region(text, region, budget)
        elif (whole := _whole_block(text, region)) is not None:
            found.append(whole)
    return _not_enclosed(text, found) if cut else found


def _regions(text: str) -> Iterator[_Region]:
    """``text`` cut where code blocks begin and end: data never cross these borders."""
    start, language, ticks = 0, None, ""
    for match in _FENCE.finditer(text):
        if language is None:
            yield _Region(start, match.start())
            language, ticks = match["language"].lower(), match["ticks"]
            start = match.end("language")
        elif match["ticks"].startswith(ticks) and not match[0].strip(" \t>`~"):
            yield _Region(start, match.start(), language)
            start, language = match.end(), None
    yield _Region(start, len(text), language)


def _whole_block(text: str, region: _Region) -> Piece | None:
    """The data that all of a code block is, whatever its language claims."""
    block = text[region.start : region.end]
    if not block.lstrip().startswith(("{", "[")):
        return None
    try:
        value = only_value(block)
    except NoValueError:
        return None
    return Piece(region.start, region.end, State.WHOLE, value, fenced=True)


def _in_region(text: str, region: _Region, budget: list[int]) -> Iterator[Piece]:
    position, end = region.start, region.end
    fenced = region.language is not None
    inner = text[:end]
    while opening := _OPENING.search(inner, position):
        start = opening.start()
        looks, position = _looks(inner, start)
        if looks is _Looks.PROSE:
            continue
        certain = looks is _Looks.DATA
        try:
            value, position = value_at(inner, start)
        except NoValueError as error:
            budget[0] -= _ATTEMPT + error.end - start
            close = _closing(inner, start) if budget[0] > 0 else None
            state = State.UNFINISHED if close is None else State.BROKEN
            position = end if close is None else close
            yield Piece(start, position, state, None, certain, fenced)
        else:
            yield Piece(start, position, State.WHOLE, value, certain, fenced)


def _looks(text: str, start: int) -> tuple[_Looks, int]:
    """What the bracket at ``start`` begins, and where to go on if it is prose."""
    if _LATEX.search(text[max(0, start - _LATEX_CHARS) : start]):
        return _Looks.PROSE, start + 1
    run = _RUN.match(text, start)
    assert run is not None
    after = run.end()
    if after == len(text) or text[after] in _DATA_BEGINS:
        return _Looks.DATA, after
    if text[after] == "'" and _SINGLE_QUOTED.match(text, after):
        return _Looks.DATA, after
    innermost = run[0].rstrip()[-1]
    if innermost == "{" and _KEY.match(text, after):
        return _Looks.PERHAPS, after
    if innermost == "[" and _ITEM.match(text, after) and not _INTERVAL.match(text, start):
        return _Looks.PERHAPS, after
    return _Looks.PROSE, after


def _closing(text: str, start: int) -> int | None:
    """Where the broken data at ``start`` end; None if nothing closes them."""
    opened: list[str] = []
    # How many of each are open: to look for one among all, at every mark, would be quadratic.
    open_now = {"[": 0, "{": 0}
    position = start
    while mark := _MARK.search(text, position):
        sign, position = mark[0], mark.end()
        if sign == '"' or (sign == "'" and _may_begin_string(text, mark.start())):
            ending = _string_end(text, position, sign)
            if ending is None:
                return None
            position = ending
        elif sign in "[{":
            opened.append(sign)
            open_now[sign] += 1
        elif sign != "'" and open_now[_PAIRS[sign]]:
            # A bracket closes what was left open within its own.
            while (left := opened.pop()) != _PAIRS[sign]:
                open_now[left] -= 1
            open_now[left] -= 1
            if not opened:
                return position
    return None


def _may_begin_string(text: str, position: int) -> bool:
    return text[max(0, position - _BEFORE_STRING_CHARS) : position].rstrip()[-1:] in tuple("[{,:(")


def _string_end(text: str, position: int, quote: str) -> int | None:
    ends = _STRING_END[quote].finditer(text, position)
    return next((match.end() for match in ends if match[0] == quote), None)


def _not_enclosed(text: str, found: list[Piece]) -> list[Piece]:
    """The pieces of a text whose beginning was cut off, but for those inside of what was cut."""
    kept: list[Piece] = []
    position = 0
    for piece in found:
        if any(sign in text[position : piece.start] for sign in "]}"):
            kept = []
        before = text[max(0, piece.start - _AROUND_CHARS) : piece.start]
        after = text[piece.end : piece.end + _AROUND_CHARS]
        item = _ITEM_BEFORE.search(before) and _ITEM_AFTER.match(after)
        if not (item or _ENCLOSED.search(before)):
            kept.append(piece)
        position = piece.end
    return [] if any(sign in text[position:] for sign in "]}") else kept
