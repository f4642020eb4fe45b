"""Measure a demo checkpoint through vLLM, branch by branch, waiting for every branch.

``python -m frontrunner.runtime.demo.evaluate --split test`` prints one JSON object: pass@1, the
majority of all branches, branch lengths in tokens, and the spread of lengths within a question.
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import anyio
import orjson

from frontrunner.strategies.protocol import BranchStatus

from ..config import Settings, demo_config_path
from ..result import Result
from ..runtime import Runtime
from .problems import HARD_LEVELS, Problem, hard_problems

#: Races at once; with 16 branches each they fill the engine's 64 places.
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Shares are in [0, 1], lengths in tokens."""

    problems: int
    branches: int
    pass_at_1: float
    majority: float
    finished: float  # share of branches that ended by themselves within the token limit
    median_tokens: float
    tokens_p10: float
    tokens_p90: float
    longest_over_shortest: float  # within a question, median over questions
    pass_at_1_by_level: dict[str, float]
    majority_by_level: dict[str, float]


def summarise(problems: Sequence[Problem], results: Sequence[Result]) -> Evaluation:
    """Figures over the races of ``problems``, in the same order."""
    single: dict[int, list[bool]] = {}
    voted: dict[int, list[bool]] = {}
    lengths: list[int] = []
    ratios: list[float] = []
    for problem, result in zip(problems, results, strict=True):
        answer = str(problem.answer)
        single.setdefault(problem.level, []).extend(b.answer == answer for b in result.branches)
        voted.setdefault(problem.level, []).append(result.answer == answer)
        tokens = [b.tokens for b in result.branches if b.status is BranchStatus.FINISHED]
        lengths += tokens
        if tokens:
            ratios.append(max(tokens) / min(tokens))
    every = [hit for hits in single.values() for hit in hits]
    deciles = statistics.quantiles(lengths, n=10)
    return Evaluation(
        problems=len(problems),
        branches=len(every) // len(problems),
        pass_at_1=statistics.fmean(every),
        majority=statistics.fmean(hit for hits in voted.values() for hit in hits),
        finished=len(lengths) / len(every),
        median_tokens=statistics.median(lengths),
        tokens_p10=deciles[0],
        tokens_p90=deciles[-1],
        longest_over_shortest=statistics.median(ratios),
        pass_at_1_by_level={str(k): statistics.fmean(v) for k, v in sorted(single.items())},
        majority_by_level={str(k): statistics.fmean(v) for k, v in sorted(voted.items())},
    )


async def evaluate(
    settings: Settings, problems: Sequence[Problem], *, branches: int, seed: int
) -> Evaluation:
    """Race every problem to its last branch, a few at once."""
    results: dict[int, Result] = {}
    turns = anyio.Semaphore(_AT_ONCE)
    async with Runtime.from_config(settings) as runtime:

        async def race(index: int, problem: Problem) -> None:
            async with turns:
                results[index] = await runtime.solve(
                    problem.question,
                    deadline=600.0,
                    branches=branches,
                    seed=seed + index,
                    parameters={"stop": "none"},
                )

        async with anyio.create_task_group() as tasks:
            for index, problem in enumerate(problems):
                tasks.start_soon(race, index, problem)
    return summarise(problems, [results[i] for i in range(len(problems))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", help="TOML file (default: the shipped demo model)")
    parser.add_argument("--model", help="another model folder")
    parser.add_argument("--split", choices=["select", "test"], default="select")
    parser.add_argument("--count", type=int, default=100, help="problems, over the hard levels")
    parser.add_argument("--branches", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    settings = Settings.from_toml(args.config or demo_config_path())
    if args.model:
        engine = settings.engine.model_copy(update={"model": args.model})
        settings = settings.model_copy(update={"engine": engine})
    problems = hard_problems(args.split, args.count, seed=args.seed)

    async def run() -> Evaluation:
        return await evaluate(settings, problems, branches=args.branches, seed=args.seed)

    evaluation = anyio.run(run)
    report = {"split": args.split, "hard_levels": list(HARD_LEVELS), **asdict(evaluation)}
    print(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
