#!/usr/bin/env bash
# latex2sympy2_extended: \sin B \cdot \sin C is the sine of a product
#
# latex2sympy2_extended 1.11.0. Without the dot, or with parentheses, it is the product of two sines. Answers of geometry
# problems are written in all three ways.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" \
    latex2sympy2_extended==1.11.0 sympy==1.14.0 antlr4-python3-runtime==4.13.2

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
from latex2sympy2_extended import latex2sympy
for text in (r"\sin B \cdot \sin C", r"\sin B \sin C", r"\sin(B) \cdot \sin(C)"):
    print(f"{text}: {latex2sympy(text)}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
\sin B \cdot \sin C: sin(b*sin(c))
\sin B \sin C: sin(b)*sin(c)
\sin(B) \cdot \sin(C): sin(b)*sin(c)
EXPECTED
