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
"""

import argparse
import multiprocessing
import os
import re
import signal
import statistics
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from common import report

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.runtime.engines.fake_endpoint import FakeEndpoint

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
        super().__post_init__()

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
        return told


@asynccontextmanager
async def pool(
    args: argparse.Namespace, count: int
) -> AsyncGenerator[tuple[list[Replica], Runtime, PoolEngine], None]:
    context = multiprocessing.get_context("spawn")
    replicas: list[Replica] = []
    try:
        pipes: list[tuple[Connection, BaseProcess]] = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=serve, args=(theirs, args.delay, args.right), daemon=True
            )
            process.start()
            pipes.append((ours, process))
        for ours, process in pipes:
            replicas.append(Replica(await anyio.to_thread.run_sync(ours.recv), process))
        members = [
            {"kind": "openai", "url": replica.url, "max_branches": args.slots}
            for replica in replicas
        ]
        settings = Settings.from_dict(
            {
                "engine": {"kind": "pool", "members": members},
                "answers": {"workers": 0},
                "sampling": {"max_tokens": 64},
                "race": {"branches": args.branches, "queue": 64},
            }
        )
        engine = make_engine(settings.engine, settings.prompt)
        assert isinstance(engine, PoolEngine)
        async with Runtime(engine, settings) as runtime:
            yield replicas, runtime, engine
    finally:
        for replica in replicas:
            replica.process.kill()
            replica.process.join()


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
