r"""One spelling for each macro of LaTeX and its arguments, and for mathematics in plain text."""

import re
from typing import Final

from .rational import exact_number
from .spelling import END, Rule, alone, close_arguments, replacing

_ROOT: Final = re.compile(r"(?:\\|(?<![A-Za-z\\]))sqrt\s*(?=[(\d]|-\d)")
_CUBE_ROOT: Final = re.compile(r"(?<![A-Za-z\\])cbrt\s*(?=\()|\\sqrt\[3\]\s*(?=[(\d])")
_FOURTH_ROOT: Final = re.compile(r"\\sqrt\[4\]\s*(?=[(\d])")
_ABSOLUTE: Final = re.compile(r"(?<![A-Za-z\\])abs\s*(?=\()")
_FLOOR: Final = re.compile(r"(?<![A-Za-z\\])floor\s*(?=\()")
_CEILING: Final = re.compile(r"(?<![A-Za-z\\])ceil(?:ing)?\s*(?=\()")
_FACTORIAL: Final = re.compile(r"(?<![A-Za-z\\])factorial\s*(?=\()")
_EXPONENT: Final = re.compile(r"\^\s*(?=\()")
_CIS: Final = re.compile(r"(?:\\|(?<![A-Za-z\\]))cis\s*(?=\()")
_CIS_OF: Final = re.compile(
    r"((?:\\|(?<![A-Za-z\\]))cis) *"
    r"(\\frac(?:\{[^{}]*\}){2}|\\?[a-z]+(?![A-Za-z(])|\d+(?:\.\d+)?(?:\\pi)?)"
)
_TURNED: Final = re.compile(
    r"(?P<open>[\]\[(])(?P<inside>[^\[\](){}]*[,;][^\[\](){}]*)(?P<close>[\[\])])"
)
_UNION_OF_RANGES: Final = re.compile(
    rf"{_TURNED.pattern}(?: ?(?:\\cup|U) ?{re.sub('[?]P<[a-z]+>', '?:', _TURNED.pattern)}){{0,15}}"
)
_DIFFERENTIAL: Final = re.compile(r"(?<=[\d)}]) +d([a-z])(?![A-Za-z])")
_INTEGER: Final = re.compile(r", ?([a-z]) ?\\in ?(?:\\mathbb ?)?\{?[ZN]\}?$")
_EXCEPTED: Final = re.compile(
    r" ?(?:the set of )?all (?:real (?:numbers?|values?|[a-z])|reals|numbers)(?: (?:of )?[a-z])?,? "
    r"(?:except(?: for| when)?|excluding|other than|but|besides) ?(?:not )?(?:[a-z] ?= ?)?"
    r"(?P<but>(?:[-+\d.,/ {}^\\]|and|or|\b[a-z]\b|frac|sqrt|pi|pm)+)",
    re.IGNORECASE,
)
_BOTH: Final = re.compile(r",? (?:and|or) ")
_OTHERWISE: Final = re.compile(r",? or ")
_SEPARATOR: Final = re.compile(r" *(?:,? \b(?:or|and) |; ?)(?! )")
_AMPERSAND: Final = re.compile(r"(?<=\S) *\\?& *(?=\S)")
_OR: Final = re.compile(r"\\(?:lor|vee)(?![A-Za-z])")
_AND: Final = re.compile(r"\\(?:land|wedge)(?![A-Za-z])")
_CONDITION: Final = re.compile(r"[<>]|\\(?:le|ge|ne)(?![A-Za-z])")


def _closing(function: re.Pattern[str], opening: str, behind: str) -> Rule:
    """The rule that puts the argument of a function between two others: `abs(x)` is `|x|`."""
    return lambda text: close_arguments(text, function, opening, behind)


