"""Races on a pool of replicas while these are killed, stopped and slowed; and what a second one
brings.

The replicas are stand-ins that keep vLLM's protocol, each in a process of its own: they write at a
fixed speed and hold so many requests at once, so what is measured is the pool and not a model.

1. Three replicas under an even load, undisturbed, and again while one is killed (SIGKILL), one is
   stopped for 3 s (SIGSTOP) and one writes at half its speed. Shown: races that failed, how late
   results came (99th percentile and the worst), accuracy, requests that went on elsewhere, and the
   seconds from the stopped replica's return until it takes races again.
2. As many races as one replica, and two, can serve: races a second, and how late results came.

    python tests/benchmarks/replicas.py

``--router PROGRAM`` puts vllm-router between (0.1.17; ``python -m venv router``, then
``router/bin/pip install vllm-router==0.1.17`` and ``--router router/bin/vllm-router``).
Shown as well is what became of each request at the replicas that lived: those that were begun are
those that ended and those that were aborted, and none runs on.
"""

import argparse
import multiprocessing
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import anyio.to_thread
from aiohttp import web
from common import report

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.runtime.engines.fake_endpoint import FakeEndpoint, Fault

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.factory import make_engine
from frontrunner.runtime.engines.pool.engine import PoolEngine
from frontrunner.runtime.runtime import Runtime

ARGUMENTS = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
ARGUMENTS.add_argument("--seconds", type=float, default=30.0, help="of load in each run")
ARGUMENTS.add_argument("--every", type=float, default=0.6, help="seconds between two races")
ARGUMENTS.add_argument("--deadline", type=float, default=3.0, help="seconds")
ARGUMENTS.add_argument("--branches", type=int, default=4)
ARGUMENTS.add_argument("--slots", type=int, default=8, help="requests that a replica runs at once")
ARGUMENTS.add_argument("--delay", type=float, default=0.02, help="seconds a token")
ARGUMENTS.add_argument("--router", help="vllm-router's program; not given: a pool")
ARGUMENTS.add_argument("--policy", default="consistent_hash", help="of vllm-router")
ARGUMENTS.add_argument("--right", type=float, default=0.8, help="share of branches that are right")

LENGTH = 25  # tokens of an answer
STOPPED = 3.0  # seconds
TRUTH = "42"


class StandIn(FakeEndpoint):
    """Its branches are right or wrong by question and branch alone, wherever they are written."""

    right = 0.8

    async def _complete(self, request: Any) -> Any:
        body = await request.json()
        branch = re.search(r"-b\d+", request.headers.get("X-Request-Id", ""))
        which = f"{body['prompt'][:4]}{branch[0] if branch else ''}"
        key = blake2b(which.encode(), digest_size=4).digest()
        self._answers[str(body["prompt"])] = int.from_bytes(key) / 2**32 < self.right
        return await super()._complete(request)

    def __post_init__(self) -> None:
        self._answers: dict[str, bool] = {}
        self._begun = 0
        super().__post_init__()
        self._server.app.router.add_get("/counts", self._counts)
        self._server.app.router.add_get("/health", self._health)

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _counts(self, request: web.Request) -> web.Response:
        ended = self._begun - self.closed_early - self.running
        aborted, running = self.closed_early, self.running
        told = {"begun": self._begun, "ended": ended, "aborted": aborted, "running": running}
        return web.json_response(told)

    async def _stream(
        self, request: web.Request, body: dict[str, Any], chat: bool, fault: Fault | None
    ) -> web.StreamResponse:
        self._begun += 1
        return await super()._stream(request, body, chat, fault)

    def _choice(self, body: dict[str, Any], chat: bool, position: int, reason: Any) -> Any:
        choice = super()._choice(body, chat, position, reason)
        if reason is not None:
            right = self._answers.pop(str(body["prompt"]), True)
            choice["text"] = f"\\boxed{{{TRUTH if right else 7}}}"
        return choice


def serve(pipe: Connection, delay: float, right: float) -> None:
    """One replica; sends its URL, ends when it is killed."""

    async def main() -> None:
        there = StandIn(delay=delay, length=lambda prompt: LENGTH)
        there.right = right
        await there.start()

        def slow(*_: object) -> None:
            there.delay = 2 * delay

        signal.signal(signal.SIGUSR1, slow)
        pipe.send(there.url)
        await anyio.sleep_forever()

    anyio.run(main)


