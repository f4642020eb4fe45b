"""AutoTTS's discovered controller and Frontrunner's rules, on the same recorded branches.

The controller (Confidence Momentum Controller, arXiv 2605.08083) is its authors' own code, in their
own replay environment, out of a clone of their repository; nothing of it is here. It opens branches
one after another, up to 64, and reads their forced answers every 500 tokens; its knob ``beta`` says
how much it may spend. Frontrunner's rule begins B branches at once and counts only those that have
ended. Both meet the same recorded branches, in orders of their own::

    git clone https://github.com/zhengkid/AutoTTS build/AutoTTS
    git -C build/AutoTTS checkout 3cd98d12c7cb999afc5c21381f22ea5811ac6c05
    .venv/bin/pip install --target build/scipy --no-deps scipy==1.17.1
    .venv/bin/python tests/benchmarks/fetch_recordings.py --folder build/recordings
    PYTHONPATH=build/scipy .venv/bin/python tests/benchmarks/autotts.py \\
        build/AutoTTS build/recordings

Latency is in tokens: of a race of ours, when it ends; of a run of the controller, its rounds after
one another, each as long as the most tokens that a branch gets in it: it looks at what all branches
of a round have said before it begins the next. New branches are taken to begin beside the next
round. What probes cost, the environment takes for nothing, and so does this. Intervals are 95 %,
over the questions of all sets.
"""

import argparse
import asyncio
import importlib.util
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import orjson
from default_rule import files_of

from frontrunner.runtime.answers import Equivalence
from frontrunner.runtime.experiments.intervals import Bootstrap
from frontrunner.runtime.experiments.replay import Job, Replay
from frontrunner.runtime.simulation.cells import StrategySpec, cells_of
from frontrunner.runtime.traces.trace_files import read_traces, unified

#: Where the repository keeps the environment, and the controller that its paper reports.
ENVIRONMENT = "efficient_reasoning_controller/eval/data_loader.py"
CONTROLLER = "efficient_reasoning_controller/logs/search_history/r0004/code_base/method.py"
RULES = ("majority", "majority:stop=clinch", "majority:stop=none")


@dataclass
class Means:
    """Figures by question, each the mean of a question's draws."""

    right: list[float] = field(default_factory=list[float])
    latency: list[float] = field(default_factory=list[float])
    tokens: list[float] = field(default_factory=list[float])

    def add(self, right: Any, latency: Any, tokens: Any) -> None:
        """Arrays of shape (questions, draws)."""
        self.right += np.asarray(right, float).mean(axis=1).tolist()
        self.latency += np.asarray(latency, float).mean(axis=1).tolist()
        self.tokens += np.asarray(tokens, float).mean(axis=1).tolist()


def module_of(path: Path, name: str) -> ModuleType:
    """Their file as a module.

    Raises:
        SystemExit: with what to do.
    """
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.exists():
        raise SystemExit(f"{path} is not there: see --help for the clone that this needs")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise SystemExit(f"{path} needs {error.name}, which is not installed") from error
    return module


def timed(method: ModuleType, beta: float) -> Any:
    """Their controller, which also counts how long its rounds take: ``latency``, in tokens."""

    class Timed(method.OptimalController):
        def solve(self, question: Any) -> str | None:
            self.question, self.latency, self.seen = question, 0, list[int]()
            answer = super().solve(question)
            self.end_round()
            return answer

        def _trace_step(self, *, event: str, **_: Any) -> None:
            if event == "forward":  # it has what it asked all branches of a round for
                self.end_round()

        def end_round(self) -> None:
            now: list[int] = self.question.get_cost_per_branch_active()
            before = self.seen + [0] * (len(now) - len(self.seen))
            self.latency += max((n - b for n, b in zip(now, before, strict=True)), default=0)
            self.seen = now

    return Timed(config={"beta": beta})


