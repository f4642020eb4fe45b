"""How late results come: many races at once on the scripted engine, deadlines 50 ms to 5 s.

``--at-once`` races run at any time, each of ``--branches``, until ``--count`` have ended. Time is
that of this process's own CPU (``common.CpuTimeLoop``), so that the load of others on the machine
does not count; ``--wall`` takes the real clock. ``--block`` holds the event loop for so many
milliseconds in every 100. Shows how many milliseconds after its deadline a result came (negative:
before it), and how many races had an answer.

::

    python tests/benchmarks/deadline_overshoot.py --count 10000
    python tests/benchmarks/deadline_overshoot.py --count 2000 --block 20
"""

import argparse
import asyncio
import gc
import logging
import random
import time
from typing import Any

import anyio
import structlog
from common import CpuTimeLoop, progress, report

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.errors import FrontrunnerError
from frontrunner.runtime.runtime import Runtime

ARGUMENTS = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
ARGUMENTS.add_argument("--count", type=int, default=2000, help="races in all")
ARGUMENTS.add_argument("--at-once", type=int, default=200)
ARGUMENTS.add_argument("--branches", type=int, default=8)
ARGUMENTS.add_argument("--rate", type=float, default=50, help="tokens a second of a branch")
ARGUMENTS.add_argument(
    "--block", type=float, default=0, help="ms in every 100 that the loop is held"
)
ARGUMENTS.add_argument("--wall", action="store_true", help="the real clock")
ARGUMENTS.add_argument("--collector", choices=["on", "off", "frozen", "spared"], default="on")
ARGUMENTS.add_argument("--seed", type=int, default=0)


def engine(args: argparse.Namespace) -> ScriptedEngine:
    step = 1 / args.rate
    longest = tuple(Piece(step, "word ") for _ in range(int(6 / step)))
    forced = BranchScript((Piece(0.004, "42}"),))
    return ScriptedEngine(
        Script([BranchScript(longest)], [forced]),
        max_branches=2 * args.at_once * args.branches,
        step_seconds=0.002,
    )


async def hold(milliseconds: float) -> None:
    while True:
        until = time.process_time() + milliseconds / 1000
        while time.process_time() < until:
            pass
        await anyio.sleep(0.1 - milliseconds / 1000)


async def measure(args: argparse.Namespace) -> dict[str, Any]:
    rng = random.Random(args.seed)
    deadlines = [0.05 * 100 ** rng.random() for _ in range(args.count)]
    late: list[float] = []
    answered = refused = 0
    settings = Settings.model_validate({"race": {"return_margin": 0.01}})
    async with Runtime(engine(args), settings) as runtime:

        async def worker() -> None:
            nonlocal answered, refused
            while deadlines:
                deadline, began = deadlines.pop(), anyio.current_time()
                try:
                    result = await runtime.solve(
                        "q",
                        branches=args.branches,
                        deadline=deadline,
                        strategy="majority",
                        parameters={"stop": "none"},
                    )
                except FrontrunnerError:  # too busy, or too short for how busy it is
                    refused += 1
                    await anyio.sleep(0.05)
                    continue
                late.append((anyio.current_time() - began - deadline) * 1000)
                answered += result.answer is not None
                if len(late) % 50 == 0:
                    progress(len(late), args.count)

        if args.collector == "off":
            gc.disable()
        elif args.collector in ("frozen", "spared"):
            gc.collect()
            gc.freeze()
            if args.collector == "spared":  # as `frontrunner serve` does
                gc.set_threshold(700, 3, 3500)
        async with anyio.create_task_group() as tasks:
            if args.block:
                tasks.start_soon(hold, args.block)
            async with anyio.create_task_group() as workers:
                for _ in range(args.at_once):
                    workers.start_soon(worker)
            tasks.cancel_scope.cancel()
    late.sort()
    return {
        "races": len(late),
        "refused": refused,
        "answered_percent": round(100 * answered / len(late), 2),
        "late_ms": {
            "p50": round(late[len(late) // 2], 2),
            "p99": round(late[int(0.99 * len(late))], 2),
            "max": round(late[-1], 2),
        },
    }


def main() -> None:
    args = ARGUMENTS.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    factory = asyncio.new_event_loop if args.wall else CpuTimeLoop
    with asyncio.Runner(loop_factory=factory) as runner:
        report(runner.run(measure(args)))


if __name__ == "__main__":
    main()
