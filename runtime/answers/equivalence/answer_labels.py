r"""What is written beside an answer without being part of it: `\text{Area} =`, `= 73`, remarks."""

import re
from typing import Final

from .spelling import END, TEXT_MACRO, Rule, replacing
from .words import is_words

# One symbol, an application of a function, or a macro with its argument: what an answer is called.
_SYMBOL: Final = r"(?:\\(?:alpha|beta|gamma|delta|theta|lambda|mu|phi|omega|sigma|rho)|[A-Za-z])"
_INDEX: Final = r"(?:_(?:\w|\{[^{}]{0,16}\}))?"
_NAME: Final = rf"{_SYMBOL}{_INDEX}'{{0,2}}(?:\^\{{-1\}})?(?:\([A-Za-z]{{1,2}}(?:,[A-Za-z])?\))?"
_DERIVATIVE: Final = r"\\frac\{d[A-Za-z]\}\{d[A-Za-z]\}"
_UNKNOWN: Final = re.compile(
    rf"\s*({_NAME}|{_DERIVATIVE})\s*"
    rf"(?:=|\\in{END}(?=\s*(?:[\[({{]|\\\{{|\\mathbb|\\emptyset))|\\equiv{END}|\\approx{END}|:=)\s*(?!=)"
)
_RELATION: Final = re.compile(rf"[=<>]|\\(?:leq?|geq?|lt|gt|neq?|in|equiv|approx){END}")
# "Answer" and its like before a colon, in other languages.
_ANSWER_ELSEWHERE: Final = (
    "[Aa]ntwort|[Rr]éponse|[Rr]espuesta|[Rr]esposta|[Rr]isposta|[Aa]ntwoord|[Ss]var|[Oo]dpověď"
    "|[Oo]dpowiedź|[Jj]awaban|[Cc]evap|[Оо]твет|[Вв]ідповідь|答え|答案|答|解答|回答|正解|정답|답"
    "|उत्तर|উত্তর|الإجابة|الجواب|คำตอบ|Đáp án|đáp án"
)
# What somebody or something does with the number that follows.
_VERB: Final = (
    "(?:has|have|had|needs?|takes?|took|costs?|weighs?|gets?|got|earns?|earned|pays?|paid|spends?"
    "|spent|makes?|made|holds?|contains?|sells?|sold|buys|bought|receives?|received|requires?|travels?|travell?ed"
    "|walk(?:s|ed)?|runs?|ran|drives?|drove|rides?|rode|flies|flew|works?|worked|plays?|played|reads?|writes?|wrote"
    "|eats?|ate|drinks?|drank|bakes?|baked|cooks?|cooked|plants?|planted|picks?|picked|collects?|collected"
    "|counts?|counted|finds?|found|sees?|saw|visits?|visited|saves?|saved|scores?|scored|solves?"
    "|solved|produces?|produced|covers?|covered|measures?|lasts?|lasted|arrives?|arrived|meets?|met|finish(?:es|ed)?"
    "|waits?|waited|brings?|brought|charges?|charged|invested|invests?)"
    "(?: (?:after|for|about|exactly|only|roughly|approximately|around|a total of))?"
)
_HEDGE: Final = (
    "[Tt]hus|[Ss]o|[Hh]ence|[Tt]herefore|[Aa]bout|[Aa]pproximately|[Aa]pprox\\.?|[Rr]oughly"
    "|[Aa]round|[Ee]xactly|[Oo]nly"
)
# Words that make a condition of what they are in, or a formula.
_NO_LABEL: Final = (
    r"[^:=]*\b(?:not|no|never|unless|except|if|than|least|most|sqrt|cbrt|choose|floor|ceil|mod"
    r"|(?:arc|a)?(?:sin|cos|tan)h?|cot|sec|csc|log|ln|exp|alpha|beta|gamma|theta|lambda|sigma|omega)\b"
)
# What an answer may be called without more: `Total 5`, `maximum value 9`.
_NOUN: Final = (
    "[Aa]nswer|[Rr]esult|[Tt]otal|[Vv]alue|[Ss]um|[Aa]rea|[Vv]olume|[Pp]erimeter|[Pp]robability"
)
_CALLED: Final = (
    r"(?:[Tt]he )?(?:(?:[Ff]inal|[Cc]orrect|[Tt]otal|[Mm]ax(?:imum|imal)|[Mm]in(?:imum|imal)"
    rf"|[Ll]argest|[Ss]mallest|[Gg]reatest) )?(?:{_NOUN})"
)
# All that follows: a number, and what is counted.
_ONLY_NUMBER: Final = r"\$?-?\d[\d,]*(?:\.\d+|/\d+)?(?: [^\d,;:=<>]*)?"
_LEADING: Final = re.compile(
    rf"^\s*(?:{TEXT_MACRO}\{{\s*[A-Za-z][A-Za-z ,'\-]*?\s*(?::|=|\b(?:is|are|equals|be))\s*\}}"
    rf"|{TEXT_MACRO}\{{\s*[A-Za-z][A-Za-z ,'\-]*?\s*\}}\s*(?:=|:)(?!=)"
    rf"|{TEXT_MACRO}\{{\s*(?:[A-Za-z][A-Za-z'\-]* ){{1,4}}?{_VERB}\s*\}}"
    rf"|{TEXT_MACRO}\{{\s*(?:{_HEDGE}),?\s*\}}"
    rf"|(?:{TEXT_MACRO}\{{\s*{_CALLED}\s*\}}|{_CALLED} )(?=\s*{_ONLY_NUMBER}$)"
    rf"|(?:(?:[Ll]a|[Dd]ie|[Aa]|[Hh]et) )?(?:{_ANSWER_ELSEWHERE})"
    r"(?: ?[:：]| (?:ist|lautet|est|es|é|è|is|är|to|adalah|este|это) |[은는は是为] ?)"
    r"|(?:[Aa]ns(?:[.:]|wer(?::| [–—-](?= )))|(?:[Ss]olution|[Ll]ösung):)"
    rf"|(?=[^:=]*[a-z]{{4}})(?!{_NO_LABEL})[A-Z]?[a-z]+(?: [a-z]+){{0,4}} ?[:=] ?"
    rf"(?={_ONLY_NUMBER}$)"
    r"|[a-z] (?:is|equals) (?=[-\d\\.])"
    rf"|(?:{_HEDGE}),? (?=[-\d\\.(])|(?:[Tt]hus|[Ss]o|[Hh]ence|[Tt]herefore),? (?=[a-z] ?=)"
    r"|(?:答案|答|结果|結果|解)(?:是|为|為|[:：=])|(?:大?约|大?約)(?:为|為|是)?(?=[\d.\\-])"
    r"|(?:[一总總]?共有?|有)(?=\d)"
    r"|(?:(?:[Tt]he|[Mm]y|[Oo]ur) )?(?:(?:[Ff]inal|[Cc]orrect) )?"
    rf"(?:{_NOUN})\s*(?:is|:|=))\s*(?=\S)"
)
_LED: Final = re.compile(
    rf"^\s*(?:=|\\(?:to|approx|cdot){END}|\\sim{END}(?=\s*[-\d.])|\\(?:therefore|implies|iff|[Rr]ightarrow|Leftrightarrow"
    rf"|[Ll]ong(?:left)?rightarrow){END}|:(?=\s))\s*(?=\S)"
)
# To how many places an answer is rounded.
_PLACES: Final = (
    r"(?:\d{1,2}|one|two|three|four|five|six)[ -]?"
    r"(?:d\.? ?p\.?|s\.? ?f\.?|decimals?(?: (?:place|digit)s?)?"
    r"|significant (?:figure|digit)s?|sig\.? ?figs?\.?|places)"
)
_ROUNDED: Final = r"(?:rounded|correct|accurate|approximated|exact)"
_PRECISION: Final = (
    rf"(?:{_ROUNDED} )?(?:(?:(?:to|up to|at) )?{_PLACES}"
    r"|(?:to )?(?:the )?nearest [a-z]+(?: [a-z]+)?)"
)
_PRECISION_SAID: Final = rf"(?:{_ROUNDED} )?to {_PLACES}"
_REMARK: Final = re.compile(
    rf"(?<=[\d)}}\]\w])\s*(?:{TEXT_MACRO}\{{\s*\(\s*[A-Za-z][A-Za-z ,.'\-]*\)\s*\}}"
    rf"|\(\s*(?!mod|base)[A-Za-z]{{3,}}[A-Za-z ,.'\-]*\)"
    rf"|{TEXT_MACRO}\{{\s*,?\s*\(?{_PRECISION}\)?\s*\}}|,?\s*\({_PRECISION}\)|,? {_PRECISION_SAID}"
    r"|\(\s*(?:since|because|as)\b[^()]*\)"
    r"| is (?:the|our|my) (?:final |correct )?(?:answer|result|solution)"
    r"|,? (?:only|approximately|approx\.?|exactly)|です|である|입니다|이다"
    rf"|,?\s*{TEXT_MACRO}\{{\s*(?:only|approximately|approx\.?|exactly)\s*\}}"
    rf"|,?\s*{TEXT_MACRO}\{{\s*,?\s*(?:since|because|as|so|where(?!.*=))\b[^{{}}]*\}}.*"
    r"|,? (?:since|because|where(?!.*=)) .*)\s*$"
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
    r"^(?:So,? |Thus,? |Hence,? |Therefore,? )?(?:[Tt]here (?:are|is|were|will be)"
    r"|(?:The|the|[Ee]ach|Its|Their|His|Her|Our|This|That|It)(?: [A-Za-z]+){0,8}?"
    r" (?:is|are|equals|was|were)(?: equal to)?)"
    r" (?:exactly |a total of )?(?=\$?-?[\d.]+[^=<>]*$)"
)
# The same of what somebody has or does: `Ann has 6 apples`, but not `Ann has 6, Tom has 4`.
_DEED: Final = re.compile(
    rf"^(?:So,? |Thus,? |Hence,? |Therefore,? )?[A-Za-z][A-Za-z'\-]{{0,24}}"
    rf"(?: [A-Za-z'\-]{{1,24}}){{0,4}}? {_VERB}"
    rf" (?={_ONLY_NUMBER}$)"
)
_TURNS: Final = re.compile(
    r"\b(?:not|no|never|if|unless|between|least|most|more|less|than|above|below|or|to|from|and)\b",
    re.I,
)
_OPTION: Final = "(?:[Oo]ption|[Cc]hoice|[Aa]nswer:?)"
_OTHER_OPTION: Final = r".*(?:\b[B-J][.:)]|[Oo]ption|[Cc]hoice)"
# A letter of a choice with what it stands for: `\textbf{(C)}\ 12`, `\text{Option C}`.
_CHOICE: Final = re.compile(
    rf"^\s*(?:{TEXT_MACRO}\{{\s*(?:\(([A-J])\)|{_OPTION} ?\(?([A-J])\)?)\s*\}}.*"
    rf"|{TEXT_MACRO}\{{\s*\(?([A-J])[.:)]\s(?!{_OTHER_OPTION})[^{{}}]*\}}[^=+*/^]*"
    rf"|\({TEXT_MACRO}\{{ ?([A-J]) ?\}}\)(?: (?!.*[A-J] ?\}}?\))[^=+*/^]*)?"
    rf"|(?:{TEXT_MACRO}\{{)?{_OPTION} ?\}}? ?\(?([A-J]|(?<=[ (])[a-j])\)?"
    rf"(?:[.:] (?!{_OTHER_OPTION})[^=]*)?"
    rf"|\(?([A-J])\) (?!{_OTHER_OPTION})[^=+*/^]*"
    r"|([A-J])[.:] (?![A-Z]\.)[^=+*/^]+|([A-J])\)|\[([A-J])\])$"
)


