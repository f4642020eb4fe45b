"""AIPerf: streamed chat and completions, without errors and with plausible times."""

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from checking import BASE, URL, check

TOKENIZER = Path(__file__).parents[3] / "runtime/demo/model/target"
REQUESTS = 8


def bench(kind):
    with urllib.request.urlopen(f"{BASE}/models", timeout=30) as response:
        model = json.load(response)["data"][0]["id"]
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(Path(sys.executable).parent / "aiperf"),
            *("profile", "--model", model, "--url", URL, "--endpoint-type", kind, "--streaming"),
            *("--tokenizer", TOKENIZER.name, "--concurrency", "2", "--ui", "none"),
            *("--request-count", str(REQUESTS), "--synthetic-input-tokens-mean", "24"),
            *("--output-tokens-mean", "24", "--artifact-dir", folder),
        ]
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=140,
            check=False,
            cwd=TOKENIZER.parent,  # it takes a path with a slash for a name on the hub
        )
        reports = sorted(Path(folder).rglob("profile_export_aiperf.json"))
        assert ended.returncode == 0, (ended.stdout + ended.stderr)[-800:]
        # It takes a chunk with text for the first token's; a completion's is known at the end.
        return plausible(json.loads(reports[0].read_text()), 0.9 if kind == "chat" else 1.0)


def plausible(found, most):
    assert not found.get("error_summary"), found["error_summary"]
    assert found["request_count"]["avg"] == REQUESTS, found["request_count"]
    first, whole = found["time_to_first_token"]["avg"], found["request_latency"]["avg"]
    print(json.dumps({"first": first, "whole": whole, "gaps": found["inter_token_latency"]["avg"]}))
    return 0 < first <= most * whole


check("chat", lambda: bench("chat"))
check("completions", lambda: bench("completions"))
