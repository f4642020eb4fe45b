"""Fenced code blocks of Markdown, as models write them: in lists and in quotations too."""

import re
from dataclasses import dataclass
from typing import Final

_TAB: Final = 4
# What may stand before a fence: signs of quotation, blanks, and the mark of a list's item.
_FENCE: Final = re.compile(
    r"(?P<quote>(?:[ \t]{0,3}>[ ]?){0,9})"
    r"(?P<indent>[ \t]{0,40}(?:(?:[-*+]|\d{1,9}[.)])[ \t]{1,4})?)"
    r"(?P<fence>`{3,}|~{3,})(?P<info>.*)"
)
_QUOTE: Final = re.compile(r"(?:[ \t]{0,3}>[ ]?){1,9}")
_LANGUAGE: Final = re.compile(r"[\s{.]*([^\s{},:=]*)")
# A fence may be indented this much more than what it stands in (CommonMark 0.31, section 4.5).
_CLOSING_INDENT: Final = 3


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        language: the first word after the opening fence, in small letters; empty if none.
        code: the content without the indentation of the fence and without empty lines around it.
        lead: the last line with text before the fence.
    """

    language: str
    code: str
    lead: str


@dataclass(slots=True)
class _Open:
    fence: str
    column: int
    quoted: bool
    language: str
    lead: str


def fenced_blocks(text: str) -> list[Block]:
    """All complete blocks of ``text`` that hold anything, in order.

    A fence is a line of its own, and a block is closed by one of the same characters that is at
    least as long and bare (CommonMark 0.31, section 4.5). Other than there, an opening fence may
    be indented by any depth, since models indent by any depth in lists. An opening fence that is
    cut off at the beginning of ``text`` makes no difference but in that block.
    """
    blocks: list[Block] = []
    opened: _Open | None = None
    content: list[str] = []
    lead = ""
    for line in re.split(r"\r\n|\r|\n", text):
        match = _FENCE.fullmatch(line)
        if opened is None:
            info = match["info"].strip() if match else "`"
            if match is None or ("`" in info and match["fence"][0] == "`"):
                lead = line.strip() or lead
                continue
            opened, content = _opened(match, info, lead), []
        elif match is not None and _closes(opened, match):
            code = _dedented(content, opened.column).strip("\n")
            if code.strip():
                blocks.append(Block(opened.language, code, opened.lead))
            opened, lead = None, ""
        else:
            content.append(_unquoted(opened, line))
    return blocks


def _opened(match: re.Match[str], info: str, lead: str) -> _Open:
    language = _LANGUAGE.match(info)
    return _Open(
        fence=match["fence"],
        column=len(match["indent"].expandtabs(_TAB)),
        quoted=bool(match["quote"]),
        language=language[1].lower() if language else "",
        lead=lead,
    )


def _closes(opened: _Open, match: re.Match[str]) -> bool:
    indent = match["indent"]
    return (
        match["fence"].startswith(opened.fence)
        and not match["info"].strip()
        and not indent.strip()
        and len(indent.expandtabs(_TAB)) <= opened.column + _CLOSING_INDENT
        and (opened.quoted or not match["quote"])
    )


def _unquoted(opened: _Open, line: str) -> str:
    quote = _QUOTE.match(line) if opened.quoted else None
    return line[quote.end() :] if quote else line


def _dedented(lines: list[str], column: int) -> str:
    """Lines without the indentation of their fence, as far as all of them have it.

    CommonMark takes it from each line alone, which would break a program that is indented less
    than its fence.
    """
    split = [
        (line[: len(line) - len(rest)], rest) for line in lines for rest in [line.lstrip(" \t")]
    ]
    columns = [len(blanks.expandtabs(_TAB)) for blanks, rest in split if rest]
    column = min([column, *columns])
    return "\n".join(_without(blanks, column) + rest for blanks, rest in split)


def _without(blanks: str, column: int) -> str:
    if blanks[:column] == " " * column:
        return blanks[column:]
    # A tab that reaches over the column leaves blanks (CommonMark 0.31, section 2.2).
    return " " * max(0, len(blanks.expandtabs(_TAB)) - column)
