"""Early exit against waiting for all: the same problems, seeds and engine, in turns.

Shows, on the hard test problems: whether every result came by the deadline, why races stopped,
the accuracy of both (paired), and the time of both.
"""

from collections import Counter

import anyio
from common import paired, parser, progress, quartiles, report, settings_of, share

from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime

ARGUMENTS = parser(__doc__)
ARGUMENTS.add_argument("--deadline", type=float, default=10.0, help="seconds")
ARGUMENTS.add_argument("--split", choices=["select", "test"], default="test")


async def run() -> None:
    args = ARGUMENTS.parse_args()
    problems = hard_problems(args.split, args.count, seed=args.seed)
    results: dict[str, list[Result]] = {"default": [], "wait": []}
    async with Runtime.from_config(settings_of(args)) as runtime:
        for index, problem in enumerate(problems):
            # Whichever goes first finds the prompt's cache cold, so they take turns.
            order = ("default", "wait") if index % 2 else ("wait", "default")
            for name in order:
                result = await runtime.solve(
                    problem.question,
                    deadline=args.deadline,
                    branches=args.branches,
                    seed=args.seed * 1_000_003 + index,
                    parameters={"stop": "none"} if name == "wait" else None,
                )
                results[name].append(result)
            progress(index + 1, len(problems))
    right = {
        name: [r.answer == str(p.answer) for r, p in zip(rs, problems, strict=True)]
        for name, rs in results.items()
    }
    times = {name: quartiles([r.elapsed for r in rs]) for name, rs in results.items()}
    report(
        {
            "problems": len(problems),
            "branches": args.branches,
            "deadline": args.deadline,
            "in_time": share([r.elapsed <= args.deadline for rs in results.values() for r in rs]),
            "latest": round(max(r.elapsed for rs in results.values() for r in rs), 4),
            "stop_reasons": dict(Counter(r.stop_reason for r in results["default"])),
            "accuracy": {name: share(hits) for name, hits in right.items()},
            "accuracy_difference": paired(right["default"], right["wait"]),
            "seconds": times,
            "median_time_ratio": round(times["default"]["median"] / times["wait"]["median"], 3),
            "tokens_generated": {
                name: sum(r.tokens_generated for r in rs) for name, rs in results.items()
            },
        }
    )


if __name__ == "__main__":
    anyio.run(run)
