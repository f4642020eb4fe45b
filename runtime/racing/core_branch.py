"""What a race knows of a branch, whatever runs it: an engine, recorded traces, a test."""

from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from frontrunner.strategies.protocol import BranchStatus, ProbeAnswer


class BackgroundAnswer(Protocol):
    """The forced answer of a branch that runs on, for the case that it does not finish."""

    @property
    def answer(self) -> str | None:
        """The representative of its class; None: it has not come (yet)."""
        ...


@dataclass(slots=True, eq=False)
class CoreBranch:
    """The part of a branch that ``RaceCore`` keeps; satisfies ``BranchView``. Only the core changes
    what stands here, but for ``tokens`` and what else a branch writes."""

    index: int
    tokens: int = 0
    status: BranchStatus = BranchStatus.RUNNING
    answer: str | None = None
    parent: int | None = None
    score: float | None = None
    scored_tokens: int = 0
    truncated: bool = False
    error: str | None = None
    steps: list[int] = field(default_factory=list[int])
    probes: list[ProbeAnswer] = field(default_factory=list[ProbeAnswer])
    confidences: list[float] = field(default_factory=list[float])
    probe: Any = None
    """The probe under way: whatever the host made for it. None: there is none."""
    background: Any = None
    """The ``BackgroundAnswer`` that was asked for while it runs. None: there is none."""

    @property
    def text(self) -> str:
        """Text generated so far, without the forced answer's."""
        raise NotImplementedError

    def tokens_generated(self) -> int:
        """Tokens that it generated itself, its forced answer's included."""
        raise NotImplementedError


#: Whatever a host makes of a branch.
B = TypeVar("B", bound=CoreBranch)
