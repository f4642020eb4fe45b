"""Requests per second and CPU per request of the HTTP server, beside another checkout's.

The server runs in a process of its own, over real sockets; the load comes from this one, over
connections that are kept. The engine plays a script without waiting (``scripted``), or yields
prepared chunks, four at a time, and costs nearly nothing (``free``). Measured in turns, a round
each, for every server:

* requests per second and CPU of the server's process per request, streamed and not;
* with one client alone, the seconds to the first byte of the body of a streamed completion and to
  its first text (an earlier version sent a chunk that only names the role before there was any
  text): of all servers in turns, request by request, so that what else the machine does meets them
  alike;
* the same races through the embedded ``Runtime.stream``, in the server's process while it serves
  nobody: races per second, and the seconds to the first event (``embedded``).

The servers are this checkout's, that of ``--against`` (a folder with another one), and a bare
aiohttp handler that streams the bytes of one of this checkout's replies. ``ratio`` is this
checkout's figure over the other's of the same round: medians and quartiles of the rounds.

    python tests/benchmarks/server_requests.py --against ../other

The profile of the server, streamed, on one engine (``--profile`` writes what ``pstats`` reads):

    python tests/benchmarks/server_requests.py --rounds 1 --engines free --profile profile.out
    python -m pstats profile.out    # then: sort tottime, stats 40
"""

import argparse
import asyncio
import cProfile
import importlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import orjson
from aiohttp import web
from common import progress, quartiles, report

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.protocol import Chunk, FinishReason, Generation
from frontrunner.runtime.engines.scripted import BranchScript, Script, ScriptedEngine
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving import create_app

HERE = Path(__file__).resolve()
CHECKOUT = HERE.parents[2]
#: Chunks that come in one turn of the loop, as a step of an engine brings them.
AT_ONCE = 4
#: What chunks with text of the branch in front hold.
TEXT = b'"reasoning_content":"'


class FreeEngine(ScriptedEngine):
    """Yields prepared chunks, a few in each turn of the event loop."""

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        pieces = self.script.of(request).pieces
        for place, piece in enumerate(pieces):
            if place % AT_ONCE == 0:
                await anyio.lowlevel.checkpoint()
            last = place == len(pieces) - 1
            yield Chunk(piece.text, (place,), FinishReason.STOP if last else None)


# ── the server's process ──────────────────────────────────────────────────────────────────────


def serve(args: argparse.Namespace) -> None:
    """Run a server; ``cpu`` on standard input asks for its CPU seconds, its end ends it."""
    profile = cProfile.Profile(time.process_time) if args.profile else None
    if profile is not None:
        profile.enable()
    anyio.run(_serve_bare if args.serve == "bare" else _serve_ours, args)
    if profile is not None:
        profile.disable()
        profile.dump_stats(args.profile)


async def _serve_ours(args: argparse.Namespace) -> None:
    branch = BranchScript.answering("42", seconds=0.0, tokens=args.tokens)
    make = FreeEngine if args.serve == "free" else ScriptedEngine
    engine = make(Script([branch]), max_branches=4_096, step_seconds=0.001)
    settings = Settings.from_dict(
        {
            "race": {"branches": args.branches},
            "engine": {"max_branches": 4_096},
            "answers": {"workers": 0},
        }
    )
    async with Runtime(engine, settings) as runtime:
        await _answer(_runner(create_app(runtime), settings), runtime)


def _runner(app: web.Application, settings: Settings) -> web.AppRunner:
    """As ``frontrunner serve`` has it; its module has had another name."""
    for name in ("http_server", "connections"):
        try:
            found: Any = importlib.import_module(f"frontrunner.runtime.serving.{name}")
        except ImportError:
            continue
        server = settings.server
        return found.Runner(
            app,
            header_timeout=server.header_timeout,
            idle_timeout=server.idle_timeout,
            access_log=None,
        )
    raise ImportError("no module with the server's connections")


async def _serve_bare(args: argparse.Namespace) -> None:
    pieces: list[bytes] = [piece.encode() for piece in orjson.loads(sys.stdin.readline())]

    async def stream(request: web.Request) -> web.StreamResponse:
        await request.json()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        await response.write_eof()
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", stream)
    await _answer(web.AppRunner(app, access_log=None))


async def _answer(runner: web.AppRunner, runtime: Runtime | None = None) -> None:
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    while asked := (await asyncio.to_thread(sys.stdin.readline)).split():
        if asked[0] == "cpu" or runtime is None:
            print(time.process_time(), flush=True)
        else:
            print(*await _race(runtime, *map(int, asked[1:])), flush=True)
    await runner.cleanup()


