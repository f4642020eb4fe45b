"""The state of one branch during a race."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from frontrunner.strategies.protocol import BranchStatus

from ..engines.protocol import Chunk
from ..result import BranchReport
from .core_branch import CoreBranch


class Text:
    """Text that grows by appending; joined only when read. Knows which token wrote what."""

    __slots__ = ("_ends", "_length", "_pieces", "_tokens")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        # After each piece: tokens and characters so far. A piece is one token, or a few.
        self._tokens: list[int] = []
        self._ends: list[int] = []

    def append(self, piece: str, tokens: int) -> None:
        """Add ``piece``, after which the text is ``tokens`` tokens long."""
        self._pieces.append(piece)
        self._length += len(piece)
        self._tokens.append(tokens)
        self._ends.append(self._length)

    def up_to(self, tokens: int) -> str:
        """What the first ``tokens`` tokens wrote."""
        whole = bisect_right(self._tokens, tokens)
        return str(self)[: self._ends[whole - 1] if whole else 0]

    def tokens_before(self, characters: int) -> int:
        """The most tokens that wrote nothing beyond the first ``characters``; of a token without
        text at that end, as an end of sequence is, none."""
        at = bisect_left(self._ends, characters)
        if at < len(self._ends) and self._ends[at] == characters:
            return self._tokens[at]
        return self._tokens[at - 1] if at else 0

    def cut(self, tokens: int) -> None:
        """Drop what came after the first ``tokens`` tokens."""
        text, whole = self.up_to(tokens), bisect_right(self._tokens, tokens)
        self._pieces, self._length = [text], len(text)
        del self._tokens[whole:], self._ends[whole:]

    def copy_up_to(self, tokens: int) -> "Text":
        """A new text that begins with the first ``tokens`` tokens of this one."""
        copy, whole = Text(), bisect_right(self._tokens, tokens)
        text = self.up_to(tokens)
        copy._pieces, copy._length = [text], len(text)
        copy._tokens, copy._ends = self._tokens[:whole], self._ends[:whole]
        return copy

    def __str__(self) -> str:
        if len(self._pieces) > 1:
            self._pieces[:] = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""


@dataclass(slots=True, eq=False)
class ProbeRequest:
    """A request beside a branch's own: what would it answer?"""

    request_id: str
    tokens: int  # of the branch when it was asked
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


