"""Answers that are calls of tools, in the formats in which model families write them.

Every format has a reader of its own and not the engine's parser: the engine may be remote, and its
parsers need a tokenizer, and backtrack on hostile text. Here time is bounded: a tail of the text is
read once.
"""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..json_pieces import JSON_SCAN_CHARS, State, pieces
from ..json_values import NoValueError, canonical_json, depth_fits, only_value
from .bare import read_bare
from .call_marks import MARKS, read_marked
from .calls import Call, Offered, calls_in, offered
from .elements import without_namespace

__all__ = ["MAX_TOOL_CALLS", "Offered", "announces_call", "last_tool_call", "offered"]

MAX_TOOL_CALLS: Final = 32
# A fence that opens or closes a code block.
_FENCE: Final = re.compile(r"^[ \t>]*```", re.MULTILINE)
# A mark that is not finished: another call was about to begin.
_CUT_MARK: Final = re.compile(
    r"<[|｜]?(?:\w{1,12}:)?(?:tool|func|invoke|｜?DSML)[^>]{0,40}\Z|\[TOOL_\w{0,5}\Z"
)
_CUT_MARK_CHARS: Final = 64


def last_tool_call(text: str, tools: Sequence[Mapping[str, Any]] | Offered = ()) -> str | None:
    """The tool calls that the text ends with, as ``{"arguments":{…},"name":"…"}``.

    Reads the formats of the usual model families (``call_marks.py``), and without their marks JSON
    in the forms of OpenAI and Anthropic, or a list in Python's notation. Several calls are one
    answer, an array in their order. One that is broken or unfinished leaves no answer: neither the
    others nor what its arguments hold are what the text says. What is no call by its form is never
    made one: JSON with a name needs arguments, too.

    Args:
        tools: those that were offered, in OpenAI's form or read already (``offered``). A call of
            another, or one whose arguments do not satisfy the tool's schema, is no answer. Values
            that a format writes without types are typed by it. Empty: every call counts.
    """
    known = offered(tools)
    tail = text[-JSON_SCAN_CHARS:]
    calls = _calls(tail, known, len(tail) < len(text))
    if not calls or len(calls) > MAX_TOOL_CALLS or not all(map(known.admits, calls)):
        return None
    answer = calls[0] if len(calls) == 1 else calls
    return canonical_json(answer) if depth_fits(answer) else None


def announces_call(text: str, tools: Sequence[Mapping[str, Any]] | Offered = ()) -> bool:
    """Whether a mark says that there is a call, whole or broken, offered or not."""
    said = _unquoted(without_namespace(text[-JSON_SCAN_CHARS:]))
    return _marked_calls(said, offered(tools)).seen


def _calls(said: str, tools: Offered, cut: bool) -> list[Call] | None:
    try:
        # What a call's strings hold is no mark.
        return calls_in(only_value(said), tagged=bool(tools))
    except NoValueError:
        pass
    said = _unquoted(without_namespace(said))
    marked = _marked_calls(said, tools)
    if not marked.seen:
        return read_bare(said[marked.mentioned_to :], tools, cut=cut)
    return marked.outside or marked.inside


@dataclass(slots=True)
class _Marked:
    """The calls that marks announce.

    Attributes:
        seen: whether there are marks; without calls one of them is broken.
        inside, outside: of code blocks, where calls are examples if others stand outside.
        mentioned_to: where the last mark ends that a sentence only mentions.
    """

    seen: bool = False
    inside: list[Call] = field(default_factory=list)
    outside: list[Call] = field(default_factory=list)
    mentioned_to: int = 0


def _marked_calls(text: str, tools: Offered) -> _Marked:
    found = _Marked()
    if MARKS.search(text) is None:
        return found
    data = deque(piece for piece in pieces(text) if piece.state is State.WHOLE)
    fences = deque(match.start() for match in _FENCE.finditer(text))
    in_block, position = False, 0
    while (match := MARKS.search(text, position)) is not None:
        start, position = match.span()
        while data and data[0].end <= start:
            data.popleft()
        if data and data[0].start < start:
            position = data[0].end  # the mark stands in a string
            continue
        if _is_mentioned(text, start):
            position = found.mentioned_to = _mention_end(text, position)
            continue
        while fences and fences[0] <= start:
            fences.popleft()
            in_block = not in_block
        read = read_marked(text, match, tools)
        if read is None:
            return _Marked(seen=True)
        position = max(position, read.end)
        (found.inside if in_block else found.outside).extend(read.calls)
        found.seen = found.seen or bool(read.calls) or _is_certain(match)
    if found.seen and _CUT_MARK.search(text[-_CUT_MARK_CHARS:]):
        return _Marked(seen=True)
    return found


def _is_certain(match: re.Match[str]) -> bool:
    """Whether it can be nothing else: harmony's header and Kimi's name occur in prose, too."""
    return match[0][0] in "<[]"


def _is_mentioned(text: str, start: int) -> bool:
    """Whether the mark at ``start`` is only quoted, as code within a sentence."""
    before = text[max(0, start - 3) : start]
    return before.endswith("`") and before != "```"


def _mention_end(text: str, position: int) -> int:
    line_end = text.find("\n", position)
    end = text.find("`", position, line_end if line_end >= 0 else len(text))
    return end + 1 if end >= 0 else position


def _unquoted(text: str) -> str:
    """Without the code marks around all of it."""
    stripped = text.strip()
    if len(stripped) > 1 and stripped[0] == stripped[-1] == "`" and not stripped.startswith("```"):
        return stripped.strip("`")
    return text
