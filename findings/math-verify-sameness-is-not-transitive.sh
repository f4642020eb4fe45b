#!/usr/bin/env bash
# math-verify: a equals b and b equals c, but a does not equal c
#
# math-verify 0.9.0. Whoever groups the answers of several samples by it gets groups that depend on the order in
# which the samples came: a pair is the same as a list, and a list is the same in any order, but a
# pair is not.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" \
    math-verify==0.9.0 latex2sympy2_extended==1.11.0 sympy==1.14.0 antlr4-python3-runtime==4.13.2

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import math_verify


def same(a, b):
    return math_verify.verify(math_verify.parse(f"${a}$"), math_verify.parse(f"${b}$"))

for a, b in (("(1,2)", "1,2"), ("1,2", "2,1"), ("(1,2)", "(2,1)"), ("(2,1)", "2,1")):
    print(f"{a} and {b}: {same(a, b)}, {same(b, a)}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
(1,2) and 1,2: True, True
1,2 and 2,1: True, True
(1,2) and (2,1): False, False
(2,1) and 2,1: True, True
EXPECTED
