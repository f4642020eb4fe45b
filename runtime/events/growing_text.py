"""Text that arrives in pieces."""

from bisect import bisect_right


class GrowingText:
    """A text that grows at its end, and that can be cut back.

    One thread changes it; others may read it meanwhile: pieces are only appended, and a cut makes
    new lists.
    """

    __slots__ = ("_ends", "_pieces", "_tokens")

    def __init__(self, text: str = "", tokens: int = 0) -> None:
        self._pieces = [text] if text else list[str]()
        # After each piece: tokens and characters so far. A piece is any number of tokens.
        self._tokens = [tokens]
        self._ends = [len(text)]

    @property
    def tokens(self) -> int:
        return self._tokens[-1]

    def __len__(self) -> int:
        """Its length in characters."""
        return self._ends[-1]

    def __str__(self) -> str:
        return "".join(self._pieces)

    def append(self, text: str, tokens: int) -> None:
        """Add a piece of ``tokens`` tokens."""
        self._tokens.append(self.tokens + tokens)
        self._ends.append(len(self) + len(text))
        self._pieces.append(text)

    def characters_of(self, tokens: int) -> int:
        """The length of what the first ``tokens`` tokens wrote, as far as pieces tell: of one that
        they wrote a part of nothing is taken."""
        whole = bisect_right(self._tokens, tokens)
        return self._ends[whole - 1] if whole else 0

    def cut(self, characters: int, tokens: int) -> None:
        """Keep the first ``characters`` characters, which ``tokens`` tokens wrote."""
        kept = [i for i, end in enumerate(self._ends) if end <= characters]
        marks = [i for i in kept if self._tokens[i] < tokens]
        text = str(self)[:characters]
        self._tokens = [*(self._tokens[i] for i in marks), tokens]
        self._ends = [*(self._ends[i] for i in marks), len(text)]
        self._pieces = [text]

    def copy(self, characters: int, tokens: int) -> "GrowingText":
        """A new text that begins with the first ``characters`` characters of this one, which
        ``tokens`` tokens wrote."""
        other = GrowingText()
        other._tokens, other._ends = self._tokens, self._ends
        other._pieces = self._pieces
        other.cut(characters, tokens)
        return other

    def tail(self, characters: int) -> str:
        """Its last ``characters`` characters at most."""
        taken, length = list[str](), 0
        for piece in reversed(self._pieces):
            if length >= characters:
                break
            taken.append(piece)
            length += len(piece)
        return "".join(reversed(taken))[max(0, length - characters) :]
