"""Frontrunner and what else one would take, on the same engine and questions, in turns.

One vLLM server of the CPU build with the demo's model answers all rows but the one in process,
which has an engine of its own with the same settings, and the one with ``cross_branch``, whose
engine also drafts tokens from the other branches and from earlier races (speculative decoding: the
text is distributed as without it). In the last row votes weigh by likelihood besides, with a
threshold chosen on the select split. Each row is a process of its own (``peer_clients.py``) with
the same prompts, sampling, and reading of answers; the peers are driven through their own API, and
live in an environment of their own::

    python -m venv build/peers
    build/peers/bin/pip install 'its_hub[lm]==1.2.0' openai sympy z3-solver math-verify PyYAML \\
        cerebras_cloud_sdk flask
    build/peers/bin/pip install --no-deps optillm==0.4.0
    .venv/bin/python tests/benchmarks/peers.py --peers build/peers/bin/python \\
        --out build/peers.ndjson

Questions are asked in blocks; all rows ask a block before the next begins, each time another row
first. Each number of branches and of users has questions of its own, so that no engine drafts from
a race of the same question. Each reply is written down at once, and the same command goes on where
it was broken off.

Rows without a deadline of their own have all the time they want, up to ``--limit``; Frontrunner has
``--deadline``. With ``--deadlines`` Frontrunner is asked again with each of them, and the share of
right answers by then is set beside the peers', whose answers count where they have come by then.

``--fault`` puts a proxy before the server: ``fail`` (one request in every ``n`` is refused with
status 500), ``stall`` (one in every ``n`` is never answered), ``slow`` (the engine's process is
stopped half of the time in every second block).

Tokens are the server's own count, after what was aborted has ended; for the row in process the
runtime's. CPU is that of the asking process, per question.
"""

import argparse
import asyncio
import contextlib
import os
import re
import signal
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import orjson
import psutil
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from common import progress

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.vllm_server import VllmServer, start_server

from frontrunner.runtime.config import Settings, demo_config_path
from frontrunner.runtime.demo.problems import hard_problems

#: Branches that all engines have room for.
MAX_BRANCHES = 256
CLIENT = Path(__file__).with_name("peer_clients.py")
OURS = (
    "Frontrunner in process",
    "Frontrunner over the server",
    "Frontrunner in vllm serve",
    "Frontrunner in process, cross_branch",
    "Frontrunner in process, cross_branch, likelihood",
)
IN_PROCESS = (OURS[0], *OURS[3:])
PEERS = (
    "single branch",
    "n in one request",
    "script, waits for all",
    "script, lead of 3",
    "its_hub SelfConsistency",
    "its_hub Adaptive",
    "its_hub Beta",
    "optillm majority_voting",
)
_GENERATED = re.compile(r"^vllm:generation_tokens_total{.*} (\S+)$", re.M)


@dataclass(frozen=True)
class Cell:
    """What is asked: by which row, with how many branches, by how many at once, until when."""

    row: str
    n: int
    users: int
    deadline: float
    fault: str

    @property
    def in_process(self) -> bool:
        return self.row in IN_PROCESS


