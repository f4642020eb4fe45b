#!/usr/bin/env bash
# outlines-core: what the regular expression of a schema allows may be no JSON, and the JSON that is meant is not allowed
#
# outlines_core 0.2.14, one of the packages by which vLLM guides a model to a schema. The parts of an allOf are written
# one after another, so that a model must give two objects in place of one with both names. Names of properties stand
# there as they are, with quotes and tabs not escaped. A pattern is put between two quotes as it is: it may write a bare
# quote or a line break, one that looks for a part must be all of the text, and of a choice each half has one quote.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" outlines_core==0.2.14

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import json
import re

from outlines_core.json_schema import build_regex_from_schema


def needs(*names):
    return {"type": "object", "properties": {name: {"type": "integer"} for name in names}, "required": [*names]}


def text(pattern):
    return {"type": "string", "pattern": pattern}


def is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return "no JSON"
    return "JSON"


for name, schema, written in (
    ("allOf", {"allOf": [needs("a"), needs("b")]}, ('{"a": 1, "b": 2}', '{"a": 1}{"b": 2}')),
    ("a quote in a name", needs('6"'), (r'{"6\"": 1}', '{"6"": 1}')),
    ("a tab in a name", needs("a\tb"), (r'{"a\tb": 1}', '{"a\tb": 1}')),
    ("pattern ^[^,]+$", text("^[^,]+$"), ('"say \\"hi\\""', '"say "hi""', '"a\nb"')),
    ("pattern cat", text("cat"), ('"a cat"', '"cat"')),
    ("pattern yes|no", text("yes|no"), ('"yes"', '"no"', '"yes', 'no"')),
):
    allowed = re.compile(build_regex_from_schema(json.dumps(schema)))
    for one in written:
        print(f"{name}: {one!r}, {is_json(one)}, {'allowed' if allowed.fullmatch(one) else 'not allowed'}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
allOf: '{"a": 1, "b": 2}', JSON, not allowed
allOf: '{"a": 1}{"b": 2}', no JSON, allowed
a quote in a name: '{"6\\"": 1}', JSON, not allowed
a quote in a name: '{"6"": 1}', no JSON, allowed
a tab in a name: '{"a\\tb": 1}', JSON, not allowed
a tab in a name: '{"a\tb": 1}', no JSON, allowed
pattern ^[^,]+$: '"say \\"hi\\""', JSON, allowed
pattern ^[^,]+$: '"say "hi""', no JSON, allowed
pattern ^[^,]+$: '"a\nb"', no JSON, allowed
pattern cat: '"a cat"', JSON, not allowed
pattern cat: '"cat"', JSON, allowed
pattern yes|no: '"yes"', JSON, not allowed
pattern yes|no: '"no"', JSON, not allowed
pattern yes|no: '"yes', no JSON, allowed
pattern yes|no: 'no"', no JSON, allowed
EXPECTED
