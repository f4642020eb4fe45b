"""Hostile text made fit to print."""


def one_line(text: str) -> str:
    """``text`` as one line that a terminal only prints: white space becomes single blanks, and
    control characters, which could move the cursor or set colours, go."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """``text`` without control characters; each white space becomes a blank."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text)
