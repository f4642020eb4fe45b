"""Forced answers against counting finished votes only, at a deadline that is too short for most.

The deadline is given, or chosen on the select split as the time by which the given share of
branches has finished; accuracy is reported on the test split, for the same problems and seeds in
turns.
"""

import argparse
from collections import Counter

import anyio
from common import paired, parser, progress, report, settings_of, share

from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.protocol import BranchStatus

ARGUMENTS = parser(__doc__)
ARGUMENTS.add_argument("--deadline", type=float, help="seconds; else by --share")
ARGUMENTS.add_argument("--share", type=float, default=0.2, help="branches to let finish, 0 to 1")
ARGUMENTS.add_argument("--split", choices=["select", "test"], default="test")
ARGUMENTS.add_argument("--pilot", type=int, default=24, help="select problems to find the deadline")


async def deadline_for_share(runtime: Runtime, args: argparse.Namespace) -> float:
    """Seconds in which ``args.share`` of the branches finish, on the select split."""
    times: list[float] = []
    for index, problem in enumerate(hard_problems("select", args.pilot, seed=args.seed + 1)):
        result = await runtime.solve(
            problem.question,
            deadline=60.0,
            branches=args.branches,
            seed=index,
            parameters={"stop": "none"},
        )
        times += [b.seconds for b in result.branches]
    return round(sorted(times)[int(args.share * len(times))], 3)


async def run() -> None:
    args = ARGUMENTS.parse_args()
    results: dict[str, list[Result]] = {"forced": [], "finished_only": []}
    async with Runtime.from_config(settings_of(args)) as runtime:
        deadline = args.deadline or await deadline_for_share(runtime, args)
        problems = hard_problems(args.split, args.count, seed=args.seed)
        for index, problem in enumerate(problems):
            order = ("forced", "finished_only") if index % 2 else ("finished_only", "forced")
            for name in order:
                # Both stop at the deadline only, so that nothing but the forced answers differs.
                result = await runtime.solve(
                    problem.question,
                    deadline=deadline,
                    branches=args.branches,
                    seed=args.seed * 1_000_003 + index,
                    parameters={"stop": "none", "force_answers": name == "forced"},
                )
                results[name].append(result)
            progress(index + 1, len(problems), f"deadline {deadline} s")
    right = {
        name: [r.answer == str(p.answer) for r, p in zip(rs, problems, strict=True)]
        for name, rs in results.items()
    }
    finished = sum(r.counted(BranchStatus.FINISHED) for r in results["finished_only"])
    report(
        {
            "problems": len(problems),
            "branches": args.branches,
            "deadline": deadline,
            "branches_finished": round(100.0 * finished / (len(problems) * args.branches), 1),
            "in_time": share([r.elapsed <= deadline for rs in results.values() for r in rs]),
            "latest": round(max(r.elapsed for rs in results.values() for r in rs), 4),
            "stop_reasons": dict(Counter(r.stop_reason for r in results["forced"])),
            "without_an_answer": {
                name: sum(r.answer is None for r in rs) for name, rs in results.items()
            },
            "accuracy": {name: share(hits) for name, hits in right.items()},
            "accuracy_difference": paired(right["forced"], right["finished_only"]),
        }
    )


if __name__ == "__main__":
    anyio.run(run)