class Client:
    """A row's process."""

    def __init__(self, row: str, process: asyncio.subprocess.Process) -> None:
        self.row = row
        self._process = process
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next = 0
        self.ready = asyncio.get_running_loop().create_future()

    async def read(self) -> None:
        """Until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if not line.startswith(b"{"):
                continue  # what its libraries print
            said = orjson.loads(line)
            if "ready" in said:
                self.ready.set_result(None)
            elif waits := self._waiting.pop(said["id"], None):
                waits.set_result(said)
        gone = RuntimeError(f"{self.row}: its process ended; see its log")
        for waits in (self.ready, *self._waiting.values()):
            if not waits.done():
                waits.set_exception(gone)

    async def ask(self, question: str, cell: Cell, seed: int) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._next += 1
        line = {"id": self._next, "question": question, "n": cell.n, "seed": seed}
        waits = asyncio.get_running_loop().create_future()
        self._waiting[self._next] = waits
        self._process.stdin.write(orjson.dumps({**line, "deadline": cell.deadline}) + b"\n")
        return await waits


@asynccontextmanager
async def client_of(
    row: str, args: argparse.Namespace, url: str, log: Path
) -> AsyncIterator[Client]:
    runs_us = row in (*IN_PROCESS, OURS[1])
    python = sys.executable if runs_us else args.peers
    command = [python, str(CLIENT), row, "--url", url, "--model", "demo"]
    command += ["--max-tokens", "800", "--temperature", "1.0", "--limit", str(args.limit)]
    command += ["--max-branches", str(MAX_BRANCHES)]
    environment = dict(os.environ)
    if runs_us:
        source = str(Path(__file__).parents[2] / "src")
        environment["PYTHONPATH"] = source
        command += ["--config", args.config]
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=-1, stdout=-1, stderr=out, env=environment, limit=2**24
        )
    client = Client(row, process)
    reading = asyncio.create_task(client.read())
    try:
        await client.ready
        yield client
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(20):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await asyncio.gather(reading, return_exceptions=True)


class Proxy:
    """What stands between the clients and the server, and does it harm."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.fault, self.every = "none", 1
        self._seen = 0

    def begin(self, cell: Cell) -> None:
        self.fault, self.every, self._seen = cell.fault, cell.n, 0

    def end(self) -> None:
        self.fault = "none"

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.method == "POST" and request.path.endswith("completions"):
            # The second, not the first: of a request that stands for all branches every one would
            # be harmed, of a branch each n-th.
            self._seen += 1
            if self._seen % self.every == 2 % self.every:
                if self.fault == "fail":
                    raise web.HTTPInternalServerError(text="out of order")
                if self.fault == "stall":
                    await asyncio.sleep(600)
        http = request.app[_HTTP]
        headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        headers |= {k: v for k, v in request.headers.items() if k.lower() == "authorization"}
        async with http.request(
            request.method, self._url + request.path_qs, data=body, headers=headers
        ) as upstream:
            reply = web.StreamResponse(status=upstream.status)
            reply.content_type = upstream.content_type
            await reply.prepare(request)
            with contextlib.suppress(ClientError, ConnectionError):
                async for piece in upstream.content.iter_any():
                    await reply.write(piece)
            return reply


_HTTP = web.AppKey("http", ClientSession)


@asynccontextmanager
async def proxied(server: VllmServer) -> AsyncIterator[tuple[Proxy, str]]:
    proxy = Proxy(server.url)
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", proxy)
    connector = TCPConnector(limit=0)
    async with ClientSession(connector=connector, timeout=ClientTimeout(total=None)) as http:
        app[_HTTP] = http
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            yield proxy, f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()


@asynccontextmanager
async def slowed(server: VllmServer, on: bool) -> AsyncIterator[None]:
    """The server's engine stopped half of the time."""
    engines = [p for p in server.family if p.pid != server.process.pid] if on else []

    async def hold() -> None:
        while True:
            for told in (signal.SIGSTOP, signal.SIGCONT):
                for each in engines:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.send_signal(told)
                await asyncio.sleep(0.02)

    holding = asyncio.create_task(hold()) if engines else None
    try:
        yield
    finally:
        if holding:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)
            for each in engines:
                each.send_signal(signal.SIGCONT)


async def drained(server: VllmServer) -> int:
    """Tokens that the server has generated so far, once nothing runs."""
    while await asyncio.to_thread(server.requests):  # noqa: ASYNC110 (another process)
        await asyncio.sleep(0.05)
    return sum(int(float(n)) for n in _GENERATED.findall(server.get("/metrics")))


async def block(
    client: Client, cell: Cell, questions: list[tuple[int, Any]], server: VllmServer
) -> dict[str, Any]:
    """All questions of a block, by as many users as the cell says, and what came of them."""
    before = await drained(server)
    left = iter(questions)
    replies: list[dict[str, Any]] = []

    async def user() -> None:
        for place, problem in left:
            said = await client.ask(problem.question, cell, place)
            answer = said["text"][len("\\boxed{") : -1]
            replies.append({**said, "question": place, "right": answer == str(problem.answer)})

    async with asyncio.TaskGroup() as group:
        for _ in range(cell.users):
            group.create_task(user())
    tokens = await drained(server) - before
    if cell.in_process:
        tokens = sum(said["tokens"] or 0 for said in replies)
    return {**cell.__dict__, "tokens": tokens, "replies": replies}