async def _race(runtime: Runtime, count: int, at_once: int) -> tuple[float, float]:
    """Races per second, so many at once, and milliseconds to the first event of one alone, the
    median of a quarter of them."""
    left, firsts = count, list[float]()

    async def race() -> None:
        began = time.perf_counter()
        async with runtime.stream("What is 6 times 7?") as events:
            await anext(events)
            firsts.append(1000 * (time.perf_counter() - began))
            async for _ in events:
                pass

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await race()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(work())
    rate = count / (time.perf_counter() - began)
    firsts.clear()
    for _ in range(count // 4):
        await race()
    return rate, statistics.median(firsts)


@dataclass
class Served:
    """A server's process."""

    process: "subprocess.Popen[str]"
    port: int

    def cpu(self) -> float:
        """Seconds of CPU that it has taken."""
        (seconds,) = self._asked("cpu")
        return seconds

    def embedded(self, count: int, at_once: int) -> tuple[float, float]:
        """Races per second without the server, and milliseconds to the first event of one."""
        rate, first = self._asked(f"race {count} {at_once}")
        return rate, first

    def _asked(self, command: str) -> list[float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(command, file=self.process.stdin, flush=True)
        return [float(figure) for figure in self.process.stdout.readline().split()]


@contextmanager
def served(
    kind: str, checkout: Path, args: argparse.Namespace, first: str = ""
) -> Iterator[Served]:
    command = [sys.executable, str(HERE), "--serve", kind]
    command += ["--branches", str(args.branches), "--tokens", str(args.tokens)]
    if args.profile and checkout == CHECKOUT and kind != "bare":
        command += ["--profile", args.profile]
    path = os.pathsep.join([str(checkout / "src"), str(HERE.parent)])
    process = subprocess.Popen(
        command,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # where the log goes, one line a race
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if first:
            print(first, file=process.stdin, flush=True)
        yield Served(process, int(process.stdout.readline()))
    finally:
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


# ── the load ──────────────────────────────────────────────────────────────────────────────────


def asking(*, stream: bool) -> bytes:
    messages = [{"role": "user", "content": "What is 6 times 7?"}]
    body = orjson.dumps({"messages": messages, "stream": stream})
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Client:
    """One connection, as cheap as can be."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> "Client":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._writer.close()

    async def ask(self, request: bytes) -> tuple[float, float, list[bytes]]:
        """Seconds to the first byte of the body and to its first text, and the body's pieces."""
        began = time.perf_counter()
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        if length:
            seconds = time.perf_counter() - began
            return seconds, seconds, [await self._reader.readexactly(int(length))]
        first, text, pieces = 0.0, 0.0, list[bytes]()
        while size := int(await self._reader.readline(), 16):
            first = first or time.perf_counter() - began
            pieces.append((await self._reader.readexactly(size + 2))[:-2])
            if not text and TEXT in pieces[-1]:
                text = time.perf_counter() - began
        await self._reader.readline()
        return first, text, pieces


async def firsts(ports: Sequence[int], count: int) -> list[tuple[float, float]]:
    """Milliseconds to the first byte and to the first text of each server: medians of ``count``
    requests, one after another, in turns."""
    seen: list[list[tuple[float, float]]] = [[] for _ in ports]
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(port)) for port in ports]
        places = [*range(len(ports))]
        for turn in range(count):
            for place in places if turn % 2 else reversed(places):
                first, text, _ = await clients[place].ask(asking(stream=True))
                seen[place].append((1000 * first, 1000 * text))
    return [tuple(map(statistics.median, zip(*of, strict=True))) for of in seen]  # type: ignore[misc]


async def load(port: int, request: bytes, count: int, at_once: int) -> float:
    """Requests per second of so many clients."""
    left = count

    async def work() -> None:
        nonlocal left
        async with Client(port) as client:
            while left > 0:
                left -= 1
                await client.ask(request)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(work())
    return count / (time.perf_counter() - began)


@dataclass
class Figures:
    """What was measured of one server, a value a round."""

    rates: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])  # milliseconds a request
    first: list[float] = field(default_factory=list[float])  # byte, milliseconds
    text: list[float] = field(default_factory=list[float])  # the first one, milliseconds

    def measure(self, server: Served, args: argparse.Namespace, *, stream: bool) -> None:
        before = server.cpu()
        rate = asyncio.run(load(server.port, asking(stream=stream), args.count, args.at_once))
        self.rates.append(rate)
        self.cpu.append(1000 * (server.cpu() - before) / args.count)

    def told(self) -> dict[str, Any]:
        return {
            "requests_per_second": quartiles(self.rates),
            "cpu_ms_a_request": quartiles(self.cpu),
            **({"first_byte_ms": quartiles(self.first)} if self.first else {}),
            **({"first_text_ms": quartiles(self.text)} if self.text else {}),
        }

    def over(self, other: "Figures") -> dict[str, Any]:
        pairs = {"requests_per_second": (self.rates, other.rates), "cpu": (self.cpu, other.cpu)}
        if self.first:
            pairs |= {
                "first_byte": (self.first, other.first),
                "first_text": (self.text, other.text),
            }
        return {
            name: quartiles([a / b for a, b in zip(*both, strict=True)])
            for name, both in pairs.items()
        }


