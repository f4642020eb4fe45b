#!/usr/bin/env bash
# inspect-ai: match(numeric=True) compares the first five digits of a number, and an "**ANSWER:**" in bold is none
#
# inspect_ai 0.3.285. Numbers are written with five significant digits before they are compared, so that the neighbours of
# a right answer of six digits, which many problems have, are right as well. The scorer for "ANSWER: 42" takes the stars
# of bold type for a part of the answer, and finds no letter behind them.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" inspect_ai==0.3.285

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import asyncio

from inspect_ai.model import ModelName, ModelOutput
from inspect_ai.scorer import Target, answer, match
from inspect_ai.solver import TaskState

for scorer, name, reply, right in (
    (match(numeric=True), "match", "It is 123456.", "123456"),
    (match(numeric=True), "match", "It is 123457.", "123456"),
    (match(numeric=True), "match", "It is 1,000,001.", "1,000,000"),
    (match(numeric=True), "match", "It is 2.00001.", "2"),
    (match(numeric=True), "match", "It is 12346.", "12345"),
    (answer("line"), "answer", "ANSWER: 42", "42"),
    (answer("line"), "answer", "**ANSWER:** 42", "42"),
    (answer("letter"), "answer", "ANSWER: B", "B"),
    (answer("letter"), "answer", "ANSWER: **B**", "B"),
):
    state = TaskState(ModelName("mockllm/model"), 1, 1, "?", [], output=ModelOutput.from_content("m", reply))
    print(f"{name}, {reply!r} for {right!r}: {asyncio.run(scorer(state, Target(right))).value}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
match, 'It is 123456.' for '123456': C
match, 'It is 123457.' for '123456': C
match, 'It is 1,000,001.' for '1,000,000': C
match, 'It is 2.00001.' for '2': C
match, 'It is 12346.' for '12345': I
answer, 'ANSWER: 42' for '42': C
answer, '**ANSWER:** 42' for '42': I
answer, 'ANSWER: B' for 'B': C
answer, 'ANSWER: **B**' for 'B': I
EXPECTED
