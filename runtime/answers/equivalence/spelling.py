r"""The spelling of answers: one way to write what is written in many.

Each rule maps a text to a simpler spelling of the same; `canonicalize` repeats them until nothing
changes. They know the typesetting of LaTeX and Markdown and the characters of all scripts, and
nothing of algebra. What they read is hostile, so every pattern takes linear time: no two
repetitions can match the same characters.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Final

Rule = Callable[[str], str]

_CHARACTERS: Final = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\uff0d", "-"),
    **dict.fromkeys("\u2044\u2215", "/"),
    **dict.fromkeys("\u00b7\u22c5\u2219", "\\cdot "),
    **dict.fromkeys("°º˚", "^\\circ "),
    **dict.fromkeys("\u2019\u2032\u02b9", "'"),
    **dict.fromkeys("、，", ","),
    **dict.fromkeys("。．", "."),
    **dict.fromkeys("\u066b", "."),  # the decimal and thousands separators of Arabic
    **dict.fromkeys("\u066c", ","),
    **dict.fromkeys("∅⌀", "\\emptyset "),
    **dict.fromkeys("→⟶", "\\to "),
    **dict.fromkeys("≈≃", "\\approx "),
    **dict.fromkeys("≤⩽", "\\le "),
    **dict.fromkeys("≥⩾", "\\ge "),
    **dict.fromkeys("µμ", "\\mu "),
    "×": "\\times ", "÷": "\\div ", "±": "\\pm ", "∓": "\\mp ", "√": "\\sqrt ", "∞": "\\infty ",
    "∈": "\\in ", "∪": "\\cup ", "∩": "\\cap ", "≠": "\\ne ", "≡": "\\equiv ", "∠": "\\angle ",
    "…": "\\ldots ", "⋯": "\\ldots ", "¢": "\\text{ cents}",
    "α": "\\alpha ", "β": "\\beta ", "γ": "\\gamma ", "δ": "\\delta ", "ε": "\\epsilon ",
    "θ": "\\theta ", "λ": "\\lambda ", "π": "\\pi ", "ρ": "\\rho ", "σ": "\\sigma ",
    "τ": "\\tau ", "φ": "\\phi ", "ω": "\\omega ", "Δ": "\\Delta ", "Σ": "\\Sigma ",
    "Ω": "\\Omega ", "ℝ": "\\mathbb{R}", "ℤ": "\\mathbb{Z}", "ℕ": "\\mathbb{N}",
    "ℚ": "\\mathbb{Q}", "ℂ": "\\mathbb{C}",
}  # fmt: skip
# Raised and lowered characters: each run of them is one exponent or index.
_RAISED: Final = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ", "0123456789+-ni", strict=True))
_LOWERED: Final = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ₙ", "0123456789+-n", strict=True))
_SCRIPTS: Final = tuple(
    (mark, characters, re.compile(f"[{''.join(characters)}]+"))
    for mark, characters in (("^", _RAISED), ("_", _LOWERED))
)

# `5m²` is an area, where `5m^2` may well be a product.
_SQUARE_UNIT: Final = re.compile(r"(?<=\d)(m|ft|in|yd|mi)(?=[²³])")


def plain_characters(text: str) -> str:
    """Return `text` with usual digits, signs and spaces, and without what cannot be seen."""
    if text.isascii() and text.isprintable():
        return text.strip()
    text = _SQUARE_UNIT.sub(r" \1", text)
    for mark, characters, run in _SCRIPTS:

        def plain(match: re.Match[str], mark: str = mark, to: dict[str, str] = characters) -> str:
            content = "".join(to[character] for character in match[0])
            return f"{mark}{content}" if len(content) == 1 else f"{mark}{{{content}}}"

        text = run.sub(plain, text)
    return "".join(map(_plain_character, text)).strip()


def _plain_character(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    plain = _CHARACTERS.get(character)
    if plain is not None:
        return plain
    match unicodedata.category(character):
        case "Nd":  # the digits of all scripts
            return str(unicodedata.decimal(character))
        case "No":  # fractions: ½, ⅓
            top, _, bottom = unicodedata.normalize("NFKC", character).partition("\u2044")
            return f"\\frac{{{top}}}{{{bottom}}}" if bottom else character
        case "Zs" | "Zl" | "Zp":
            return " "
        # Controls (NUL), format marks (right-to-left, zero width), lone surrogates. Nobody sees
        # them, so two answers that look the same would be different votes.
        case "Cc" | "Cf" | "Cs":
            return " " if character.isspace() else ""
    # Full-width forms, and the letters of mathematical alphabets.
    compatible = unicodedata.normalize("NFKC", character)
    return compatible if compatible.isascii() and compatible.isprintable() else character


def replacing(pattern: str, replacement: str) -> Rule:
    """The rule that replaces what matches `pattern`."""
    compiled = re.compile(pattern)
    return lambda text: compiled.sub(replacement, text)


#: A macro's name ends where no letter follows.
END: Final = r"(?![A-Za-z])"
#: Macros that only change how letters look.
TEXT_MACRO: Final = (
    r"\\(?:text(?:bf|it|rm|sf|tt|up|normal)?|mbox|hbox|mathrm|mathbf|mathit|mathsf|mathtt|mathnormal"
    r"|boldsymbol|bm|operatorname|boxed|fbox|framebox|underline|emph|ensuremath)\s*"
)
_TEXT: Final = re.compile(TEXT_MACRO + r"\{")
_ROWS: Final = re.compile(r"\\(?:begin|end)\{(?:cases|aligned|align\*?|gathered)\}")
_ROOT: Final = re.compile(r"(?:\\|(?<![A-Za-z\\]))sqrt\s*(?=[(\d])")
_ABSOLUTE: Final = re.compile(r"(?<![A-Za-z\\])abs\s*(?=\()")
_RAISED_PARENTHESIS: Final = re.compile(r"\^\s*(?=\()")
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_FENCES: Final = re.compile(r"(\*\*|__|`|\*|_)(?=\S)")
_SPACES: Final = re.compile(r" +")
_SEPARATOR: Final = re.compile(r" *(?:,? \b(?:or|and) |; ?)(?! )")


def unwrap(text: str) -> str:
    r"""Replace macros that only change how letters look by what they hold: `\mathbf{…}`."""
    position, parts = 0, list[str]()
    while match := _TEXT.search(text, position):
        end = _closing(text, match.end() - 1, "{", "}")
        if end is None:
            break
        parts += text[position : match.start()], " ", text[match.end() : end - 1], " "
        position = end
    return "".join(parts) + text[position:] if parts else text


def _drop_markdown(text: str) -> str:
    """Drop the marks of emphasis and code around all of the text."""
    while (
        (fence := _FENCES.match(text)) and text.endswith(fence[1]) and len(text) > 2 * fence.end()
    ):
        text = text[fence.end() : -fence.end()]
    return text


def _rows_as_list(text: str) -> str:
    r"""Write the rows of `\begin{cases} x=1 \\ y=2 \end{cases}` as `x=1, y=2`.

    Rows with columns stay as they are: they say when each of them holds.
    """
    if "\\begin" not in text or "&" in text or _ROWS.search(text) is None:
        return text
    rows = (row.strip(" ,") for row in _ROWS.sub("", text).split("\\\\"))
    return ", ".join(row for row in rows if row)


def _close_roots(text: str) -> str:
    r"""Write `\sqrt(x+1)`, `sqrt(x)` and `\sqrt 16` with braces."""
    return _close_arguments(text, _ROOT, r"\sqrt{", "}")


def _close_absolutes(text: str) -> str:
    """Write `abs(x)` as `|x|`."""
    return _close_arguments(text, _ABSOLUTE, "|", "|")


def _close_exponents(text: str) -> str:
    """Write `2^(n-1)` with braces."""
    return _close_arguments(text, _RAISED_PARENTHESIS, "^{", "}")


def _close_arguments(text: str, function: re.Pattern[str], opening: str, closing: str) -> str:
    """Put the argument of each `function`, a number or a parenthesis, between two others."""
    position, parts = 0, list[str]()
    while match := function.search(text, position):
        start = match.end()
        number = _NUMBER.match(text, start)
        end = number.end() if number else _closing(text, start, "(", ")")
        if end is None:
            break
        argument = text[start:end] if number else text[start + 1 : end - 1]
        parts += text[position : match.start()], opening, argument, closing
        position = end
    return "".join(parts) + text[position:] if parts else text


def _closing(text: str, start: int, opening: str, closing: str) -> int | None:
    """Where the bracket that opens at `start` has closed."""
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] == opening) - (text[position] == closing)
        if depth == 0:
            return position + 1
    return None


def _listed(text: str) -> str:
    """Write `a and b`, `a or b` and `a; b` as `a, b`, where both are numbers or formulas."""

    def comma(match: re.Match[str]) -> str:
        start, end = match.span()
        if start == 0 or end == len(text):
            return match[0]
        before, after = text[start - 1], text[end]
        fits = before.isdigit() or before in ")}]%." or _alone(text, start - 1)
        follows = after.isdigit() or after in "-+(\\{[." or _alone(text, end)
        # Conditions are joined by words with a meaning of their own.
        conditions = "<" in text or ">" in text or "\\le" in text or "\\ge" in text
        return ", " if fits and follows and not (conditions and ";" not in match[0]) else match[0]

    return _SEPARATOR.sub(comma, text)


def _alone(text: str, position: int) -> bool:
    """Whether one letter stands there by itself."""
    beside = text[max(0, position - 1) : position] + text[position + 1 : position + 2]
    return text[position].isalpha() and not any(map(str.isalpha, beside))


def drop_spaces(text: str) -> str:
    r"""Drop the spaces that separate nothing.

    They separate words and numbers from each other, and macros from letters (`\pi r`).
    """

    def space(match: re.Match[str]) -> str:
        start, end = match.span()
        before, after = text[start - 1], text[end]
        if not (before.isalnum() and after.isalnum()):
            return ""
        if before.isdigit():  # `2 x` is `2x`, but `2 boys` are words
            return " " if after.isdigit() or not _alone(text, end) else ""
        return "" if after.isdigit() and _ends_macro(text, start) else " "

    text = text.strip()
    return _SPACES.sub(space, text)


def _ends_macro(text: str, end: int) -> bool:
    start = end
    while start and text[start - 1].isalpha():
        start -= 1
    return start > 0 and text[start - 1] == "\\"


#: Delimiters, sizes, colours and spaces, which only typeset.
TYPESETTING: Final[tuple[Rule, ...]] = (
    _drop_markdown,
    replacing(rf"\\(?:dots|cdots|dotsc|dotsb){END}|(?<!\.)\.\.\.(?!\.)", r"\\ldots "),
    replacing(r"\\?\$", ""),
    replacing(r"(?<!\\)\\[()\[\]]", ""),  # the look-behind keeps the line break `\\`
    replacing(r"\\\\\[[^\][\\]{0,8}\]", r"\\\\"),
    replacing(r"(?:\\\\|\\newline)\s*$", ""),
    replacing(rf"\\(?:left|right|middle|[bB]igg?[lrm]?){END}\.?", ""),
    replacing(r"\\(?:hspace|vspace|hphantom|phantom|label|tag)\*?\{[^{}]*\}", ""),
    replacing(r"\\(?:textcolor\{[^{}]*\}|color\{[^{}]*\})", ""),
    replacing(rf"\\(?:displaystyle|textstyle|limits|nolimits|bf|rm|it){END}", " "),
    replacing(rf"\\(?:quad|qquad|enspace|thinspace){END}|(?<!\\)\\[;:> ]|~", " "),
    replacing(r"(?<!\\)\\[!,](?=\s*[A-Za-z])", " "),
    replacing(r"(?<!\\)\\[!,]", ""),
    replacing(r"\s{2,}", " "),
    replacing(r"\{,\}", ","),
    # An angle in degrees that a function is taken of, before the sign is dropped as a unit.
    replacing(
        r"\\?(?<![A-Za-z])(sin|cos|tan|cot|sec|csc)\s*[({]?(-?\d{1,9}(?:\.\d{1,9})?)\s*"
        r"\^\s*\{?\s*(?:\\circ|o)(?![A-Za-z])\s*\}?[)}]?",
        r"\\\1(\\frac{\2\\pi}{180})",
    ),
    _rows_as_list,
    replacing(r"^\{([^{}\\]*|[^{}]*(?:\\[a-z]+\{[^{}]*\})[^{}]*)\}$", r"\1"),
)

# Functions that are known without a backslash; after some a parenthesis must follow, since they are
# words or units otherwise.
_PLAIN: Final = (
    "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|ln|log|exp|pi|theta|infinity|infty"
)
_CALLED: Final = "sec|csc|max|min|gcd|lcm|det"
#: One spelling for each macro and its arguments.
MACROS: Final[tuple[Rule, ...]] = (
    replacing(rf"\\(?:[dtcs]|nice|x)frac{END}", r"\\frac"),
    replacing(r"\{([^{}\\]*)\\over(?![A-Za-z])([^{}\\]*)\}", r"\\frac{\1}{\2}"),
    replacing(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
    replacing(r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{"),
    replacing(r"(\\frac\{[^{}]*\})\s*(\d)", r"\1{\2}"),
    replacing(r"(?<=c\{)(\d{1,3}),(\d{3})(?=\})", r"\1\2"),  # `\frac{1,234}{2}`
    replacing(r"(?<=\}\{)(\d{1,3}),(\d{3})(?=\})", r"\1\2"),
    _close_roots,
    replacing(r"\\sqrt +([A-Za-z]|\\[a-z]+)", r"\\sqrt{\1}"),
    _close_absolutes,
    _close_exponents,
    replacing(rf"\\(le|ge|ne)q(?:slant)?{END}", r"\\\1"),
    replacing(rf"<=|\\le{END}\s*", r"\\le "),
    replacing(rf">=|\\ge{END}\s*", r"\\ge "),
    replacing(r"!=", r"\\ne "),
    replacing(rf"\\lt{END}", "<"),
    replacing(rf"\\gt{END}", ">"),
    replacing(rf"\\(?:long)?rightarrow{END}", r"\\to"),
    replacing(rf"\\varnothing{END}|^\\\{{\s*\\\}}$", r"\\emptyset "),
    replacing(r"(?<=[\w)}])\*\*(?=[\w({\\-])", "^"),
    replacing(r"([\^_])\{(\d+|[A-Za-z])\}(?!\w)", r"\1\2"),
    replacing(r"\\log_(?:\{10\}|10(?!\d))", r"\\log "),
    replacing(rf"\\div{END}", "/"),
    replacing(r"^(\d{1,4}) +choose +(\d{1,4})$", r"\\binom{\1}{\2}"),
    replacing(rf"(?<![A-Za-z\\])({_PLAIN})(?![A-Za-z])", r"\\\1 "),
    replacing(rf"(?<![A-Za-z\\])({_CALLED})(?=\()", r"\\\1"),
    replacing(r"\\mathbb\{R\}(?=\s*\\(?:setminus|backslash))", r"(-\\infty,\\infty)"),
    replacing(rf"\\infinity{END}|\+\s*\\infty{END}", r"\\infty "),
    replacing(r"\(?\\[pb]?mod\s*(?:\{\s*(\w+)\s*\}|(\w+))\)?", r"\\pmod{\1\2}"),
    _listed,
)
