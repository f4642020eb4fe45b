#!/usr/bin/env bash
# evalplus: a function with @cache vanishes, a helper without a return too, and of two versions the first one is judged
#
# evalplus 0.3.1, with tree-sitter 0.26.1 and tree-sitter-python 0.25.0. sanitize() keeps the longest run of lines that is
# Python, whatever block it is in: a first draft that is longer than the correction behind it, or the calls that show how
# it is used. Of that it keeps imports, classes, undecorated functions that return, and the first value of a name, so that a
# right program becomes a wrong one, or none. A function defined anew further down does not count.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" evalplus==0.3.1 \
    tree-sitter==0.26.1 tree-sitter-python==0.25.0 tqdm==4.70.1 termcolor==3.3.0

cat >"$folder/replies.py" <<'PYTHON'
REPLIES = {
    "a function": "def f(n):\n    return n * 2",
    "a draft, then a correction": "def f(n):\n    return n * 3\n```\nNo, twice:\n```python\ndef f(n):\n    return n * 2",
    "a long draft": "def f(n):\n    m = n\n    return m * 3\n```\nOr so:\n```python\ndef f(n):\n    return n * 2",
    "defined anew": "def f(n):\n    return n * 3\n\ndef f(n):\n    return n * 2",
    "decorated": "from functools import cache\n\n@cache\ndef f(n):\n    return n * 2",
    "a helper": "def add(s, n):\n    s.append(n)\n\ndef f(n):\n    s = []\n    add(s, n)\n    return s[0] * 2",
    "a generator": "def twice(n):\n    yield n * 2\n\ndef f(n):\n    return next(twice(n))",
    "two names at once": "A, B = 1, 1\n\ndef f(n):\n    return n * (A + B)",
    "a value by its key": "D = {}\nD['by'] = 2\n\ndef f(n):\n    return n * D['by']",
    "used three times": "def f(n):\n    return n * 2\n```\nTry it:\n```python\nprint(f(1))\nprint(f(2))\nprint(f(3))",
}
PYTHON
PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import sys
from unittest.mock import MagicMock

sys.modules["evalplus.data"] = MagicMock()  # the problems, which are downloaded
from evalplus.sanitize import sanitize
from replies import REPLIES


def doubles(code):
    names = {}
    try:
        exec(code, names)
        return f"f(21) is {names['f'](21)}" if "f" in names else "no f"
    except Exception as error:
        return type(error).__name__


for name, code in REPLIES.items():
    blocks = code.split("```\n")
    last = blocks[-1].split("```python\n")[-1]
    meant = doubles(last if "print" not in last else blocks[0])
    judged = doubles(sanitize(f"Here it is:\n```python\n{code}\n```\n", "f"))
    print(f"{name}: {meant}; sanitized: {judged}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
a function: f(21) is 42; sanitized: f(21) is 42
a draft, then a correction: f(21) is 42; sanitized: f(21) is 63
a long draft: f(21) is 42; sanitized: f(21) is 63
defined anew: f(21) is 42; sanitized: f(21) is 63
decorated: f(21) is 42; sanitized: no f
a helper: f(21) is 42; sanitized: NameError
a generator: f(21) is 42; sanitized: NameError
two names at once: f(21) is 42; sanitized: NameError
a value by its key: f(21) is 42; sanitized: KeyError
used three times: f(21) is 42; sanitized: NameError
EXPECTED
