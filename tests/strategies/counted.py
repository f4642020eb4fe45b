"""A majority whose votes are counted, for tests of what a race does around them."""

from typing import Any

from frontrunner.strategies.majority import Majority


def counted(branches: int = 16, **parameters: Any) -> Majority:
    """A strategy that stops early, and on which the order of votes has no influence."""
    rule = {"weight": "none", "max_flip_risk": 0.2} if "stop" not in parameters else {}
    return Majority(branches, **{**rule, **parameters})
