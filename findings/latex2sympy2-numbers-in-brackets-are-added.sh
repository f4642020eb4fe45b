#!/usr/bin/env bash
# latex2sympy2_extended: 2(3) is 5, since whole numbers side by side are read as a mixed number
#
# latex2sympy2_extended 1.11.0, and so for math-verify 0.9.0. A product of whole numbers in brackets is their sum; with
# a decimal number, a variable or a \cdot it is the product. Answers of models end in such products: "= 6(7) = 42".
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" \
    math-verify==0.9.0 latex2sympy2_extended==1.11.0 sympy==1.14.0 antlr4-python3-runtime==4.13.2

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import math_verify
from latex2sympy2_extended import latex2sympy


def same(a, b):
    return math_verify.verify(math_verify.parse(f"${a}$"), math_verify.parse(f"${b}$"))


for text in ("2(3)", "(2)(3)", "5(4)(3)", r"2\cdot(3)", "2(x)", "2.0(3)"):
    print(f"{text}: {latex2sympy(text)}")
for a, b in (("6(7)", "42"), ("6(7)", "13")):
    print(f"{a} and {b}: {same(a, b)}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
2(3): 5
(2)(3): 5
5(4)(3): 12
2\cdot(3): 2*3
2(x): 2*x
2.0(3): 2.0*3
6(7) and 42: False
6(7) and 13: True
EXPECTED
