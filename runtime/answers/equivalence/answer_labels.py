r"""What is written beside an answer without being part of it: `\text{Area} =`, `= 73`, remarks."""

import re
from typing import Final

from .spelling import END, TEXT_MACRO, Rule, replacing

# One symbol, an application of a function, or a macro with its argument: what an answer is called.
_SYMBOL: Final = r"(?:\\(?:alpha|beta|gamma|delta|theta|lambda|mu|phi|omega|sigma|rho)|[A-Za-z])"
_INDEX: Final = r"(?:_(?:\w|\{[^{}]{0,16}\}))?"
_NAME: Final = rf"{_SYMBOL}{_INDEX}'{{0,2}}(?:\^\{{-1\}})?(?:\([A-Za-z]{{1,2}}(?:,[A-Za-z])?\))?"
_DERIVATIVE: Final = r"\\frac\{d[A-Za-z]\}\{d[A-Za-z]\}"
_UNKNOWN: Final = re.compile(
    rf"\s*({_NAME}|{_DERIVATIVE})\s*"
    rf"(?:=|\\in{END}(?=\s*(?:[\[({{]|\\\{{|\\mathbb))|\\equiv{END}|\\approx{END}|:=)\s*(?!=)"
)
_RELATION: Final = re.compile(rf"[=<>]|\\(?:leq?|geq?|lt|gt|neq?|in|equiv|approx){END}")
_HEDGE: Final = (
    "[Tt]hus|[Ss]o|[Hh]ence|[Tt]herefore|[Aa]bout|[Aa]pproximately|[Aa]pprox\\.?|[Rr]oughly"
    "|[Aa]round|[Ee]xactly|[Oo]nly"
)
_LEADING: Final = re.compile(
    rf"^\s*(?:{TEXT_MACRO}\{{\s*[A-Za-z][A-Za-z ,'\-]*?\s*(?::|=|\b(?:is|are|equals|be))\s*\}}"
    rf"|{TEXT_MACRO}\{{\s*[A-Za-z][A-Za-z ,'\-]*?\s*\}}\s*(?:=|:)(?!=)"
    rf"|{TEXT_MACRO}\{{\s*(?:{_HEDGE}),?\s*\}}"
    rf"|(?:{_HEDGE}),? (?=[-\d\\.(])|(?:[Tt]hus|[Ss]o|[Hh]ence|[Tt]herefore),? (?=[a-z] ?=)"
    r"|(?:答案|答|结果|結果|解)(?:是|为|為|[:：=])|(?:大?约|大?約)(?:为|為|是)?(?=[\d.\\-])"
    r"|(?:[Tt]he )?(?:(?:[Ff]inal|[Cc]orrect) )?(?:[Aa]nswer|[Rr]esult|[Tt]otal|[Vv]alue|[Ss]um|"
    r"[Aa]rea|[Vv]olume|[Pp]erimeter|[Pp]robability)\s*(?:is|:|=))\s*(?=\S)"
)
_LED: Final = re.compile(
    rf"^\s*(?:=|\\(?:to|approx){END}|\\sim{END}(?=\s*[-\d.])|\\(?:therefore|implies|Rightarrow){END}|:(?=\s))\s*(?=\S)"
)
_REMARK: Final = re.compile(
    rf"(?<=[\d)}}\]\w])\s*(?:{TEXT_MACRO}\{{\s*\(\s*[A-Za-z][A-Za-z ,.'\-]*\)\s*\}}"
    rf"|\(\s*(?!mod|base)[A-Za-z]{{3,}}[A-Za-z ,.'\-]*\)"
    r"|\(\s*(?:since|because|as)\b[^()]*\)"
    rf"|,?\s*{TEXT_MACRO}\{{\s*(?:only|approximately|approx\.?|exactly)\s*\}}"
    rf"|,?\s*{TEXT_MACRO}\{{\s*,?\s*(?:since|because|as|so|where)\b[^{{}}]*\}}.*"
    r"|,? (?:since|because) .*)\s*$"
)
# An answer in words, with or without a macro around it, and its reason.
_ALL_WORDS: Final = re.compile(rf"\s*{TEXT_MACRO}\{{\s*([^\W\d_][^{{}}\\]*)\}}\s*")
_WORD_FIRST: Final = re.compile(r"[^\W\d_]{3}")
_REASON: Final = re.compile(
    r"^((?:[Yy]es|[Nn]o|[Tt]rue|[Ff]alse|[Ee]ven|[Oo]dd|[Cc]orrect|[Ii]ncorrect)(?=,? )"
    r"|[^\W\d_]+(?=, )),? (?:since|because|as it|as the)\b.*$"
)
# A sentence about one number: `There are 42 ways`, `The total is 42`.
_SENTENCE: Final = re.compile(
    r"^(?:So |Thus,? |Hence,? )?(?:[Tt]here (?:are|is|were|will be)"
    r"|(?:The|the|Its|Their|His|Her|Our|This|That|It)(?: [A-Za-z]+){0,8}?"
    r" (?:is|are|equals|was|were)(?: equal to)?)"
    r" (?:exactly |a total of )?(?=\$?-?[\d.]+[^=<>]*$)"
)
_TURNS: Final = re.compile(
    r"\b(?:not|no|never|if|unless|between|least|most|more|less|than|above|below|or|to|from|and)\b",
    re.I,
)
_OPTION: Final = "(?:[Oo]ption|[Cc]hoice|[Aa]nswer:?)"
# A letter of a choice with what it stands for: `\textbf{(C)}\ 12`, `\text{Option C}`.
_CHOICE: Final = re.compile(
    rf"^\s*(?:{TEXT_MACRO}\{{\s*(?:\(([A-J])\)|{_OPTION} ?\(?([A-J])\)?)\s*\}}.*"
    rf"|{TEXT_MACRO}\{{\s*([A-J])[.:)]\s[^{{}}]*\}}[^=+*/^]*"
    rf"|(?:{TEXT_MACRO}\{{)?{_OPTION} ?\}}? ?\(?([A-J]|(?<=[ (])[a-j])\)?|\(?([A-J])\) [^=+*/^]*"
    r"|([A-J])[.:] (?![A-Z]\.)[^=+*/^]+)$"
)