# What holds for any value of a letter needs not to say so: `x+c for any c`.
_FOR_ANY: Final = re.compile(
    r",? for (?:any|all|every|each|arbitrary)"
    r"(?: (?:arbitrary|real|complex|constants?|numbers?|values? of)){0,3} \$?[A-Za-z]"
    r"(?: ?\\in ?\\mathbb ?\{?[RC]\}?)?\$?$"
)
# Where a formula ends and a condition of its letters begins.
_CONDITION: Final = re.compile(r"\b(?:for (?:some|any|all|every|each)|where|with|such that)\b")
# Coordinates, and those that a curve is rather solved for.
_COORDINATES: Final = "xyz"
_LATER: Final = {"x": "yz", "y": "z"}


# `c` of `a+b=c`: a formula that is told on the left, and its name on the right.
_NAMED_BEHIND: Final = re.compile(rf"(?P<said>.*[^=\s:])\s*=\s*(?P<name>[A-Za-z]{_INDEX})\s*")
_PRODUCT: Final = re.compile(
    r"[a-z]{2,3}|\d+(?:\.\d+)?[A-Za-z\\].*|.*(?:[-+*/^]|\\(?:frac|sqrt|cdot|times|pi)).*"
)
_RATIO: Final = re.compile(r"^[A-Za-z]{1,2}(?: ?: ?[A-Za-z]{1,2}){1,3} ?= ?(?=\d+ ?:)")