def compare(kind: str, args: argparse.Namespace) -> dict[str, Any]:
    """All servers on one engine, in turns."""
    with ExitStack() as stack:
        servers = {"this": stack.enter_context(served(kind, CHECKOUT, args))}
        if args.against:
            checkout = Path(args.against).resolve()
            servers["other"] = stack.enter_context(served(kind, checkout, args))
        sample = asyncio.run(_sample(servers["this"].port))
        told = orjson.dumps([piece.decode() for piece in sample]).decode()
        servers["bare"] = stack.enter_context(served("bare", CHECKOUT, args, told))
        modes = {"streamed": True, "whole": False}
        found = {mode: {name: Figures() for name in servers} for mode in modes}
        embedded = list[tuple[float, float]]()
        for server in servers.values():
            asyncio.run(load(server.port, asking(stream=True), 100, args.at_once))
        for done in range(args.rounds):
            for mode, stream in modes.items():
                for name in list(servers) if done % 2 else reversed(servers):
                    if stream or name != "bare":
                        found[mode][name].measure(servers[name], args, stream=stream)
            alone = asyncio.run(firsts([s.port for s in servers.values()], args.count // 4))
            for figures, (first, text) in zip(found["streamed"].values(), alone, strict=True):
                figures.first.append(first)
                figures.text.append(text)
            embedded.append(servers["this"].embedded(args.count, args.at_once))
            progress(done + 1, args.rounds, f"{kind} engine")
    return {
        "bytes_a_reply": sum(map(len, sample)),
        "writes_a_reply": len(sample),
        "embedded": _beside(embedded, found["streamed"]["this"]),
        **{
            mode: {
                **{name: f.told() for name, f in of.items() if f.rates},
                "ratio": {
                    name: of["this"].over(f) for name, f in of.items() if name != "this" and f.rates
                },
            }
            for mode, of in found.items()
        },
    }


def _beside(embedded: list[tuple[float, float]], served: Figures) -> dict[str, Any]:
    """Races without the server, and what the server takes beside them in the same round."""
    rates, firsts = zip(*embedded, strict=True)
    return {
        "races_per_second": quartiles(rates),
        "first_event_ms": quartiles(firsts),
        "requests_over_races": quartiles([a / b for a, b in zip(served.rates, rates, strict=True)]),
        "first_byte_after_ms": quartiles(
            [a - b for a, b in zip(served.first, firsts, strict=True)]
        ),
    }


async def _sample(port: int) -> list[bytes]:
    async with Client(port) as client:
        return (await client.ask(asking(stream=True)))[2]


def main() -> None:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--against", help="folder with another checkout")
    made.add_argument("--engines", nargs="+", default=["scripted", "free"])
    made.add_argument("--count", type=int, default=400, help="requests of each measurement")
    made.add_argument("--rounds", type=int, default=6)
    made.add_argument("--at-once", type=int, default=16, help="clients")
    made.add_argument("--branches", type=int, default=4)
    made.add_argument("--tokens", type=int, default=20, help="of a branch")
    made.add_argument("--profile", help="file for a profile of this checkout's server")
    made.add_argument("--serve", help=argparse.SUPPRESS)
    args = made.parse_args()
    if args.serve:
        serve(args)
        return
    shape = {name: getattr(args, name) for name in ("branches", "tokens", "count", "at_once")}
    report({**shape, **{kind: compare(kind, args) for kind in args.engines}})


if __name__ == "__main__":
    main()
