"""The parts of an answer's structure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part whose key is known: a number, words, or what is compared by its spelling."""

    key: str


@dataclass(frozen=True, slots=True)
class Formula:
    """A part that a worker gives its key."""

    latex: str


@dataclass(frozen=True, slots=True)
class Items:
    """Parts in brackets; ``ordered`` if their order counts, ``distinct`` if repeats do not."""

    opening: str
    items: tuple["Node", ...]
    closing: str
    ordered: bool
    distinct: bool = False


Node = Leaf | Formula | Items