def _occurs(name: str, text: str) -> bool:
    """Whether a name is part of a text: `a_n` by any `a_`, but `x` not by `x_0`."""
    behind = "_" if name[1:2] == "_" else "(?![A-Za-z(_])"
    return re.search(rf"(?<![A-Za-z\\]){re.escape(name[:1])}{behind}", text) is not None


def _drop_unknown(text: str) -> str:
    """Return what follows `x =`, unless it is more than one statement or speaks of `x` itself."""
    match = _UNKNOWN.match(text)
    condition = _CONDITION.search(text)
    end = condition.start() if condition else len(text)
    if match is None or match.end() >= end or _RELATION.search(text, match.end(), end):
        return text
    symbol = match[1]
    rest = text[match.end() :]
    if "\\equiv" in match[0] and "mod" not in rest:
        return text
    # A curve is known by its equation, solved for its last coordinate.
    if any(_occurs(later, rest) for later in _LATER.get(match[1], "")):
        return text
    return text if symbol[:1] != "\\" and _occurs(symbol, rest) else rest


def _name_first(text: str) -> str:
    """Write `a+b=c` as `c=a+b`, which only names what it says."""
    match = _NAMED_BEHIND.fullmatch(text)
    if match is None or _RELATION.search(match["said"]) or "," in match["said"]:
        return text
    name, said = match["name"], match["said"]
    symbols = re.sub(r"\\[A-Za-z]+", " ", said)
    if not any(map(str.isalpha, symbols)) or _PRODUCT.fullmatch(said) is None:
        return text
    # A curve is an equation of its coordinates, whatever stands alone.
    curve = name[:1] not in _COORDINATES and any(_occurs(c, said) for c in _COORDINATES)
    return text if curve or _occurs(name, said) else f"{name}={said}"


def _drop_lead(text: str) -> str:
    sentence = _SENTENCE.match(text) or _DEED.match(text)
    if sentence is not None and _TURNS.search(text) is None:
        return text[sentence.end() :]
    match = _LEADING.match(text)
    # Of several statements each keeps what it is about: `length = 3, width = 4`.
    if match is None or ("=" in match[0] and _RELATION.search(text, match.end())):
        return text
    return text[match.end() :]


def _drop_any(text: str) -> str:
    match = _FOR_ANY.search(text)
    return text if match is None or is_words(text[: match.start()]) else text[: match.start()]


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
    _drop_any,
    replacing(_RATIO.pattern, ""),
    _name_first,
    _drop_unknown,
)
