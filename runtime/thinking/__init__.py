"""How models mark their thinking, and what of a text was thought and what was said.

``format`` reads texts of a model whose marks are known, piece by piece, and says how one that was
cut is closed. ``any_format`` reads whole texts of any model.
"""

from .any_format import END_OF_THINKING, without_thinking
from .format import (
    Part,
    PartKind,
    Position,
    Said,
    ThinkingFormat,
    ThinkingReader,
    is_function,
    is_quoted,
)

__all__ = [
    "END_OF_THINKING",
    "Part",
    "PartKind",
    "Position",
    "Said",
    "ThinkingFormat",
    "ThinkingReader",
    "is_function",
    "is_quoted",
    "without_thinking",
]
