"""Answers that are words, in one spelling."""

import re
from typing import Final

from .spelling import Rule, replacing

# What is said in words and in signs, without an article.
_SIGNS: Final = {
    "null set": r"\emptyset",
    "no real solution": r"\emptyset",
    "no real solutions": r"\emptyset",
    "no solutions exist": r"\emptyset",
    "no solution exists": r"\emptyset",
    "there is no solution": r"\emptyset",
    "there are no solutions": r"\emptyset",
    "there are no real solutions": r"\emptyset",
    "real numbers": r"(-\infty,\infty)",
    "integers": r"\mathbb{Z}",
    "all integers": r"\mathbb{Z}",
    "dne": "does not exist",
    "infinity": r"\infty",
    "minus infinity": r"-\infty",
    "negative infinity": r"-\infty",
    "no solution": r"\emptyset",
    "no solutions": r"\emptyset",
    "empty set": r"\emptyset",
    "the empty set": r"\emptyset",
    "all real numbers": r"(-\infty,\infty)",
    "all reals": r"(-\infty,\infty)",
    r"\mathbb{R}": r"(-\infty,\infty)",
    r"\Reals": r"(-\infty,\infty)",
    r"\mathbb{R}^+": r"(0,\infty)",
    r"\mathbb{R}^-": r"(-\infty,0)",
}
# Two letters may be a product, such as `xy`; these are words.
_TWO_LETTERS: Final = """
no on in is it or of to at am pm up us we he me my by do go if an as be so ok hi
"""
_SHORT: Final = frozenset(_TWO_LETTERS.split())
_WORDS: Final = re.compile(r"[^\W\d_]+(?:[ '.,:;-]+[^\W\d_]+)*[.!?]*")
_LONG: Final = re.compile(r"(?<![A-Za-z\\{])[^\W\d_]{3}")
# A sum formula of chemistry: `H_2O` is `H2O`. No index of one is 1, as those of variables are.
_CHEMICAL: Final = re.compile(
    r"(?=.*\d)(?![A-F]+_\{?1[1-6]\}?\Z)(?:(?P<element>H|Li|Be|B|C|N|O|F|Na|Mg|Al|Si|P|S|Cl|K|Ca|Ti|V|Cr|Mn|Fe|Co|Ni|Cu|Zn"
    r"|As|Br|Kr|Ag|Sn|I|Xe|Ba|Pt|Au|Hg|Pb|U)"
    r"(?:(?:_?(?!1(?!\d))\d{1,2}|_\{\d{1,2}\})(?!(?P=element)(?![a-z])))?){1,16}"
)
_INDEX_MARKS: Final = re.compile(r"[_{}]")
# What macros around its parts leave in such a formula.
_BETWEEN_ELEMENTS: Final = re.compile(r"(?<=[\d}]) (?=[A-Z])")
_STOP: Final = re.compile(r"(?<=[^\W\d_])\.")
_BESIDE: Final = re.compile(r",? (?:and|und|et|y|e|и) ")
_EITHER: Final = re.compile(r",? (?:or|oder|ou|или) ")
# `U.S` and `J. K. Rowling`: letters that stand for words.
_INITIAL: Final = re.compile(r"(?<![^\W\d_])([^\W\d_])\. ?(?=[^\W\d_](?![^\W\d_]))")
_HYPHEN: Final = re.compile(r"(?<=[^\W\d_]{2})-(?=[^\W\d_]{2})")
_ABBREVIATION: Final = re.compile(r"[A-Z][a-z]{0,2}(?:\.[A-Z][a-z]{0,2}){1,5}")
# Words for numbers below a hundred, alone or with "hundred" and "thousand".
_UNITS: Final = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS: Final = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_NUMBERS: Final = {word: value for value, word in enumerate(_UNITS)} | {
    word: 10 * value for value, word in enumerate(_TENS, 2)
}
_SCALES: Final = {"dozen": 12, "hundred": 100, "thousand": 1_000, "million": 1_000_000}
# Parts of one. In the singular they are so of one only: "twenty-fifth" is none.
_PARTS: Final = {
    "half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6,
    "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
}  # fmt: skip
_MAX_NUMBER_WORDS: Final = 12
_HAN: Final = {digit: value for value, digit in enumerate("〇一二三四五六七八九")} | {
    "零": 0, "两": 2, "兩": 2, "十": 10, "百": 100, "千": 1_000, "万": 10_000, "萬": 10_000,
}  # fmt: skip
_HAN_NUMBER: Final = re.compile(f"[{''.join(_HAN)}]{{1,12}}")
# `负三`, `三分之二` and `百分之五十`.
_HAN_SIGNED: Final = re.compile(
    rf"(?P<minus>[负負])?(?:(?P<bottom>{_HAN_NUMBER.pattern})分之)?(?P<top>{_HAN_NUMBER.pattern})"
)
_MACRO: Final = re.compile(r"\\[A-Za-z]+\*?(?:\{[a-z]+\*?\})?")
_THREE: Final = re.compile(r"[^\W\d_]{3}")
_FOUR: Final = re.compile(r"[^\W\d_]{4}")
_TWO_RUNS: Final = re.compile(
    r"[^\W\d_]{2,} [^\W\d_]{2}|[^\W\d_]{2} \d|\d [^\W\d_]{2}|[^\W\d_]{3}\d"
)


