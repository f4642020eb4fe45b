#!/usr/bin/env bash
# latex2sympy2_extended: I with any index is the imaginary unit, so the currents I_1 and I_2 are equal
#
# latex2sympy2_extended 1.11.0, and so for math-verify 0.9.0. The index is dropped, and an exponent
# with it. Other capitals with an index are variables of their own.
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


print("I_1^2:", latex2sympy("I_1^2"))
for a, b in (("I_1", "I_2"), (r"\frac{I_1}{2}", r"\frac{I_2}{2}"), ("V_1", "V_2")):
    print(f"{a} and {b}: {same(a, b)}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
I_1^2: I
I_1 and I_2: True
\frac{I_1}{2} and \frac{I_2}{2}: True
V_1 and V_2: False
EXPECTED
