"""What a check found, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from rich.text import Text


class Level(StrEnum):
    """How bad a finding is."""

    GOOD = "good"
    WARNING = "warning"
    """It works, or may work; there is something to know."""
    BAD = "bad"
    """It does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, and what to do about it."""

    name: str
    level: Level
    detail: str
    advice: str | None = None


_SIGNS: Final = {
    Level.GOOD: ("✓", "green"),
    Level.WARNING: ("!", "yellow"),
    Level.BAD: ("✗", "red"),
}


def finding_lines(finding: Finding) -> list[Text]:
    """A finding as lines for a terminal."""
    sign, style = _SIGNS[finding.level]
    lines = [Text(f"{sign} ", style).append(f"{finding.name:<15}", "bold").append(finding.detail)]
    if finding.advice:
        lines.append(Text(f"{'':<17}→ {finding.advice}", style))
    return lines
