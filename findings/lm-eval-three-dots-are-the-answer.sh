#!/usr/bin/env bash
# lm-eval: in GSM8K three dots are the answer, a difference is negative, and replies that were not read win the vote
#
# lm_eval 0.4.13, the filters as the tasks' own files set them. The flexible one takes the last run of digits, commas, full
# stops and dollar signs of which two stand together, with any dash in front: "..." is one. The majority vote of
# gsm8k_cot_self_consistency reads "The answer is 42" alone, neither "$42" nor "**42**"; what it cannot read is the text
# "[invalid]", all of which agree.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" lm_eval==0.4.13

PYTHONPATH=$folder python3 - "$folder" >"$folder/seen" 2>/dev/null <<'PYTHON'
import sys

import yaml
from lm_eval.filters import build_filter_ensemble


class Loader(yaml.SafeLoader):
    pass


Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def answer(file, name, replies):
    with open(f"{sys.argv[1]}/lm_eval/tasks/gsm8k/{file}.yaml") as text:
        task = yaml.load(text, Loader)
    (chosen,) = (one for one in task["filter_list"] if one["name"] == name)
    steps = [[s["function"], {k: v for k, v in s.items() if k != "function"}] for s in chosen["filter"]]
    request = type("Request", (), {"resps": replies, "doc": {}, "filtered_resps": {}})()
    build_filter_ensemble(name, steps).apply([request])
    return request.filtered_resps[name]


for reply in ("It is 42.", "It is 42 ...", "It is 42. Or so ...", "It is 52 - 10 = 42 $.", "42, that is 52-10"):
    print(f"{reply!r}: {answer('gsm8k', 'flexible-extract', [reply])!r}")
votes = ["The answer is $42.", "The answer is **42**.", "The answer is: 42", *["The answer is 42."] * 2]
print("vote:", answer("gsm8k-cot-self-consistency", "maj@64", votes))
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
'It is 42.': '42.'
'It is 42 ...': '...'
'It is 42. Or so ...': '...'
'It is 52 - 10 = 42 $.': '$.'
'42, that is 52-10': '-10'
vote: [invalid]
EXPECTED
