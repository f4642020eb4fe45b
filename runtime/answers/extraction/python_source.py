"""Python's own parser, given only what it reads in little time and without overflowing a stack."""

import ast
import re
import warnings
from typing import Final

# What is given to Python's parser. Chosen so that the worst text known takes milliseconds:
# it recurses into brackets, indentation and prefix operators, and looks at some nested brackets
# again and again before it refuses them.
MAX_PARSED_CHARS: Final = 8_192
MAX_BRACKETS: Final = 20
MAX_INDENTS: Final = 30
_PREFIXES: Final = re.compile(r"(?:[-+~]\s*){20}|(?:\bnot\s+){20}|(?:\blambda\b[^:\n]*:\s*){20}")
# Expressions that prose and the titles of documents do not look like.
_OF_CODE: Final = (
    ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.IfExp
    | ast.BoolOp | ast.Compare | ast.Dict | ast.JoinedStr | ast.Await | ast.Yield | ast.YieldFrom
)  # fmt: skip


def parsed(code: str) -> ast.Module | None:
    """The tree of a Python program; None for what is none, or is too large or too deep to try."""
    if not _may_be_parsed(code):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the code's own oddities
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def unparsed(module: ast.Module) -> str | None:
    """A program written anew, without comments; None if Python cannot."""
    try:
        return ast.unparse(module)
    except (ValueError, RecursionError, MemoryError):
        return None


def is_surely_python(module: ast.Module) -> bool:
    """Whether any statement does something that a line of prose, which may parse, does not.

    ``Title``, ``- item`` and ``Author: Bob`` are Python to Python, and so is nothing at all.
    """
    return any(map(_does_something, module.body))


def _does_something(statement: ast.stmt) -> bool:
    match statement:
        case ast.AnnAssign(value=None):
            return False
        case ast.Expr(value=value):
            return any(
                isinstance(node, _OF_CODE)
                or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute))
                for node in ast.walk(value)
            )
    return True


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