def _listed(text: str) -> str:
    """Write `a and b`, `a or b` and `a; b` as `a, b`, where both are numbers or formulas."""

    def comma(match: re.Match[str]) -> str:
        start, end = match.span()
        if start == 0 or end == len(text):
            return match[0]
        before, after = text[start - 1], text[end]
        fits = before.isdigit() or before in ")}]%." or alone(text, start - 1)
        follows = after.isdigit() or after in "-+(\\{[." or alone(text, end)
        # Conditions are joined by words with a meaning of their own.
        conditions = _CONDITION.search(text) is not None or _ranges(text)
        return ", " if fits and follows and not (conditions and ";" not in match[0]) else match[0]

    first, *others = _OTHERWISE.split(text)
    number = exact_number(first) if others else None
    if number is not None and all(exact_number(other) == number for other in others):
        return first  # `3/4 or 0.75`
    return _SEPARATOR.sub(comma, text)


def _ampersand(text: str) -> str:
    r"""Write `a & b` as `a and b`, where no table has columns."""
    return text if "\\begin" in text or "\\\\" in text else _AMPERSAND.sub(" and ", text)


def _ranges(text: str) -> bool:
    """Whether all of a text is ranges: `(-\\infty,2) or (3,\\infty)` is one set."""
    return "\\infty" in text and text[:1] in "([" and text[-1:] in ")]"


def _joined_conditions(text: str) -> str:
    r"""Write `x>2 \lor x<-2` in words; between statements without a relation the signs stay."""
    if "\\" not in text or (_CONDITION.search(text) is None and text.count("=") < 2):
        return text
    return _AND.sub(" and ", _OR.sub(" or ", text))


def _all_but(text: str) -> str:
    r"""Write `all real numbers except 0 and 1` as `x \\ne 0, 1`."""
    match = _EXCEPTED.fullmatch(text)
    return f"x\\ne {_BOTH.sub(', ', match['but'])}" if match else text


def _differential(text: str) -> str:
    """Join `x^2 dx`, which is no word behind a number, in integrals."""
    return _DIFFERENTIAL.sub(r"d\1", text) if "\\int" in text else text


def _any_integer(text: str) -> str:
    r"""Write `k\pi, k \in \mathbb{Z}` as `n\pi`: what an integer is called says nothing."""
    match = _INTEGER.search(text)
    if match is None:
        return text
    name, said = match[1], text[: match.start()]
    if name == "n" or re.search(r"(?<![A-Za-z\\])n(?![A-Za-z])", said):
        return said
    return re.sub(rf"(?<![A-Za-z\\]){name}(?![A-Za-z])", "n", said)


def _ranges_with_turned_brackets(text: str) -> str:
    """Write `]1,2]` as `(1,2]`, as in some countries an open end is a bracket turned round."""
    if (text[:1] != "]" and text[-1:] != "[") or _UNION_OF_RANGES.fullmatch(text) is None:
        return text

    def usual(match: re.Match[str]) -> str:
        opening = "(" if match["open"] == "]" else match["open"]
        closing = ")" if match["close"] == "[" else match["close"]
        return f"{opening}{match['inside']}{closing}"

    return _TURNED.sub(usual, text)


# Functions that are known without a backslash; after some a parenthesis must follow, since they are
# words or units otherwise.
_PLAIN: Final = (
    "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|ln|log|exp|pi|theta|alpha|beta|gamma|delta"
    "|lambda|sigma|omega|phi|infinity|infty"
)
# A macro that takes no argument.
_LONE: Final = r"\\[A-Za-z]+(?![A-Za-z{\[])"
_FACTORS: Final = "pi|sqrt|theta|alpha|beta|gamma|lambda|omega|phi|rho|sin|cos|tan|ln|log"
_CALLED: Final = "sec|csc|max|min|gcd|lcm|det"

