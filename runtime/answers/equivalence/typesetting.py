r"""Delimiters, sizes, colours, spaces and marks that only typeset an answer."""

import re
from typing import Final

from .spelling import END, Rule, replacing

_FENCES: Final = re.compile(r"(\*\*|__|`|\*|_|\"|')(?=\S)")
_ENVIRONMENT: Final = (
    r"cases|aligned|align\*?|gathered|gather\*?|split|multline\*?|eqnarray\*?|array"
)
_ROWS: Final = re.compile(rf"\\(?:begin|end)\{{(?:{_ENVIRONMENT})\}}(?:\{{[lcr| ]*\}})?")
# An array without brackets is a list of rows, and one with a bar between columns two of them.
_BRACKETED_MATRIX: Final = re.compile(
    r"[(\[] ?\\begin\{(?:array\}\{[lcr ]*|(?:small)?matrix)\}"
    r"((?:[^\\]|\\(?!begin|end))*)\\end\{(?:array|(?:small)?matrix)\} ?[)\]]"
)
_FUNCTION: Final = re.compile(r"\\?(?<![A-Za-z])(?:sin|cos|tan|cot|sec|csc|cis)(?![A-Za-z])")
_DEGREES: Final = re.compile(
    r"(?:\{(?P<braced>\d{1,9})\}|(?P<plain>(?:\d{1,9}(?:\.\d{1,9})?)?[A-Za-z]?)(?<=\w))\s*"
    r"(?:\^\s*\{\s*\\circ\s*\}|\^\s*(?:\\circ|o)(?![A-Za-z])|\\(?:degree|deg|textdegree)(?![A-Za-z])"
    r"| ?(?:\\text\{\s*)?deg(?:rees?)?(?![A-Za-z])\s*\}?)"
)


def _drop_markdown(text: str) -> str:
    """Drop the marks of emphasis and code around all of the text."""
    while (
        (fence := _FENCES.match(text)) and text.endswith(fence[1]) and len(text) > 2 * fence.end()
    ):
        text = text[fence.end() : -fence.end()]
    return text


def _bracketed_matrix(text: str) -> str:
    r"""Write a bracket around `\begin{array}` or `\begin{matrix}` as the matrix it makes."""
    return _BRACKETED_MATRIX.sub(r"\\begin{pmatrix}\1\\end{pmatrix}", text)


def _rows_as_list(text: str) -> str:
    r"""Write the rows of `\begin{cases} x=1 \\ y=2 \end{cases}` as `x=1, y=2`.

    Rows with columns stay as they are: they say when each of them holds.
    """
    if "\\begin" in text and _ROWS.search(text) is not None:
        inner = _ROWS.sub("", text).replace("&=", "=").removeprefix("\\{").removesuffix(".")
    elif "\\begin" not in text and text.count("=") > 1 and "\\\\" in text:
        inner = text
    else:
        return text
    if "&" in inner:
        return text
    rows = (row.strip(" ,") for row in inner.split("\\\\"))
    return ", ".join(row for row in rows if row)


def _degrees_in_functions(text: str) -> str:
    r"""Write `\sin 30^\circ` as `\sin(\frac{30\pi}{180})`, before degrees are dropped as a unit."""
    function = _FUNCTION.search(text)
    if function is None:
        return text
    if "=" in text:  # each side is a statement of its own
        return "=".join(map(_degrees_in_functions, text.split("=")))

    def radians(match: re.Match[str]) -> str:
        return rf"(\frac{{{match['braced'] or match['plain']}\pi}}{{180}})"

    begin = function.start()
    return text[:begin] + _DEGREES.sub(radians, text[begin:])


