"""Simon Willison's llm, with a model of its own configuration file."""

import os
import pathlib
import subprocess
import sys
import tempfile

from checking import BASE, QUESTION, check

home = tempfile.mkdtemp()
pathlib.Path(home, "extra-openai-models.yaml").write_text(
    f"- model_id: scripted\n  model_name: scripted\n  api_base: {BASE}\n"
)


def ask(*more):
    environment = {**os.environ, "LLM_USER_PATH": home, "OPENAI_API_KEY": "none"}
    command = [sys.executable, "-m", "llm", "-m", "scripted", *more, QUESTION]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60
    ).stdout


check("chat", lambda: "42" in ask("--no-stream"))
check("stream", lambda: "42" in ask())
