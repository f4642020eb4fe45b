"""Lists at the top level of an answer, and the commas in them that only group digits."""

import re
from typing import Final

_BRACKETS: Final = re.compile(r"\\begin\{|\\end\{|[()\[\]{}]")
_GROUPED: Final = re.compile(r"([-+]?)(\d{1,3}(?:,\d{3})+)(\.\d*)?")
_EUROPEAN: Final = re.compile(r"([-+]?\d{1,3}(?:\.\d{3})+),(\d+)")
# Groups of two digits, as in India. Without a group that begins with a zero it may be a list.
_INDIAN: Final = re.compile(r"[-+]?\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d*)?")
_SWISS: Final = re.compile(r"[-+]?\d{1,3}(?:(?:'\d{3})+|(?:_\d{3})+)(?:\.\d*)?")
_BETWEEN_ITEMS: Final = re.compile(r"[,;] ")
_MARKS_OF_GROUPS: Final = re.compile(r"[, '_]")
_DOTTED: Final = re.compile(r"[-+]?\d{1,3}(?:\.\d{3}){2,}")
# Inside a formula: `1,000x`, `3 \times 1,000`, where nothing else is separated by commas.
_IN_FORMULA: Final = re.compile(r"(?<![\d,._])(\d{1,3}(?:,\d{3})+)(?![\d,])")
_SPACED: Final = re.compile(
    r"(?P<whole>[-+]?[1-9]\d{0,2}(?: \d{3})+(?:\.\d*)?)(?P<fraction> \d{1,3}/\d{1,3})?"
)
_INTEGERS: Final = re.compile(r"\d{1,3}(?:, ?\d{1,3})+")


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
    if not _MARKS_OF_GROUPS.search(text) and text.count(".") < 2:
        return text
    if match := _EUROPEAN.fullmatch(text):
        return f"{match[1].replace('.', '')}.{match[2]}"
    if match := _SPACED.fullmatch(text):
        return match["whole"].replace(" ", "") + (match["fraction"] or "")
    if _SWISS.fullmatch(text):
        return text.replace("'", "").replace("_", "")
    if _DOTTED.fullmatch(text):
        return text.replace(".", "")
    if _INDIAN.fullmatch(text) and ",0" in text:
        return text.replace(",", "")
    if _GROUPED.fullmatch(text):
        return _ungrouped(text)
    for opening, closing in (("(", ")"), ("[", "]"), ("\\{", "\\}"), ("(", "]"), ("[", ")")):
        if not (
            text.startswith(opening)
            and text.endswith(closing)
            and encloses(text.removeprefix("\\"))
        ):
            continue
        # A blank or a semicolon separates items where commas only group digits.
        inner = split_top_level(text[len(opening) : -len(closing)], _BETWEEN_ITEMS)
        listed = ", ".join(map(_ungrouped, inner))
        return f"{opening}{listed}{closing}" if len(inner) > 1 else text
    if "=" in text:
        equated = "=".join(map(_ungrouped_inside, text.split("=")))
        if "," not in equated:
            return equated
    items = split_top_level(text, ", ")
    if len(items) > 1:
        text = ", ".join(map(_ungrouped, items))
    if _INTEGERS.fullmatch(text):
        return _as_one_number(text)
    return _ungrouped_inside(text) if len(items) == 1 else text


def _as_one_number(text: str) -> str:
    joined = ",".join(sorted(re.split(", ?", text), key=lambda item: (len(item), item)))
    match = _GROUPED.fullmatch(joined)
    return text if match is None or joined.startswith("0") else joined.replace(",", "")


def _ungrouped_inside(text: str) -> str:
    """The numbers of a formula whose commas do nothing but group their digits."""
    if any(bracket in text for bracket in "([") or "\\{" in text or "=" in text:
        return text
    plain = _IN_FORMULA.sub(lambda match: match[0].replace(",", ""), text)
    return text if "," in plain else plain


def _ungrouped(item: str) -> str:
    name, equals, value = item.rpartition("=")
    if equals:  # `y = 2,345` beside `x = 1`
        return f"{name}={_ungrouped(value.strip())}"
    match = _GROUPED.fullmatch(item)
    if match is None or match[2].startswith("0"):
        return item
    return item.replace(",", "")
