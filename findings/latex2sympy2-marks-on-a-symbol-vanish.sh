#!/usr/bin/env bash
# latex2sympy2_extended: primes and transposition vanish, and so does the case of letters
#
# latex2sympy2_extended 1.11.0. A derivative is the function, a transposed matrix is the matrix, and by default A is a. With
# lowercase_symbols=False the case is kept, the marks are not.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" \
    latex2sympy2_extended==1.11.0 sympy==1.14.0 antlr4-python3-runtime==4.13.2

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
from latex2sympy2_extended import latex2sympy
from latex2sympy2_extended.latex2sympy2 import ConversionConfig

kept = ConversionConfig(lowercase_symbols=False)
for text in ("y'", "A^T", "A"):
    print(f"{text}: {latex2sympy(text)}, {latex2sympy(text, conversion_config=kept)}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
y': y, y
A^T: a, A
A: a, A
EXPECTED
