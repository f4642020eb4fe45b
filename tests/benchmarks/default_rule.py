"""Stop rules on many sets of recorded branches: is the default caught out on any of them?

Each set is replayed by itself, without a deadline; compared with waiting for all branches and
counting their votes. The interval of a set is over its questions; ``mean`` and ``worst`` are over
the sets. ``leave one out`` picks, for each set, the rule that is best on the others (the highest
worst difference among those at least so fast) and reports it on the one left out.

    python tests/benchmarks/default_rule.py FOLDER_OR_FILES… --branches 16,64 --draws 100
"""

import argparse
import asyncio
import statistics
import sys
from pathlib import Path

from frontrunner.runtime.answers import Equivalence
from frontrunner.runtime.experiments.comparison import CLAIRVOYANT, Row, rows_of
from frontrunner.runtime.experiments.replay import Job, Replay
from frontrunner.runtime.simulation.cells import StrategySpec, cells_of
from frontrunner.runtime.traces.trace_files import read_traces, unified

BASELINE = "majority:stop=none"
RULES = (
    "majority",
    "majority:max_flip_risk=0.05",
    "majority:max_flip_risk=0.1",
    "majority:stop=none,weight=arrival",
    "majority:weight=none,max_flip_risk=0.2",
    "majority:weight=none,max_flip_risk=0.05",
    "majority:stop=clinch",
    "majority:stop=beta",
    "majority:stop=lead",
    "majority:stop=esc",
    "first_to_m:m=3",
)


def files_of(paths: list[Path]) -> list[Path]:
    """The files named, and those of the folders named that hold probed branches."""
    files: list[Path] = []
    for path in paths:
        files += sorted(path.glob("*branches.json")) if path.is_dir() else [path]
    return files


def replayed(path: Path, args: argparse.Namespace) -> list[Row]:
    """The rows of one set."""
    questions = asyncio.run(unified(read_traces([path]), Equivalence(None)))
    specs = [StrategySpec.parse(text) for text in (BASELINE, *(args.strategy or RULES))]
    branches = [int(b) for b in args.branches.split(",")]
    cells = cells_of(specs, branches, [float("inf")], [True])
    replay = Replay(Job(questions, cells, args.draws, args.seed), args.processes)
    for _ in replay.run():
        pass
    return rows_of(replay.result(), StrategySpec.parse(BASELINE))


def points(value: float) -> str:
    return f"{100 * value:+.1f}"


def show(sets: dict[str, list[Row]], branches: int, speed: float) -> None:
    """The table of one number of branches."""
    names = list(sets)
    print(f"\nB={branches}: points against waiting for all, times faster")
    print(f"{'rule':42} {'mean':>6} {'worst':>6} {'faster':>6} {'least':>6}  worst set")
    rules: dict[str, list[Row]] = {}
    for rows in sets.values():
        for row in rows:
            if row.branches == branches and row.speedup is not None:
                rules.setdefault(row.strategy, []).append(row)
    for rule, rows in rules.items():
        differences = [row.accuracy_difference or 0.0 for row in rows]
        faster = [row.speedup or 1.0 for row in rows]
        worst = min(range(len(rows)), key=differences.__getitem__)
        low, high = rows[worst].accuracy_difference_interval or (0.0, 0.0)
        print(
            f"{rule:42} {points(statistics.fmean(differences)):>6} {points(differences[worst]):>6}"
            f" {statistics.fmean(faster):6.2f} {min(faster):6.2f}"
            f"  {names[worst]} [{points(low)}, {points(high)}]"
        )
    if len(names) > 1:
        leave_one_out(rules, names, speed)


def leave_one_out(rules: dict[str, list[Row]], names: list[str], speed: float) -> None:
    found: list[float] = []
    for out, name in enumerate(names):
        best, least = "", -1.0
        for rule, rows in rules.items():
            if rule == CLAIRVOYANT:
                continue
            others = [row for place, row in enumerate(rows) if place != out]
            worst = min(row.accuracy_difference or 0.0 for row in others)
            if statistics.fmean(row.speedup or 1.0 for row in others) >= speed and worst > least:
                best, least = rule, worst
        row = rules[best][out] if best else None
        if row is not None:
            found.append(row.accuracy_difference or 0.0)
            print(
                f"  without {name}: {best} is chosen; on it {points(found[-1])}, {row.speedup:.2f}"
            )
    if found:
        print(
            f"  leave one out: mean {points(statistics.fmean(found))}, worst {points(min(found))}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("paths", nargs="+", type=Path, help="files, or folders of them")
    parser.add_argument("--branches", default="16,64", help="of a race, as in 16,64")
    parser.add_argument("--draws", type=int, default=100, help="for each question")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--strategy", action="append", help="instead of the usual ones; repeat it")
    parser.add_argument("--processes", type=int, help="at most")
    parser.add_argument(
        "--speed", default="1.9,2.5", help="that a chosen rule must have, for each B"
    )
    args = parser.parse_args()
    sets: dict[str, list[Row]] = {}
    for path in files_of(args.paths):
        print(f"{path.name} …", file=sys.stderr, flush=True)
        sets[path.stem] = replayed(path, args)
    if not sets:
        parser.error("no file with recorded branches")
    for branches, speed in zip(args.branches.split(","), args.speed.split(","), strict=False):
        show(sets, int(branches), float(speed))


if __name__ == "__main__":
    main()