def cells_of(args: argparse.Namespace) -> list[list[Cell]]:
    """Groups of cells, each of which is run in turns: the same n, users and fault."""
    groups: list[list[Cell]] = []
    rows = [row for row in (*PEERS, *OURS) if not args.rows or any(r in row for r in args.rows)]
    for fault in args.fault:
        for users in args.users:
            for n in args.n:
                group: list[Cell] = []
                for row in rows:
                    if fault != "none" and (row in OURS and row != OURS[1]):
                        continue  # what never passes the proxy, or is one request
                    deadlines = [args.deadline]
                    # What drafts from earlier races would meet its own race of the question.
                    if row in OURS[:3]:
                        deadlines += [d for d in args.deadlines if d != args.deadline]
                    group += [Cell(row, n, users, d, fault) for d in deadlines]
                groups.append(group)
    return groups


async def measure(args: argparse.Namespace) -> None:
    groups = cells_of(args)
    problems = list(enumerate(hard_problems("test", args.count * len(groups), seed=args.seed)))
    warming = hard_problems("select", 2, seed=args.seed)
    done = (
        [orjson.loads(line) for line in args.out.read_bytes().splitlines()]
        if (args.out.exists())
        else []
    )
    ended = {(Cell(**{k: d[k] for k in Cell.__dataclass_fields__}), d["begin"]) for d in done}
    todo = [
        (group, number, problems[place * args.count :][: args.count][begin : begin + args.block])
        for number, begin in enumerate(range(0, args.count, args.block))
        for place, group in enumerate(groups)
    ]
    log = args.out.with_suffix(".log")
    with ExitStack() as ending:
        server = start_server(
            args.port,
            log,
            {
                "VLLM_PLUGINS": "frontrunner",
                "FRONTRUNNER_CONFIG": args.config,
                "FRONTRUNNER_ENGINE_MAX_BRANCHES": str(MAX_BRANCHES),
            },
            ["--max-num-seqs", str(MAX_BRANCHES), "--stream-interval", str(args.stream_interval)],
        )
        ending.callback(server.end)
        await asyncio.to_thread(server.wait)
        async with AsyncExitStack() as stack:
            proxy, proxy_url = await stack.enter_async_context(proxied(server))
            clients: dict[tuple[str, bool], Client] = {}
            for at, (group, number, part) in enumerate(todo):
                shift = number % len(group)
                for cell in (*group[shift:], *group[:shift]):
                    begin = part[0][0]
                    if (cell, begin) in ended:
                        continue
                    harmed = cell.fault in ("fail", "stall")
                    key = (cell.row, harmed)
                    if key not in clients:
                        url = (proxy_url if harmed else server.url) + (
                            args.plugin_path if cell.row == OURS[2] else "/v1"
                        )
                        made = client_of(cell.row, args, url, log)
                        clients[key] = await stack.enter_async_context(made)
                        for place, problem in enumerate(warming):
                            await clients[key].ask(problem.question, cell, -1 - place)
                    proxy.begin(cell)
                    slow = cell.fault == "slow" and number % 2 == 1
                    async with slowed(server, slow):
                        said = await block(clients[key], cell, part, server)
                    proxy.end()
                    with args.out.open("ab") as out:
                        out.write(orjson.dumps({**said, "begin": begin}) + b"\n")
                progress(at + 1, len(todo), f"{group[0].n} branches, {group[0].users} users")


def quantile(values: list[float], at: float) -> float:
    return float(np.quantile(values, at))


