"""Hostile requests beside healthy races: are any late, and how long does the loop stand still?

The server runs in a process of its own, by default with a scripted engine: no model, so what is
measured is the server; ``--engine demo`` takes the demo's model on vLLM. Beside each hostile
request, which is sent a few times in a row, healthy clients begin a race each at once. On the
scripted engine half of these have branches that never end, so that they are answered at the
deadline: a loop that stands still makes them late at once. A race is late if its client has the
reply after the deadline. The loop's lag is how much later than asked for short sleeps in the
server's process end; it counts from before the hostile request to the end of the last race. Where
other programs take the processor as well, the last column says more: the most processor time that
the loop's thread used between two of these sleeps.

    python tests/benchmarks/hostile_requests.py
"""

import argparse
import asyncio
import gc
import gzip
import multiprocessing
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import orjson
from aiohttp import ClientError, ClientSession, WSMsgType, web

from frontrunner.runtime.config import Settings, demo_config_path
from frontrunner.runtime.engines.factory import make_engine
from frontrunner.runtime.engines.protocol import Engine, Generation
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving import create_app
from frontrunner.runtime.serving.http_server import Runner

KEY = "benchmark"
CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
#: Seconds between two samples of the loop's lag.
SAMPLE = 0.002
#: What a question of a branch that never ends begins with.
ENDLESS = "endless"

# ── the server's process ──────────────────────────────────────────────────────────────────────


def serve(pipe: Connection, engine: str) -> None:
    """Run the server. Sends its port; then, for each message but None, the lags since the last."""
    asyncio.run(_serve(pipe, engine))


