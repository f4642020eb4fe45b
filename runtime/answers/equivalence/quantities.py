r"""Units, currencies and the words that stand beside numbers.

By the custom of the graders of MATH and GSM8K a unit is dropped: `5\text{ cm}` is `5`, so that
branches which write it and branches which do not give one vote. Words that change the value count:
`5 million`, `50 cents`, `3:00 p.m.`, `10 north`, `2 rad`. Nothing is converted between units.
"""

import re
from typing import Final

from .sequences import encloses, split_top_level
from .spelling import TEXT_MACRO
from .unit_names import COUNTING_WORDS, RADIANS, SPELLINGS, ZEROS, ZEROS_BESIDE

# Words that are mathematics, and no units: `2 theta`.
_MATHEMATICS: Final = frozenset(
    ("pi", "theta", "alpha", "beta", "gamma", "delta", "lambda", "sigma", "omega", "phi", "sqrt",
     "sin", "cos", "tan", "log", "exp", "choose", "mod", "union", "infinity", "inf")
)  # fmt: skip
_NUMBER: Final = r"[-+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)"
_POWER: Final = r"(?:\^(?:\d|\{-?\d\}))?"
_WORD: Final = re.compile(r"[^\W\d_]+")
_IN_MACRO: Final = re.compile(
    rf"(\s*)({TEXT_MACRO})\{{(\s*)([^{{}}\\]*?)\s*\}}\s*(?:\^\s*(?:\d|\{{-?\d\}}))?\s*$"
)
_UPRIGHT: Final = re.compile(r"\\(?:math|bm|bold)")
_UPRIGHT_MACRO: Final = r"\\(?:text|textrm|mathrm|mbox|hbox)\s*"
_UNIT_PRODUCT: Final = re.compile(
    rf"({_UPRIGHT_MACRO}\{{\s*[A-Za-z/*]{{1,6}}\s*)\}}(?:\^(?:\d|\{{-?\d\}}))?\s*"
    rf"(?P<between>(/)|\\cdot|\\,|\s)?\s*{_UPRIGHT_MACRO}\{{\s*([A-Za-z]{{1,4}})\s*\}}"
)
# A unit of several parts in one macro: `\mathrm{m\cdot s^{-2}}`.
_PARTS_OF_UNIT: Final = re.compile(
    rf"(?<=[\d}})\s])({_UPRIGHT_MACRO}\{{ *)"
    r"([A-Za-z](?:[A-Za-z\d ~/.*()]|\^-?\d|\^\{-?\d\}|\\(?:cdot|times|[,;: ]))*)\}$"
)
_MAX_UNITS: Final = 4
# A letter alone may as well be a factor.
_BRACKETED: Final = re.compile(
    r"(?P<core>.*\d) *[(\[] ?(?:in (?P<in_unit>[A-Za-z]+)|(?P<unit>[A-Za-z]{2,}))"
    r"(?:\^(?:\d|\{\d\}))? ?[)\]]"
)
_DIGIT: Final = re.compile(r"\d")
_BARE_SI: Final = re.compile(r"^\\(?:num|ang)\{([^{}]*)\}$")
_FRACTION_OF_UNITS: Final = re.compile(
    rf"(?<=[\d}})]) *\\frac\{{ *{TEXT_MACRO}\{{[A-Za-z ]*\}}\}}\{{ *{TEXT_MACRO}\{{[A-Za-z ]*\}}"
    r"(?:\^\d)?\}$"
)
_GROUP: Final = r"(?:[^{}]|\{[^{}]*\})*"
_FRACTION: Final = re.compile(rf"\\[dtc]?frac *\{{(?P<top>{_GROUP})\}} *\{{(?P<bottom>{_GROUP})\}}")
# Ohms, and units with a micro sign.
_SIGNED_UNIT: Final = re.compile(
    rf"(?<=\d) *(?:[kM]?\\Omega|\\mu *(?:[A-Za-z]{{1,2}}|{TEXT_MACRO}\{{[A-Za-z]{{1,2}}\}})) *$"
)
_SI: Final = re.compile(r"^\\(?:SI|qty)\{([^{}]*)\}\{([^{}]*)\}$")
# A unit that is glued to its number must be one that no product of variables is written as.
_GLUED: Final = (
    "cm|mm|km|nm|kg|mg|mL|ml|ft|lbs|lb|oz|hrs|hr|mins|min|mph|kph|kmh|Hz|kHz|kJ|kW|mol|gal"
)
_IN_WORDS: Final = re.compile(
    r"(?P<core>.*(?:[\d})\]]|\\pi))"
    rf"(?: +(?P<words>[^\W\d_].*)|(?P<glued>(?:{_GLUED})(?![A-Za-z]).*))"
)
_FURTHER_UNIT: Final = rf"(?:(?: ?/ ?| |-|\\cdot ?|\*)[^\W\d_]+\.?{_POWER})*"
_UNIT_WORDS: Final = re.compile(
    rf"[^\W\d_]+\.?{_POWER}{_FURTHER_UNIT}"
    # Of several units below the line one may have been a degree, which is gone by then.
    rf"(?: ?/ ?\([^\W\d_]+\.?{_POWER}{_FURTHER_UNIT}(?: ?\\cdot)? ?\))?"
)
_FORMULA_WORDS: Final = re.compile(
    r"(?<![A-Za-z\\])[A-Za-z]{3}|\\(?:text|mbox|mathrm)|\d [A-Za-z]+,? \d"
)
_PLAIN_NUMBER: Final = re.compile(
    rf"{_NUMBER}(?:(?: \d+)?/\d+)?|[-+]?\d* ?\\[dt]?frac(?: ?\d ?\d|\{{\d+\}}\{{\d+\}})"
)
_CLOCK: Final = re.compile(r"^(\d{1,2}(?::\d{2}){0,2}) *([AaPp])\.? ?[Mm]\.?$")
_MAGNIFIED: Final = re.compile(rf"({_NUMBER}) *({'|'.join(ZEROS)})\b\.? *(.*)", re.IGNORECASE)
_DOZENS: Final = re.compile(r"([-+]?\d{1,9}) dozen\b *(.*)", re.IGNORECASE)
_CENTS: Final = re.compile(
    r"(\d{1,60}(?:\.\d{1,20})?) *(?:cents?|pence|penny|pennies)", re.IGNORECASE
)
_COMPOUND: Final = re.compile(r"(\d+(?:\.\d+)?) ?([A-Za-z]+)\.?(?:,? and |, | )?")
_CURRENCY_CODES: Final = (
    "USD|EUR|GBP|INR|JPY|CNY|RMB|CHF|CAD|AUD|NZD|HKD|SGD|KRW|BRL|MXN|RUB|ZAR|SEK|NOK|DKK|PLN|CZK"
)
_CURRENCY_BEFORE: Final = re.compile(
    r"^([-+]?)\s*(?:[€£¥₹₩₽₺฿₫₱]|\\(?:pounds|euro|textdollar|yen)(?![A-Za-z])"
    rf"|(?:Rs\.?|{_CURRENCY_CODES}) ?)\s*(?=[-+]?[\d.])"
)
_CURRENCY_BEHIND: Final = re.compile(rf"(?<=\d)\s*(?:[€£¥₹₩₽₺฿₫₱]|(?:{_CURRENCY_CODES})$)")
# Who writes the currency behind the number writes `12,50 €`, and no list of prices.
_DECIMAL_COMMA: Final = re.compile(
    r"^([-+]?\d{1,3}(?:\.\d{3})*|[-+]?\d+),(\d\d)(\s*(?:[€₽₺₫]|(?:EUR|[Ee]uros?|zł|kr|Kč)\b)\.?)$"
)
# Of those that change the number: half, parts of ten, before and after, and more, or less.
_CHANGING: Final = "半成折前後后多余余以増增減减東西南北左右分倍度零点又"
_BESIDE: Final = re.compile(rf"({_NUMBER}) ?([{''.join(ZEROS_BESIDE)}])(.*)")
# What is counted, in scripts that write it without a space.
_COUNTED: Final = re.compile(
    rf"^({_NUMBER})\s?(?![^\W\d_]{{0,3}}[{_CHANGING}])[\u2e80-\u9fff\uac00-\ud7af]{{1,4}}$"
)
_PERCENT: Final = re.compile(r"\\?%|(?<=[\d})]) ?(?:per ?cent|percentage|pct)\b")
_DEGREES: Final = re.compile(
    r"\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\}|o(?![A-Za-z]))"
    r"(?: *(?:\\(?:text|mathrm|mbox)\{ *[CFK] *\}|[CFK](?![A-Za-z])))?"
    r"|\\(?:degree|deg|textdegree)(?![A-Za-z])"
)


