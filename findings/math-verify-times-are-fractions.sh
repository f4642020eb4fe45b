#!/usr/bin/env bash
# math-verify: a time of day is a fraction in lowest terms
#
# math-verify 0.9.0. A colon is division, so half past twelve is a quarter past six, and a ratio is a number; scores
# and ranges are differences, for the same reason.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" \
    math-verify==0.9.0 latex2sympy2_extended==1.11.0 sympy==1.14.0 antlr4-python3-runtime==4.13.2

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import math_verify


def same(a, b):
    return math_verify.verify(math_verify.parse(f"${a}$"), math_verify.parse(f"${b}$"))

for a, b in (("12:30", "6:15"), ("12:30", "0.4"), ("2-1", "3-2"), ("12:30", "12:15")):
    print(f"{a} and {b}: {same(a, b)}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
12:30 and 6:15: True
12:30 and 0.4: True
2-1 and 3-2: True
12:30 and 12:15: False
EXPECTED
