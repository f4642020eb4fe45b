"""Many races at once: branches planned for the load of the moment against the same number always.

Takes a config with ``[planning] models`` (``frontrunner profile`` and ``frontrunner plan`` make
one). At each load that many workers go through the problems, one race each at a time, and every
race has the same deadline. All arms get the same problems and seeds in turns, a group of problems
at a time, each on an engine of its own (about 2 GiB): one that was asked before would draft from
its own answer (``cross_branch``). Shows for each load and arm accuracy, races in time, races
refused because others hold the engine (they count as wrong), branches (less those that were given
back to others) and time, and the accuracy
over all loads, with the paired difference of the planned branches and each fixed number.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import orjson
from common import paired, progress, report, share

from frontrunner.runtime.config import Settings
from frontrunner.runtime.demo.problems import Problem, hard_problems
from frontrunner.runtime.errors import Overloaded
from frontrunner.runtime.events.types import BranchEnded, RaceDecided
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.branch_limit import REASON as GIVEN_BACK

ARGUMENTS = argparse.ArgumentParser(description=__doc__)
ARGUMENTS.add_argument("--config", required=True, help="TOML file with [planning] models")
ARGUMENTS.add_argument("--deadline", type=float, default=1.5, help="seconds")
ARGUMENTS.add_argument("--loads", type=int, nargs="+", default=[1, 4, 8])
ARGUMENTS.add_argument("--fixed", type=int, nargs="+", default=[1, 4, 8, 16, 32])
ARGUMENTS.add_argument("--count", type=int, default=48, help="problems for each load and arm")
ARGUMENTS.add_argument("--split", choices=["select", "test"], default="test")
ARGUMENTS.add_argument("--races", type=Path, help="NDJSON file of races: kept, and gone on with")
ARGUMENTS.add_argument("--seed", type=int, default=0)

#: Of the arm whose branches are planned.
PLANNED = 0
#: In the place of the branches of a race that was refused.
REFUSED = -1
#: Of the other split.
WARM_UP = list(enumerate(hard_problems("select", 8)))
#: Problems of one arm before the next one's turn, for each race at once.
GROUP = 3

Key = tuple[int, int, int]  # load, branches (0: planned), problem
Race = tuple[float, bool, int]  # seconds, right, branches


async def race_group(
    runtime: Runtime,
    problems: Sequence[tuple[int, Problem]],
    load: int,
    branches: int,
    args: argparse.Namespace,
) -> dict[int, Race]:
    """The problems of one group, ``load`` at a time."""
    found: dict[int, Race] = {}
    waiting = list(reversed(problems))

    async def work() -> None:
        while waiting:
            index, problem = waiting.pop()
            began = time.monotonic()
            try:
                async with runtime.stream(
                    problem.question,
                    deadline=args.deadline,
                    branches=branches or None,
                    seed=args.seed * 1_000_003 + index,
                ) as events:
                    told = [event async for event in events]
            except Overloaded:
                found[index] = (time.monotonic() - began, False, REFUSED)
                continue
            ended = [event for event in told if isinstance(event, BranchEnded)]
            kept = sum(event.reason != GIVEN_BACK for event in ended)
            last = told[-1]
            assert isinstance(last, RaceDecided)
            right = last.result.answer == str(problem.answer)
            found[index] = (time.monotonic() - began, right, kept)

    async with anyio.create_task_group() as tasks:
        for _ in range(load):
            tasks.start_soon(work)
    return found


async def measured(args: argparse.Namespace) -> dict[Key, Race]:
    known: dict[Key, Race] = {}
    if args.races and args.races.exists():
        for line in args.races.read_bytes().splitlines():
            load, branches, index, *race = orjson.loads(line)
            known[load, branches, index] = tuple(race)
    arms = [PLANNED, *args.fixed]
    total = len(args.loads) * len(arms) * args.count
    fresh = iter(hard_problems(args.split, len(args.loads) * args.count, seed=args.seed))
    problems = {load: list(enumerate(itertools.islice(fresh, args.count))) for load in args.loads}
    async with AsyncExitStack() as stack:
        runtimes: dict[int, Runtime] = {}
        for number, branches in enumerate(arms):
            progress(number, len(arms), "engines started")
            runtime = Runtime.from_config(Settings.from_toml(args.config))
            runtimes[branches] = await stack.enter_async_context(runtime)
            # What a first race compiles is not to count.
            await race_group(runtimes[branches], WARM_UP, 1, branches, args)
        for load in args.loads:
            size = GROUP * load
            for turn, start in enumerate(range(0, args.count, size)):
                group = problems[load][start : start + size]
                first = turn % len(arms)
                for branches in arms[first:] + arms[:first]:
                    if all((load, branches, index) in known for index, _ in group):
                        continue
                    found = await race_group(runtimes[branches], group, load, branches, args)
                    for index, race in found.items():
                        known[load, branches, index] = race
                        if args.races:
                            with args.races.open("ab") as file:
                                file.write(orjson.dumps([load, branches, index, *race]) + b"\n")
                progress(min(len(known), total), total, f"{load} at once")
    return known


async def run() -> None:
    args = ARGUMENTS.parse_args()
    known = await measured(args)
    arms = [PLANNED, *args.fixed]
    hits = {
        (load, arm): [known[load, arm, i][1] for i in range(args.count)]
        for load in args.loads
        for arm in arms
    }
    rows: list[dict[str, Any]] = []
    for load in args.loads:
        for arm in arms:
            races = [known[load, arm, i] for i in range(args.count)]
            rows.append(
                {
                    "at_once": load,
                    "branches": arm or "planned",
                    "branches_median": statistics.median(max(0, r[2]) for r in races),
                    "refused": sum(r[2] == REFUSED for r in races),
                    "accuracy": share(hits[load, arm]),
                    "in_time": sum(r[0] <= args.deadline for r in races),
                    "latest": round(max(r[0] for r in races), 4),
                    "seconds_median": round(statistics.median(r[0] for r in races), 4),
                }
            )
    flat = {arm: [hit for load in args.loads for hit in hits[load, arm]] for arm in arms}
    report(
        {
            "deadline": args.deadline,
            "races_each": args.count,
            "accuracy_over_loads": {arm or "planned": share(flat[arm]) for arm in arms},
            "planned_over_fixed": {arm: paired(flat[PLANNED], flat[arm]) for arm in args.fixed},
            "cells": rows,
        }
    )


if __name__ == "__main__":
    anyio.run(run)
