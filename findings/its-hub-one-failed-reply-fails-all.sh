#!/usr/bin/env bash
# its_hub: one request of eight that fails costs the answer of the other seven
#
# its_hub 1.2.0. All ways to vote raise at the first error, once the language model's own retries are spent: replies that
# are still to come are cancelled, those that came are lost. A missing vote would be enough: seven agree here.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --target "$folder" "its_hub[lm]==1.2.0" numpy==2.4.6

PYTHONPATH=$folder python3 - >"$folder/seen" 2>/dev/null <<'PYTHON'
import asyncio

from its_hub import AdaptiveSelfConsistency, BetaSelfConsistency, LMOrchestrator, SelfConsistency


class Model:
    """Seven replies that agree, and one request (the last of eight) that is refused at once."""

    def __init__(self):
        self.asked = self.replied = 0

    async def agenerate_single(self, messages, **kwargs):
        self.asked += 1
        if self.asked == self.refused:
            raise RuntimeError("out of order")
        for _ in range(5):
            await asyncio.sleep(0)
        self.replied += 1
        return {"role": "assistant", "content": "42"}


def vote(rule, refused):
    model = Model()
    model.refused = refused
    try:
        result = asyncio.run(rule.ainfer(model, "6 times 7?", budget=8, return_response_only=False))
        said = result.the_one["content"]
    except Exception as error:
        said = type(error).__name__
    return f"{said}, {model.replied} replies had come"


def same(text):
    return text


for refused in (8, None):
    print("refused:", refused)
    orchestrator = LMOrchestrator(max_concurrency=-1)
    print("  SelfConsistency:", vote(SelfConsistency(same, orchestrator=orchestrator), refused))
    print("  Beta:", vote(BetaSelfConsistency(0.95, same, orchestrator=orchestrator), refused))
    adaptive = AdaptiveSelfConsistency(consistency_space_projection_func=same, orchestrator=orchestrator)
    print("  Adaptive:", vote(adaptive, 2 if refused else None))
PYTHON
cat "$folder/seen"
diff - "$folder/seen" <<'EXPECTED' || { echo "it behaves otherwise now" >&2; exit 1; }
refused: 8
  SelfConsistency: RuntimeError, 0 replies had come
  Beta: RuntimeError, 7 replies had come
  Adaptive: RuntimeError, 0 replies had come
refused: None
  SelfConsistency: 42, 8 replies had come
  Beta: 42, 8 replies had come
  Adaptive: 42, 2 replies had come
EXPECTED
