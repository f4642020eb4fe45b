#!/usr/bin/env bash
# crucible-ttc: "The answer is \frac{3}{4}" is a vote for 3, and a root in a fraction a vote for its denominator
#
# crucible_ttc 0.1.1. Of what follows "answer is" the first number counts: 3/4 and 3/5 as TeX agree, so do 2\sqrt{3} and
# 2\sqrt{5}, and 1,250 is 1. A box whose braces are nested twice is not seen, so the last number of the text is the
# answer. In majority voting such replies, which all differ, outvote two that agree. The package needs some thirty
# others; its files here need one.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" \
    crucible_ttc==0.1.1 pyyaml==6.0.4

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
from crucible.domain.types import Problem, Step, Trace
from crucible.search.selectors import select_majority
from crucible.verify.answer_extract import extract_final_answer

REPLIES = (
    r"The answer is \frac{3}{4}.",
    r"The answer is \frac{3}{5}.",
    r"The answer is 3\sqrt{2}.",
    "The answer is 1,250.",
    r"So it is \boxed{\frac{\sqrt{3}}{2}}.",
    r"So it is \boxed{\frac{\sqrt{5}}{2}}.",
)
for reply in REPLIES:
    print(f"{reply} -> {extract_final_answer(reply)}")
votes = [r"It is \boxed{7}.", *REPLIES[:3], r"It is \boxed{7}."]
traces = [Trace([Step(text, len(text.split()))]) for text in votes]
best, _ = select_majority(Problem("1", "?"), traces, None, None)
print("the majority:", best.text)
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
The answer is \frac{3}{4}. -> 3
The answer is \frac{3}{5}. -> 3
The answer is 3\sqrt{2}. -> 3
The answer is 1,250. -> 1
So it is \boxed{\frac{\sqrt{3}}{2}}. -> 2
So it is \boxed{\frac{\sqrt{5}}{2}}. -> 2
the majority: The answer is \frac{3}{4}.
EXPECTED
