"""What somebody meant who mistyped a name."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

#: How alike two names must be, 0 to 1, for one to be a slip of the other.
_ALIKE: Final = 0.7
#: The same, for a name to be nothing else than a slip of the other.
_ALL_BUT: Final = 0.95


def closest(name: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that ``name`` most resembles; None: it resembles none of them."""
    return _nearest(name, known, _ALIKE)


def slip_of(name: str, known: Iterable[str]) -> str | None:
    """The one of ``known`` that ``name`` all but is: a letter too many, or one left out."""
    return _nearest(name, known, _ALL_BUT)


def _nearest(name: str, known: Iterable[str], cutoff: float) -> str | None:
    by_lower = {each.lower(): each for each in known}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'majority'?``, or nothing where ``name`` resembles none of ``known``."""
    found = closest(name, known)
    return f"; did you mean {found!r}?" if found is not None else ""
