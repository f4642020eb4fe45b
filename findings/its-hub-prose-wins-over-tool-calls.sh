#!/usr/bin/env bash
# its_hub: one reply in prose wins over seven equal tool calls, and broken calls agree with each other
#
# its_hub 1.2.0. As constructed by default, SelfConsistency leaves calls out of the vote and warns in the log; only where
# all replies are calls does it raise. With tool_vote="tool_flat_all" arguments that are no JSON count as no arguments, so
# three calls that are broken in three ways outvote two that are the same.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" its_hub==1.2.0 numpy==2.4.6

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import asyncio

from its_hub import SelfConsistency


class Recorded:
    """Gives the replies that a model once gave."""

    def __init__(self, replies):
        self.replies = replies

    async def agenerate(self, *args, **kwargs):
        return self.replies


def call(arguments):
    function = {"name": "add", "arguments": arguments}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": function}]}


def winner(replies, **options):
    rule = SelfConsistency(orchestrator=Recorded(replies), **options)
    said = asyncio.run(rule.ainfer(None, "2 + 2?", budget=len(replies)))
    return said["content"] or said["tool_calls"][0]["function"]["arguments"]


seven = [call('{"a": 2, "b": 2}')] * 7
prose = {"role": "assistant", "content": "Let me see."}
print("default:", winner([*seven, prose]))
print("tool_name:", winner([*seven, prose], tool_vote="tool_name"))
broken = [call(text) for text in ("{'a': 2}", '{"a": 2', "a=2")]
sound = [call('{"a": 2, "b": 2}')] * 2
print("tool_flat_all, a sound call:", winner([*broken, *sound], tool_vote="tool_flat_all") == '{"a": 2, "b": 2}')
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
default: Let me see.
tool_name: {"a": 2, "b": 2}
tool_flat_all, a sound call: False
EXPECTED
