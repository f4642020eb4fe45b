#!/usr/bin/env bash
# reasoning-gym: a wrong number that holds the right one's digits is half right, and beats the right one as a decimal
#
# reasoning_gym 0.1.25. Many data sets (here greatest common divisors, bits, letters, equations) compare by spelling, and
# give an answer that only contains the right one its share of the characters: 81 and -8 get a half for 8, and 8.0 gets a
# third. A denial of the answer gets more than the answer in a box, and "yes" for "Yes" nothing at all.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" reasoning_gym==0.1.25

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import reasoning_gym

for name in ("gcd", "count_bits", "letter_counting", "simple_equations", "syllogism"):
    data = reasoning_gym.create_dataset(name, size=1, seed=1)
    entry = data[0]
    right = entry["answer"]
    answers = (right, f"{right}1", f"-{right}", f"{right}.0", f"\\boxed{{{right}}}", f"not {right}")
    if name == "syllogism":
        answers = (right, right.lower(), "Yes or No", f"not {right}")
    print(f"{name}:", ", ".join(f"{answer} {data.score_answer(answer, entry):.2f}" for answer in answers))
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
gcd: 1 1.00, 11 0.50, -1 0.50, 1.0 0.33, \boxed{1} 0.11, not 1 0.20
count_bits: 16 1.00, 161 0.67, -16 0.67, 16.0 0.50, \boxed{16} 0.20, not 16 0.33
letter_counting: 3 1.00, 31 0.50, -3 0.50, 3.0 0.33, \boxed{3} 0.11, not 3 0.20
simple_equations: 13 1.00, 131 0.67, -13 0.67, 13.0 0.50, \boxed{13} 0.20, not 13 0.33
syllogism: Yes 1.00, yes 0.00, Yes or No 0.33, not Yes 0.43
EXPECTED
