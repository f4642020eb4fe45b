"""Ten times what the engine can do: what is admitted, what is refused, and when.

On an engine that plays a script, in one process. First the capacity: as many clients as the engine
has room for, each asking again as soon as it has an answer. Then requests come at ``--times`` that
rate, evenly spaced with some chance, whatever becomes of them. A race that is admitted is *good* if
it came by its deadline with votes of branches that finished, not of forced answers alone.

    python tests/benchmarks/overload.py --seconds 60
"""

import argparse
import random
import statistics
import time
from dataclasses import dataclass, field
from typing import Any

import anyio
from common import progress, report

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.errors import Overloaded
from frontrunner.runtime.runtime import Runtime

FORCED = BranchScript((Piece(0.01, "42}", 2),))


@dataclass
class Seen:
    good: int = 0
    forced_only: int = 0
    late: int = 0
    overshoots: list[float] = field(default_factory=list[float])  # milliseconds
    refusals: list[float] = field(default_factory=list[float])  # milliseconds until told


async def ask(runtime: Runtime, seen: Seen, deadline: float) -> None:
    began = time.perf_counter()
    try:
        result = await runtime.solve("What is 6 times 7?", deadline=deadline)
    except Overloaded:
        seen.refusals.append(1000 * (time.perf_counter() - began))
        return
    over = time.perf_counter() - began - deadline
    seen.overshoots.append(1000 * over)
    seen.late += over > 0
    if over <= 0 and result.votes:
        seen.good += 1
    elif not result.votes:
        seen.forced_only += 1


async def capacity(runtime: Runtime, args: argparse.Namespace) -> float:
    """Good races a second of clients that keep the engine busy and no more."""
    seen, seconds = Seen(), min(10.0, args.seconds)
    until = time.perf_counter() + seconds

    async def work() -> None:
        while time.perf_counter() < until:
            await ask(runtime, seen, args.deadline)

    async with anyio.create_task_group() as tasks:
        for _ in range(args.slots // args.branches):
            tasks.start_soon(work)
    return seen.good / seconds


async def overload(runtime: Runtime, args: argparse.Namespace, rate: float) -> Seen:
    seen, chance = Seen(), random.Random(args.seed)
    began = due = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        while due < began + args.seconds:
            due += chance.expovariate(rate)
            await anyio.sleep_until(due)
            deadline = args.deadline * chance.uniform(0.7, 1.3)
            tasks.start_soon(ask, runtime, seen, deadline)
            progress(min(999, int(1000 * (due - began) / args.seconds)), 1000, "of the time")
    progress(1, 1)
    return seen


async def run(args: argparse.Namespace) -> None:
    scripts = [
        BranchScript.answering("42", seconds=args.thinking * share, tokens=10)
        for share in (0.7, 0.9, 1.1, 1.3)
    ]
    engine = ScriptedEngine(
        Script(scripts, forced=[FORCED]), max_branches=args.slots, step_seconds=0.01
    )
    race = {"branches": args.branches, "min_branches": args.branches, "queue": args.queue}
    settings = Settings.from_dict(
        {"race": race, "engine": {"max_branches": args.slots}, "answers": {"workers": 0}}
    )
    async with Runtime(engine, settings) as runtime:
        able = await capacity(runtime, args)
        seen = await overload(runtime, args, args.times * able)
    admitted = len(seen.overshoots)
    cuts = statistics.quantiles(seen.refusals, n=100) if len(seen.refusals) > 1 else [0.0] * 99
    figures: dict[str, Any] = {
        "capacity_a_second": round(able, 1),
        "asked_a_second": round((admitted + len(seen.refusals)) / args.seconds, 1),
        "goodput_a_second": round(seen.good / args.seconds, 1),
        "goodput_of_capacity": round(seen.good / args.seconds / able, 3),
        "admitted": admitted,
        "with_time_to_think": seen.good,
        "forced_answers_only": seen.forced_only,
        "late": seen.late,
        "latest_ms": round(max(seen.overshoots, default=0.0), 1),
        "refused": len(seen.refusals),
        "refusal_ms": {"p50": round(cuts[49], 2), "p99": round(cuts[98], 2)},
    }
    report(figures)


def main() -> None:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--seconds", type=float, default=60.0)
    made.add_argument("--times", type=float, default=10.0, help="of the capacity")
    made.add_argument("--slots", type=int, default=32, help="branches that the engine runs at once")
    made.add_argument("--branches", type=int, default=8, help="of a race")
    made.add_argument("--queue", type=int, default=64, help="races that may wait")
    made.add_argument("--thinking", type=float, default=0.6, help="seconds of a branch, about")
    made.add_argument("--deadline", type=float, default=2.0, help="seconds, about")
    made.add_argument("--seed", type=int, default=0)
    anyio.run(run, made.parse_args())


if __name__ == "__main__":
    main()
