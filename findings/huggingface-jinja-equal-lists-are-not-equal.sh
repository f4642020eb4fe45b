#!/usr/bin/env bash
# @huggingface/jinja: equal lists are not equal, and a tool's schema is not rendered as it was written
#
# @huggingface/jinja 0.5.11. Lists and dictionaries are compared by identity, a remainder has the sign of what is
# divided, and a character of two UTF-16 units has the length 2 and is halved by an index. Through tojson keys that are
# whole numbers come first, in order, and 1.0 is 1. transformers renders the same templates by Jinja2 (on the right).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" @huggingface/jinja@0.5.11
python3 -m pip install --quiet --disable-pip-version-check --target "$folder/python" jinja2==3.1.6 markupsafe==3.0.3

cat >"$folder/cases.json" <<'JSON'
["{{ [] == [] }}", "{{ [1] == [1] }}", "{{ {\"a\": 1} == {\"a\": 1} }}", "{{ -7 % 3 }}",
 "{{ '🍎' | length }}", "{{ '🍎'[0] == '🍎' }}", "{{ schema | tojson }}"]
JSON
echo '{"temperature": {"minimum": 1.0}, "10": {}, "2": {}}' >"$folder/schema.json"
cat >"$folder/render.mjs" <<'NODE'
import { readFileSync } from "node:fs";
import { Template } from "@huggingface/jinja";

const read = (name) => JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8"));
for (const text of read("cases.json")) console.log(new Template(text).render({ schema: read("schema.json") }));
NODE
cat >"$folder/render.py" <<'PYTHON'
import json
import sys
from pathlib import Path

from jinja2 import Environment

folder = Path(sys.argv[1])
environment = Environment()
environment.filters["tojson"] = json.dumps  # as transformers has it
schema = json.loads((folder / "schema.json").read_text())
for text in json.loads((folder / "cases.json").read_text()):
    print(environment.from_string(text).render(schema=schema).lower())
PYTHON
node "$folder/render.mjs" >"$folder/node"
PYTHONPATH=$folder/python python3 "$folder/render.py" "$folder" >"$folder/jinja2"
paste -d '|' "$folder/node" "$folder/jinja2" >"$folder/seen"
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
false|true
false|true
false|true
-1|2
2|1
false|true
{"2": {}, "10": {}, "temperature": {"minimum": 1}}|{"temperature": {"minimum": 1.0}, "10": {}, "2": {}}
EXPECTED
