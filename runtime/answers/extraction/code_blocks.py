"""Answers that are programs: the last fenced block that is one, compared without its layout."""

import re
from hashlib import sha256
from typing import Final

from .fences import fenced_blocks
from .programs import last_program
from .python_source import is_surely_python, parsed, unparsed

#: Characters, from the end of the text.
CODE_SCAN_CHARS: Final = 32_768
# Python's own spelling may have another spelling (it normalises identifiers, and reads some
# control characters as blanks), so spelling is repeated until nothing changes.
_MAX_PASSES: Final = 4
_TAB: Final = 4
# Lines that begin with a hash in languages where that is no comment: C's preprocessor, and the
# first line of a script for another interpreter.
_NO_COMMENT: Final = re.compile(
    r"^[ \t]*#[ \t]?(?:(?:define|undef|ifdef|ifndef|pragma|elif|endif|import|region|error)\b"
    r"|include[ \t]?[<\"]|if[ \t](?:defined\b|[01A-Z_]+[ \t]*$)|!(?!.*python))",
    re.M,
)
_HASH_LINE: Final = re.compile(r"^[ \t]*#", re.M)
# Ruby's interpolation, which its double quotes know and its single quotes, equal in Python, do not.
_RUBY: Final = re.compile(r"\"[^\"\n]*#\{")


def last_block(text: str) -> str | None:
    """The content of the last fenced block that is a program; None without a complete block.

    What stands after a program is not the answer if it only shows the program: its output, data,
    a command for the shell, an example that calls what the program defines
    (``programs.last_program``). Where nothing else is there, such a block is the answer. The
    indentation that the block has from a list, and the signs of a quotation, are no part of it.
    """
    return last_program(fenced_blocks(text[-CODE_SCAN_CHARS:]))


def normalised_code(code: str) -> str:
    """What programs that differ in comments and layout have in common.

    Python is parsed and written anew (``ast.unparse``). What is not Python, or too large or too
    deep to be parsed at once, loses trailing blanks, empty lines and tabs at the beginning of
    lines only; so does what Python would read without being Python, where its reading would drop
    lines that begin with a hash: C's preprocessor, titles in Markdown, scripts of other
    interpreters. Applied to its own result it changes nothing: what has no such form after a few
    passes is represented by a digest.
    """
    form = code
    for _ in range(_MAX_PASSES):
        before, form = form, _spelled_once(form)
        if form == before:
            return form
    # "surrogatepass", because lone surrogates must not make the encoder fail.
    return f"#{sha256(form.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _spelled_once(code: str) -> str:
    if not _NO_COMMENT.search(code) and not _RUBY.search(code):
        module = parsed(code)
        if module is not None and module.body:
            written = unparsed(module)
            if written is not None and (not _HASH_LINE.search(code) or is_surely_python(module)):
                return written
    return "\n".join(map(_line, filter(str.strip, code.splitlines())))


def _line(line: str) -> str:
    content = line.lstrip(" \t")
    return (line[: len(line) - len(content)].expandtabs(_TAB) + content).rstrip()
