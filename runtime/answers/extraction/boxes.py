r"""The boxes of a text, ``\boxed{…}`` and its like: what models put their final answers in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# Boxes looked at, from the last one.
_MAX_BOXES: Final = 64
# Characters between boxes of one answer, and before a box for the unknown that it is the value of.
_GAP: Final = 60
_LEAD_CHARS: Final = 24
# Blanks in a box around another one.
_BLANKS: Final = 8
_COLOUR: Final = r"\s*\{[^{}\\]{0,30}\}"
_OPTIONS: Final = r"(?:\s?\[[^\[\]\\\n]{0,30}\]){0,2}"
_BOX: Final = (
    rf"(?:boxed|fbox|framebox{_OPTIONS}|bbox{_OPTIONS}|(?:oval|double|shadow)box"
    rf"|colorbox{_COLOUR}|fcolorbox{_COLOUR}{_COLOUR}|enclose\s?\{{box\}})"
)
# One token: a run of backslashes with what it stands before, or a brace. The run is matched whole
# and what follows it is optional, so no character is looked at twice. A run of any length makes
# `boxed{` a box: models that think in JSON or in matrix rows write `\\boxed{`. Without a brace it
# is a box only before what can be the whole of an answer.
_TOKEN: Final = re.compile(
    rf"(?P<slashes>\\+)(?P<next>{_BOX}\s*\{{|(?P<bare>(?:boxed|fbox)\s{{0,3}})(?=[-+\u2212.\d\\A-Za-z])"
    r"|[{}])?|[{}]"
)
#: What every token begins with. To look for that alone, in the prose before the first one, takes a
#: tenth of the time.
_BEGIN: Final = re.compile(r"[\\{}]")
_GROUP: Final = r"\s?\{[^{}]{0,80}+(?:\{[^{}]{0,80}+\}[^{}]{0,80}+){0,4}\}"
# What TeX would put in a box without a brace, or nearly: a number whole, a command with what it is
# applied to, or a letter that ends the formula.
_BARE: Final = re.compile(
    r"[-+\u2212]?(?:\d+(?:[.,]\d+)*|\.\d+)"
    rf"|-?\\[dtc]?frac(?:{_GROUP}|\s?\d){{2}}"
    rf"|-?\\(?!(?:boxed|fbox|[dtc]?frac)\b)[A-Za-z]{{1,20}}(?:\[\d{{1,3}}\])?(?:{_GROUP}){{1,2}}"
    r"|-?\\(?:pi|infty|emptyset|varnothing|theta|alpha|beta|gamma|lambda|phi)\b"
    r"|[A-Za-z](?=[.,]?\s{0,3}(?:\$|\\[)\]]|\Z))"
)
# An instruction's own box, such as `\boxed{\text{your final answer}}`: words of these alone, one
# of them for what stands there in the end.
_PLACEHOLDER: Final = re.compile(
    r"(?:the|your|my|an?|in|of|to|as|this|it|here|goes|only|insert|put|write|place|enter|fill|box|or"
    r"|boxed|question|problem|final|numerical|numeric|correct|single|exact|actual|simplified|text"
    r"|chosen|computed|calculated|option|form|simplest|(?P<noun>answers?|ans|result|solution|value"
    r"|number|letter|choice|expression|response|content|integer|placeholder|antwort|lösung|réponse"
    r"|respuesta|resposta|risposta|ответ|(?:你的|您的|最终|最終|最后|最後の)?(?:答案|结果|答え|解答|回答)"
    r"|최종답|정답|답))"
)
_NO_WORD: Final = re.compile(r"\\[A-Za-z]+|[\W_]+")
_BLANK: Final = re.compile(
    r"(?:\\text\s?\{|[<\[(])?(?:\s|\\[lcv]?dots[cbo]?|\\square|\\Box|\\q?quad|\\[,;:! _]|\\\Z|\.|…"
    r"|⋯|_|□|\\phantom\{\w{0,8}\}|\?|\\(?:underline|hspace|text)"
    r"\{(?:\s|\\q?quad|\\hspace\{\w{1,8}\}|_|\\_|[\d.]{1,4}(?:cm|em|pt))*\}"
    r")*+[>\])}]?"
)
_PLACEHOLDER_CHARS: Final = 80
_TYPESET: Final = r"(?:\s|\$|\\[()\[\],;:! ]|\\q?quad\b|~|&){0,16}+"
_AND: Final = (
    r"(?:or|and|oder|und|ou|et|o|y|e|или|и)(?![^\W\d_])|或者?|和|及|または|と|또는"
)  # fmt: skip
_UNKNOWN: Final = r"(?:[A-Za-z]|\\[a-z]{2,8})(?:_(?:\w|\{\w{1,3}\}))?'?"
# What joins boxes to one answer: `$, $`, ` or $x = `.
_JOINT: Final = re.compile(
    rf"{_TYPESET}(?P<comma>[,;、，]{_TYPESET})?"
    rf"(?P<word>(?:{_AND}|\\(?:text|mbox|textrm|mathrm)\s?\{{[\s,]*(?:{_AND})\s*\}}){_TYPESET})?"
    rf"(?:{_UNKNOWN}\s?=\s?{_TYPESET})?"
)
_LEAD: Final = re.compile(rf"(?<![A-Za-z\\])({_UNKNOWN})\s?=\s?\Z")
# What denies the box behind it: `\boxed{3}, not \boxed{4}`.
_DENIED: Final = re.compile(r"\b(?:not|rather than|instead of)\s{1,3}(?:\$|\\[(\[])?\s?\Z", re.I)
_DENIED_CHARS: Final = 24
_PARAGRAPH: Final = re.compile(r"\n[ \t]*\n")


@dataclass(slots=True)
class _Box:
    """A box: the span of all of it in the text, and of its content."""

    start: int
    end: int
    inside: tuple[int, int]


def answers_in_boxes(text: str) -> Iterator[str]:
    r"""The answers in the complete boxes of ``text``, the last one first, none of them empty.

    Of nested boxes the outer one counts, and comes first; a box that holds nothing but a box is
    looked into. Boxes that are empty, or hold what only stands for an answer (``\boxed{answer}``,
    ``\boxed{\ldots}``), are passed over. Boxes with nothing but a comma, "or" or "and" between
    them are one answer: their contents, joined by commas, in their order and each once, with their
    unknowns where those differ.
    """
    boxes = [box for box in _complete_boxes(text)[-_MAX_BOXES:] if _is_real(_content(text, box))]
    boxes = [box for box in boxes if not _is_denied(text, box)] or boxes
    while boxes:
        group = [boxes.pop()]
        nested: list[_Box] = []
        while boxes:
            if boxes[-1].end > group[0].start:
                nested.append(boxes.pop())
            elif _are_joined(text, boxes[-1], group[0]):
                group.insert(0, boxes.pop())
            else:
                break
        yield _joined(text, group)
        for box in nested:
            yield _content(text, box)


def _complete_boxes(text: str) -> list[_Box]:
    """All boxes that close, in the order in which they do.

    A stack holds every open brace: `(where its content starts, where its token starts)`, the
    second -1 for a brace that opens no box. Closing braces that match nothing are passed over, as
    the text may have been cut at its beginning.
    """
    open_braces: list[tuple[int, int]] = []
    boxes: list[_Box] = []
    begin = _BEGIN.search(text)
    for token in _TOKEN.finditer(text, begin.start()) if begin else ():
        brace = token[0]
        if slashes := token["slashes"]:
            brace = token["next"]
            if brace is None:
                continue
            if token["bare"]:
                if bare := _BARE.match(text, token.end()):
                    boxes.append(_Box(token.start(), bare.end(), bare.span()))
                continue
            if len(brace) > 1:
                open_braces.append((token.end(), token.start()))
                continue
            if len(slashes) % 2:  # an escaped brace; an even run is only line breaks before it
                continue
        if brace == "{":
            open_braces.append((token.end(), -1))
        elif open_braces:
            content, outside = open_braces.pop()
            if outside < 0:
                continue
            held = boxes[-1] if boxes else None
            if held and _is_all(text, content, held, token.start()):
                held.start, held.end = outside, token.end()
            else:
                boxes.append(_Box(outside, token.end(), (content, token.start())))
    return boxes


def _is_all(text: str, start: int, box: _Box, end: int) -> bool:
    """Whether nothing but the box, and a few blanks, is in the text between two places."""
    before, after = box.start - start, end - box.end
    return (
        0 <= before <= _BLANKS
        and 0 <= after <= _BLANKS
        and not text[start : box.start].strip()
        and not text[box.end : end].strip()
    )


def _content(text: str, box: _Box) -> str:
    return text[box.inside[0] : box.inside[1]].strip()


def _is_real(content: str) -> bool:
    """Whether a box holds an answer, rather than nothing or a word for what comes there."""
    if len(content) > _PLACEHOLDER_CHARS:
        return True
    if not content or (content not in ("{}", "[]", "()") and _BLANK.fullmatch(content)):
        return False
    words = [_PLACEHOLDER.fullmatch(word) for word in _NO_WORD.sub(" ", content.lower()).split()]
    return not all(words) or not any(word["noun"] for word in words if word)


def _is_denied(text: str, box: _Box) -> bool:
    return _DENIED.search(text, max(0, box.start - _DENIED_CHARS), box.start) is not None


def _are_joined(text: str, earlier: _Box, later: _Box) -> bool:
    if later.start - earlier.end > _GAP:
        return False
    gap = text[earlier.end : later.start]
    joint = _JOINT.fullmatch(gap)
    return (
        joint is not None
        and bool(joint["comma"] or joint["word"])
        and _PARAGRAPH.search(gap) is None
    )


def _joined(text: str, group: list[_Box]) -> str:
    if len(group) == 1:
        return _content(text, group[0])
    contents = [_content(text, box) for box in group]
    leads = [_LEAD.search(text[max(0, box.start - _LEAD_CHARS) : box.start]) for box in group]
    names = [lead[1] if lead else "" for lead in leads]
    if len(set(names)) > 1 and "" not in names:
        contents = [f"{name} = {content}" for name, content in zip(names, contents, strict=True)]
    return ", ".join(dict.fromkeys(contents))