def drop_currency(text: str) -> str:
    """Drop the sign or the code of a currency beside a number."""
    text = _DECIMAL_COMMA.sub(_with_decimal_point, text)
    return _CURRENCY_BEHIND.sub("", _CURRENCY_BEFORE.sub(r"\1", text))


def _with_decimal_point(match: re.Match[str]) -> str:
    return f"{match[1].replace('.', '')}.{match[2]}{match[3]}"


def multiply(text: str) -> str:
    """Write `5 million`, `3 dozen` and `50 cents` as the numbers they are."""
    if match := _MAGNIFIED.fullmatch(text):
        whole, _, decimals = match[1].replace(",", "").partition(".")
        zeros = ZEROS[match[2].lower()]
        if len(decimals) <= zeros and len(whole) < 32:
            return f"{whole}{decimals.ljust(zeros, '0')} {match[3]}".strip()
    if match := _BESIDE.fullmatch(text):
        whole, _, decimals = match[1].replace(",", "").partition(".")
        zeros = ZEROS_BESIDE[match[2]]
        if len(decimals) <= zeros and len(whole) < 32:
            return f"{whole}{decimals.ljust(zeros, '0')}{match[3]}"
    if match := _DOZENS.fullmatch(text):
        return f"{12 * int(match[1])} {match[2]}".strip()
    if match := _CENTS.fullmatch(text):
        whole, _, decimals = match[1].partition(".")
        digits = whole.zfill(3)
        return f"{digits[:-2]}.{digits[-2:]}{decimals}"
    return text