MACROS: Final[tuple[Rule, ...]] = (
    replacing(r"(?<![A-Za-z\\])(frac|sqrt|binom|times|cdot)(?=[{ ]?[{\d])(?=\{)", r"\\\1"),
    replacing(rf"\\(?:[dtcs]|nice|x)frac{END}", r"\\frac"),
    replacing(rf"\\[dt]binom{END}", r"\\binom"),
    replacing(r"\\(mathbb|mathcal|mathscr|mathfrak) +([A-Za-z])(?![A-Za-z])", r"\\\1{\2}"),
    replacing(r"^\\ce\{([^{}]*(?:\{[^{}]*\}[^{}]*){0,8})\}$", r"\1"),
    replacing(r"\{([^{}\\]*)\\over(?![A-Za-z])([^{}\\]*)\}", r"\\frac{\1}{\2}"),
    replacing(r"\{([^{}\\]*)\\choose(?![A-Za-z])([^{}\\]*)\}", r"\\binom{\1}{\2}"),
    # Arguments without braces: a digit, a letter, or a macro.
    replacing(
        rf"\\(frac|binom)(?:\s*(\d)|\s+([A-Za-z])|\s*({_LONE}))\s*(?=[\dA-Za-z\\{{])",
        r"\\\1{\2\3\4}",
    ),
    replacing(
        rf"(\\(?:frac|binom)\{{(?:[^{{}}]|\{{[^{{}}]*\}})*\}})\s*(\d|[A-Za-z]|{_LONE})",
        r"\1{\2}",
    ),
    replacing(
        r"(\\frac(?:\{[^{}]*\}){2}|(?<![A-Za-z\]}_^])(?<![A-Za-z\]}_^] ))"
        r" ?\{([A-Za-z])\}(?=[_^])",
        r"\1\2",
    ),
    replacing(r"(?<=[a-z\]}]\{)(\d{1,3}),(\d{3})(?=\})", r"\1\2"),  # `\sqrt{1,024}`
    _closing(_CUBE_ROOT, r"\sqrt[3]{", "}"),
    _closing(_FOURTH_ROOT, r"\sqrt[4]{", "}"),
    _closing(_ROOT, r"\sqrt{", "}"),
    replacing(r"\\sqrt(?: +([A-Za-z])| *(\\[a-z]+))(?![A-Za-z{\[])", r"\\sqrt{\1\2}"),
    replacing(rf"(\\sqrt\[[^\[\]]{{1,8}}\])\s*(\d+|[A-Za-z]|{_LONE})", r"\1{\2}"),
    replacing(r"\\sqrt *(\\(?:frac|sqrt)(?:\{[^{}]*\}){1,2})", r"\\sqrt{\1}"),
    replacing(_CIS_OF.pattern, r"\1(\2)"),
    _closing(_CIS, r"e^{i\cdot (", ")}"),
    _closing(_ABSOLUTE, "|", "|"),
    _closing(_FLOOR, r"\lfloor ", r"\rfloor "),
    _closing(_CEILING, r"\lceil ", r"\rceil "),
    _closing(_FACTORIAL, "(", ")!"),
    _closing(_EXPONENT, "^{", "}"),
    replacing(r"\^(-\d+|-[A-Za-z])(?![A-Za-z\d])", r"^{\1}"),
    replacing(r"(?<=[A-Za-z])\^\{?\\prime(?![A-Za-z])\}?", "'"),
    replacing(rf"\\not ?=|\\neq?{END}|=/=", r"\\ne "),
    replacing(rf"\\(le|ge)q(?:slant|q)?{END}", r"\\\1"),
    replacing(rf"<=|\\le{END}\s*", r"\\le "),
    replacing(rf">=|\\ge{END}\s*", r"\\ge "),
    replacing(r"!=", r"\\ne "),
    replacing(rf"\\lt{END}", "<"),
    replacing(rf"\\gt{END}", ">"),
    replacing(r"(?<=[\w)}]) *\+ +-(?=[\d.\\A-Za-z(])", "-"),  # as programs write sums
    replacing(r"\+ ?/ ?-|\+-(?=[ \d\\A-Za-z])", r"\\pm "),
    _joined_conditions,
    replacing(rf"\\(?:long)?rightarrow{END}", r"\\to"),
    replacing(r"(?<=[\w)}]) *-> *(?=[\w(\\])", r"\\to "),
    replacing(rf"\\varnothing{END}|^\\\{{\s*\\\}}$", r"\\emptyset "),
    replacing(rf"\\var(phi|epsilon|theta|sigma|rho){END}", r"\\\1 "),
    replacing(rf"\\ast{END}", "*"),
    replacing(r"(?<=[\w)}])\*\*(?=[\w({\\-])", "^"),
    replacing(r"([\^_])\{(\d+|[A-Za-z])\}(?!\w)", r"\1\2"),
    replacing(rf"\\log_(?:\{{10\}}|10(?!\d))|\\lg{END}|(?<![A-Za-z\\])log10(?=\()", r"\\log "),
    replacing(r"(?<![A-Za-z\\])log2(?=\()", r"\\log_2"),
    replacing(r"(?:\\|(?<![A-Za-z\\]))(?:a)(sin|cos|tan)(?=\()", r"\\arc\1"),
    replacing(rf"\\div{END}", "/"),
    replacing(
        r"^(?:\{\})?[_^]\{?(\d{1,4}|[a-z])\}? ?(?:\\mathrm)?\{?C\}?_\{?(\d{1,4}|[a-z])\}?$",
        r"\\binom{\1}{\2}",
    ),
    _differential,
    replacing(r"^(\d{1,4}|[a-z]) +choose +(\d{1,4}|[a-z])$", r"\\binom{\1}{\2}"),
    replacing(r"(?<![A-Za-z\\])(?:nCr|binom|choose)\((\d{1,4}), ?(\d{1,4})\)", r"\\binom{\1}{\2}"),
    # A blank behind a denominator ends it: `1/2 x` is half of `x`.
    replacing(
        rf"(/ ?(?:\d+|[a-z]|\\[a-z]+\{{\d+\}})) +(?=(?:[a-z]|\\(?:{_FACTORS}))(?![A-Za-z]))",
        r"\1\\cdot ",
    ),
    replacing(r"(?<![A-Za-z\\])P[Ii](?![A-Za-z])", "pi"),
    replacing(rf"(?<![A-Za-z\\])({_PLAIN})(?![A-Za-z])", r"\\\1 "),
    replacing(rf"(?<![A-Za-z\\])({_CALLED})(?=\()", r"\\\1"),
    replacing(r"(?<![A-Za-z\\])(Theta|Omega|Gamma)(?=\()", r"\\\1"),
    _all_but,
    replacing(r"(?<=[(\[,+\- ])(?:inf|oo)(?=[)\],])|^inf$|(?<=^[-+])(?:inf|oo)$", r"\\infty "),
    replacing(r"(?<=[)\]]) ?U ?(?=[(\[])", r"\\cup "),
    replacing(r"^([a-z]) in (?=[\[(\\])", r"\1\\in "),
    _ranges_with_turned_brackets,
    replacing(r"^([a-z]) ?\\in ?\\mathbb\{R\} ?, ?(?=\1)", ""),
    replacing(r"^([a-z]) ?\\notin ?\\?\{([^{}]*[^{}\\])\\?\}$", r"\1\\ne \2"),
    _any_integer,
    replacing(
        r"\\mathbb ?\{?R\}?(?= ?(?:(?:\\setminus|\\backslash|-) ?\\\{|\\setminus ?[(\[]))",
        r"(-\\infty,\\infty)",
    ),
    replacing(rf"\\infinity{END}|\+\s*\\infty{END}", r"\\infty "),
    replacing(
        r"\(?(?:\\[pb]?mod|(?<=[\d( ])mod(?= ?\d))\s*(?:\{\s*(\w+)\s*\}|(\w+))\)?", r"\\pmod{\1\2}"
    ),
    _ampersand,
    _listed,
)
