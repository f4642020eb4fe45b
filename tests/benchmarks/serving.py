"""What the HTTP server costs, on an engine that plays a script.

1. Time to the first byte of a streamed chat completion over the time to the first event of the
   embedded ``Runtime.stream``, paired; the difference at the median.
2. Requests per second of streamed chat completions against a bare aiohttp handler that streams the
   same bytes, as a ratio, with the same client and the same number of connections.

Server and client share one event loop and processor, so the figures bound the server's from above.
"""

import argparse
import statistics
import time
from collections.abc import Awaitable, Callable

import anyio
from aiohttp import ClientSession, TCPConnector, web
from aiohttp.test_utils import TestServer
from common import progress, quartiles, report

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines import BranchScript, Script, ScriptedEngine
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving import create_app

BODY = {"messages": [{"role": "user", "content": "What is 6 times 7?"}], "stream": True}


async def first_bytes(runtime: Runtime, http: ClientSession, count: int) -> dict[str, object]:
    """Seconds to the first byte and to the first event, in turns."""
    served, embedded = list[float](), list[float]()
    for done in range(count):
        began = time.perf_counter()
        async with http.post("v1/chat/completions", json=BODY) as response:
            await response.content.readany()
            served.append(time.perf_counter() - began)
            await response.read()
        began = time.perf_counter()
        async with runtime.stream("What is 6 times 7?") as events:
            await anext(events)
            embedded.append(time.perf_counter() - began)
            async for _ in events:
                pass
        progress(done + 1, count, "to the first byte")
    differences = [1000 * (a - b) for a, b in zip(served, embedded, strict=True)]
    return {
        "served_ms": quartiles([1000 * s for s in served]),
        "embedded_ms": quartiles([1000 * s for s in embedded]),
        "difference_ms": quartiles(differences),
    }


async def rate(ask: Callable[[], Awaitable[None]], count: int, at_once: int) -> float:
    """Requests per second with ``at_once`` clients."""
    left = count

    async def client() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await ask()

    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(client)
    return count / (time.perf_counter() - began)


async def recorded(http: ClientSession) -> list[bytes]:
    """One streamed reply, as the pieces in which it arrived."""
    async with http.post("v1/chat/completions", json=BODY) as response:
        return [piece async for piece in response.content.iter_any()]


def bare(pieces: list[bytes]) -> web.Application:
    """Streams the same bytes, and does nothing else."""

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
    return app


async def measure(args: argparse.Namespace) -> None:
    branch = BranchScript.answering("42", seconds=0.0, tokens=args.tokens)
    engine = ScriptedEngine(Script([branch]), step_seconds=0.001)
    settings = Settings.from_dict(
        {"race": {"branches": args.branches}, "answers": {"workers": 0, "kind": "last_number"}}
    )
    async with (
        Runtime(engine, settings) as runtime,
        TestServer(create_app(runtime)) as server,
        ClientSession(server.make_url("/"), connector=TCPConnector(limit=0)) as http,
    ):
        await recorded(http)
        figures = await first_bytes(runtime, http, args.count)
        pieces = await recorded(http)
        async with (
            TestServer(bare(pieces)) as plain,
            ClientSession(plain.make_url("/"), connector=TCPConnector(limit=0)) as other,
        ):
            ratios, rates = list[float](), list[tuple[float, float, float]]()
            for done in range(args.rounds):
                ours = await rate(lambda: asked(http), args.count, args.at_once)
                theirs = await rate(lambda: asked(other), args.count, args.at_once)
                direct = await rate(lambda: raced(runtime), args.count, args.at_once)
                ratios.append(ours / theirs)
                rates.append((ours, theirs, direct))
                progress(done + 1, args.rounds, "requests per second")
    report(
        {
            "branches": args.branches,
            "tokens_a_branch": args.tokens,
            "requests": args.count,
            "at_once": args.at_once,
            "first_byte": figures,
            "bytes_a_reply": sum(map(len, pieces)),
            "requests_per_second": round(statistics.median(r[0] for r in rates), 1),
            "bare_handler": round(statistics.median(r[1] for r in rates), 1),
            "embedded_races_per_second": round(statistics.median(r[2] for r in rates), 1),
            "ratio": round(statistics.median(ratios), 3),
        }
    )


async def asked(http: ClientSession) -> None:
    async with http.post("v1/chat/completions", json=BODY) as response:
        await response.read()


async def raced(runtime: Runtime) -> None:
    async with runtime.stream("What is 6 times 7?") as events:
        async for _ in events:
            pass


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--count", type=int, default=300, help="requests of each measurement")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--at-once", type=int, default=16, help="clients")
    made.add_argument("--branches", type=int, default=4)
    made.add_argument("--tokens", type=int, default=20, help="of a branch")
    args = made.parse_args()
    anyio.run(measure, args)


if __name__ == "__main__":
    main()