def clock(text: str) -> str:
    """Write `3:00 P.M.` as `3:00 pm`."""
    match = _CLOCK.match(text)
    return f"{match[1]} {match[2].lower()}m" if match else text


def compound(text: str) -> str:
    """Write `2 hours and 15 minutes` as `2 h 15 min`: the same units in the same spelling."""
    position, parts, seen = 0, list[str](), set[str]()
    while position < len(text) and (match := _COMPOUND.match(text, position)):
        unit = SPELLINGS.get(match[2]) or SPELLINGS.get(match[2].lower())
        if unit is None or unit in seen:  # `3 cm, 4 cm` is a list
            return text
        seen.add(unit)
        parts.append(f"{match[1]} {unit}")
        position = match.end()
    return " ".join(parts) if len(parts) > 1 and position == len(text) else text


def join_units(text: str) -> str:
    r"""Write `\text{m}\cdot\text{s}^{-1}` and `\mathrm{m\cdot s^{-1}}` as one unit."""
    match = _UNIT_PRODUCT.search(text)
    if match is not None and _DIGIT.search(text, 0, match.start()):  # else of vectors, or of names
        for _ in range(_MAX_UNITS):  # each joins two of them
            before, text = text, _UNIT_PRODUCT.sub(_product, text)
            if text == before:
                break
        return text
    return _PARTS_OF_UNIT.sub(_plain_parts, text)


def unit_in_brackets(text: str) -> str:
    """Write `5 (cm)` and `5 (in cm)` as `5 cm`."""
    match = _BRACKETED.fullmatch(text)
    unit = match["in_unit"] or match["unit"] if match else None
    return f"{match['core']} {unit}" if match and unit in SPELLINGS else text


def _product(match: re.Match[str]) -> str:
    named = {*_WORD.findall(match[1].rpartition("{")[2]), match[4]}
    if match["between"] is None and not named <= SPELLINGS.keys():
        return match[0]
    return f"{match[1]}{match[3] or '*'}{match[4]}}}"


def _plain_parts(match: re.Match[str]) -> str:
    parts = re.sub(r"\\(?:cdot|times|[,;: ]) *", "*", match[2])
    return f"{match[1]}{re.sub(r'[{}]', '', parts)}}}"


def drop_unit(text: str) -> str:
    r"""Drop the unit of `5\text{ cm}^2`, `5 apples` and `60 km/h`; leave words that count.

    Also that of each item of a list, if it is the same known unit for all, and those above and
    below the line of a fraction.
    """
    core, _ = _split_unit(text)
    return core if core != text else _drop_common_unit(_drop_units_in_fraction(text))


def _drop_units_in_fraction(text: str) -> str:
    match = _FRACTION.fullmatch(text)
    if match is None:
        return text
    parts = [_split_unit(match[name].strip()) for name in ("top", "bottom")]
    # A letter alone may as well be a factor, unless a macro says that it is a unit.
    if not all(len(unit) != 1 or "\\" in match[0][5:] for _, unit in parts):
        return text
    top, bottom = (core for core, _ in parts)
    return f"\\frac{{{top}}}{{{bottom}}}"


