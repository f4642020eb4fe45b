#!/usr/bin/env bash
# its_hub: replies without an answer vote for "no answer", and the helper for boxes takes the first one
#
# its_hub 1.2.0. A pattern that is not found gives (None,), which is counted like any answer: where more replies were cut off
# than agree, a reply without an answer wins. create_regex_projection_function looks for the first match, so a reply
# that corrects itself votes for what it took back; most other software reads the last box.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" its_hub==1.2.0 numpy==2.4.6

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import asyncio

from its_hub import SelfConsistency
from its_hub.core.algorithms.self_consistency import create_regex_projection_function


class Recorded:
    """Gives the replies that a model once gave."""

    def __init__(self, replies):
        self.replies = replies

    async def agenerate(self, *args, **kwargs):
        return self.replies


project = create_regex_projection_function(r"\\boxed\{([^}]+)\}")
texts = ["It is \\boxed{42}.", "It is \\boxed{42}.", "First, we", "So far,", "Let x be"]
replies = [{"role": "assistant", "content": text} for text in texts]
rule = SelfConsistency(project, orchestrator=Recorded(replies))
result = asyncio.run(rule.ainfer(None, "6 times 7?", budget=5, return_response_only=False))
print("votes:", dict(result.response_counts))
print("the one has an answer:", "boxed" in result.the_one["content"])
print("corrected:", project("\\boxed{41}? No: 6 times 7 is \\boxed{42}."))
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
votes: {('42',): 2, (None,): 3}
the one has an answer: False
corrected: ('41',)
EXPECTED
