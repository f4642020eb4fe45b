"""Outcomes of agents in the text of their branches.

An agent says what came of its work apart from what it tells on the way. In the text of its branch
an outcome stands between two marks that nothing else in it has: ASCII's record separator.
"""

from typing import Final

MARK: Final = "\x1e"


def marked(outcome: str) -> str:
    """``outcome`` as it stands in a branch's text."""
    return f"\n{MARK}{unmarked(outcome)}{MARK}\n"


def unmarked(text: str) -> str:
    """``text`` without marks, which would say where an outcome is."""
    return text.replace(MARK, " ")


def last_outcome(text: str) -> str | None:
    """The last outcome in the text of a branch; None if there is none."""
    pieces = text.rsplit(MARK, 2)
    return pieces[1].strip() or None if len(pieces) == 3 else None
