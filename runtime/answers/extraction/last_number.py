r"""Answers that are numbers in plain prose: the one that is stated, or the last.

A box (``\boxed{…}``) comes first, where models put an answer when they remember to. Text is
hostile: only a bounded tail is searched, by patterns in which no part can match where its
neighbour does, so that they take linear time.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from .boxed import PATTERN_SCAN_CHARS, extract_answer
from .cues import ANSWER_ELSEWHERE, RETRACTED
from .statements import first_clause

_CHARACTERS: Final = {
    "\u2212": "-", "\u066b": ".", "\u066c": ",", "\u00d7": "\\times ", "\u22c5": "\\cdot ",
    "\u00b7": "\\cdot ", "\u2044": "/", "\u2215": "/", "\u2019": "'", "\u221a": "\\sqrt ",
    "\u03c0": "\\pi ", "\u00bd": " 1/2", "\u00bc": " 1/4", "\u00be": " 3/4", "\u2153": " 1/3",
    "\u2154": " 2/3",
}  # fmt: skip
_SUPERSCRIPT: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_SUPERSCRIPTS: Final = re.compile(r"(?<=\d)[⁰¹²³⁴-⁹⁻]{1,12}")
# Words that mean the same as a sign, where no operand stands before them.
_MINUS: Final = re.compile(
    r"\bnegative\s(?=[\d$€£.])|\A\s{0,9}minus\s(?=[\d$€£.])|(?:(?<=is\s)|(?<=[=:]\s))minus\s(?=[\d$€£.])|[负負](?=[\d.])"
    r"|マイナス(?=\d)",
    re.I,
)
_CURRENCY: Final = r"[$€£¥₹₩₽₺₫₪฿元円]"
# A dash glued to a number, with nothing before it that it could join it to.
_DASH_SIGN: Final = re.compile(rf"(?:(?<=[\s:=($*])|\A)(?<!\d\s)\u2013(?=(?:\\?{_CURRENCY})?[\d.])")
# Spaces and marks that only group digits, as TeX and several countries write them.
_SPACED: Final = re.compile(
    r"(?<=\d)(?:\{,\}|\\,|\\ |,\\!|,?\{\}|[\u2007\u2008~'_])(?=\d{3}(?!\d))"
)
# Blanks that group digits, with a comma for decimals. After the name of a numbered thing
# ("step 1 200 more") a blank only ends its number.
_BLANK: Final = "[ \u00a0\u202f\u2009]"
_GROUPED: Final = re.compile(
    r"(?P<label>\b(?:steps?|parts?|cases?|questions?|problems?|examples?|chapters?|pages?|rooms?"
    r"|figures?|tables?|lines?|rows?|items?|days?|no\.|№|#)\s?)?"
    rf"(?<![\d.,:/^_{{\\])(?<!\d )[1-9]\d{{0,2}}(?:{_BLANK}\d{{3}})+"
    rf"(?:,(?P<decimals>\d{{1,2}}))?(?!\d|{_BLANK}\d|\s?/\s?\d|,\d|\^)",
    re.I,
)
_BLANKS: Final = re.compile(_BLANK)
# TeX's older form of a fraction.
_OVER: Final = re.compile(
    r"\{\s{0,2}(-?[\d.,]{1,40})\s{0,2}\\over\b\s{0,2}(-?[\d.,]{1,40})\s{0,2}\}"
)
_FRACTION: Final = re.compile(
    r"(?P<minus>-?)(?P<whole>\d{1,9})?[ ]?\\(?:nice|[dtcsx])?frac\s?"
    r"(?:\{\s?(-?)([\d.,]{1,40})\s?\}|(\d)())"
    r"\s?(?:\{\s?(-?)(\d[\d.,]{0,40})\s?\}|(\d)())"
)
_SIGN_OF_CURRENCY: Final = re.compile(rf"(?<![\w)\]}}])-(?:\\?{_CURRENCY}|US\$|Rs\.?)\s?(?=[\d.])")
# A sign apart from its currency counts where no list's mark can stand.
_SIGN_APART: Final = re.compile(
    rf"(?:(?<=[=:]\s)|(?<=\bis\s))-\s(?=\\?{_CURRENCY}\s?[\d.])"
    rf"|\A\s{{0,9}}-\s(?=\\?{_CURRENCY}\s?[\d.,]{{1,40}}\s{{0,9}}\Z)"
)
# What may be glued to a number without making a name of it.
_CURRENCY_CODE: Final = re.compile(
    r"(?<![^\W_])(?:Rs|INR|USD|EUR|GBP|CHF|CAD|AUD|JPY|CNY|RMB|[Kk]r|zł|is|equals|be|to|was|of|and"
    r"|about)\.?(?=-?\d)"
)
_PLAIN_DIGITS: Final = (
    r"(?:\d{1,3}(?:\.\d{3})+,\d+(?![\d,])|\d{1,3}(?:\.\d{3}){2,}(?![\d.])"  # 1.234,56
    r"|\d{1,3}(?:,\d{2}){1,6},\d{3}(?![\d,])(?:\.\d+)?"  # 1,50,000
    r"|\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?"  # 1,234.56
    r"|0,\d+(?![\d,])|(?<!\d,)\d+,\d{1,4}(?=\s?(?:[%€₽]|\s?\$(?![\d\w])|\\times|\\cdot"
    r"|(?:kg|km|cm|mm|ml|mg|m|g|l|L|h|s|min|°C?|Euros?|euros?|EUR|kr|zł|руб)(?![^\W_])))"  # 0,75
    r"|\d+(?:\.\d+)?|(?<![\w.])\.\d+)"
)
_SCALE: Final = (
    r"(?:\s?(?:hundred|thousand|million|billion|trillion|dozen|crore|lakh)\b|\s?[万亿億萬兆천만억])"
)
_NUMBER: Final = re.compile(
    # Passed over: names with digits in them, indices, and powers of what is no number.
    r"(?P<name>0[xX][0-9A-Fa-f]+|(?:\\p?mod\s?\{?|\(mod\s)\d{1,9}|(?<![^\W_])(?!US|EUR|GBP|CHF|CAD|AUD|INR|JPY|CNY)[A-Z]{2,8}-\d+(?![\w.])|(?<![^\W_])[A-Za-z\u00c0-\u024f\u0370-\u03ff][A-Za-z\u00c0-\u024f]*"
    r"(?:\d|_(?=\{?\w))(?:\w|\{\w{1,4}\}|(?<=\d)\.(?=\d))*|(?<=[^\W\d_])\*\*-?\d{1,3}(?![\d.]*\*\*)|(?<=[^\W_])[\^_]\s?\{?\s?-?[\w.]{0,20}\}?"
    r"|(?<=[)}\]])[\^_]\s?(?:\{[^{}]{0,20}\}|-?\w))"
    r"|(?P<date>\d{4}[-/]\d{1,2}[-/]\d{1,2}(?!\d)|\d{1,2}(?:/\d{1,2}/|\.\d{1,2}\.)\d{4}(?!\d))"
    r"|(?P<clock>\d{1,6}(?::\d{1,6}){1,2}(?![\d:]))"
    rf"|(?P<sign>(?<![0-9A-Za-z.,)\]}}])-)?(?P<number>{_PLAIN_DIGITS})"
    r"(?:(?P<exponent>[eE][-+]?\d{1,6}(?!\w))"
    r"|\s?(?:\\times|\\cdot|[*x])\s{0,2}10\s?(?:\^|\*\*)\s?(?P<ten>\{\s?-?\d{1,6}\s?\}|-?\d{1,6})"
    r"|\s?(?:\^|\*\*)\s?(?P<power>\{\s?-?\d{1,6}\s?\}|-?\d{1,6})"
    r"|\s?/\s?(?P<bottom>\d+(?:\.\d+)?)(?![/\d])"
    rf"|(?P<mixed>\s{{1,2}}\d{{1,4}}/\d{{1,4}}(?![/\d]))|(?P<scale>{_SCALE})"
    r"|(?P<root>\s?\\sqrt\s?(?:\[\d\])?\s?(?:\{\s?\d{1,20}\s?\}|\d{1,20})|\s?\\pi\b))?"
    r"|(?P<constant>-?\\frac\s?\{\s?(?:\d{0,9}\s?\\sqrt\s?\{\s?\d{1,20}\s?\}|\d{0,9}\s?\\pi)\s?\}"
    r"\s?\{\s?\d{1,9}\s?\}|-?\\pi\b(?:\s?/\s?\d{1,9})?)"
    r"|(?P<rooted>-?\\sqrt\s?(?:\[\d\])?\s?(?:\{\s?\d{1,20}\s?\}|\d{1,20}))"
)
# What states an answer for the reader; an answer to a part of the question is not it.
# Four hashes do so before little else than a number; else they begin a title.
_CUE: Final = (
    r"(?:(?:(?:\b(?:the|my|our|final|correct)[\s*_]{1,4}){1,3}answer|^[ *_#>]{0,6}answer)"
    r"[*_\s]{0,4}(?::|=|is\b|(?:must|should|would|will)\sbe\b)"
    r"|(?:最终)?答案(?:应该|应)?(?:是|为|[:：])|正解は|答えは|정답은|<answer>|[\"']answer[\"']\s?:"
    rf"|\b{ANSWER_ELSEWHERE}(?:\s(?:final|correcta|finale|richtige|верный|الصحيحة|النهائية))?[*_]{{0,3}}"
    r"(?:\s?[:：=]|\s(?:ist|lautet|est|es|é|è|is|är|er|je|jest|to|adalah|este|это|este|là|هي|है|είναι)(?!\w))"
    r"(?!\s(?:nicht|pas|no|non|не)\b))"
)
_HASHES: Final = (
    r"#{4}[ \t]?(?-i:(?=[^\w\n]{0,12}(?:[A-Za-z][ \t]?=[^\w\n]{0,6})?\d"
    r"(?![ \t]?\d{0,3}[.):][*_]{0,2}[ \t]+[^\W\d_])[^\s\n]{0,60}+"
    r"(?:[ \t]{1,2}(?:[^\W\d_A-Z][^\s]{0,20}+|[A-Z]{1,4}(?!\w)|[^\s\w][^\s]{0,20}+"
    r"|\d[^\s]{0,20}+)){0,8}+"
    r"(?:[ \t]{1,2}[^\W\d_]{1,20}[.!]?)?[^\w\n]{0,12}$))"
)
_STATED: Final = re.compile(rf"{_HASHES}|{_CUE}", re.M | re.I)
# What denies an answer, with the number that it denies.
_DENIED: Final = re.compile(
    rf"(?:{_CUE}[\s*_]{{0,3}}(?:definitely|certainly|clearly|simply|therefore)?\s?not\b"
    r"|\banswer\s(?:isn|wasn|can|couldn|shouldn)['’]?t\b(?:\sbe\b)?"
    r"|,\s(?:and\s)?not\b(?=[\s$*_(\\]{1,6}[^\s\w]?-?\d))"
    rf"(?:[\s$*_(\\]{{0,6}}{_CURRENCY}?-?\d(?:[\d.,/]*\d)?)?",
    re.I | re.M,
)
_CLAUSE_CHARS: Final = 240
# "Ответ: 3,5": who writes the words in such a language writes decimals with a comma.
_ELSEWHERE: Final = re.compile(rf"\b{ANSWER_ELSEWHERE}", re.I)
_CUE_CHARS: Final = 40
_DECIMAL_COMMA: Final = re.compile(r"(?<![\d.,])(\d+),(\d{1,4})(?![\d,])(?<!,\d{3})")
# What may stand between a number and more of it: an operator, a word that scales it, digits behind
# a mark. Anything else ends the number.
_SCALES: Final = ("hundred", "thousand", "million", "billion", "trillion", "dozen", "crore", "lakh")
_ENDS: Final = re.compile(
    r"[。！？；]|[^\w\n]{0,4}\n|[.!?;)\]}\"”][*_]{0,3}\s|,\s(?=[^\s\d])|[%€£¥元円!?;)\]}\"]|\$(?!\d)|\\[%)\]]"
    r"|\*\*[\s.](?=[^\s\d*])|\s?\("
)
_WORD: Final = re.compile(r"\s?([^\W\d_]+)(?P<after>.)?", re.S)


def last_number(text: str) -> str | None:
    r"""The number in the last box, or else the one that is stated as the answer, or else the last.

    Stated is what ``####`` or "the answer is" leads to, unless it is taken back afterwards; a
    title behind ``####`` is none, nor is what "the answer is not" denies. The
    number is written without what groups its digits, with a point for decimals, as a fraction
    ``3/4``, or a time or ratio ``3:2``; a power of ten, a root and a multiple of π are part of it,
    and so is a word such as "million". Exponents of units, indices and digits in names (``CO2``)
    are no numbers.
    """
    boxed = extract_answer(text)
    if boxed is not None:
        return boxed
    tail = _DENIED.sub(" ", _plain(text[-PATTERN_SCAN_CHARS:]))
    ends = [statement.end() for statement in _STATED.finditer(tail)]
    if ends:
        clause = first_clause(tail[ends[-1] : ends[-1] + _CLAUSE_CHARS])
        if _ELSEWHERE.search(tail, max(0, ends[-1] - _CUE_CHARS), ends[-1]):
            clause = _DECIMAL_COMMA.sub(r"\1.\2", clause)
        found = _numbers(clause)
        if found and RETRACTED.search(tail, ends[-1]) is None:
            return found[-1 if "=" in clause else 0]
    found = _numbers(tail)
    return found[-1] if found else None


def settled_number(text: str) -> str | None:
    """``last_number`` of a text that states an answer and is still being written, once nothing that
    follows can make another number of it; None: not yet."""
    if extract_answer(text) is not None:
        return extract_answer(text) if "}" in text else None
    tail = _DENIED.sub(" ", _plain(text[-PATTERN_SCAN_CHARS:]))
    statements = [*_STATED.finditer(tail)]
    if not statements:
        return None
    at = statements[-1].end()
    number = next((m for m in _NUMBER.finditer(tail, at) if m["name"] is None), None)
    if number is None or not _is_over(tail, number.end()):
        return None
    if "frac" in tail[at : number.start()]:  # which was read as a number, were it whole
        return None
    clause = first_clause(tail[at : at + _CLAUSE_CHARS])
    return last_number(text) if "\n" in tail[at:].strip() or "=" not in clause else None


def _is_over(text: str, end: int) -> bool:
    """Whether what follows a number cannot be part of it."""
    if _ENDS.match(text, end):
        return True
    word = _WORD.match(text, end)
    if word is None or word[1] in ("e", "E", "x", "X"):
        return False
    said = word[1].lower()
    return not any(scale.startswith(said) for scale in _SCALES) or (
        word["after"] is not None and said not in _SCALES and not word["after"].isalpha()
    )


def _plain(text: str) -> str:
    """``text`` with usual digits, signs and fractions, and without what groups digits."""
    if not text.isascii():
        text = _SUPERSCRIPTS.sub(lambda m: f"^{{{m[0].translate(_SUPERSCRIPT)}}}", text)
        text = "".join(map(_plain_character, text))
    text = _DASH_SIGN.sub("-", text)
    text = _SPACED.sub("", text)
    text = _GROUPED.sub(_joined, text)
    text = _OVER.sub(r"\\frac{\1}{\2}", text)
    text = _MINUS.sub("-", text)
    text = _FRACTION.sub(_plain_fraction, text)
    text = _SIGN_OF_CURRENCY.sub(" -", _SIGN_APART.sub("-", text))
    return _CURRENCY_CODE.sub(" ", text)


def _plain_character(character: str) -> str:
    if character in _CHARACTERS:
        return _CHARACTERS[character]
    if "\uff01" <= character <= "\uff5e":  # the full-width forms of ASCII
        return chr(ord(character) - 0xFEE0)
    if unicodedata.category(character) == "Nd":  # the digits of all scripts
        return str(unicodedata.decimal(character))
    return character


def _joined(match: re.Match[str]) -> str:
    if match["label"]:
        return match[0]
    decimals = match["decimals"]
    whole = match[0].partition(",")[0] if decimals else match[0]
    return _BLANKS.sub("", whole) + (f".{decimals}" if decimals else "")


def _plain_fraction(match: re.Match[str]) -> str:
    minus, whole, sign, top, short_top, _, sign_below, bottom, short_bottom, _ = match.groups()
    negative = "-" if (minus + (sign or "") + (sign_below or "")).count("-") % 2 else ""
    lead = f"{whole} " if whole else ""
    return f" {negative}{lead}{top or short_top}/{bottom or short_bottom} "


def _numbers(text: str) -> list[str]:
    return [_spelled(match) for match in _NUMBER.finditer(text) if match["name"] is None]


def _spelled(match: re.Match[str]) -> str:
    for group in ("date", "clock", "constant", "rooted"):
        if match[group] is not None:
            return match[group].replace(" ", "")
    number = f"{match['sign'] or ''}{_ungrouped(match['number'])}"
    for group, write in _WRITTEN.items():
        if match[group] is not None:
            return write(number, match[group].strip())
    return number


def _inside(exponent: str) -> str:
    return exponent.strip("{} \t\n")


def _improper(number: str, fraction: str) -> str:
    top, bottom = fraction.split("/")
    if not number.lstrip("-").isdigit() or int(top) >= int(bottom):
        return fraction
    sign = "-" if number.startswith("-") else ""
    whole = number.lstrip("-")
    if len(whole) > 9:
        return fraction
    return f"{sign}{int(whole) * int(bottom) + int(top)}/{bottom}"


_WRITTEN: Final[dict[str, Callable[[str, str], str]]] = {
    "exponent": lambda number, exponent: f"{number}{exponent.lower()}",
    "ten": lambda number, exponent: f"{number} \\times 10^{{{_inside(exponent)}}}",
    "power": lambda number, exponent: f"{number}^{{{_inside(exponent)}}}",
    "bottom": lambda number, bottom: f"{number}/{bottom}",
    "mixed": _improper,
    "scale": lambda number, scale: f"{number} {scale}" if scale.isascii() else number + scale,
    "root": lambda number, root: number + root,
}


def _ungrouped(number: str) -> str:
    """A number with a point for decimals and nothing else between its digits."""
    point, comma = number.rfind("."), number.rfind(",")
    if comma > point >= 0 or number.count(".") > 1:  # 1.234,56 and 1.234.567
        number = number.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"0,\d+|\d+,(?!\d{3}\Z)\d{1,4}", number):
        number = number.replace(",", ".")
    number = number.replace(",", "")
    return f"0{number}" if number.startswith(".") else number
