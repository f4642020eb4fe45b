"""How long comparing answers takes, against another checkout, side by side in one run.

    .venv/bin/python tests/benchmarks/comparison_speed.py FILE… --against CHECKOUT

``FILE`` holds recorded races, JSON lists of questions with ``final_answers_trace``, the answers of
each branch. Each round draws races of 16 branches and assigns their answers to classes in the order
of the branches, as a race does, until ``--count`` answers have been assigned; each round runs in a
process of its own for each checkout, in turns. Prints the seconds of each, the ratio, and how many
formulas were left undecided.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio

BRANCHES = 16
HERE = Path(__file__).parents[2]


def races_of(files: Sequence[Path], seed: int) -> Iterator[list[str]]:
    questions = [question for file in files for question in json.loads(file.read_text())]
    draw = random.Random(seed)
    while True:
        question = draw.choice(questions)
        answers = [str(a) for a in question["final_answers_trace"] if a is not None]
        if answers:
            yield draw.sample(answers, min(BRANCHES, len(answers)))


async def measure(files: Sequence[Path], count: int, seed: int) -> None:
    """One round of one checkout; its ``frontrunner`` is the one that is imported."""
    from frontrunner.runtime.answers import AnswerClusters, Equivalence, WorkerPool

    assigned = classes = 0
    longest = 0.0
    async with WorkerPool() as pool:
        await pool.warm_up()
        by = Equivalence(pool)
        began = time.perf_counter()
        for answers in races_of(files, seed):
            clusters, seen = AnswerClusters(by), set[str]()
            for answer in answers:
                each = time.perf_counter()
                seen.add(await clusters.assign(answer))
                longest = max(longest, time.perf_counter() - each)
            assigned += len(answers)
            classes += len(seen)
            if assigned >= count:
                break
        spent = time.perf_counter() - began
    print(json.dumps({"seconds": spent, "classes": classes, "longest": longest}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--against", type=Path, help="another checkout of the repository")
    parser.add_argument("--count", type=int, default=10_000, help="answers assigned in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.seed is not None:
        anyio.run(measure, args.files, args.count, args.seed)
        return
    checkouts = [HERE, *([args.against] if args.against else [])]
    times: dict[Path, list[float]] = {checkout: [] for checkout in checkouts}
    for round_number in range(args.rounds):
        for checkout in checkouts:
            command = [sys.executable, __file__, *map(str, args.files), "--count", str(args.count)]
            environment = {**os.environ, "PYTHONPATH": str(checkout.resolve() / "src")}
            reply = subprocess.run(
                [*command, "--seed", str(round_number)],
                env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            told = json.loads(reply.stdout)
            times[checkout].append(told["seconds"])
            print(
                f"round {round_number + 1} {checkout.name}: {told['seconds']:.2f} s, "
                f"{told['classes']} classes, longest answer {told['longest'] * 1000:.0f} ms",
                flush=True,
            )
    for checkout, seconds in times.items():
        print(
            f"{checkout.name}: median {statistics.median(seconds):.2f} s "
            f"({min(seconds):.2f} to {max(seconds):.2f}) for {args.count} answers"
        )
    if args.against:
        ratios = [a / b for a, b in zip(*times.values(), strict=True)]
        print(f"ratio: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
