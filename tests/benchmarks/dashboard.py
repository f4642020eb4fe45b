"""Whether the dashboard and the alerts have something to show: a server under a little load, and
Prometheus with the files of ``docs/deploy``.

The server runs a pool of two demo engines with drafting, so that every panel has its figures. It
gets races that are settled and races that run out of time, refused requests and a websocket. Then
each panel of ``configs/grafana.json`` is asked for as Grafana asks, and each alert for its health.
Shown: how many series each query gave, and which gave none.

    python tests/benchmarks/dashboard.py --prometheus /usr/bin/prometheus

With ``--url`` twice the members are endpoints that run elsewhere; what only an engine in this
process knows (steps, cache, drafting) has no data then.

Exits with 1 if a query gave nothing or an alert could not be evaluated.
"""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import orjson
from aiohttp import ClientError, ClientSession
from common import progress, report

ROOT = Path(__file__).parents[2]
ARGUMENTS = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
ARGUMENTS.add_argument("--prometheus", default="prometheus", help="the program")
ARGUMENTS.add_argument("--url", action="append", help="of an endpoint as a member, up to /v1")
ARGUMENTS.add_argument("--seconds", type=int, default=45, help="of load")

CONFIG = """
[engine]
kind = "pool"
{members}
[prompt]
instruction = ""
[race]
deadline = 5.0
branches = 8
"""
MEMBER = """
[[engine.members]]
kind = "vllm"
name = "{name}"
model = "demo"
max_branches = 16
max_context_tokens = 1024
dtype = "bfloat16"
[engine.members.speculation]
method = "cross_branch"
"""
ENDPOINT = """
[[engine.members]]
kind = "openai"
url = "{url}"
max_branches = 16
"""
QUESTION = "Mia has 34 apples.\n1. Mia buys 58 more apples.\nHow many apples does Mia have now?"
#: What Grafana puts there: four times the scrape interval of docs/deploy/prometheus.yml.
VARIABLES = {"$job": ".*", "$__rate_interval": "20s"}


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


@contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program, ended as an operator ends it."""
    with log.open("wb") as out:
        program = subprocess.Popen(
            command, stdout=out, stderr=out, env={**os.environ, **environment}
        )
        try:
            yield program
        finally:
            program.send_signal(signal.SIGTERM)
            try:
                program.wait(30)
            except subprocess.TimeoutExpired:
                program.kill()


async def until_ready(http: ClientSession, url: str, program: subprocess.Popen[bytes]) -> None:
    while True:
        if program.poll() is not None:
            raise SystemExit(f"{program.args!r} has ended")
        try:
            async with http.get(url) as response:
                if response.status == 200:
                    return
        except ClientError:
            pass
        await anyio.sleep(0.5)


async def load(http: ClientSession, base: str, seconds: int) -> Mapping[int, int]:
    """Races and refused requests, two at a time, while a websocket is open; returns how many races
    were answered with each status."""
    statuses = Counter[int]()

    async def races(deadline: float) -> None:
        while True:
            body = {"input": QUESTION, "frontrunner": {"deadline": deadline}}
            async with http.post(f"{base}/v1/responses", json=body) as response:
                statuses[response.status] += 1
                await response.read()

    async with http.ws_connect(f"{base}/v1/responses"), anyio.create_task_group() as tasks:
        tasks.start_soon(races, 5.0)
        tasks.start_soon(races, 0.6)  # too short for most: forced answers
        for second in range(seconds):
            for path, body in (("/v1/responses", {"input": ""}), ("/v1/nothing", {})):
                async with http.post(f"{base}{path}", json=body) as response:
                    await response.read()
            progress(second + 1, seconds, "seconds of load")
            await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    return statuses


async def ask(http: ClientSession, base: str, expression: str) -> int:
    """How many series a query gives; what is not a number is none."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    query = {"query": expression}
    async with http.get(f"{base}/api/v1/query", params=query) as response:
        told = await response.json()
    if told["status"] != "success":
        raise SystemExit(f"{expression}: {told['error']}")
    return sum(result["value"][1] != "NaN" for result in told["data"]["result"])


async def panels(http: ClientSession, base: str) -> dict[str, list[int]]:
    """By title, the number of series of each query."""
    dashboard = orjson.loads((ROOT / "configs/grafana.json").read_bytes())
    return {
        panel["title"]: [await ask(http, base, target["expr"]) for target in panel["targets"]]
        for panel in dashboard["panels"]
        if panel.get("targets")
    }


async def alerts(http: ClientSession, base: str) -> dict[str, str]:
    """By name, ``ok`` or why it could not be evaluated, and its state."""
    async with http.get(f"{base}/api/v1/rules") as response:
        groups: list[Any] = (await response.json())["data"]["groups"]
    return {
        rule["name"]: f"{rule['health']}, {rule['state']}{rule.get('lastError', '')}"
        for group in groups
        for rule in group["rules"]
    }


async def main(args: argparse.Namespace) -> int:
    port, metrics, shown = free_port(), free_port(), free_port()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        urls: list[str] = args.url or []
        members = "".join(ENDPOINT.format(url=url) for url in urls) or "".join(
            MEMBER.format(name=name) for name in ("first", "second")
        )
        (folder / "config.toml").write_text(CONFIG.format(members=members))
        for file in ("prometheus.yml", "alerts.yml"):
            text = (ROOT / "docs/deploy" / file).read_text()
            (folder / file).write_text(text.replace("frontrunner:9100", f"127.0.0.1:{metrics}"))
        serve = [sys.executable, "-c", "from frontrunner.runtime.cli import main; main()", "serve"]
        settings = {"PORT": str(port), "METRICS_PORT": str(metrics)}
        environment = {f"FRONTRUNNER_SERVER_{key}": value for key, value in settings.items()}
        environment["FRONTRUNNER_CONFIG"] = str(folder / "config.toml")
        prometheus = [
            args.prometheus,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{shown}",
        ]
        with (
            running(serve, folder / "serve.log", **environment) as server,
            running(prometheus, folder / "prometheus.log") as program,
        ):
            base = f"http://127.0.0.1:{shown}"
            async with ClientSession() as http:
                try:
                    await until_ready(http, f"http://127.0.0.1:{port}/readyz", server)
                    await until_ready(http, f"{base}/-/ready", program)
                except SystemExit:
                    print((folder / "serve.log").read_text(), file=sys.stderr)
                    print((folder / "prometheus.log").read_text(), file=sys.stderr)
                    raise
                raced = await load(http, f"http://127.0.0.1:{port}", args.seconds)
                found, rules = await panels(http, base), await alerts(http, base)
    empty = [title for title, counts in found.items() if 0 in counts]
    broken = [rule for rule, state in rules.items() if not re.match("ok, ", state)]
    report(
        {
            "races": raced,
            "panels": found,
            "alerts": rules,
            "without_data": empty,
            "not_evaluated": broken,
        }
    )
    return 1 if empty or broken else 0


if __name__ == "__main__":
    sys.exit(anyio.run(main, ARGUMENTS.parse_args()))
