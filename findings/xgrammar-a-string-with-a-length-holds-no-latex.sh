#!/usr/bin/env bash
# xgrammar: a string with minLength 1 can hold no line break, quotation mark or LaTeX, and a number with a bound no 1e3
#
# xgrammar 0.2.9. Once a string has a minLength, maxLength or pattern, its JSON may have no escape: models that would write
# "\\frac{1}{2}" must write something else, which reads as an answer. A pattern is one for the whole string, not for a part
# of it as JSON Schema has it. A number with a bound on either side has six digits behind the point at most and no exponent.
# Of two parts in an allOf nothing is kept, the type included. llguidance 1.9.1 shares the exponent only.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" xgrammar==0.2.9 \
    apache-tvm-ffi==0.1.15.post2 numpy==2.4.6 pydantic==2.14.4 pydantic-core==2.50.5 annotated-types==0.8.0 \
    typing-extensions==4.16.0 typing-inspection==0.4.5 llguidance==1.9.1

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import json
import sys
from unittest.mock import MagicMock

import tvm_ffi  # noqa: F401  before the two below, which it would look into
from llguidance import LLMatcher, LLTokenizer

sys.modules.update(torch=MagicMock(__spec__=None), transformers=MagicMock(__spec__=None))  # for masks on a device alone
import xgrammar

END = 256
vocabulary = [*(bytes([byte]) for byte in range(END)), b"</s>"]
information = xgrammar.TokenizerInfo(vocabulary, vocab_type=xgrammar.VocabType.RAW, stop_token_ids=[END])
compiler = xgrammar.GrammarCompiler(information)
tokenizer = LLTokenizer("byte")


def allows(schema, text):
    matcher = xgrammar.GrammarMatcher(compiler.compile_json_schema(schema))
    return matcher.accept_string(text) and matcher.accept_token(END)


def guidance_allows(schema, text):
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_json_schema(schema))
    return matcher.consume_tokens(tokenizer.tokenize_bytes(text.encode())) and matcher.is_accepting()


for wanted, texts in (
    ({}, (r'"\\frac{1}{2}"', r'"a\nb"')),
    ({"minLength": 1}, (r'"\\frac{1}{2}"', r'"a\nb"', r'"\"so\""', '"half"')),
    ({"maxLength": 80}, (r'"\\frac{1}{2}"', '"half"')),
    ({"pattern": "^.+$"}, (r'"\\frac{1}{2}"', '"half"')),
    ({"pattern": "^[A-Z]"}, ('"Bob"', '"B"')),
    ({"type": "number"}, ("1e3", "0.1234567")),
    ({"type": "number", "minimum": 0}, ("1e3", "0.1234567", "0.123456")),
    ({"allOf": [{"type": "integer", "minimum": 5}, {"maximum": 9}]}, ("7", "1", '"seven"')),
):
    schema = json.dumps({"type": "string", **wanted} if "allOf" not in wanted else wanted)
    for text in texts:
        print(f"{json.dumps(wanted)}, {text}: {allows(schema, text)}, llguidance {guidance_allows(schema, text)}")
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
{}, "\\frac{1}{2}": True, llguidance True
{}, "a\nb": True, llguidance True
{"minLength": 1}, "\\frac{1}{2}": False, llguidance True
{"minLength": 1}, "a\nb": False, llguidance True
{"minLength": 1}, "\"so\"": False, llguidance True
{"minLength": 1}, "half": True, llguidance True
{"maxLength": 80}, "\\frac{1}{2}": False, llguidance True
{"maxLength": 80}, "half": True, llguidance True
{"pattern": "^.+$"}, "\\frac{1}{2}": False, llguidance True
{"pattern": "^.+$"}, "half": True, llguidance True
{"pattern": "^[A-Z]"}, "Bob": False, llguidance True
{"pattern": "^[A-Z]"}, "B": True, llguidance True
{"type": "number"}, 1e3: True, llguidance True
{"type": "number"}, 0.1234567: True, llguidance True
{"type": "number", "minimum": 0}, 1e3: False, llguidance False
{"type": "number", "minimum": 0}, 0.1234567: False, llguidance True
{"type": "number", "minimum": 0}, 0.123456: True, llguidance True
{"allOf": [{"type": "integer", "minimum": 5}, {"maximum": 9}]}, 7: True, llguidance True
{"allOf": [{"type": "integer", "minimum": 5}, {"maximum": 9}]}, 1: True, llguidance False
{"allOf": [{"type": "integer", "minimum": 5}, {"maximum": 9}]}, "seven": True, llguidance False
EXPECTED
