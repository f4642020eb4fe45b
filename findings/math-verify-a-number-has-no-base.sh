#!/usr/bin/env bash
# math-verify: the base of a number is dropped
#
# math-verify 0.9.0. An answer in another base equals the same digits in any base, and in none; with letters as
# digits it does not.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" \
    math-verify==0.9.0 latex2sympy2_extended==1.11.0 sympy==1.14.0 antlr4-python3-runtime==4.13.2

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import math_verify


def same(a, b):
    return math_verify.verify(math_verify.parse(f"${a}$"), math_verify.parse(f"${b}$"))

for a, b in (("101_2", "101_3"), ("101_2", "101"), ("101_2", "5"), ("2F_{16}", "F2_{16}")):
    print(f"{a} and {b}: {same(a, b)}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
101_2 and 101_3: True
101_2 and 101: True
101_2 and 5: False
2F_{16} and F2_{16}: False
EXPECTED
