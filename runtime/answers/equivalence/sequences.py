"""Lists at the top level of an answer, and the commas in them that only group digits."""

import re
from typing import Final

_BRACKETS: Final = re.compile(r"\\begin\{|\\end\{|[()\[\]{}]")
_GROUPED: Final = re.compile(r"([-+]?)(\d{1,3}(?:,\d{3})+)(\.\d*)?")
_EUROPEAN: Final = re.compile(r"([-+]?\d{1,3}(?:\.\d{3})+),(\d+)")
# Groups of two digits, as in India. Without a group that begins with a zero it may be a list.
_INDIAN: Final = re.compile(r"[-+]?\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d*)?")
_SPACED: Final = re.compile(r"[-+]?[1-9]\d{0,2}(?: \d{3})+(?:\.\d*)?")
_INTEGERS: Final = re.compile(r"\d{1,3}(?:, \d{3})+")


def split_top_level(text: str, separator: re.Pattern[str] | str) -> list[str]:
    """The parts of ``text`` between separators outside brackets and environments, stripped.

    Args:
        separator: a character, or a pattern that matches no bracket and no empty text.
    """
    pattern = re.compile(re.escape(separator)) if isinstance(separator, str) else separator
    if pattern.search(text) is None:
        return [text]
    marks = _marks(text)
    parts, begin, depth, mark = list[str](), 0, 0, 0
    for match in pattern.finditer(text):
        while mark < len(marks) and marks[mark][0] < match.start():
            depth = max(0, depth + marks[mark][1])
            mark += 1
        if depth == 0:
            parts.append(text[begin : match.start()].strip())
            begin = match.end()
    return [*parts, text[begin:].strip()]


def encloses(text: str) -> bool:
    """Whether the first character of ``text`` is a bracket that its last one closes, of any kind:
    ``(1,2]`` does, ``(a+b)(a-b)`` does not."""
    depth, size = 0, len(text)
    for position, change in _marks(text):
        depth += change
        if depth == 0:
            return position == size - 1
    return False


def _marks(text: str) -> list[tuple[int, int]]:
    """Where brackets and environments open and close, and by how much the depth changes there."""
    marks: list[tuple[int, int]] = []
    for match in _BRACKETS.finditer(text):
        token = match[0]
        if len(token) > 1:  # and the brace of its name beside it
            marks.append((match.start(), 1 if token == "\\begin{" else -1))
            marks.append((match.end() - 1, 1))
        else:
            marks.append((match.start(), 1 if token in "([{" else -1))
    return marks


def group_thousands(text: str) -> str:
    """Write the numbers of ``text`` without the marks that group their digits.

    ``1,234`` is a number, and so is each item of ``12,345, 6,789``; ``(1,234)`` is a pair. A spaced
    list of integers that reads as one number without its spaces, such as ``1, 234``, is spelled as
    that number: whether a model meant the one or the other cannot be seen, but that both branches
    wrote the same can. Its items are sorted before, as those of all lists are when compared.
    """
    if "," not in text and " " not in text:
        return text
    if match := _EUROPEAN.fullmatch(text):
        return f"{match[1].replace('.', '')}.{match[2]}"
    if _SPACED.fullmatch(text):
        return text.replace(" ", "")
    if _INDIAN.fullmatch(text) and ",0" in text:
        return text.replace(",", "")
    if _INTEGERS.fullmatch(text):
        joined = ",".join(sorted(text.split(", "), key=lambda item: (len(item), item)))
        return _ungrouped(joined) if not joined.startswith("0") else text
    if _GROUPED.fullmatch(text):
        return _ungrouped(text)
    items = split_top_level(text, ", ")
    return ", ".join(map(_ungrouped, items)) if len(items) > 1 else text


def _ungrouped(item: str) -> str:
    match = _GROUPED.fullmatch(item)
    if match is None or match[2].startswith("0"):
        return item
    return item.replace(",", "")
