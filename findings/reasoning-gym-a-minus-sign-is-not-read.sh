#!/usr/bin/env bash
# reasoning-gym: in gsm_symbolic minus 288 is 288, a negative answer is never right, and 1,288 is 1
#
# reasoning_gym 0.1.25. The pattern asks for a word boundary before the sign, which is there only behind a letter or
# digit: a sign at the beginning, or behind a blank, is left out. A comma ends a number, and of several numbers the
# first is compared, so that a right answer with its working in front of it is wrong.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" reasoning_gym==0.1.25

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import reasoning_gym

data = reasoning_gym.create_dataset("gsm_symbolic", size=1, seed=1)
for right, answers in {
    "288": ("288", "-288", "x=-288", "$288.00", "12 * 24 = 288", "288 (12 * 24)"),
    "-288": ("-288", "288", "x=-288"),
    "1288": ("1288", "1,288", "1 288"),
    "1": ("1", "1,288"),
}.items():
    scores = (f"{answer} {data.score_answer(answer, {'answer': right})}" for answer in answers)
    print(f"right is {right}:", "; ".join(scores))
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
right is 288: 288 1.0; -288 1.0; x=-288 1.0; $288.00 1.0; 12 * 24 = 288 0.01; 288 (12 * 24) 1.0
right is -288: -288 0.01; 288 0.01; x=-288 0.01
right is 1288: 1288 1.0; 1,288 0.01; 1 288 0.01
right is 1: 1 1.0; 1,288 1.0
EXPECTED
