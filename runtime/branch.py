"""The state of one branch during a race."""

from dataclasses import dataclass, field

import anyio

from frontrunner.strategies.protocol import BranchStatus

from .engines.protocol import Chunk
from .result import BranchReport


class Text:
    """Text that grows by appending; joined only when read."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: list[str] = []

    def append(self, piece: str) -> None:
        self._pieces.append(piece)

    def __str__(self) -> str:
        if len(self._pieces) > 1:
            self._pieces[:] = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""


@dataclass(slots=True)
class Branch:
    """One branch; satisfies ``BranchView``. Only the race changes it."""

    index: int
    request_id: str
    seed: int | None
    launched_at: float  # anyio clock, seconds
    status: BranchStatus = BranchStatus.RUNNING
    token_ids: list[int] = field(default_factory=list[int])  # (num_tokens,) exactly as generated
    answer: str | None = None
    score: float | None = None
    pending_answer: str | None = None  # read, but its equivalence class is not known yet
    first_token_at: float | None = None
    ended_at: float | None = None
    error: str | None = None
    forced_tokens: int = 0
    forced_request_id: str | None = None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)  # around its stream
    _text: Text = field(default_factory=Text)
    _forced_text: Text = field(default_factory=Text)

    @property
    def tokens(self) -> int:
        return len(self.token_ids)

    @property
    def text(self) -> str:
        return str(self._text)

    @property
    def forced_text(self) -> str:
        """The forcing suffix and what came after it."""
        return str(self._forced_text)

    def extend(self, chunk: Chunk, now: float) -> None:
        """Take in what the branch generated."""
        if self.first_token_at is None:
            self.first_token_at = now
        self.token_ids.extend(chunk.token_ids)
        self._text.append(chunk.text)

    def extend_forced(self, text: str, tokens: int) -> None:
        """Take in (part of) the forced answer."""
        self.forced_tokens += tokens
        self._forced_text.append(text)

    def active_request(self) -> str | None:
        """The id of the engine request that this branch still holds, if any."""
        match self.status:
            case BranchStatus.RUNNING:
                return self.request_id
            case BranchStatus.FORCING:
                return self.forced_request_id
            case _:
                return None

    def report(self, now: float) -> BranchReport:
        return BranchReport(
            index=self.index,
            status=self.status,
            tokens=self.tokens + self.forced_tokens,
            forced_tokens=self.forced_tokens,
            answer=self.answer,
            forced=self.status is BranchStatus.FORCED,
            seconds=(self.ended_at if self.ended_at is not None else now) - self.launched_at,
            text=self.text + self.forced_text,
            error=self.error,
        )