def is_words(form: str) -> bool:
    """Whether a form is words, and not a product of letters: `listen` is not `silent`."""
    outside = _MACRO.sub(" ", form) if "\\" in form else form
    if _FOUR.search(outside) or _TWO_RUNS.search(outside):
        return True
    if _WORDS.fullmatch(form) is None:
        return False
    letters = re.sub(r"[^\w]", "", form)
    capitals = len(letters) > 1 and letters.isupper()
    return capitals or _LONG.search(form) is not None or form.lower() in _SHORT


def _fold(text: str) -> str:
    """Write `Yes`, `YES` and `New York` in small letters, but leave `A`, `AB` and `X+y` alone."""
    if "\\" in text:
        return text
    formula = _BETWEEN_ELEMENTS.sub("", text)
    if _CHEMICAL.fullmatch(formula):
        return _INDEX_MARKS.sub("", formula)
    if _ABBREVIATION.fullmatch(text):  # `Ph.D` is `PhD`
        text = text.replace(".", "")
    words = (
        text.lower() in _SHORT
        or (is_words(text) and _THREE.search(text) is not None)
        or (
            # Short words of other scripts are no products.
            len(text) > 1 and not text.isascii() and _WORDS.fullmatch(text) is not None
        )
    )
    # `Mr. Smith` is `Mr Smith`, and `J.K. Rowling` is `J. K. Rowling`.
    if not words:
        return text
    text = _HYPHEN.sub(" ", text)
    plain = _STOP.sub(" ", _INITIAL.sub(r"\1", text).casefold())
    return " ".join(plain.rstrip("!? ").split()).removeprefix("the ")


def _signs(text: str) -> str:
    return _SIGNS.get(text.removeprefix("the ").removeprefix("set of "), text)


def _side_by_side(text: str) -> str:
    """Write `alice and bob` as a list, as `alice, bob` is one; of numbers `two or three` too."""
    if not is_words(text) or any(map(str.isdigit, text)):
        return text
    either = _EITHER.split(text)
    if len(either) > 1 and all(_number_in_words(part).isdecimal() for part in either):
        return ", ".join(either)
    return _BESIDE.sub(", ", text)


def _number_in_words(text: str) -> str:
    """Write `twenty-one` and `二十一` as 21, alone or in a list."""
    if "," in text:
        read = [_number_in_words(part.strip()) for part in text.split(",")]
        return ",".join(read) if all(map(str.isdecimal, read)) else text
    if text.startswith(("minus ", "negative ")):
        said = text.partition(" ")[2]
        read = _number_in_words(said)
        return text if read == said else f"-{read}"
    if match := _HAN_SIGNED.fullmatch(text):
        return _han_spelled(match)
    words = text.replace("-", " ").split()
    if len(words) > 1 and words[0] == "a" and (words[1] in _SCALES or words[1] in _PARTS):
        words[0] = "one"
    if not words or len(words) > _MAX_NUMBER_WORDS or words[0] not in _NUMBERS:
        return text
    if (part := _PARTS.get(words[-1].removesuffix("s"))) is not None:
        top = _number_in_words(" ".join(words[:-1]))
        fits = top.isdecimal() and (top == "1") != words[-1].endswith("s")
        return f"{top}/{part}" if fits else text
    total = below = last = 0
    for word in words:
        if (value := _NUMBERS.get(word)) is not None:
            if below % 100 and not (last >= 20 and last % 10 == 0 and 0 < value < 10):
                return text  # `two three`
            below, last = below + value, value
        elif word == "hundred" and 0 < below < 100:
            below, last = 100 * below, 0
        elif (scale := _SCALES.get(word)) is not None and 0 < below < 1_000 and not total % scale:
            total, below, last = total + below * scale, 0, 0
        elif word != "and" or not (total or below >= 100):
            return text
    return str(total + below)


def _han_spelled(match: re.Match[str]) -> str:
    sign, value = "-" if match["minus"] else "", str(_han_number(match["top"]))
    if match["bottom"] is None:
        return sign + value
    bottom = _han_number(match["bottom"])
    return f"{sign}{value}%" if bottom == 100 else f"{sign}{value}/{bottom}"


def _han_number(text: str) -> int:
    if not any(_HAN[sign] >= 10 for sign in text):
        return int("".join(str(_HAN[sign]) for sign in text))
    total = below = digit = 0
    for sign in text:
        value = _HAN[sign]
        if value < 10:
            digit = value
        elif value == 10_000:
            total, below, digit = (total + below + digit or 1) * value, 0, 0
        else:
            below, digit = below + (digit or 1) * value, 0
    return total + below + digit


WORDS: Final[tuple[Rule, ...]] = (
    replacing(r"^\(([A-Za-z])\)$", r"\1"),
    replacing(r"^(\d{1,9}) ?\^?\{? ?(?:st|nd|rd|th) ?\}?$", r"\1"),
    _fold,
    _signs,
    _number_in_words,
    _side_by_side,
)