@dataclass(slots=True, eq=False)
class BackgroundForcing:
    """The forced answer of a branch that runs on, for the case that it does not finish; satisfies
    ``BackgroundAnswer``."""

    request_id: str
    tokens: int  # of the branch when it was asked
    classify: Callable[[str], str]
    """The representative of an answer's class as far as it is known without asking a worker."""
    text: Text = field(default_factory=Text)  # the forcing suffix and what came after it
    forced_tokens: int = 0
    running: bool = False  # whether the engine holds its request
    suffix_characters: int = 0  # of the text, the forcing suffix's
    said: str | None = None  # the answer as it was written
    representative: str | None = None  # of its class, once that is known
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    def begin(self, suffix: str) -> None:
        """The forcing suffix, behind which the answer is to come."""
        self.text.append(suffix, 0)
        self.suffix_characters = len(suffix)

    @property
    def said_text(self) -> str:
        """What came after the forcing suffix."""
        return str(self.text)[self.suffix_characters :]

    @property
    def answer(self) -> str | None:
        """What it would count as now."""
        if self.representative is None and self.said is not None:
            return self.classify(self.said)
        return self.representative


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of a branch that was made to go on, before the text that was added."""

    tokens: int  # inherited ones included
    characters: int
    added_tokens: int


@dataclass(slots=True, eq=False, kw_only=True)
class Branch(CoreBranch):
    """One branch on an engine."""

    request_id: str
    seed: int | None
    launched_at: float  # anyio clock, seconds
    token_ids: list[int] = field(default_factory=list[int])  # (num_tokens,) exactly as generated
    inherited_tokens: int = 0  # of these, its parent's
    inherited_characters: int = 0  # of its text, its parent's
    pending_answer: str | None = None  # read, but its equivalence class is not known yet
    first_token_at: float | None = None
    first_token_tokens: int = 0  # its length when it began to generate
    ended_at: float | None = None
    forced_tokens: int = 0
    forced_request_id: str | None = None
    suffix_characters: int = 0  # of its forced text, the forcing suffix's
    answered_request: str | None = None  # has given its answer, and may still run
    probes_asked: int = 0
    probe_tokens: int = 0  # generated by its probes
    extensions: int = 0
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)  # around its stream
    _text: Text = field(default_factory=Text)
    _forced_text: Text = field(default_factory=Text)
    _step_tail: str = ""  # end of the text, in which a delimiter may have begun

    @property
    def text(self) -> str:
        return str(self._text)

    @property
    def forced_text(self) -> str:
        """The forcing suffix and what came after it."""
        return str(self._forced_text)

    @property
    def said_when_forced(self) -> str:
        """What came after the forcing suffix."""
        return self.forced_text[self.suffix_characters :]

    def text_up_to(self, tokens: int) -> str:
        """What its first ``tokens`` tokens wrote."""
        return self._text.up_to(tokens)

    def fork(self, tokens: int, child: "Branch") -> None:
        """Let ``child`` begin with the first ``tokens`` tokens of this branch."""
        child.parent = self.index
        child.token_ids = self.token_ids[:tokens]
        child.tokens = child.inherited_tokens = child.first_token_tokens = len(child.token_ids)
        child._text = self._text.copy_up_to(tokens)
        child.inherited_characters = len(child.text)
        child.steps = [n for n in self.steps if n <= tokens]
        child.confidences = self.confidences[:tokens]

    def extend(self, chunk: Chunk, now: float) -> None:
        """Take in what the branch generated."""
        if self.first_token_at is None:
            self.first_token_at = now
        self.token_ids.extend(chunk.token_ids)
        self.tokens = len(self.token_ids)
        self.confidences.extend(chunk.confidences)
        self._text.append(chunk.text, self.tokens)

    def complete_step(self, text: str, delimiter: str) -> bool:
        """Whether ``text``, the latest piece, completes a step; notes where it ended."""
        window = self._step_tail + text
        self._step_tail = window[len(window) - len(delimiter) + 1 :] if len(delimiter) > 1 else ""
        if delimiter not in window:
            return False
        self._step_tail = ""
        self.steps.append(self.tokens)
        return True

    def begin_forced(self, suffix: str) -> None:
        """The forcing suffix, behind which the answer is to come."""
        self._forced_text.append(suffix, 0)
        self.suffix_characters = len(suffix)

    def extend_forced(self, text: str, tokens: int) -> None:
        """Take in (part of) the forced answer."""
        self.forced_tokens += tokens
        self._forced_text.append(text, self.forced_tokens)

    def adopt(self, forced: BackgroundForcing) -> None:
        """Let ``forced`` stand for what the branch has written since it was asked."""
        self._text.cut(forced.tokens)
        self.forced_tokens += forced.forced_tokens
        self._forced_text.append(str(forced.text), self.forced_tokens)
        self.suffix_characters = forced.suffix_characters

    def resume(self, before: str, text: str, token_ids: tuple[int, ...]) -> Kept:
        """Let a finished branch go on: ``text`` takes the place of ``before`` and what follows."""
        written = self.text
        at = written.rfind(before) if before else -1
        kept = self._text.tokens_before(at if at >= 0 else len(written))
        self._text.cut(kept)
        characters = len(self.text)
        del self.token_ids[kept:], self.confidences[kept:]
        self.steps = [n for n in self.steps if n <= kept]
        self.token_ids.extend(token_ids)
        self.tokens = len(self.token_ids)
        self._text.append(text, self.tokens)
        self._step_tail = ""
        self.extensions += 1
        self.ended_at = self.first_token_at = None
        self.first_token_tokens = self.tokens
        self.scope = anyio.CancelScope()
        return Kept(kept, characters, len(token_ids))

    @property
    def ends_as(self) -> BranchStatus:
        """What becomes of it now that its request has ended, or its answer counts as it is."""
        if self.status is not BranchStatus.RUNNING:
            return BranchStatus.FORCED
        return BranchStatus.TRUNCATED if self.truncated else BranchStatus.FINISHED

    def active_request(self, status: BranchStatus) -> str | None:
        """The id of the engine request that this branch still held when it was in ``status``."""
        match status:
            case BranchStatus.RUNNING:
                return self.request_id
            case BranchStatus.FORCING:
                return self.forced_request_id
            case _:
                return None

    def outstanding_requests(self) -> list[str]:
        """The ids of all requests that the engine may still hold for this branch."""
        active = self.active_request(self.status)
        requests = [active] if active is not None else []
        if self.probe is not None:
            requests.append(self.probe.request_id)
        if self.background is not None and self.background.running:
            requests.append(self.background.request_id)
        if self.answered_request is not None and self.answered_request not in requests:
            requests.append(self.answered_request)
        return requests

    def tokens_generated(self) -> int:
        return self.tokens - self.inherited_tokens + self.forced_tokens

    def report(self, now: float) -> BranchReport:
        return BranchReport(
            index=self.index,
            status=self.status,
            tokens=self.tokens_generated(),
            forced_tokens=self.forced_tokens,
            answer=self.answer,
            forced=self.status is BranchStatus.FORCED,
            seconds=(self.ended_at if self.ended_at is not None else now) - self.launched_at,
            text=self.text + self.forced_text,
            error=self.error,
            score=self.score,
            parent=self.parent,
            inherited_tokens=self.inherited_tokens,
            probes=tuple(self.probes),
            probe_tokens=self.probe_tokens,
            truncated=self.truncated,
            forced_at=len(self.text) if self.forced_text else None,
        )