# Coordinates, and those that a curve is rather solved for.
_LATER: Final = {"x": "yz", "y": "z"}


def _occurs(symbol: str, text: str) -> bool:
    return re.search(rf"(?<![A-Za-z\\]){symbol}(?![A-Za-z(])", text) is not None


def _drop_unknown(text: str) -> str:
    """Return what follows `x =`, unless it is more than one statement or speaks of `x` itself."""
    match = _UNKNOWN.match(text)
    if match is None or match.end() == len(text) or _RELATION.search(text, match.end()):
        return text
    symbol = match[1][:1]
    rest = text[match.end() :]
    if "\\equiv" in match[0] and "mod" not in rest:
        return text
    # A curve is known by its equation, solved for its last coordinate.
    if any(_occurs(later, rest) for later in _LATER.get(match[1], "")):
        return text
    return text if symbol != "\\" and _occurs(symbol, rest) else rest


def _drop_lead(text: str) -> str:
    sentence = _SENTENCE.match(text)
    if sentence is not None and _TURNS.search(text) is None:
        return text[sentence.end() :]
    match = _LEADING.match(text)
    # Of several statements each keeps what it is about: `length = 3, width = 4`.
    if match is None or ("=" in match[0] and _RELATION.search(text, match.end())):
        return text
    return text[match.end() :]


def _choose(text: str) -> str:
    match = _CHOICE.match(text)
    return next(letter for letter in match.groups() if letter).upper() if match else text


def _drop_remark(text: str) -> str:
    if match := _ALL_WORDS.fullmatch(text):
        return _REASON.sub(r"\1", match[1])
    formula = re.search(r"\d|\\", text) and not _WORD_FIRST.match(text)
    return _REMARK.sub("", text) if formula else _REASON.sub(r"\1", text)


LABELS: Final[tuple[Rule, ...]] = (
    _choose,
    _drop_lead,
    replacing(_LED.pattern, ""),
    _drop_remark,
    _drop_unknown,
)
