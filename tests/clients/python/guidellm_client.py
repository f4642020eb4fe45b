"""GuideLLM: a benchmark over chat and over completions, without errors and with plausible times."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from checking import BASE, URL, check

TOKENIZER = Path(__file__).parents[3] / "runtime/demo/model/target"
REQUESTS = 8


def bench(path):
    with urllib.request.urlopen(f"{BASE}/models", timeout=30) as response:
        model = json.load(response)["data"][0]["id"]
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "report.json"
        command = [
            str(Path(sys.executable).parent / "guidellm"),
            *(
                "run",
                "--backend",
                f"kind=openai_http,target={URL},model={model},request_format={path}",
            ),
            *(
                "--profile",
                "kind=synchronous",
                "--constraint",
                f"kind=max_requests,count={REQUESTS}",
            ),
            *("--tokenizer", f"kind=huggingface_auto,model={TOKENIZER}"),
            *("--data", "kind=synthetic_text,prompt_tokens=24,output_tokens=24"),
            *("--output", f"kind=json,path={told}", "--disable-console"),
        ]
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=150,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        assert ended.returncode == 0, (ended.stdout + ended.stderr)[-600:]
        return json.loads(told.read_text())


check("chat", lambda: bench("/v1/chat/completions"))
check("completions", lambda: bench("/v1/completions"))
