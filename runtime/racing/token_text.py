"""Text of which it is known which token wrote what."""

from array import array
from bisect import bisect_left, bisect_right
from itertools import accumulate

#: Pieces that are kept as they came, before they are packed.
_LOOSE = 128


class TokenText:
    """Text that grows by appending; worked on only when it is read.

    A piece is appended for every token of every branch, and most of them are never looked at. So
    appending keeps the piece, and no more; now and then, and when somebody reads, the pieces are
    joined, and where each ended is put down in arrays: 8 bytes a token and the text itself.
    """

    __slots__ = ("_ends", "_joined", "_loose", "_loose_tokens", "_tokens")

    def __init__(self) -> None:
        self._joined = ""
        # After each piece: tokens and characters so far. A piece is one token, or a few.
        self._tokens = array("I")
        self._ends = array("I")
        self._loose: list[str] = []  # the latest pieces, and the tokens after each
        self._loose_tokens: list[int] = []

    def append(self, piece: str, tokens: int) -> None:
        """Add ``piece``, after which the text is ``tokens`` tokens long."""
        self._loose.append(piece)
        self._loose_tokens.append(tokens)
        if len(self._loose) >= _LOOSE:
            self._pack()

    def _pack(self) -> None:
        if self._loose:
            ends = accumulate(map(len, self._loose), initial=len(self._joined))
            next(ends)
            self._ends.extend(ends)
            self._tokens.extend(self._loose_tokens)
            self._joined += "".join(self._loose)
            self._loose.clear()
            self._loose_tokens.clear()

    def up_to(self, tokens: int) -> str:
        """What the first ``tokens`` tokens wrote."""
        self._pack()
        whole = bisect_right(self._tokens, tokens)
        return self._joined[: self._ends[whole - 1] if whole else 0]

    def tokens_before(self, characters: int) -> int:
        """The most tokens that wrote nothing beyond the first ``characters``; of a token without
        text at that end, as an end of sequence is, none."""
        self._pack()
        at = bisect_left(self._ends, characters)
        if at < len(self._ends) and self._ends[at] == characters:
            return self._tokens[at]
        return self._tokens[at - 1] if at else 0

    def cut(self, tokens: int) -> None:
        """Drop what came after the first ``tokens`` tokens."""
        self._joined = self.up_to(tokens)
        whole = bisect_right(self._tokens, tokens)
        del self._tokens[whole:], self._ends[whole:]

    def copy_up_to(self, tokens: int) -> "TokenText":
        """A new text that begins with the first ``tokens`` tokens of this one."""
        copy = TokenText()
        copy._joined = self.up_to(tokens)
        whole = bisect_right(self._tokens, tokens)
        copy._tokens, copy._ends = self._tokens[:whole], self._ends[:whole]
        return copy

    def __len__(self) -> int:
        """Characters."""
        self._pack()
        return len(self._joined)

    def __str__(self) -> str:
        self._pack()
        return self._joined
