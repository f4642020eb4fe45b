"""``vllm bench serve``: its requests all succeed, and its times are those of the tokens."""

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from checking import BASE, URL, check

TOKENIZER = Path(__file__).parents[3] / "runtime/demo/model/target"
REQUESTS = 12
#: What ``vllm bench serve`` runs: the command itself does not start with vLLM's CPU distribution,
#: whose name it does not know.
BENCH = """
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""


def bench(backend, path, *more):
    with urllib.request.urlopen(f"{BASE}/models", timeout=30) as response:
        model = json.load(response)["data"][0]["id"]
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-c", BENCH),
            *("--backend", backend, "--base-url", URL, "--endpoint", path),
            *("--model", model, "--tokenizer", str(TOKENIZER), "--dataset-name", "random"),
            *("--random-input-len", "24", "--random-output-len", "24", "--seed", "1"),
            *("--num-prompts", str(REQUESTS), "--max-concurrency", "2", "--disable-tqdm"),
            *("--save-result", "--save-detailed", "--result-dir", folder),
            *("--result-filename", "result.json", *more),
        ]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
        assert ended.returncode == 0, ended.stderr[-600:]
        return json.loads((Path(folder) / "result.json").read_text())


def plausible(found):
    print(json.dumps({k: v for k, v in found.items() if k.startswith(("mean", "median"))}))
    assert (found["completed"], found["failed"]) == (REQUESTS, 0), found
    # A first token comes after some time, and long before the last one.
    lasting = [ttft + sum(gaps) for ttft, gaps in zip(found["ttfts"], found["itls"], strict=True)]
    assert all(0 < ttft < 0.9 * whole for ttft, whole in zip(found["ttfts"], lasting, strict=True))
    # The gaps between chunks are those between tokens, of which a chunk may hold several.
    assert 0.4 < found["mean_tpot_ms"] / found["mean_itl_ms"] < 2.5, found
    return found["total_output_tokens"] >= REQUESTS


check("completions", lambda: plausible(bench("openai", "/v1/completions")))
check("chat", lambda: plausible(bench("openai-chat", "/v1/chat/completions")))
check("likelihoods", lambda: plausible(bench("openai", "/v1/completions", "--logprobs", "1")))
check("load", lambda: plausible(bench("openai", "/v1/completions", "--request-rate", "20")))