def report(args: argparse.Namespace) -> None:
    """Tables, in Markdown."""
    cells: dict[Cell, dict[str, Any]] = {}
    for line in args.out.read_bytes().splitlines():
        said = orjson.loads(line)
        cell = Cell(**{k: said[k] for k in Cell.__dataclass_fields__})
        into = cells.setdefault(cell, {"tokens": 0, "replies": [], "cpu": 0.0})
        into["tokens"] += said["tokens"]
        into["replies"] += said["replies"]
        taken = [r["cpu"] for r in said["replies"]]
        into["cpu"] += max(taken) - min(taken)
        into["counted"] = into.get("counted", 0) + len(taken) - 1
    groups = sorted({(c.fault, c.users, c.n) for c in cells})
    for fault, users, n in groups:
        print(
            f"\n### {n} branches, {users} at once"
            + (f", fault: {fault}" if fault != "none" else "")
        )
        print(
            "\n| row | right, % | p50, s | p95, s | tokens per right answer | CPU, ms | no answer |"
        )
        print("|---|---|---|---|---|---|---|")
        for cell, told in cells.items():
            if (cell.fault, cell.users, cell.n) != (
                fault,
                users,
                n,
            ) or cell.deadline != args.deadline:
                continue
            replies = told["replies"]
            right = [r["right"] for r in replies]
            seconds = [r["seconds"] for r in replies]
            low, high = wilson(sum(right), len(right))
            print(
                f"| {cell.row} | {100 * statistics.fmean(right):.1f} [{low:.0f}, {high:.0f}] "
                f"| {quantile(seconds, 0.5):.2f} | {quantile(seconds, 0.95):.2f} "
                f"| {told['tokens'] / max(1, sum(right)):,.0f} "
                f"| {1000 * told['cpu'] / max(1, told['counted']):.0f} "
                f"| {sum(r['text'] == '' for r in replies)} |"
            )
        by_deadline(args, cells, (fault, users, n))


def by_deadline(
    args: argparse.Namespace, cells: dict[Cell, dict[str, Any]], group: tuple[str, int, int]
) -> None:
    """The share of right answers that were there by each deadline."""
    mine = {c: t for c, t in cells.items() if (c.fault, c.users, c.n) == group}
    deadlines = sorted({c.deadline for c in mine} - {args.deadline})
    if not deadlines:
        return
    print("\nRight by the deadline, %:\n")
    print("| row | " + " | ".join(f"{d:g} s" for d in deadlines) + " |")
    print("|---" * (len(deadlines) + 1) + "|")
    for row in dict.fromkeys(c.row for c in mine):
        shares: list[str] = []
        for deadline in deadlines:
            asked = next(
                (
                    t
                    for c, t in mine.items()
                    if c.row == row and c.deadline == (deadline if row in OURS else args.deadline)
                ),
                None,
            )
            if asked is None:
                shares.append("")
                continue
            # A reply is on its way for a moment: a hundredth of a second is granted to all.
            hits = [r["right"] and r["seconds"] <= deadline + 0.01 for r in asked["replies"]]
            shares.append(f"{100 * statistics.fmean(hits):.1f}")
        print(f"| {row} | " + " | ".join(shares) + " |")


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share, in percent (Wilson's)."""
    z, p = 1.96, hits / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * ((p * (1 - p) + z * z / (4 * of)) / of) ** 0.5 / (1 + z * z / of)
    return 100 * (middle - half), 100 * (middle + half)


def arguments() -> argparse.Namespace:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--peers", default=sys.executable, help="Python of the peers' environment")
    made.add_argument("--out", type=Path, required=True, help="file of the replies")
    made.add_argument("--config", default=str(demo_config_path()), help="Frontrunner's")
    made.add_argument("--count", type=int, default=60, help="test problems")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--n", type=int, nargs="+", default=[8, 16, 32])
    made.add_argument("--users", type=int, nargs="+", default=[1, 4])
    made.add_argument("--rows", nargs="+", help="only rows whose name holds one of these")
    made.add_argument(
        "--fault", nargs="+", default=["none"], choices=["none", "fail", "stall", "slow"]
    )
    made.add_argument("--deadline", type=float, default=10.0, help="Frontrunner's, in seconds")
    made.add_argument("--deadlines", type=float, nargs="+", default=[])
    made.add_argument("--limit", type=float, default=30.0, help="seconds for any answer")
    made.add_argument("--block", type=int, default=10, help="questions a turn")
    made.add_argument("--port", type=int, default=8077)
    made.add_argument(
        "--stream-interval",
        type=int,
        default=1,
        help="of the server: tokens in a piece of a stream",
    )
    made.add_argument("--plugin-path", default="/frontrunner/v1", help="where the plugin serves")
    made.add_argument("--report-only", action="store_true")
    return made.parse_args()


def main() -> None:
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all its processes end
    Settings.from_toml(args.config)  # what is wrong with it is said before anything starts
    if not args.report_only:
        anyio.run(measure, args)
    report(args)


if __name__ == "__main__":
    main()