@dataclass
class Replica:
    url: str
    process: BaseProcess

    def tell(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)


@dataclass
class Run:
    """What came of the races of one run."""

    late: list[float] = field(default_factory=list[float])  # seconds; 0: in time
    right: list[bool] = field(default_factory=list[bool])
    failed: list[str] = field(default_factory=list[str])
    moved: int = 0
    seconds: float = 0.0
    back_after: float | None = None  # seconds until the stopped replica took races again
    counts: dict[str, int] = field(default_factory=dict[str, int])  # of the living replicas

    def row(self) -> dict[str, Any]:
        late = sorted(self.late) or [0.0]
        told: dict[str, Any] = {
            "races": len(self.late),
            "failed": len(self.failed),
            "late_p99_ms": round(1000 * late[min(len(late) - 1, int(0.99 * len(late)))], 1),
            "late_max_ms": round(1000 * late[-1], 1),
            "accuracy": round(100 * statistics.fmean(self.right), 1) if self.right else None,
            "moved": self.moved,
            "races_per_s": round(len(self.late) / self.seconds, 2),
        }
        if self.back_after is not None:
            told["back_after_s"] = round(self.back_after, 2)
        if self.counts:
            told["at_the_replicas"] = self.counts
        return told


@asynccontextmanager
async def pool(
    args: argparse.Namespace, count: int
) -> AsyncGenerator[tuple[list[Replica], Runtime, PoolEngine], None]:
    with ExitStack() as stack:
        replicas = await anyio.to_thread.run_sync(
            lambda: stack.enter_context(stand_ins(count, args.delay, args.right))
        )
        members = [
            {"kind": "openai", "url": replica.url, "max_branches": args.slots}
            for replica in replicas
        ]
        described: dict[str, Any] = {"kind": "pool", "members": members}
        if args.router:
            router = await start_router(args, replicas)
            stack.callback(end_router, router[1])
            described = {"kind": "openai", "url": router[0], "replicas": max(2, count)}
            described["max_branches"] = args.slots * count
        settings = Settings.from_dict(
            {
                "engine": described,
                "answers": {"workers": 0},
                "sampling": {"max_tokens": 64},
                "race": {"branches": args.branches, "queue": 64},
            }
        )
        engine = make_engine(settings.engine, settings.prompt)
        assert isinstance(engine, PoolEngine)
        async with Runtime(engine, settings) as runtime:
            yield replicas, runtime, engine


@contextmanager
def stand_ins(count: int, delay: float, right: float) -> Generator[list[Replica], None, None]:
    """So many replicas, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    pipes: list[tuple[Connection, BaseProcess]] = []
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, delay, right), daemon=True)
            process.start()
            pipes.append((ours, process))
        yield [Replica(ours.recv(), process) for ours, process in pipes]
    finally:
        for _, process in pipes:
            process.kill()
            process.join()


async def start_router(
    args: argparse.Namespace, replicas: list[Replica]
) -> tuple[str, "subprocess.Popen[bytes]"]:
    """Start vllm-router; returns its URL, once it serves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    urls = [replica.url.removesuffix("/v1") for replica in replicas]
    command = [args.router, "--host", "127.0.0.1", "--port", str(port), "--policy", args.policy]
    command += ["--prometheus-port", str(port + 1), "--log-level", "error", "--worker-urls", *urls]
    command += ["--health-check-interval-secs", "1", "--health-failure-threshold", "1"]
    command += ["--health-check-timeout-secs", "1", "--health-success-threshold", "1"]
    process = subprocess.Popen(  # noqa: ASYNC220 - it takes a moment
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}/v1"
    async with aiohttp.ClientSession() as session:
        for _ in range(600):
            with suppress(aiohttp.ClientError):
                async with session.get(f"{url}/models") as reply:
                    if reply.status == 200:
                        return url, process
            await anyio.sleep(0.1)
    end_router(process)
    raise SystemExit("vllm-router did not start")