def controlled(
    file: Path, environment: ModuleType, method: ModuleType, beta: float, draws: int
) -> tuple[list[list[bool]], list[list[int]], list[list[int]]]:
    """Whether it was right, its latency and all its tokens, by question and draw."""
    controller = timed(method, beta)
    right: list[list[bool]] = []
    latency: list[list[int]] = []
    tokens: list[list[int]] = []
    for infos in orjson.loads(file.read_bytes()):
        runs: list[tuple[bool, int, int]] = []
        for draw in range(draws):
            hit, cost = environment.Question(infos, seed=draw).solve(controller)
            runs.append((bool(hit), controller.latency, cost))
        for into, values in zip((right, latency, tokens), zip(*runs, strict=True), strict=True):
            into.append(list(values))
    return right, latency, tokens


def raced(file: Path, args: argparse.Namespace, into: dict[str, Means]) -> None:
    """Our rules on a set, at each number of branches."""
    questions = asyncio.run(unified(read_traces([file]), Equivalence(None)))
    specs = [StrategySpec.parse(text) for text in (args.strategy or RULES)]
    cells = cells_of(specs, args.branches, [float("inf")], [True])
    replay = Replay(Job(questions, cells, args.draws, args.seed), args.processes)
    for _ in replay.run():
        pass
    for cell, figures in zip(cells, replay.result().cells, strict=True):
        means = into.setdefault(f"{cell.strategy.label}, B={cell.branches}", Means())
        shape = (len(questions), -1)
        means.add(
            np.frombuffer(bytes(figures.right), dtype=np.uint8).reshape(shape),
            np.frombuffer(figures.latency).reshape(shape),
            np.frombuffer(figures.tokens).reshape(shape),
        )


def show(theirs: dict[str, Means], ours: dict[str, Means]) -> None:
    """A row for each, and beside ours the differences to each of theirs."""
    questions = len(next(iter(theirs.values())).right)
    compare = Bootstrap(questions)
    print(f"| {questions} questions | right, % | latency, tokens | tokens of all |")
    print("|---|---|---|---|")
    for name, means in {**theirs, **ours}.items():
        low, high = compare.mean(np.array(means.right))
        print(
            f"| {name} | {100 * np.mean(means.right):.1f} ({100 * low:.1f}, {100 * high:.1f}) "
            f"| {np.mean(means.latency):,.0f} | {np.mean(means.tokens):,.0f} |"
        )
    print("\n| ours against theirs | points | times faster | tokens |\n|---|---|---|---|")
    for name, mine in ours.items():
        for other, means in theirs.items():
            gain = np.array(mine.right) - np.array(means.right)
            faster = compare.ratio(np.array(means.latency), np.array(mine.latency))
            low, high = compare.mean(gain)
            print(
                f"| {name}; {other} "
                f"| {100 * gain.mean():+.1f} ({100 * low:+.1f}, {100 * high:+.1f}) "
                f"| {np.mean(means.latency) / np.mean(mine.latency):.2f} "
                f"({faster[0]:.2f}, {faster[1]:.2f}) "
                f"| {np.mean(mine.tokens) / np.mean(means.tokens):.2f} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clone", type=Path, help="of zhengkid/AutoTTS")
    parser.add_argument("paths", nargs="+", type=Path, help="recordings, or folders of them")
    parser.add_argument("--beta", nargs="+", type=float, default=[0.0, 0.5, 1.0])
    parser.add_argument("--branches", nargs="+", type=int, default=[8, 16, 64])
    parser.add_argument("--draws", type=int, default=20, help="for each question")
    parser.add_argument("--seed", type=int, default=0, help="of our draws")
    parser.add_argument("--strategy", action="append", help="instead of the usual ones; repeat it")
    parser.add_argument("--processes", type=int, help="at most, for ours")
    args = parser.parse_args()
    environment = module_of(args.clone / ENVIRONMENT, "autotts_environment")
    method = module_of(args.clone / CONTROLLER, "autotts_method")
    theirs: dict[str, Means] = {}
    ours: dict[str, Means] = {}
    for file in files_of(args.paths):
        print(f"{file.name} …", file=sys.stderr, flush=True)
        raced(file, args, ours)
        for beta in args.beta:
            means = theirs.setdefault(f"AutoTTS, beta {beta:g}", Means())
            means.add(*controlled(file, environment, method, beta, args.draws))
    if not theirs:
        parser.error("no file with recorded branches")
    show(theirs, ours)


if __name__ == "__main__":
    main()
