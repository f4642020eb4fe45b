"""What a calculator gives: races on one model, with the tool and without, at equal deadlines.

Hard test problems, each raced in both ways in turns, on the demo's model that has learned to call
``frontrunner.agents.calculator``. Without it the model is not shown that there is one. Printed for
each deadline: right answers, their difference in points (paired, with a 95 % interval), times, and
the calls that branches made against the executions that they shared. With ``--rows`` each race is
kept in a file, and a run that was cut goes on where it ended. ``--ways without --config
configs/demo.toml`` measures the model that has learned no calls.
"""

import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
import orjson
from common import paired, parser, progress, quartiles, report, settings_of, share

from frontrunner.agents import calculator
from frontrunner.events import Event, ToolCalled
from frontrunner.runtime.config import demo_config_path
from frontrunner.runtime.demo.problems import Problem, hard_problems
from frontrunner.runtime.runtime import Runtime

#: Races before the first that counts, of each way.
WARM_UP = 4
WAYS = ("without", "with")


@dataclass
class Row:
    """One race."""

    deadline: float
    place: int
    tools: bool
    right: bool = False
    seconds: float = 0.0
    calls: int = 0
    executions: int = 0

    def push(self, event: Event) -> None:
        if isinstance(event, ToolCalled):
            self.calls += 1
            self.executions += not event.shared

    def push_progress(self, at: float, branch: int, text: str, tokens: int, forced: bool) -> None:
        """Nothing is made of it."""

    async def race(self, runtime: Runtime, problem: Problem, branches: int, seed: int) -> None:
        result = await runtime.race(
            problem.question,
            self,
            deadline=self.deadline,
            branches=branches,
            tools=[calculator] if self.tools else [],
            seed=seed + self.place,
        )
        self.right = result.answer == str(problem.answer)
        self.seconds = result.elapsed


def told(rows: list[Row]) -> dict[str, Any]:
    """The figures of one way at one deadline."""
    figures: dict[str, Any] = {
        "right": share([row.right for row in rows]),
        "seconds": quartiles([row.seconds for row in rows]),
        "late": sum(row.seconds > row.deadline for row in rows),
    }
    if rows[0].tools:
        figures["calls"] = sum(row.calls for row in rows)
        figures["executions"] = sum(row.executions for row in rows)
    return figures


def compared(rows: list[Row]) -> dict[str, Any]:
    """The figures of one deadline."""
    rows = sorted(rows, key=lambda row: row.place)
    without, with_it = ([row for row in rows if row.tools is tools] for tools in (False, True))
    if not with_it or not without:
        return {"with" if with_it else "without": told(rows)}
    ours, theirs = (statistics.median(r.seconds for r in some) for some in (with_it, without))
    return {
        "without": told(without),
        "with": told(with_it),
        "points": paired([row.right for row in with_it], [row.right for row in without]),
        "time_ratio": round(ours / theirs, 3),
    }


async def main() -> None:
    arguments = parser(__doc__)
    arguments.set_defaults(
        config=str(demo_config_path().with_name("demo-tools.toml")), count=100, branches=8
    )
    arguments.add_argument("--deadlines", type=float, nargs="+", default=[10.0])
    arguments.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS])
    arguments.add_argument("--rows", type=Path, help="file of races, to go on from")
    args = arguments.parse_args()
    rows: list[Row] = []
    if args.rows is not None and args.rows.exists():
        rows = [Row(**orjson.loads(line)) for line in args.rows.read_bytes().splitlines()]
    have = {(row.deadline, row.place, row.tools) for row in rows}
    problems = hard_problems("test", args.count, seed=args.seed)
    left = [
        Row(deadline, place, tools)
        for deadline in args.deadlines
        for place in range(args.count)
        for tools in ((False, True) if place % 2 else (True, False))
        if WAYS[tools] in args.ways and (deadline, place, tools) not in have
    ]
    if left:
        async with Runtime.from_config(settings_of(args)) as runtime:
            for problem in hard_problems("select", WARM_UP, seed=1):
                for tools in (WAYS.index(way) == 1 for way in args.ways):
                    await Row(10.0, 0, tools).race(runtime, problem, args.branches, args.seed)
            for done, row in enumerate(left, start=1):
                await row.race(runtime, problems[row.place], args.branches, args.seed)
                rows.append(row)
                if args.rows is not None:
                    with args.rows.open("ab") as file:
                        file.write(orjson.dumps(asdict(row)) + b"\n")
                progress(done, len(left), f"deadline {row.deadline:g} s")
    found: dict[str, Any] = {"problems": len(problems), "branches": args.branches}
    for deadline in args.deadlines:
        found[f"{deadline:g} s"] = compared([row for row in rows if row.deadline == deadline])
    report(found)


if __name__ == "__main__":
    anyio.run(main)
