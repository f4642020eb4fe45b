"""Calls that no mark announces: JSON in a form of its own, and lists in Python's notation."""

import re
from typing import Final

from ..json_pieces import Piece, State, pieces
from ..json_values import NoValueError
from .calls import Call, Offered, calls_in
from .literals import invocation_at, invocations_at
from .payload import arguments_at, value_or_literal

# A value that something is called with, or that a name stands for.
_ARGUMENT: Final = re.compile(r"[A-Za-z0-9_\])=]\(?\Z")
_BEFORE_CHARS: Final = 2
# What may stand between calls that belong together, in blocks of their own or in one sentence, and
# behind the last one.
_BETWEEN: Final = re.compile(
    r"[\s,;]*+(?:`{3,}[ \t]*\n[\s,;]*+)?(?:(?:and(?:\sthen)?|then|und|et|y)\b[\s,;:]*+)?"
    r"(?:`{3,}[\w+-]{0,16}[ \t]*\n\s*+)?"
)
_BEHIND: Final = re.compile(r"[ \t.;,。`*)]*(?:\n|\Z|<[|/])")
_LIST: Final = re.compile(r"^[ \t>]*(?=\[\s*[A-Za-z_][\w.]{0,127}\()", re.MULTILINE)
_NAMED: Final = re.compile(
    r"\s*+(?:functions?[.:])?(?P<name>[\w.-]{1,128}?)(?::\d{1,6})?\s*+(?:\[ARGS\])?\s*+(?=[{(])"
)
_TOKEN: Final = re.compile(r"\s*(?:<\|[\w▁-]{1,32}\|>|</s>|`{3,}|\s){0,8}\s*")


def read_bare(text: str, tools: Offered, *, cut: bool = False) -> list[Call] | None:
    """The calls that the text ends with, if it says so in data alone; None if there are none.

    Args:
        cut: whether the text's beginning was cut off.
    """
    starts = [match.end() for match in _LIST.finditer(text)]
    if starts:
        return _python_list(text, starts[-1])
    return _whole_text(text, tools) or _json(text, pieces(text, cut=cut), tools)


def _json(text: str, found: list[Piece], tools: Offered) -> list[Call] | None:
    """The last data, if they are calls: several count together where only space is between."""
    data = [piece for piece in found if not _is_quoted(text, piece) and _counts(piece)]
    group: list[Piece] = []
    for piece in reversed(data):
        if group and not _BETWEEN.fullmatch(text, piece.end, group[-1].start):
            break
        group.append(piece)
    calls: list[Call] = []
    for piece in reversed(group):
        read = _piece_calls(text, piece, tools)
        if read is None:
            return None
        calls += read
    ended = group and (group[0].fenced or _BEHIND.match(text, group[0].end))
    return calls if ended else None


def _piece_calls(text: str, piece: Piece, tools: Offered) -> list[Call] | None:
    """The calls that a piece is; None if it is none, or what another call is called with."""
    value = piece.value
    if piece.state is State.BROKEN:
        try:
            value, end = value_or_literal(text, piece.start)
        except NoValueError:
            return None
        if end != piece.end:
            return None
    elif piece.state is State.UNFINISHED:
        return None
    before = text[max(0, piece.start - _BEFORE_CHARS) : piece.start]
    if not piece.fenced and _ARGUMENT.search(before):
        return None
    # A lone name calls a tool that was offered; else it may be anybody's.
    return calls_in(value, tagged=bool(tools))


def _counts(piece: Piece) -> bool:
    if piece.state is State.WHOLE:
        # Numbers in brackets are references, in prose.
        return isinstance(piece.value, dict) or any(isinstance(i, dict) for i in piece.value)
    return piece.certain


def _is_quoted(text: str, piece: Piece) -> bool:
    """Whether it is only mentioned, as code within a sentence."""
    before = text[max(0, piece.start - 3) : piece.start]
    return before.endswith("`") and before != "```" and text.startswith("`", piece.end)


def _python_list(text: str, start: int) -> list[Call] | None:
    """``[f(x=1), g()]``, as the text's last lines: Llama and others.

    A list that cannot be read hides what is in it.
    """
    try:
        calls, end = invocations_at(text, start)
    except NoValueError:
        return None
    rest = _TOKEN.match(text, end)
    return calls if rest is not None and rest.end() == len(text) else None


def _whole_text(text: str, tools: Offered) -> list[Call] | None:
    """``f{…}`` or ``f(x=1)``, and nothing else, of a tool that was offered."""
    fence = re.match(r"\s*```[a-z_]*\n", text)
    match = _NAMED.match(text, fence.end() if fence is not None else 0)
    if match is None or match["name"] not in tools.schemas:
        return None
    if text.startswith("{", match.end()):
        read = arguments_at(text, match.end(), match["name"])
        if read is None:
            return None
        calls, end = read.calls, read.end
    else:
        try:
            call, end = invocation_at(text, match.start("name"))
        except NoValueError:
            return None
        calls = [call]
    rest = _TOKEN.match(text, end)
    return calls if rest is not None and rest.end() == len(text) else None
