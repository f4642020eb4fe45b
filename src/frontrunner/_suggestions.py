"""What somebody meant who mistyped a name."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

#: How alike two names must be, 0 to 1, for one to be a slip of the other.
_ALIKE: Final = 0.7


def closest(name: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that ``name`` most resembles; None: it resembles none of them."""
    by_lower = {each.lower(): each for each in known}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=_ALIKE)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'majority'?``, or nothing where ``name`` resembles none of ``known``."""
    found = closest(name, known)
    return f"; did you mean {found!r}?" if found is not None else ""
