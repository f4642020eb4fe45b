"""Hostile requests beside healthy races: are any late, and how long does the loop stand still?

The server runs in a process of its own, by default with a scripted engine: no model, so what is
measured is the server; ``--engine demo`` takes the demo's model on vLLM. Beside each hostile
request, which is sent a few times in a row, healthy clients begin a race each at once. On the
scripted engine half of these have branches that never end, so that they are answered at the
deadline: a loop that stands still makes them late at once. A race is late if its client has the
reply after the deadline. The loop's lag is how much later than asked for short sleeps in the
server's process end; it counts from before the hostile request to the end of the last race.

Other programs on the machine disturb all of these, and so do the engine and the clients, which
share its processors. So the last columns say what the server itself did: the most processor time
that one callback of the event loop took, and what it was. A callback is what nobody else can get a
turn in. The rows ``(nothing)`` are the same races without a hostile request. With several rounds,
each figure is the median of theirs, and of the two that are judged lowest and highest stand beside.

    python tests/benchmarks/hostile_requests.py
    python tests/benchmarks/hostile_requests.py --engine demo --rounds 5
"""

import argparse
import asyncio
import gc
import gzip
import multiprocessing
import os
import statistics
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
#: Milliseconds by which the loop may be late, at the 99th percentile.
MAX_LAG = 20
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
    lags, callbacks = list[float](), Callbacks()
    callbacks.install()
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
                pipe.send((sorted(lags), callbacks.longest, callbacks.what))
                lags.clear()
                callbacks.reset()
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


async def _sample(lags: list[float]) -> None:
    while True:
        due = time.monotonic() + SAMPLE
        await asyncio.sleep(SAMPLE)
        lags.append(max(0.0, time.monotonic() - due))


class Callbacks:
    """The longest callback of asyncio's event loop, in processor time of its thread.

    Attributes:
        longest: seconds.
        what: the function, or the task and where that waits next.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.longest, self.what = 0.0, ""

    def install(self) -> None:
        run: Callable[[asyncio.Handle], None] = asyncio.Handle._run  # type: ignore[attr-defined]

        def timed(handle: asyncio.Handle) -> None:
            began = time.thread_time()
            called = handle._callback  # type: ignore[attr-defined]
            run(handle)
            used = time.thread_time() - began
            if used > self.longest:
                self.longest, self.what = used, _name_of(called)

        asyncio.Handle._run = timed  # type: ignore[attr-defined]


def _name_of(called: Any) -> str:
    task = getattr(called, "__self__", None)
    if not isinstance(task, asyncio.Task):
        return str(getattr(called, "__qualname__", called))
    waits: Any = task.get_coro()
    name, within = waits.__qualname__, ""
    while (frame := getattr(waits, "cr_frame", None)) is not None:
        within = f" at {frame.f_code.co_name}:{frame.f_lineno}"
        waits = waits.cr_await
    return f"{name}{within}"


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
        "64 short choices": posted(
            CHAT,
            question(
                "What is 6 times 7?",
                n=64,
                max_tokens=5,
                frontrunner={"deadline": 1.0, "content": "reply", "min_branches": 64},
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


@dataclass
class Row:
    """What was measured beside one kind of hostile request, a value a round."""

    statuses: list[str] = field(default_factory=list[str])
    failed: list[str] = field(default_factory=list[str])
    milliseconds: list[float] = field(default_factory=list[float])  # of the hostile request
    late: list[float] = field(default_factory=list[float])
    slowest: list[float] = field(default_factory=list[float])  # of the healthy races, in seconds
    p99: list[float] = field(default_factory=list[float])  # of the lag, in milliseconds
    most: list[float] = field(default_factory=list[float])
    callback: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    def add(self, seen: Seen, measured: Any) -> None:
        """A round: what clients saw, and what the server's process measured."""
        lags, longest, what = measured
        self.statuses += seen.statuses
        self.failed += seen.failed
        self.milliseconds.append(1000 * max(seen.seconds, default=0.0))
        self.late.append(seen.late)
        self.slowest.append(seen.latest)
        self.p99.append(1000 * lags[int(0.99 * len(lags))])
        self.most.append(1000 * lags[-1])
        self.callback.append((1000 * longest, what))

    @property
    def well(self) -> bool:
        """Whether nobody was late, and the loop no longer away than it may be."""
        return not self.failed and not any(self.late) and statistics.median(self.p99) < MAX_LAG

    def __str__(self) -> str:
        median = statistics.median
        status = ", ".join(dict.fromkeys(self.statuses))[:28]
        slices = sorted(milliseconds for milliseconds, _ in self.callback)
        told = f"{status:28} {median(self.milliseconds):7.1f} {sum(self.late):5g}"
        told += f" {max(self.slowest):9.3f} {_spread(self.p99)} {median(self.most):7.1f}"
        told += f" {_spread(slices)} {max(self.callback)[1]}"
        return " ".join((told, *dict.fromkeys(self.failed)))


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):6.1f} ({min(values):5.1f}, {max(values):5.1f})"


async def run(args: argparse.Namespace, pipe: Connection, port: int) -> bool:
    """Print the table; whether all is well."""
    requests: dict[str, Send | None] = {"(first requests)": None, "(nothing)": None, **hostile()}
    if args.only:
        requests = {name: send for name, send in requests.items() if args.only in name}
    rows = {name: Row() for name in requests}
    async with ClientSession(f"http://127.0.0.1:{port}") as http:
        for _ in range(args.rounds):  # one after another, so that a busy minute spoils one of each
            for name, send in requests.items():
                seen = await beside(http, args, pipe, send)
                pipe.send("end")
                rows[name].add(seen, await asyncio.to_thread(pipe.recv))
    print(f"{'beside':30} {'status':28} {'ms':>7} {'late':>5} {'slowest s':>9}", end="")
    print(f" {'lag p99 ms':>21} {'max ms':>7} {'callback, CPU ms':>21} which")
    for name, row in rows.items():
        print(f"{name:30} {row}")
    return all(row.well for name, row in rows.items() if requests[name] is not None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--engine", choices=["scripted", "demo"], default="scripted")
    parser.add_argument("--healthy", type=int, default=20, help="races at once")
    parser.add_argument("--branches", type=int, default=2, help="of each")
    parser.add_argument("--deadline", type=float, default=1.5, help="of each, in seconds")
    parser.add_argument("--times", type=int, default=3, help="that a hostile request is sent")
    parser.add_argument("--rounds", type=int, default=1, help="that all is measured")
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
