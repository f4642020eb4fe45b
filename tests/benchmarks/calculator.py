"""What a calculator gives: races on one model, with the tool and without, at equal deadlines.

Hard test problems, each raced in both ways in turns, on the demo's model that has learned to call
``frontrunner.agents.calculator``. Without it the model is not shown that there is one. Printed for
each deadline: right answers, their difference in points (paired, with a 95 % interval), times, and
the calls that branches made against the executions that they shared.
"""

import statistics
from dataclasses import dataclass, field
from typing import Any

import anyio
from common import paired, parser, progress, quartiles, report, settings_of, share

from frontrunner.agents import calculator
from frontrunner.events import Event, ToolCalled
from frontrunner.runtime.config import Settings, demo_config_path
from frontrunner.runtime.demo.problems import Problem, hard_problems
from frontrunner.runtime.runtime import Runtime

#: Races before the first that counts, of each way.
WARM_UP = 6


@dataclass
class Way:
    """Races of one kind at one deadline."""

    tools: bool
    right: list[bool] = field(default_factory=list[bool])
    seconds: list[float] = field(default_factory=list[float])
    late: int = 0
    calls: int = 0
    executions: int = 0

    def push(self, event: Event) -> None:
        if isinstance(event, ToolCalled):
            self.calls += 1
            self.executions += not event.shared

    def push_progress(self, at: float, branch: int, text: str, tokens: int, forced: bool) -> None:
        """Nothing is made of it."""

    async def race(
        self, runtime: Runtime, problem: Problem, deadline: float, branches: int, seed: int
    ) -> None:
        tools = [calculator] if self.tools else []
        result = await runtime.race(
            problem.question, self, deadline=deadline, branches=branches, tools=tools, seed=seed
        )
        self.right.append(result.answer == str(problem.answer))
        self.seconds.append(result.elapsed)
        self.late += result.elapsed > deadline

    def told(self) -> dict[str, Any]:
        figures: dict[str, Any] = {
            "right": share(self.right),
            "seconds": quartiles(self.seconds),
            "late": self.late,
        }
        if self.tools:
            figures |= {"calls": self.calls, "executions": self.executions}
        return figures


async def measure(
    runtime: Runtime, problems: list[Problem], deadline: float, branches: int, seed: int
) -> dict[str, Any]:
    ways = Way(tools=False), Way(tools=True)
    for place, problem in enumerate(problems):
        order = ways if place % 2 else ways[::-1]
        for way in order:
            await way.race(runtime, problem, deadline, branches, seed + place)
        progress(place + 1, len(problems), f"deadline {deadline:g} s")
    without, with_it = ways
    return {
        "without": without.told(),
        "with": with_it.told(),
        "points": paired(with_it.right, without.right),
        "time_ratio": round(
            statistics.median(with_it.seconds) / statistics.median(without.seconds), 3
        ),
    }


async def main() -> None:
    arguments = parser(__doc__)
    arguments.set_defaults(
        config=str(demo_config_path().with_name("demo-tools.toml")), count=100, branches=8
    )
    arguments.add_argument("--skip", type=int, default=0, help="problems before the first")
    arguments.add_argument("--deadlines", type=float, nargs="+", default=[1.0, 10.0])
    args = arguments.parse_args()
    settings: Settings = settings_of(args)
    problems = hard_problems("test", args.skip + args.count, seed=args.seed)[args.skip :]
    found: dict[str, Any] = {"problems": len(problems), "branches": args.branches}
    async with Runtime.from_config(settings) as runtime:
        for problem in hard_problems("select", WARM_UP, seed=1):
            for tools in (False, True):
                await Way(tools).race(runtime, problem, 10.0, args.branches, 1)
        for deadline in args.deadlines:
            found[f"{deadline:g} s"] = await measure(
                runtime, problems, deadline, args.branches, args.seed + args.skip
            )
    report(found)


if __name__ == "__main__":
    anyio.run(main)