async def _serve(pipe: Connection, kind: str) -> None:
    settings = Settings.from_toml(demo_config_path()) if kind == "demo" else Settings.from_dict({})
    server = settings.server.model_copy(update={"port": 0, "keys_env": "FRONTRUNNER_KEYS"})
    settings = settings.model_copy(update={"server": server})
    engine: Engine = make_engine(settings.engine) if kind == "demo" else _scripted()
    lags = list[tuple[float, float]]()
    async with Runtime(engine, settings, warm_up=True) as runtime:
        runner = Runner(create_app(runtime), header_timeout=10.0, idle_timeout=75.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        gc.collect()
        gc.freeze()  # as the vLLM engine does when it has started
        async with asyncio.TaskGroup() as tasks:
            sampling = tasks.create_task(_sample(lags))
            pipe.send(runner.addresses[0][1])
            while await asyncio.to_thread(pipe.recv) is not None:
                pipe.send([sorted(kind) for kind in zip(*lags, strict=True)])
                lags.clear()
            sampling.cancel()
        await runner.cleanup()


def _scripted() -> ScriptedEngine:
    engine = ScriptedEngine(Script([]), max_branches=4_096, step_seconds=0.005)
    endless = engine.encode(ENDLESS)[0]
    endless_script = BranchScript((Piece(0.01, "and then "),) * 10_000)
    healthy_script = BranchScript.answering("42", seconds=0.5, tokens=10)

    def choose(request: Generation) -> BranchScript:
        if request.forced:
            return BranchScript((Piece(0.0, "7}", 2),))
        return endless_script if request.prompt[0] == endless else healthy_script

    engine.script.chooser = choose
    return engine


async def _sample(lags: list[tuple[float, float]]) -> None:
    while True:
        due, used = time.monotonic() + SAMPLE, time.thread_time()
        await asyncio.sleep(SAMPLE)
        lags.append((max(0.0, time.monotonic() - due), time.thread_time() - used))


# ── hostile requests ──────────────────────────────────────────────────────────────────────────

#: Sends one; gives what came of it.
Send = Callable[[ClientSession], Awaitable[str]]


def posted(path: str, body: Any, *, key: str = KEY, **headers: str) -> Send:
    """A request with this body: bytes, or what becomes JSON."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers}

    async def send(http: ClientSession) -> str:
        try:
            async with http.post(path, data=data, headers=headers) as response:
                said = await response.read()
            error = orjson.loads(said).get("error") or {}
            param = error.get("param")
            return f"{response.status}{f' {param}' if param else ''}"
        except ClientError as error:
            return type(error).__name__

    return send


def flooded(*messages: bytes, answers: int) -> Send:
    """A websocket that is sent these at once, and read until so many answers have come."""

    async def send(http: ClientSession) -> str:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with http.ws_connect(RESPONSES, headers=headers, max_msg_size=0) as socket:
            for message in messages:
                with suppress(ConnectionError):
                    await socket.send_str(message.decode())
            for _ in range(answers):
                received = await socket.receive(timeout=30)
                if received.type is not WSMsgType.TEXT:
                    return f"closed {socket.close_code}"
            return f"{answers} errors"

    return send


def question(content: Any, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}], **fields}


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def hostile() -> dict[str, Send]:
    """By name. Bodies are about as large as they may be, 1 MiB."""
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": nested(900)}
    bomb = gzip.compress(bytes(1 << 30), 9)
    parts = [{"type": "text", "text": "a"}] * 2_000
    weighted = {"strategy": "majority", "parameters": {"weight": "confidence", "logprobs": 10**6}}
    ids = {"prompt": [7] * 130_000}
    return {
        "10,000 stop strings": posted(CHAT, question("a", stop=[f"s{i}" for i in range(10_000)])),
        "100,000 stop strings": posted(CHAT, question("a", stop=[f"{i}" for i in range(10**5)])),
        "a prompt of 1 MB": posted(CHAT, question("Mia has 34 apples. " * 55_000)),
        "a bare prompt of 1 MB": posted(COMPLETIONS, {"prompt": "Mia has 3 apples " * 60_000}),
        "130,000 token ids": posted(COMPLETIONS, ids),
        "300,000 wrong token ids": posted(COMPLETIONS, {"prompt": [-1] * 300_000}),
        "1 GB in 1 MB of gzip": posted(CHAT, bomb, **{"Content-Encoding": "gzip"}),
        "the same without a key": posted(CHAT, bomb, key="x", **{"Content-Encoding": "gzip"}),
        "1 MB of brotli": posted(CHAT, bomb, **{"Content-Encoding": "br"}),
        "340,000 empty lists": posted(CHAT, b'{"messages":[' + b"[]," * 340_000 + b"[]]}"),
        "8,000 parts of messages": posted(CHAT, {"messages": [question(parts)["messages"][0]] * 4}),
        "2,000 messages": posted(CHAT, {"messages": question("abc")["messages"] * 2_000}),
        "2,000 items": posted(RESPONSES, {"input": question("abc")["messages"] * 2_000}),
        "2,000 calls": posted(RESPONSES, {"input": [{**call, "arguments": "{}"}] * 2_000}),
        "256 tools": posted(
            CHAT,
            question(
                "a",
                tools=[
                    {
                        "type": "function",
                        "function": {
                            "name": f"f{i}",
                            "parameters": {"type": "object", "properties": {"a": {}}},
                        },
                    }
                    for i in range(256)
                ],
            ),
        ),
        "deeply nested arguments": posted(RESPONSES, {"input": [call]}),
        "deeply nested JSON": posted(CHAT, b"[" * 10**6),
        "a million log probabilities": posted(CHAT, question("a", frontrunner=weighted)),
        "a million top_logprobs": posted(CHAT, question("a", top_logprobs=10**6)),
        "a long model's name": posted(CHAT, question("a", model="x" * 10**6)),
        "5,000 websocket messages": flooded(*[b"{}"] * 5_000, answers=5_000),
        "a websocket message of 2 MB": flooded(b'{"a":"' + b"x" * (2 << 20) + b'"}', answers=1),
        "300 large websocket messages": flooded(
            *[orjson.dumps({"type": "response.create", "input": [["x"] * 20_000]})] * 300,
            answers=300,
        ),
    }


# ── healthy races ─────────────────────────────────────────────────────────────────────────────


@dataclass
class Seen:
    """What happened beside a hostile request."""

    statuses: list[str] = field(default_factory=list[str])
    seconds: list[float] = field(default_factory=list[float])
    late: int = 0
    failed: list[str] = field(default_factory=list[str])
    latest: float = 0.0  # seconds that the slowest healthy race took


async def healthy(http: ClientSession, args: argparse.Namespace, index: int, seen: Seen) -> None:
    """Ask one question."""
    content = ENDLESS if args.engine == "scripted" and index % 2 else "What is 6 times 7?"
    race = {"branches": args.branches, "deadline": args.deadline}
    body = {"input": content, "frontrunner": race}
    began = time.perf_counter()
    headers = {"Authorization": f"Bearer {KEY}"}
    async with http.post(RESPONSES, json=body, headers=headers) as response:
        said = await response.json()
    took = time.perf_counter() - began
    seen.latest = max(seen.latest, took)
    seen.late += took > args.deadline
    if response.status != 200:
        seen.failed.append(said["error"]["message"])


async def attack(http: ClientSession, send: Send, times: int, seen: Seen) -> None:
    for _ in range(times):
        began = time.perf_counter()
        seen.statuses.append(await send(http))
        seen.seconds.append(time.perf_counter() - began)


async def beside(
    http: ClientSession, args: argparse.Namespace, pipe: Connection, send: Send | None
) -> Seen:
    """Healthy races beside one kind of hostile request, or alone."""
    seen = Seen()
    async with asyncio.TaskGroup() as tasks:
        for index in range(args.healthy):
            tasks.create_task(healthy(http, args, index, seen))
        await asyncio.sleep(0.1)  # they have begun, which all at once takes its time by itself
        pipe.send("begin")
        await asyncio.to_thread(pipe.recv)
        if send is not None:
            tasks.create_task(attack(http, send, args.times, seen))
    return seen


async def run(args: argparse.Namespace, pipe: Connection, port: int) -> bool:
    """Print the table; whether all is well."""
    well = True
    print(f"{'beside':30} {'status':28} {'ms':>7} {'late':>5} {'slowest s':>9}", end="")
    print(f" {'lag p99 ms':>10} {'max ms':>7} {'CPU ms':>7}")
    requests: dict[str, Send | None] = {"(first requests)": None, "(nothing)": None, **hostile()}
    async with ClientSession(f"http://127.0.0.1:{port}") as http:
        for name, send in requests.items():
            if args.only and args.only not in name:
                continue
            seen = await beside(http, args, pipe, send)
            pipe.send("end")
            lags, used = await asyncio.to_thread(pipe.recv)
            p99, most = 1000 * lags[int(0.99 * len(lags))], 1000 * lags[-1]
            status = ", ".join(dict.fromkeys(seen.statuses))[:28]
            ms = f"{1000 * max(seen.seconds):7.1f}" if seen.seconds else " " * 7
            print(f"{name:30} {status:28} {ms} {seen.late:5} {seen.latest:9.3f}", end="")
            print(
                f" {p99:10.1f} {most:7.1f} {1000 * used[-1]:7.1f}",
                *dict.fromkeys(seen.failed),
                flush=True,
            )
            if send is not None:
                well &= not seen.late and not seen.failed and p99 < 20
    return well


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engine", choices=["scripted", "demo"], default="scripted")
    parser.add_argument("--healthy", type=int, default=20, help="races at once")
    parser.add_argument("--branches", type=int, default=4, help="of each")
    parser.add_argument("--deadline", type=float, default=1.5, help="of each, in seconds")
    parser.add_argument("--times", type=int, default=3, help="that a hostile request is sent")
    parser.add_argument("--only", help="a part of the names of those that are sent")
    args = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=serve, args=(theirs, args.engine))
    server.start()
    try:
        well = asyncio.run(run(args, ours, ours.recv()))
        ours.send(None)
        return 0 if well else 1
    finally:
        server.join(10)
        if server.is_alive():
            server.kill()


if __name__ == "__main__":
    os.environ["FRONTRUNNER_KEYS"] = KEY
    sys.exit(main())
