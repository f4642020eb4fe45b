#!/usr/bin/env bash
# deepconf: a box that was cut off is an answer, and so is what follows the word "boxed"
#
# deepconf 0.1.0. A trace that ran into its token limit inside \boxed{ votes for the digits it had, at full weight. A
# sentence that only mentions boxes votes for its own rest. The package itself needs vLLM; its utils.py needs NumPy alone.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" --no-deps deepconf==0.1.0 numpy==2.4.6

PYTHONPATH=$folder/deepconf:$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
from utils import compute_all_voting_results, extract_answer

texts = [r"so it is \boxed{12", r"hence \boxed{12", r"which gives \boxed{128}", "I will give it boxed at the end."]
answers = [extract_answer(text) for text in texts]
for answer in answers:
    print(repr(answer))
traces = [{"extracted_answer": answer, "confs": [1.0]} for answer in answers]
print("majority:", compute_all_voting_results(traces)["majority"]["answer"])
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
'12'
'12'
'128'
'at the end.'
majority: 12
EXPECTED
