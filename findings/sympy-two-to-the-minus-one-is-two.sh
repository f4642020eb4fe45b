#!/usr/bin/env bash
# SymPy: parse_latex reads 2^-1 as 2, 1{,}000 as 1 and "5, 6" as 5, or by its other grammar 1\,000 as 0
#
# sympy 1.14.0, by antlr4-python3-runtime 4.11.1 (the default) and by lark 1.3.1. What the ANTLR grammar does not know ends
# what is read, without an error unless strict=True, so that a wrong answer of the right beginning is right: a sign in
# an exponent, a comma in braces, a second value. A unit in \text is a product of letters, those of "text" included, and a
# mixed number is a product, too. By lark the digits around a space are multiplied, 0.333... is 0, and x(x+1) is a tree.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" \
    sympy==1.14.0 mpmath==1.3.0 antlr4-python3-runtime==4.11.1 lark==1.3.1

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
from sympy.parsing.latex import parse_latex


def read(text, **how):
    try:
        value = parse_latex(text, **how)
        return value.doit() if hasattr(value, "doit") else type(value).__name__
    except Exception as error:  # each grammar has its own
        return type(error).__name__


for text in (
    r"2^{-1}", r"2^-1", r"10^-3", r"1,000", r"1{,}000", r"1\,000", r"12 345", r"5, 6", r"5 \text{cm}",
    r"2\frac{1}{2}", r"0.\overline{3}", r"x(x+1)", r"\sqrt2", r"50\%",
):  # fmt: skip
    print(f"{text}: {read(text)}, strictly {read(text, strict=True)}, by lark {read(text, backend='lark')}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
2^{-1}: 1/2, strictly 1/2, by lark 1/2
2^-1: 2, strictly LaTeXParsingError, by lark UnexpectedCharacters
10^-3: 10, strictly LaTeXParsingError, by lark UnexpectedCharacters
1,000: 1000, strictly 1000, by lark UnexpectedCharacters
1{,}000: 1, strictly LaTeXParsingError, by lark UnexpectedCharacters
1\,000: 1000, strictly 1000, by lark 0
12 345: 12345, strictly 12345, by lark 4140
5, 6: 5, strictly LaTeXParsingError, by lark UnexpectedCharacters
5 \text{cm}: 5*c*m*text, strictly 5*c*m*text, by lark UnexpectedCharacters
2\frac{1}{2}: 1, strictly 1, by lark 1
0.\overline{3}: LaTeXParsingError, strictly LaTeXParsingError, by lark 0
x(x+1): x(x + 1), strictly x(x + 1), by lark Tree
\sqrt2: LaTeXParsingError, strictly LaTeXParsingError, by lark UnexpectedCharacters
50\%: LaTeXParsingError, strictly LaTeXParsingError, by lark UnexpectedCharacters
EXPECTED
