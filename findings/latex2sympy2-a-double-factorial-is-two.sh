#!/usr/bin/env bash
# latex2sympy2_extended: 5!! is (5!)!, not the double factorial 15
#
# latex2sympy2_extended 1.11.0, and so for math-verify 0.9.0. SymPy's own parser reads the same text as the double
# factorial.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" \
    math-verify==0.9.0 latex2sympy2_extended==1.11.0 sympy==1.14.0 antlr4-python3-runtime==4.13.2

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import math_verify
from latex2sympy2_extended import latex2sympy
from sympy.parsing.sympy_parser import parse_expr, standard_transformations, factorial_notation


def same(a, b):
    return math_verify.verify(math_verify.parse(f"${a}$"), math_verify.parse(f"${b}$"))


print("5!! to latex2sympy:", latex2sympy("5!!"))
print("5!! to sympy:", parse_expr("5!!", transformations=(*standard_transformations, factorial_notation)))
for a, b in (("3!!", "3"), ("3!!", "720")):
    print(f"{a} and {b}: {same(a, b)}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
5!! to latex2sympy: factorial(factorial(5))
5!! to sympy: 15
3!! and 3: False
3!! and 720: True
EXPECTED