_BOLD: Final = r"\\(?:mathbf|boldsymbol|bm|pmb|bold)"
TYPESETTING: Final[tuple[Rule, ...]] = (
    _drop_markdown,
    replacing(
        r"<\|[a-z_]{1,24}\|>|<br ?/?>|&nbsp;"
        r"|</?(?:s|b|i|u|p|em|strong|span|code|pre|div|mark|bos|eos)>",
        " ",
    ),
    replacing(r"&lt;", "<"),
    replacing(r"&gt;", ">"),
    replacing(r"&amp;", "&"),
    replacing(r"^#{1,4} +", ""),
    replacing(rf"\\(?:dots|cdots|ldots|dotsc|dotsb){END}|(?<!\.)\.\.\.(?!\.)", r"\\ldots "),
    replacing(r"\\(?:begin|end)\{(?:equation|displaymath|math|center)\*?\}", ""),
    replacing(r"(?<=\$)( ?\d[\d,.]*) ?(?:[Mm]|mn)\.?$", r"\1 million"),
    replacing(r"(?<=\$)( ?\d[\d,.]*) ?(?:B|bn)\.?$", r"\1 billion"),
    replacing(r"(?<=\$)( ?\d[\d,.]*) ?[Kk]\.?$", r"\1 thousand"),
    replacing(r"(?<![A-Za-z])(?:US|AU|CA|NZ|HK|A|C|S)\\?\$(?= ?\d)", ""),
    replacing(r"\\?\$", ""),
    replacing(r"(?<!\\)\\[()\[\]]", ""),  # the look-behind keeps the line break `\\`
    replacing(rf"\\cr{END}", r"\\\\"),
    # Inside the text only what stands apart is emphasis: `2**3**2` is a power.
    replacing(r"(?:^|(?<= ))\*\*(?=[^\s*])([^*]{1,64})(?<=\S)\*\*(?=[ .,:;]|$)", r"\1"),
    replacing(r"\\\\\[[^\][\\]{0,8}\]", r"\\\\"),
    replacing(rf"(?:\\\\|\\newline{END}|\\)\s*$", ""),
    replacing(r"\\left ?<", r"\\langle "),
    replacing(r"\\right ?>", r"\\rangle "),
    replacing(rf"\\(?:left|right|middle|[bB]igg?[lrm]?){END}\.?", ""),
    # The product of two vectors is no product of numbers.
    replacing(rf"{_BOLD}\{{([a-z])\}}( ?\\times ?){_BOLD}\{{([a-z])\}}", r"\\vec{\1}\2\\vec{\3}"),
    # The coordinates of a vector: a list in order, as in parentheses.
    replacing(rf"\\langle{END} ?([^<>|]*,[^<>|]*?) ?\\rangle{END}(?! *=)", r"(\1)"),
    replacing(rf"\\colon{END} ?", ":"),
    replacing(rf"\\lbrace{END}", r"\\{"),
    replacing(rf"\\rbrace{END}", r"\\}"),
    replacing(rf"\\lbrack{END}", "["),
    replacing(rf"\\rbrack{END}", "]"),
    replacing(r"\\(?:hspace|vspace|mspace|hphantom|vphantom|phantom|label|tag)\*?\{[^{}]*\}", ""),
    replacing(rf"\\[lr]?Vert{END}", r"\\|"),
    replacing(rf"\\(?:strut|mathstrut|noindent|centering){END}", ""),
    # The end of a proof, and the number of an equation, behind the answer.
    replacing(r"(?<=\S) *\\(?:blacksquare|square|Box|qed|qedsymbol|hfill)\s*$", ""),
    replacing(r"\\q?quad *\\(?:text|mbox|textrm)\{ *\(\d{1,3}[a-z]?\) *\}$", ""),
    replacing(r"\\(?:underbrace|overbrace)\{([^{}]*)\}", r"\1"),
    replacing(
        r"\\(?:hskip|kern|vskip|mkern|mskip) ?-?[\d.]{1,6} ?(?:pt|em|ex|cm|mm|mu)"
        r"|\\hfill(?![A-Za-z])",
        "",
    ),
    # Boxes that frame, scale or move what they hold.
    replacing(
        r"\\(?:fcolorbox\{[^{}]*\}\{[^{}]*\}|resizebox\*?\{[^{}]*\}\{[^{}]*\}"
        r"|(?:raisebox|scalebox|parbox|makebox)(?:\[[^\]]{0,8}\]){0,2}\{[^{}]*\})(?=\{)",
        "",
    ),
    replacing(r"\\(?:stackrel|overset|underset)\{[^{}]*\}\{ ?= ?\}", "="),
    replacing(r"\\(?:text)?color(?:box)?(?:\[[^\]]{0,8}\])?\{[^{}]*\}|\\color\[[^\]]{0,8}\]", ""),
    replacing(
        rf"\\(?:displaystyle|textstyle|scriptstyle|scriptscriptstyle|limits|nolimits|bf|rm|it|tt|sf|sl|em"
        rf"|bfseries|itshape|rmfamily|ttfamily|normalfont|boldmath|nobreakspace|space|tiny|small|footnotesize|normalsize"
        rf"|large|Large|LARGE|huge|Huge|checkmark|thinspace){END}",
        " ",
    ),
    replacing(r"=([^=,\\]{1,32})\\q?quad *(?=[A-Za-z] ?=)", r"=\1, "),
    replacing(rf"\\(?:quad|qquad|enspace){END}|(?<!\\)\\[;:> ]|~", " "),
    replacing(r"(?<=\d), ?\\! ?(?=\d{3}(?!\d))", ","),  # it groups digits
    replacing(r"(?<!\\)\\[!,](?=\s*[A-Za-z])", " "),
    replacing(r"(?<!\\)\\[!,]", ""),
    replacing(r"\s{2,}", " "),
    replacing(r"\{,\}", ","),
    replacing(r"(?:\\text)?\{\}(?![_^])", ""),
    replacing(r"^(-?\d+) ?\\ldots *$", r"\1"),
    replacing(r"(?<=\d)-{2,3}(?=\d)", "-"),
    _degrees_in_functions,
    _bracketed_matrix,
    _rows_as_list,
    replacing(r"^\{([^{}\\]*|[^{}]*(?:\\[a-z]+\{[^{}]*\})[^{}]*)\}$", r"\1"),
)