def end_router(process: "subprocess.Popen[bytes]") -> None:
    """It and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


async def accounted(replicas: list[Replica]) -> dict[str, int]:
    """What became of the requests at the replicas that live, once none runs there, 5 s at most."""
    total: dict[str, int] = {}
    async with aiohttp.ClientSession() as session:
        for _ in range(100):
            total = Counter[str]()
            for replica in replicas:
                with suppress(aiohttp.ClientError, OSError):
                    async with session.get(f"{replica.url.removesuffix('/v1')}/counts") as reply:
                        total.update(await reply.json())
            if not total["running"]:
                break
            await anyio.sleep(0.05)
    return dict(total)


async def race(runtime: Runtime, number: int, deadline: float, run: Run) -> None:
    began = time.monotonic()
    try:
        result = await runtime.solve(
            f"Question {number}?",
            deadline=deadline,
            strategy="majority",
            parameters={"stop": "none"},
        )
    except Exception as error:  # noqa: BLE001 - counted
        run.failed.append(f"{type(error).__name__}: {error}")
        return
    run.late.append(max(0.0, time.monotonic() - began - deadline))
    run.right.append(result.answer == TRUTH)
    if result.answer != TRUTH:
        ends = ", ".join(branch.status.value for branch in result.branches)
        print(f"{number}: {result.answer} ({result.stop_reason.value}; {ends})", file=sys.stderr)


async def disturb(replicas: list[Replica], engine: PoolEngine, run: Run) -> None:
    await anyio.sleep(2.0)
    replicas[0].tell(signal.SIGKILL)
    replicas[2].tell(signal.SIGUSR1)
    await anyio.sleep(2.0)
    replicas[1].tell(signal.SIGSTOP)
    await anyio.sleep(STOPPED)
    replicas[1].tell(signal.SIGCONT)
    began = time.monotonic()
    if len(engine.members()) == 1:  # a router's
        return
    while not engine.members()[1].serves:  # noqa: ASYNC110 - nobody tells when
        await anyio.sleep(0.01)
    run.back_after = time.monotonic() - began


async def under_load(args: argparse.Namespace, *, disturbed: bool) -> Run:
    run = Run()
    async with pool(args, 3) as (replicas, runtime, engine):
        began = time.monotonic()
        async with anyio.create_task_group() as tasks:
            if disturbed:
                tasks.start_soon(disturb, replicas, engine, run)
            for number in range(round(args.seconds / args.every)):
                tasks.start_soon(race, runtime, number, args.deadline, run)
                await anyio.sleep(args.every)
        run.seconds = time.monotonic() - began
        run.moved = sum(member.moved_away for member in engine.members())
        run.counts = await accounted(replicas)
    return run


async def at_capacity(args: argparse.Namespace, count: int) -> Run:
    run = Run()
    async with pool(args, count) as (_, runtime, _):
        began = time.monotonic()
        numbers = iter(range(10**6))

        async def work() -> None:
            while time.monotonic() - began < args.seconds:
                await race(runtime, next(numbers), args.deadline, run)

        async with anyio.create_task_group() as tasks:
            for _ in range(count * args.slots // args.branches):
                tasks.start_soon(work)
        run.seconds = time.monotonic() - began
    return run


async def main(args: argparse.Namespace) -> None:
    rows: dict[str, Run] = {}
    rows["three, undisturbed"] = await under_load(args, disturbed=False)
    rows["three, one killed, one stopped, one slowed"] = await under_load(args, disturbed=True)
    rows["one, at capacity"] = await at_capacity(args, 1)
    rows["two, at capacity"] = await at_capacity(args, 2)
    table = {name: run.row() for name, run in rows.items()}
    one, two = table["one, at capacity"], table["two, at capacity"]
    print("| replicas | " + " | ".join(one) + " |", file=sys.stderr)
    for name, row in table.items():
        cells = [str(row.get(key)) for key in one]
        print(f"| {name} | " + " | ".join(cells) + " |", file=sys.stderr)
    for run in rows.values():
        for error in run.failed[:3]:
            print(error, file=sys.stderr)
    report({**table, "two_over_one": round(two["races_per_s"] / one["races_per_s"], 2)})


if __name__ == "__main__":
    anyio.run(main, ARGUMENTS.parse_args())
