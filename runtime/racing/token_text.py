"""Text of which it is known which token wrote what."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate


class TokenText:
    """Text that grows at its end. How long each piece was is kept in arrays: 8 bytes a piece. Where
    it ended is worked out when somebody asks, which is seldom."""

    __slots__ = ("_counts", "_joined", "_lengths", "_tokens")

    def __init__(self) -> None:
        self._joined = ""
        self._tokens = 0
        # Of each piece: tokens and characters. It is one token, or a few.
        self._counts = array("I")
        self._lengths = array("I")

    def append(self, piece: str, tokens: int) -> None:
        """Add a piece of ``tokens`` tokens."""
        self._counts.append(tokens)
        self._lengths.append(len(piece))
        self._joined += piece
        self._tokens += tokens

    def extend(self, pieces: Sequence[str], tokens: Sequence[int]) -> None:
        """Add pieces, each of so many tokens."""
        self._counts += tokens if isinstance(tokens, array) else array("I", tokens)
        self._lengths += array("I", [*map(len, pieces)])
        self._joined += "".join(pieces)
        self._tokens += sum(tokens)

    def up_to(self, tokens: int) -> str:
        """What the first ``tokens`` tokens wrote."""
        return self._joined[: sum(self._lengths[: self._whole(tokens)])]

    def _whole(self, tokens: int) -> int:
        """Pieces that the first ``tokens`` tokens wrote to their end."""
        return bisect_right([*accumulate(self._counts)], tokens)

    def tokens_before(self, characters: int) -> int:
        """The most tokens that wrote nothing beyond the first ``characters``; of a token without
        text at that end, as an end of sequence is, none."""
        ends = [*accumulate(self._lengths)]
        at = bisect_left(ends, characters)
        if at < len(ends) and ends[at] == characters:
            at += 1
        return sum(self._counts[:at])

    def cut(self, tokens: int) -> None:
        """Drop what came after the first ``tokens`` tokens."""
        whole = self._whole(tokens)
        self._joined = self._joined[: sum(self._lengths[:whole])]
        del self._counts[whole:], self._lengths[whole:]
        self._note(tokens)

    def copy_up_to(self, tokens: int) -> "TokenText":
        """A new text that begins with the first ``tokens`` tokens of this one."""
        copy, whole = TokenText(), self._whole(tokens)
        copy._counts, copy._lengths = self._counts[:whole], self._lengths[:whole]
        copy._joined = self._joined[: sum(copy._lengths)]
        copy._tokens = self._tokens
        copy._note(tokens)
        return copy

    def _note(self, tokens: int) -> None:
        """Let it be ``tokens`` tokens long, if it was longer: those that wrote a part of a piece
        count, and wrote nothing."""
        self._tokens = min(self._tokens, tokens)
        if rest := self._tokens - sum(self._counts):
            self._counts.append(rest)
            self._lengths.append(0)

    def __len__(self) -> int:
        """Characters."""
        return len(self._joined)

    def __str__(self) -> str:
        return self._joined
