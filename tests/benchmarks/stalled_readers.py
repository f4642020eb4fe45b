"""Connections that stop reading, beside healthy ones: what they cost, and whom they cost it.

The server runs in a process of its own, with a scripted engine: no model, so what is measured is
the server. Healthy clients ask one question after another over a websocket each: alone, then beside
others that ask for much text and read it, then beside such that read nothing of it, and alone once
more. For each response of a healthy client the latency is the time from asking to its last event.
Memory is the server process's USS, at its highest in a phase. A race holds its own text whoever
reads it, so what a stalled connection costs is the difference to one that reads. When a connection
has gone is seen from the client's side, and with what code it was closed from the server's: the
close frame stands behind what the client does not read.

    python tests/benchmarks/stalled_readers.py
"""

import argparse
import asyncio
import multiprocessing
import socket
import statistics
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import orjson
import psutil
from aiohttp import web
from common import report
from websockets.asyncio.client import connect

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.protocol import Generation
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving import create_app
from frontrunner.runtime.serving.responses.socket_sends import BoundedSocket

#: Questions are told apart by their first word's id in the prompt.
LOUD = "loud"
#: What a loud branch writes: 200 KB in 4 s, and then nothing for ever.
LOUD_SCRIPT = BranchScript((Piece(0.1, "x" * 5_000, 1),) * 40, stall=True)
HEALTHY_SCRIPT = BranchScript.answering("42", seconds=0.5, tokens=10)
RACE: dict[str, Any] = {"branches": 2, "deadline": 2.0}


def serve(pipe: Connection, stall_limit: float) -> None:
    """Run the server; sends its port, ends when told to."""
    asyncio.run(_serve(pipe, stall_limit))


async def _serve(pipe: Connection, stall_limit: float) -> None:
    engine = ScriptedEngine(Script([]), max_branches=4_096, step_seconds=0.005)
    loud = engine.encode(LOUD)[0]

    def choose(request: Generation) -> BranchScript:
        if request.forced:
            return BranchScript((Piece(0.0, "7}", 2),))
        return LOUD_SCRIPT if request.prompt[0] == loud else HEALTHY_SCRIPT

    engine.script.chooser = choose
    settings = Settings.from_dict(
        {
            "engine": {"max_branches": 4_096},
            "server": {"port": 0, "stall_limit": stall_limit, "events": False},
        }
    )
    codes = _note_codes()
    async with Runtime(engine, settings) as runtime:
        runner = web.AppRunner(create_app(runtime))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        pipe.send(runner.addresses[0][1])
        await asyncio.to_thread(pipe.recv)
        pipe.send(dict(codes))
        await runner.cleanup()


def _note_codes() -> Counter[int]:
    """Count the codes with which the server closes websockets."""
    codes, close = Counter[int](), BoundedSocket.close

    async def counted(self: BoundedSocket, *, code: int = 1000, **more: Any) -> bool:
        if not self.closed:
            codes[code] += 1
        return await close(self, code=code, **more)

    BoundedSocket.close = counted  # type: ignore[method-assign]
    return codes


@dataclass
class Seen:
    latencies: list[float] = field(default_factory=list[float])
    errors: list[str] = field(default_factory=list[str])


async def healthy(port: int, until: float, seen: Seen) -> None:
    """Ask one question after another."""
    async with connect(f"ws://127.0.0.1:{port}/v1/responses", compression=None) as ws:
        while time.perf_counter() < until:
            began = time.perf_counter()
            body = {"type": "response.create", "input": "6 times 7?", "frontrunner": RACE}
            await ws.send(orjson.dumps(body).decode())
            while True:
                event = orjson.loads(await ws.recv())
                if event["type"] == "response.completed":
                    break
                if event["type"] == "error":
                    seen.errors.append(event["error"]["message"])
                    break
            seen.latencies.append(time.perf_counter() - began)