def _drop_common_unit(text: str) -> str:
    bracketed = text[:1] in "([" and text[-1:] in ")]" and encloses(text)
    items = split_top_level(text[1:-1] if bracketed else text, ",")
    if len(items) < 2:
        return text
    cores, units = zip(*map(_split_unit, items), strict=True)
    named = {SPELLINGS.get(unit) for unit in units}
    if len(named) != 1 or None in named:
        return text
    listed = ", ".join(cores)
    return f"{text[0]}{listed}{text[-1]}" if bracketed else listed


def keep_unit(text: str) -> str:
    r"""Write `5\text{ kilometres}` and `5km` as `5 km`, for `units = "keep"`."""
    core, unit = _split_unit(text)
    if not unit:
        return text
    return f"{core} {_WORD.sub(lambda word: SPELLINGS.get(word[0], word[0]), unit)}"


def drop_signs(text: str) -> str:
    """Drop the signs of percent and degrees."""
    return _DEGREES.sub("", _PERCENT.sub("", text))


def keep_signs(text: str) -> str:
    """Write the signs of percent and degrees as units, for `units = "keep"`."""
    return _DEGREES.sub(r"\\text{ deg}", _PERCENT.sub(r"\\text{ percent}", text))


def _split_unit(text: str) -> tuple[str, str]:
    """The number or formula of a text and its unit, which is empty if there is none to drop."""
    if match := _SI.match(text):
        return match[1], match[2].replace("\\", " ").strip()
    if match := _BARE_SI.match(text):
        return match[1], ""
    if match := _FRACTION_OF_UNITS.search(text) or _SIGNED_UNIT.search(text):
        return text[: match.start()].rstrip(), match[0].strip()
    if match := _COUNTED.match(text):
        return match[1], text[match.end(1) :].strip()
    if match := _IN_MACRO.search(text):
        core = text[: match.start()]
        return (core, match[4]) if _measurable(core) and _is_unit_macro(match, core) else (text, "")
    match = _IN_WORDS.fullmatch(text)
    if match is None or not _measurable(match["core"]):
        return text, ""
    words = match["words"] or match["glued"]
    return (match["core"], words) if _is_unit(words, match["core"]) else (text, "")


def _measurable(core: str) -> bool:
    """Whether what stands before a unit is one number or formula, without words of its own."""
    last = core.rpartition(",")[2]  # of `n>5, n \text{ even}` no number stands before the words
    counted = "\\pi" in last or any(map(str.isdigit, last))
    return counted and _FORMULA_WORDS.search(core) is None


def _counts(named: list[str], core: str) -> bool:
    """Whether words change what the number before them says."""
    if len(named) == 1 and named[0].lower() in RADIANS:
        return "\\pi" not in core
    # `5 cm squared` is an area, and `5 squared` is 25.
    powers = {"squared", "cubed"} if named[0] in SPELLINGS else set[str]()
    return any(word.lower() in COUNTING_WORDS - RADIANS - powers for word in named)


def _is_unit(words: str, core: str) -> bool:
    """Whether plain words after a number name its unit, or what is counted."""
    named = _WORD.findall(words)
    if _UNIT_WORDS.fullmatch(words) is None or _counts(named, core):
        return False
    first = named[0]
    if first.lower() in _MATHEMATICS:
        return False
    plain = _PLAIN_NUMBER.fullmatch(core.strip()) is not None
    if len(first) > 1 and first in SPELLINGS:
        return True
    return plain and (len(first) >= 3 or not first.isascii() or first in SPELLINGS)


def _is_unit_macro(match: re.Match[str], core: str) -> bool:
    """Whether the content of a text macro that ends an answer names a unit."""
    content = match[4]
    named = _WORD.findall(content)
    if not named or _counts(named, core):
        return False
    if re.fullmatch(r"[A-Za-z ./\-^*0-9()]*", content) is None:
        return False
    upright = _UPRIGHT.match(match[2]) is not None
    apart = bool(match[1] or match[3])
    if len(content) == 1:  # `2\mathrm{i}` is a number, `5\text{ m}` is a length
        return content in SPELLINGS and (apart or not upright)
    return apart or not upright or any(word in SPELLINGS for word in named)
