"""How long after its deadline the last byte of a stream comes, with many streams at once.

The server runs in a process of its own, on an engine that writes at a pace: ``--branches`` branches
of ``--pace`` tokens a second each, which finish after every deadline, so that each race ends by its
own. ``--streams`` clients in this process ask at once, half of the time as server-sent events
(``POST /v1/chat/completions``), half over websockets (``/v1/responses``), each with its deadline
between 0.5 and 3 seconds, for some rounds. Lateness is the time from asking to the last byte, less
the deadline. ``tokens_a_second`` is what the server's one processor had to carry.

Beside it, what streams cost whose readers read nothing: the server's memory with ``--streams`` of
them, less that with as many that read, each.

    python tests/benchmarks/stream_lateness.py
    python tests/benchmarks/stream_lateness.py --checkout ../other
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import orjson
import psutil
from aiohttp import web
from common import progress, report
from websockets.asyncio.client import connect

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.protocol import Chunk, FinishReason, Generation
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving import create_app

HERE = Path(__file__).resolve()
CHECKOUT = HERE.parents[2]
ANSWER = BranchScript((Piece(0.0, "42}", 2),))


class PacedEngine(ScriptedEngine):
    """Writes at a pace, as cheaply as can be: a token is a sleep."""

    def __init__(self, pace: float, tokens: int) -> None:
        super().__init__(Script([ANSWER]), max_branches=1 << 16, step_seconds=0.01)
        self._pause, self._tokens = 1 / pace, tokens

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        if request.forced:
            yield Chunk("42}", (1, 2), FinishReason.STOP)
            return
        loop = asyncio.get_running_loop()
        due = loop.time()
        for place in range(self._tokens):
            due += self._pause
            await asyncio.sleep(max(0.0, due - loop.time()))
            yield Chunk(f"word{place} ", (place,))
        yield Chunk("", (), FinishReason.STOP)


# ── the server's process ──────────────────────────────────────────────────────────────────────


async def serve(args: argparse.Namespace) -> None:
    engine = PacedEngine(args.pace, 10_000)
    settings = Settings.from_dict(
        {
            "race": {"branches": args.branches},
            "engine": {"max_branches": 1 << 16},
            "answers": {"workers": 0},
            "server": {"stall_limit": 30.0},
        }
    )
    async with Runtime(engine, settings) as runtime:
        runner = web.AppRunner(create_app(runtime), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        print(runner.addresses[0][1], flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(time.process_time(), flush=True)
        await runner.cleanup()


@contextmanager
def served(checkout: Path, args: argparse.Namespace) -> Iterator[tuple[int, psutil.Process]]:
    """The port and the process of a server."""
    command = [sys.executable, str(HERE), "--serve"]
    command += ["--branches", str(args.branches), "--pace", str(args.pace)]
    path = os.pathsep.join([str(checkout / "src"), str(HERE.parent)])
    process = subprocess.Popen(
        command,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline()), psutil.Process(process.pid)
    finally:
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


# ── the clients ───────────────────────────────────────────────────────────────────────────────


@dataclass
class Seen:
    late: list[float] = field(default_factory=list[float])  # milliseconds
    failed: list[str] = field(default_factory=list[str])


def posted(deadline: float, *, events: bool = False) -> bytes:
    race = {"deadline": deadline, "events": events}
    messages = [{"role": "user", "content": "What is 6 times 7?"}]
    body = orjson.dumps({"messages": messages, "stream": True, "frontrunner": race})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def ask_sse(port: int, deadline: float, seen: Seen) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.perf_counter()
    writer.write(posted(deadline))
    said = b""
    while piece := await reader.read(1 << 16):
        said = said[-200:] + piece
        if said.endswith(b"\r\n0\r\n\r\n"):
            break
    seen.late.append(1000 * (time.perf_counter() - began - deadline))
    if b"[DONE]" not in said:
        seen.failed.append(said.decode("utf-8", "replace"))
    writer.close()


async def ask_socket(port: int, deadline: float, seen: Seen) -> None:
    async with connect(f"ws://127.0.0.1:{port}/v1/responses", compression=None) as socket_:
        began = time.perf_counter()
        body = {"type": "response.create", "input": "6 times 7?"}
        await socket_.send(orjson.dumps({**body, "frontrunner": {"deadline": deadline}}).decode())
        async for told in socket_:
            message = told if isinstance(told, str) else told.decode()
            if '"response.delta' not in message[:60] and '"status":"' in message:
                last = orjson.loads(message)
                if last["type"] in ("response.completed", "response.incomplete", "error"):
                    break
        else:
            last = {"type": "closed"}
        seen.late.append(1000 * (time.perf_counter() - began - deadline))
        if last["type"] != "response.completed":
            seen.failed.append(last["type"])


async def crowd(ask: Any, port: int, streams: int, seen: Seen) -> None:
    async with asyncio.TaskGroup() as tasks:
        for place in range(streams):
            deadline = 0.5 + 2.5 * place / max(1, streams - 1)
            tasks.create_task(ask(port, deadline, seen))


def told(seen: Seen) -> dict[str, Any]:
    cuts = statistics.quantiles(seen.late, n=100)
    return {
        "streams": len(seen.late),
        "late": sum(ms > 0 for ms in seen.late),
        "failed": seen.failed[:3],
        "median_ms": round(cuts[49], 1),
        "p99_ms": round(cuts[98], 1),
        "most_ms": round(max(seen.late), 1),
    }


async def held(port: int, process: psutil.Process, streams: int, *, reads: bool) -> float:
    """The most memory, in MiB, with so many streams of branches and votes for four seconds."""
    sockets = list[socket.socket]()
    loop, most = asyncio.get_running_loop(), 0
    for _ in range(streams):
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        raw.setblocking(False)
        await loop.sock_connect(raw, ("127.0.0.1", port))
        await loop.sock_sendall(raw, posted(4.0, events=True))
        sockets.append(raw)

    async def read(raw: socket.socket) -> None:
        while await loop.sock_recv(raw, 1 << 16):
            pass

    async with asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(read(raw)) for raw in sockets if reads]
        until = loop.time() + 4.5
        while loop.time() < until:
            most = max(most, process.memory_full_info().uss)
            await asyncio.sleep(0.2)
        for reader in readers:
            reader.cancel()
    for raw in sockets:
        raw.close()
    await asyncio.sleep(1)
    return most / 2**20


async def run(args: argparse.Namespace, port: int, process: psutil.Process) -> dict[str, Any]:
    figures = dict[str, Any]()
    kinds = {"sse": ask_sse, "websocket": ask_socket}
    for name, ask in kinds.items():
        await crowd(ask, port, 8, Seen())
        seen = Seen()
        before, began = process.cpu_times(), time.perf_counter()
        for done in range(args.rounds):
            await crowd(ask, port, args.streams, seen)
            progress(done + 1, args.rounds, name)
        after, seconds = process.cpu_times(), time.perf_counter() - began
        used = after.user + after.system - before.user - before.system
        figures[name] = {**told(seen), "processor_used": round(used / seconds, 2)}
    reading = await held(port, process, args.streams, reads=True)
    stalled = await held(port, process, args.streams, reads=False)
    figures["kib_a_stalled_reader"] = round(1024 * (stalled - reading) / args.streams, 1)
    figures["mib"] = {"reading": round(reading, 1), "stalled": round(stalled, 1)}
    return figures


def main() -> None:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--checkout", default=str(CHECKOUT), help="folder whose server is measured")
    made.add_argument("--streams", type=int, default=100)
    made.add_argument("--branches", type=int, default=8)
    made.add_argument("--pace", type=float, default=50.0, help="tokens a second of a branch")
    made.add_argument("--rounds", type=int, default=4)
    made.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = made.parse_args()
    if args.serve:
        anyio.run(serve, args)
        return
    with served(Path(args.checkout).resolve(), args) as (port, process):
        figures = asyncio.run(run(args, port, process))
    rate = args.streams * args.branches * args.pace
    report({"tokens_a_second": rate, "rounds": args.rounds, **figures})


if __name__ == "__main__":
    main()
