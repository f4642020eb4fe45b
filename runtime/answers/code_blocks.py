"""Answers that are programs: the last fenced block, compared without comments and layout."""

import ast
import re
import warnings
from typing import Final

#: Characters, from the end of the text.
CODE_SCAN_CHARS: Final = 32_768
# What is given to Python's parser. Chosen so that the worst text known takes milliseconds:
# it recurses into brackets, indentation and prefix operators, and looks at some nested brackets
# again and again before it refuses them.
MAX_PARSED_CHARS: Final = 8_192
MAX_BRACKETS: Final = 20
MAX_INDENTS: Final = 30
_FENCE: Final = re.compile(r"^[ \t]{0,3}(```+|~~~+)(.*)$", re.M)
_PREFIXES: Final = re.compile(r"(?:[-+~]\s*){20}|(?:\bnot\s+){20}|(?:\blambda\b[^:\n]*:\s*){20}")


def last_block(text: str) -> str | None:
    """The content of the last complete fenced block, as it is written; None without one.

    A fence is a line of its own, and a block is closed by one of the same characters that is at
    least as long and bare (CommonMark 0.31, section 4.5). An opening fence that is cut off at the
    beginning of what is searched makes no difference but in that block.
    """
    tail = text[-CODE_SCAN_CHARS:]
    opened: tuple[str, int] | None = None  # its fence, and where the content begins
    last = None
    for match in _FENCE.finditer(tail):
        fence, info = match[1], match[2].strip()
        if opened is None:
            if "`" not in info:
                opened = (fence, match.end() + 1)
        elif fence.startswith(opened[0]) and not info:
            content = tail[opened[1] : match.start()].strip("\n")
            last = content if content.strip() else last
            opened = None
    return last


def normalised_code(code: str) -> str:
    """What programs that differ in comments and layout have in common.

    Python is parsed and written anew (``ast.unparse``); what is not Python, or too large or too
    deep to be parsed at once, loses trailing blanks and empty lines only.
    """
    if _may_be_parsed(code):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the code's own oddities
                return ast.unparse(ast.parse(code))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
    return "\n".join(line.rstrip() for line in code.splitlines() if line.strip())


def _may_be_parsed(code: str) -> bool:
    if len(code) > MAX_PARSED_CHARS or "\0" in code or _PREFIXES.search(code):
        return False
    depth = 0
    for character in code:
        if character in "([{":
            depth += 1
            if depth > MAX_BRACKETS:
                return False
        elif character in ")]}":
            depth -= 1
    indents = {len(line) - len(line.lstrip()) for line in code.splitlines() if line.strip()}
    return len(indents) <= MAX_INDENTS
