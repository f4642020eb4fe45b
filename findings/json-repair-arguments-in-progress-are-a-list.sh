#!/usr/bin/env bash
# json_repair: while a tool call's arguments arrive, the object is a list for a while, and true is the text "tr"
#
# json_repair 0.64.6. Each beginning of one JSON object, as it is streamed. Until the first colon a name is the only
# element of a list; a value that is missing is the empty text, and a literal that is not yet whole is text. So types
# change under whoever shows or checks a call in progress, also with stream_stable=True. jiter 0.19.0 (on the right)
# leaves out in its partial mode what is not certain, but for a number that goes on.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" json_repair==0.64.6 jiter==0.19.0

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import jiter
import json_repair

WHOLE = '{"days": 12, "warm": true, "from": null}'
before = None
for end in range(1, len(WHOLE) + 1):
    part = WHOLE[:end]
    repaired = json_repair.loads(part, stream_stable=True)
    read = jiter.from_json(part.encode(), partial_mode="trailing-strings")
    if (seen := f"{repaired} | {read}") != before:
        print(f"{part} -> {seen}")
    before = seen
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
{ -> {} | {}
{"d -> ['d'] | {}
{"da -> ['da'] | {}
{"day -> ['day'] | {}
{"days -> ['days'] | {}
{"days": -> {'days': ''} | {}
{"days": 1 -> {'days': 1} | {'days': 1}
{"days": 12 -> {'days': 12} | {'days': 12}
{"days": 12, "warm": -> {'days': 12, 'warm': ''} | {'days': 12}
{"days": 12, "warm": t -> {'days': 12, 'warm': 't'} | {'days': 12}
{"days": 12, "warm": tr -> {'days': 12, 'warm': 'tr'} | {'days': 12}
{"days": 12, "warm": tru -> {'days': 12, 'warm': 'tru'} | {'days': 12}
{"days": 12, "warm": true -> {'days': 12, 'warm': True} | {'days': 12, 'warm': True}
{"days": 12, "warm": true, "from": -> {'days': 12, 'warm': True, 'from': ''} | {'days': 12, 'warm': True}
{"days": 12, "warm": true, "from": n -> {'days': 12, 'warm': True, 'from': 'n'} | {'days': 12, 'warm': True}
{"days": 12, "warm": true, "from": nu -> {'days': 12, 'warm': True, 'from': 'nu'} | {'days': 12, 'warm': True}
{"days": 12, "warm": true, "from": nul -> {'days': 12, 'warm': True, 'from': 'nul'} | {'days': 12, 'warm': True}
{"days": 12, "warm": true, "from": null -> {'days': 12, 'warm': True, 'from': None} | {'days': 12, 'warm': True, 'from': None}
EXPECTED
