#!/usr/bin/env bash
# math-verify: the last variable of an answer may be taken for a unit, and dropped
#
# math-verify 0.9.0. m, g, s, t and others are units to its normalisation, even behind a coefficient in a sum; n is
# not.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" \
    math-verify==0.9.0 latex2sympy2_extended==1.11.0 sympy==1.14.0 antlr4-python3-runtime==4.13.2

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import math_verify


def same(a, b):
    return math_verify.verify(math_verify.parse(f"${a}$"), math_verify.parse(f"${b}$"))

for a, b in (("x+3m", "x+3"), ("3m", "3g"), (r"\frac{1}{2}g", r"\frac{1}{2}"), ("3n", "3")):
    print(f"{a} and {b}: {same(a, b)}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
x+3m and x+3: True
3m and 3g: True
\frac{1}{2}g and \frac{1}{2}: True
3n and 3: False
EXPECTED
