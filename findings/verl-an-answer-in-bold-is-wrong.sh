#!/usr/bin/env bash
# verl: an answer in bold is wrong, "1, 2" is 12, five hours are five minutes, and a comma is the answer
#
# verl 0.9.1. The reward of DAPO's and AIME's problems takes what stands behind "Answer:" as it is: the stars of bold type,
# and a full stop, are part of it, and a right box in the same place or further up does not count any more. Then commas
# between digits go, and many units and words. For GSM8K the flexible way takes the last thing that holds a digit, a
# comma or a full stop, a comma by itself included; the strict way sees no dollars, though it would drop the sign.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" verl==0.9.1

PYTHONPATH=$folder python3 - "$folder" >"$folder/seen" 2>/dev/null <<'PYTHON'
import importlib.util
import sys


def load(name):
    # The files need the standard library alone; the package's own import needs PyTorch.
    spec = importlib.util.spec_from_file_location(name, f"{sys.argv[1]}/verl/utils/reward_score/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


dapo, gsm8k = load("math_dapo"), load("gsm8k")
for reply, right in (
    ("Answer: 12", "12"),
    ("**Answer:** 12", "12"),
    ("Answer: 12.", "12"),
    (r"It is \boxed{12}.", "12"),
    (r"**Answer:** \boxed{12}", "12"),
    ("Answer: 1, 2", "12"),
    ("Answer: 5 hours", "5 minutes"),
    ("Answer: x = 1 or x = 2", "2"),
):
    print(f"{reply!r} for {right!r}: {dapo.compute_score(reply, right)['score']}")
for way, reply in (
    ("flexible", "6 * 7 is 42, as it seems"),
    ("flexible", "6 * 7 is 42. He said so, and he knows."),
    ("flexible", "42 of 1,000, all told, are left"),
    ("strict", "#### 42"),
    ("strict", "#### $42"),
    ("strict", "#### 42."),
):
    print(f"{way}, {reply!r}: {gsm8k.extract_solution(reply, way)!r}, {gsm8k.compute_score(reply, '42', way)}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
'Answer: 12' for '12': 1.0
'**Answer:** 12' for '12': -1.0
'Answer: 12.' for '12': -1.0
'It is \\boxed{12}.' for '12': 1.0
'**Answer:** \\boxed{12}' for '12': -1.0
'Answer: 1, 2' for '12': 1.0
'Answer: 5 hours' for '5 minutes': 1.0
'Answer: x = 1 or x = 2' for '2': 1.0
flexible, '6 * 7 is 42, as it seems': '42,', 0.0
flexible, '6 * 7 is 42. He said so, and he knows.': ',', 0.0
flexible, '42 of 1,000, all told, are left': ',', 0.0
strict, '#### 42': '42', 1.0
strict, '#### $42': None, 0
strict, '#### 42.': '42.', 0.0
EXPECTED
