"""The atoms of an answer's structure: parts that are no list, range or equation.

Words, names and notations of their own are compared by their spelling, numbers by their value, and
what may be given to a parser is a formula.
"""

import re
from typing import Final

from .nodes import Formula, Leaf, Node
from .numerals import numeral_key
from .rational import exact_number, spelled
from .words import is_words

# What a parser may be given. It keeps the plainest attacks from
# costing a worker, but it is no bound on a parser's work: only killing the worker is.
MAX_PARSED_CHARS: Final = 512
MAX_PARSED_NESTING: Final = 16
MAX_PARSED_DIGITS: Final = 64
MAX_PARSED_FACTORIALS: Final = 4
MAX_PARSED_POWERS: Final = 32
MAX_TOWER: Final = 3  # powers of powers

_OPAQUE: Final = re.compile(
    r"#.*"  # a digest
    r"|\d+(?:\.\d+)?(?:-\d+(?:\.\d+)?)+"  # scores, ranges, dates: `2-1`
    r"|\d+(?:/\d+){2,}|\d+(?:\.\d+){2,}"  # and versions: `1.2.3`
    r"|\d+(?: \d+)+|-?\d+ \d+/\d+"
    r"|[A-Z](?:-[A-Z]){1,}"
    r"|[A-Z](?: [A-Z])+"
)
_NAMES: Final = re.compile(
    r"(?<![\\A-Za-z])[A-Za-z]{1,3}\d"  # `F2`, `H2O`, `a1b`
    r"|[A-Z]{3}"  # triangles
    r"|\d'|\d_|^0x|[A-Za-z] \d"  # minutes of arc, numbers in another base, `4h 5m`
    r"|\\(?:vec|nabla).*\\(?:times|cdot)|[A-Z] ?\\times ?[A-Z]"  # products whose kind matters
    r"|[A-Z]\^(?:\{-1\}|\{?T\}?)[A-Z]|(?<![A-Za-z])[A-Z]{2}\^(?:\{-1\}|\{?T\}?(?![A-Za-z]))"
    r"|\\(?:mathbb|langle)"
    r"|[#@?\"`~;]"
    r"|[-+*/^_=<>]$"  # `B+`, `C++`
)
_MEASURED: Final = re.compile(r"([^A-Za-z]*[\d})\]]) ([A-Za-z].*)")
_PARSEABLE: Final = re.compile(r"[A-Za-z0-9\\+\-*/^_(){}\[\]|!.,=<>'& ]+")
_LONG_LITERAL: Final = re.compile(rf"[\d.]{{{MAX_PARSED_DIGITS + 1}}}")


def atom(form: str) -> Node:
    """A part that is no list, range or equation."""
    if form in ("\\infty", "-\\infty"):
        return Leaf(form.replace("\\infty", "oo"))
    if (key := numeral_key(form)) is not None:
        return Leaf(key)
    if _OPAQUE.fullmatch(form) or _NAMES.search(form) or is_words(form):
        return _measured(form) or by_spelling(form)
    return Formula(form) if _may_be_parsed(form) else by_spelling(form)


def by_spelling(form: str) -> Leaf:
    """A part that is compared by its spelling."""
    return Leaf(f"'{form}'")


def _measured(form: str) -> Node | None:
    """A number with a word that counts, such as `10 north`."""
    match = _MEASURED.fullmatch(form)
    number = exact_number(match[1]) if match else None
    return Leaf(f"'{spelled(number)} {match[2]}'") if match and number is not None else None


def _may_be_parsed(form: str) -> bool:
    return (
        len(form) <= MAX_PARSED_CHARS
        and _PARSEABLE.fullmatch(form) is not None
        and form.count("!") <= MAX_PARSED_FACTORIALS
        and form.count("^") + form.count("**") <= MAX_PARSED_POWERS
        and _LONG_LITERAL.search(form) is None
        and _nesting(form) <= MAX_PARSED_NESTING
        and _tower(form) < MAX_TOWER
    )


def _nesting(form: str) -> int:
    """Return how deep brackets of any kind are nested."""
    depth = deepest = 0
    for character in form:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth = max(0, depth - 1)
    return deepest


def _tower(form: str) -> int:
    """Return how many powers stand one above the other at most."""
    highest = height = base = 0
    outside: list[tuple[int, int]] = []
    raised = False  # whether what comes next is an exponent
    for character in form:
        if character == "^":
            height += 1
            highest = max(highest, height)
            raised = True
            continue
        if character in "})]":
            height, base = outside.pop() if outside else (0, 0)
        else:
            height = height if raised else base
            if character in "{([":
                outside.append((height, base))
                base = height
        raised = False
    return highest
