#!/usr/bin/env bash
# math-verify: exact fractions are equal if they are small enough
#
# math-verify 0.9.0. Values are also compared after rounding to six places, absolutely and not relative to their
# size: physical constants and small probabilities are all the same answer, however exactly they
# are written.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" \
    math-verify==0.9.0 latex2sympy2_extended==1.11.0 sympy==1.14.0 antlr4-python3-runtime==4.13.2

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import math_verify


def same(a, b):
    return math_verify.verify(math_verify.parse(f"${a}$"), math_verify.parse(f"${b}$"))

for a, b in (
    (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}"),
    (r"6.63 \times 10^{-34}", r"1.38 \times 10^{-23}"),
    (r"\frac{1}{2^{9}}", r"\frac{1}{2^{8}}"),
):
    print(f"{a} and {b}: {same(a, b)}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
\frac{1}{2^{99}} and \frac{1}{2^{98}}: True
6.63 \times 10^{-34} and 1.38 \times 10^{-23}: True
\frac{1}{2^{9}} and \frac{1}{2^{8}}: False
EXPECTED