async def loud(port: int, seconds: float, ended: list[float], *, reads: bool) -> None:
    """Ask for much, and read all of it for ``seconds``, or nothing until the connection has gone,
    which took how many seconds?"""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    url = f"ws://127.0.0.1:{port}/v1/responses"
    ws = await connect(
        url, sock=raw, compression=None, max_queue=1, ping_interval=None, close_timeout=1
    )
    race = {"branches": 1, "deadline": 300.0, "events": True}
    body = {"type": "response.create", "input": LOUD, "frontrunner": race}
    await ws.send(orjson.dumps(body).decode())
    began = time.perf_counter()
    if reads:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    await ws.recv()
        await ws.close()
        return
    ws.transport.pause_reading()
    # Without reading, only the kernel can say that the other side has gone.
    while time.perf_counter() - began < seconds and _connected(raw):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    ended.append(time.perf_counter() - began)
    ws.transport.abort()


def _connected(raw: socket.socket) -> bool:
    if raw.fileno() < 0:
        return False
    # The first byte of struct tcp_info is the state; 1: established.
    return raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0] == 1


async def highest_memory(process: psutil.Process, until: asyncio.Event) -> int:
    highest = 0
    while not until.is_set():
        highest = max(highest, process.memory_full_info().uss)
        await asyncio.sleep(0.25)
    return highest


def quantiles(latencies: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(latencies, n=100)
    ms = {f"p{q}_ms": round(1000 * cuts[q - 1], 1) for q in (50, 90, 99)}
    return {"responses": len(latencies), **ms}


async def crowd(port: int, count: int, seconds: float) -> Seen:
    seen, until = Seen(), time.perf_counter() + seconds
    async with asyncio.TaskGroup() as tasks:
        for _ in range(count):
            tasks.create_task(healthy(port, until, seen))
    return seen


async def phase(
    args: argparse.Namespace, port: int, pid: int, ended: list[float], *, reads: bool
) -> tuple[Seen, int]:
    """Healthy clients beside loud ones: what they saw, and the server's highest memory."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        memory = tasks.create_task(highest_memory(psutil.Process(pid), over))
        together = tasks.create_task(crowd(port, args.healthy, args.seconds))
        async with asyncio.TaskGroup() as readers:
            for _ in range(args.stalled):
                readers.create_task(loud(port, args.patience, ended, reads=reads))
                # All at once they would be a load of another kind.
                await asyncio.sleep(args.ramp / args.stalled)
        await together
        over.set()
    return together.result(), memory.result()


async def run(args: argparse.Namespace, port: int, pid: int) -> dict[str, Any]:
    ended = list[float]()
    await crowd(port, args.healthy, 3)  # imports, caches
    before = await crowd(port, args.healthy, args.seconds)
    reading, memory_reading = await phase(args, port, pid, [], reads=True)
    stalling, memory_stalling = await phase(args, port, pid, ended, reads=False)
    after = await crowd(port, args.healthy, args.seconds)
    figures = {
        "alone": quantiles(before.latencies + after.latencies),
        "beside_readers": quantiles(reading.latencies),
        "beside_stalled": quantiles(stalling.latencies),
    }
    p99 = figures["beside_stalled"]["p99_ms"]
    return {
        **figures,
        "p99_to_alone": round(p99 / figures["alone"]["p99_ms"], 3),
        "p99_to_beside_readers": round(p99 / figures["beside_readers"]["p99_ms"], 3),
        "errors": [e for seen in (before, reading, stalling, after) for e in seen.errors][:5],
        "kib_per_stalled": round((memory_stalling - memory_reading) / args.stalled / 1024, 1),
        "mib_highest": round(memory_stalling / 2**20, 1),
        "gone_after_s": {"first": round(min(ended), 2), "last": round(max(ended), 2)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--stalled", type=int, default=200)
    parser.add_argument("--healthy", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=25.0, help="of each phase")
    parser.add_argument("--ramp", type=float, default=5.0, help="in which the others come")
    parser.add_argument("--stall-limit", type=float, default=10.0)
    parser.add_argument("--patience", type=float, default=20.0, help="of those that read or wait")
    args = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=serve, args=(theirs, args.stall_limit), daemon=True)
    server.start()
    try:
        assert server.pid is not None
        figures = asyncio.run(run(args, ours.recv(), server.pid))
        ours.send(None)
        report({**figures, "close_codes": ours.recv()})
    finally:
        server.join(10)
        if server.is_alive():
            server.kill()


if __name__ == "__main__":
    sys.exit(main())
