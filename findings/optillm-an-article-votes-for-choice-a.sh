#!/usr/bin/env bash
# optillm: in majority voting a line that begins with the article "A" is a vote for choice A
#
# optillm 0.4.0. Answers are looked for in any reply by patterns in turn, the first match in the text; "answer is" comes
# before a letter at the beginning of any line, in either case, and boxes are not among them. So replies that agree in
# the box, but in nothing else, are all votes of their own, and two that begin a line with an article outvote them.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" optillm==0.4.0

PYTHONPATH=$folder python3 - "$folder" >"$folder/seen" 2>/dev/null <<'PYTHON'
import importlib.util
import sys
from types import SimpleNamespace

# The plugin's file needs the standard library alone; the package's own import needs some thirty others.
path = f"{sys.argv[1]}/optillm/plugins/majority_voting_plugin.py"
spec = importlib.util.spec_from_file_location("majority_voting_plugin", path)
plugin = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plugin)

TEXTS = [
    "Six sevens make \\boxed{42}.",
    "7 + 7 = 14, three times that is \\boxed{42}.",
    "By the table it is \\boxed{42}.",
    "A product of 6 and 7: \\boxed{36}.",
    "We add.\nA sum of six sevens is \\boxed{48}.",
]


def client_of(texts):
    """Replies as a server gives them to one request with n."""
    choices = [SimpleNamespace(message=SimpleNamespace(content=text)) for text in texts]
    reply = SimpleNamespace(choices=choices, usage=SimpleNamespace(completion_tokens=0))
    completions = SimpleNamespace(create=lambda **_: reply)
    return SimpleNamespace(chat=SimpleNamespace(completions=completions))


for text in TEXTS:
    print(repr(plugin.normalize_response(plugin.extract_final_answer(text))))
print("chosen:", plugin.run("", "6 times 7?", client_of(TEXTS), "m", {"k": 5})[0])
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
'six sevens make \\boxed{42}'
'7 + 7 = 14, three times that is \\boxed{42}'
'by the table it is \\boxed{42}'
'a'
'a'
chosen: A product of 6 and 7: \boxed{36}.
EXPECTED
