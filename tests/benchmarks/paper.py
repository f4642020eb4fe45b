"""The comparison of arXiv 2505.19634, at equal deadlines.

``demo`` races test problems on the embedded model in these ways, in turns, each on an engine of its
own, so that no engine that drafts from earlier races meets a question twice:

- sequential: one long chain, made to go on when it wants to end (budget forcing);
- branch-wise: the majority of ``--branches``;
- sequence-wise: the chain with speculative decoding;
- both: branches with speculative decoding;
- planned, with ``--profile`` and ``--pilot`` (of ``frontrunner profile`` and ``pilot``): the number
  of branches and draft tokens that the planner chooses for the deadline.

Each deadline has problems of its own, of the same levels, which all rows get.

``3b`` and ``32b`` are the paper's two headline settings, for whoever has the GPU: Qwen2.5-3B within
10 seconds and Qwen2.5-32B within a minute, on MATH-500 (a file with ``problem`` and ``answer`` in a
line). They run ``frontrunner bench`` with the shipped config, and print what it measured beside the
paper's figure. ``--predict`` races nothing: it prints what the planner predicts by the GPU's data
sheet and recorded branches (``--pilot``), which are another model's unless you have this one's: a
prediction, not a measurement.
"""

import argparse
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import orjson
from common import paired, progress, report
from planning import load

from frontrunner.runtime.config import Settings, demo_config_path
from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.planning.engine_model import engine_models
from frontrunner.runtime.planning.estimating import Conditions, Estimator
from frontrunner.runtime.planning.plan import stops_of
from frontrunner.runtime.planning.planner import Space, Speculation, best_of
from frontrunner.runtime.planning.profile import Profile
from frontrunner.runtime.planning.schedule import KSchedule
from frontrunner.runtime.runtime import Runtime

#: The chain is made to go on until the deadline: s1 lets it be told so up to six times.
LONG_CHAIN = {"min_tokens": 800, "max_extensions": 6}
SPECULATION = {"method": "cross_branch", "tokens": 8}


@dataclass
class Row:
    """A way to spend the time until a deadline."""

    name: str
    engine: dict[str, Any]
    """What its ``[engine]`` says beside the config's."""
    branches: int
    strategy: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])


def rows_of(branches: int) -> list[Row]:
    speculating = {"speculation": SPECULATION}
    return [
        Row("single branch", {}, 1),
        Row("sequential", {}, 1, "budget_forcing", LONG_CHAIN),
        Row("branch-wise", {}, branches),
        Row("sequence-wise", speculating, 1, "budget_forcing", LONG_CHAIN),
        Row("both", speculating, branches),
    ]


async def planned_rows(args: argparse.Namespace, settings: Settings) -> dict[float, Row]:
    """What the planner chooses for each deadline."""
    if args.profile is None:
        return {}
    profile = Profile.read(args.profile)
    pilot = await load(args.pilot)
    given = Conditions(profile.prompt_tokens, return_margin=settings.race.return_margin)
    estimator = Estimator(engine_models(profile), pilot, given, draws=10)
    variants = {v.name: v for v in profile.variants}
    chosen: dict[float, Row] = {}
    for deadline in args.deadlines:
        best, of = None, ""
        for name, variant in variants.items():
            speculation = Speculation(variant.method, KSchedule.constant(variant.k))
            space = Space((1, 2, 4, 8, 16, 32), (speculation,), tuple(stops_of(settings)[:1]))
            own = [
                estimator.estimate(space.candidate(b, speculation), deadline)
                for b in space.branches
            ]
            found = best_of([*own, best] if best is not None else own)
            if found is not best:
                best, of = found, name
        assert best is not None
        branches = best.candidate.branches
        chosen[deadline] = Row(f"planned: {of}, B={branches}", variants[of].engine, branches)
    return chosen


async def demo(args: argparse.Namespace) -> None:
    settings = Settings.from_toml(args.config)
    plans = await planned_rows(args, settings)
    rows = rows_of(args.branches)
    problems = hard_problems("test", args.count * len(args.deadlines), seed=args.seed)
    hits: dict[tuple[float, str], list[bool]] = {}
    times: dict[tuple[float, str], list[float]] = {}
    async with AsyncExitStack() as stack:
        runtimes: dict[str, Runtime] = {}

        async def runtime_of(row: Row, name: str) -> Runtime:
            if name not in runtimes:
                data = settings.model_dump(exclude_unset=True, mode="json")
                data["engine"] = {**data["engine"], **row.engine}
                made = Runtime.from_config(Settings.from_dict(data))
                runtimes[name] = await stack.enter_async_context(made)
                for problem in hard_problems("select", 6, seed=1):
                    await runtimes[name].solve(problem.question, deadline=60.0, branches=8)
            return runtimes[name]

        for index in range(args.count):
            for place, deadline in enumerate(args.deadlines):
                problem = problems[place * args.count + index]
                own = [(row.name, row) for row in rows]
                if deadline in plans:
                    own.append((f"planned for {deadline:g} s", plans[deadline]))
                turn = (index + place) % len(own)
                for name, row in own[turn:] + own[:turn]:
                    runtime = await runtime_of(row, name)
                    result = await runtime.solve(
                        problem.question,
                        deadline=deadline,
                        branches=row.branches,
                        strategy=row.strategy,
                        parameters=row.parameters or None,
                        seed=args.seed * 1_000_003 + index,
                    )
                    name = "planned" if name.startswith("planned") else name
                    hits.setdefault((deadline, name), []).append(
                        result.answer == str(problem.answer)
                    )
                    times.setdefault((deadline, name), []).append(result.elapsed)
            progress(index + 1, args.count, "problems of each deadline")
    table(hits, times, plans, args.deadlines)


def table(
    hits: dict[tuple[float, str], list[bool]],
    times: dict[tuple[float, str], list[float]],
    plans: dict[float, Row],
    deadlines: Sequence[float],
) -> None:
    """Accuracy at each deadline, in Markdown, and what is ahead of what."""
    names = list(dict.fromkeys(name for _, name in hits))
    print("| right, %; median time | " + " | ".join(f"{d:g} s" for d in deadlines) + " |")
    print("|---" * (len(deadlines) + 1) + "|")
    for name in names:
        told: list[str] = []
        for deadline in deadlines:
            mine = hits.get((deadline, name))
            if mine is None:
                told.append("")
                continue
            median = statistics.median(times[deadline, name])
            note = f" ({plans[deadline].name})" if name == "planned" else ""
            told.append(f"{100 * statistics.fmean(mine):.1f}; {median:.2f} s{note}")
        print(f"| {name} | " + " | ".join(told) + " |")
    differences = {
        f"{deadline:g} s": {
            f"both over {name}": paired(hits[deadline, "both"], hits[deadline, name])
            for name in names
            if name != "both" and (deadline, name) in hits
        }
        for deadline in deadlines
    }
    late = {
        f"{deadline:g} s": sum(
            t > deadline for (d, _), own in times.items() if d == deadline for t in own
        )
        for deadline in deadlines
    }
    report({"paired": differences, "late": late})


# ── the headline settings ─────────────────────────────────────────────────────────────────────

HEADLINES = {
    "3b": ("qwen2.5-3b", "h100", 10.0, 72.4),
    "32b": ("qwen2.5-32b", "h200", 60.0, 82.3),
}


def frontrunner(*arguments: str) -> bytes:
    command = [str(Path(sys.executable).with_name("frontrunner")), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def headline(args: argparse.Namespace) -> None:
    model, hardware, deadline, published = HEADLINES[args.what]
    args.out.mkdir(parents=True, exist_ok=True)
    if args.predict:
        profile = str(args.out / "profile.json")
        simulated = ("--simulate", f"{model}:{hardware}", "--draft", "qwen2.5-0.5b")
        frontrunner("profile", *simulated, "--out", profile)
        pilots = [part for path in args.pilot for part in ("--pilot", str(path))]
        said = frontrunner(
            "plan", "--deadline", f"{deadline:g}", "--profile", profile, *pilots, "--json"
        )
        plan = orjson.loads(said.splitlines()[0])
        report(
            {
                "what": f"a prediction by the data sheet of {hardware}, not a measurement",
                "paper": published,
                "plan": {key: plan[key] for key in ("branches", "speculation", "strategy")},
                "expected": plan["expected"],
            }
        )
        return
    if args.questions is None:
        raise SystemExit("--questions names the file of MATH-500")
    config = Path(demo_config_path()).with_name(f"{model}.toml")
    said = frontrunner(
        "bench",
        "--config",
        str(config),
        "--file",
        str(args.questions),
        "--count",
        str(args.count),
        "--deadlines",
        f"{deadline:g}",
        "--strategy",
        "config",
        "--strategy",
        "majority:stop=none",
        "--out",
        str(args.out),
        "--json",
    )
    report({"paper": published, "cells": [orjson.loads(line) for line in said.splitlines()]})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["demo", *HEADLINES])
    parser.add_argument("--config", default=str(demo_config_path()), help="of demo")
    parser.add_argument("--count", type=int, default=60, help="problems")
    parser.add_argument("--branches", type=int, default=16)
    parser.add_argument("--deadlines", type=float, nargs="+", default=[0.5, 0.8, 1.2, 3.0])
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--pilot", type=Path, nargs="+", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--questions", type=Path, help="MATH-500, of 3b and 32b")
    parser.add_argument("--predict", action="store_true", help="of 3b and 32b: by data sheet")
    parser.add_argument("--out", type=Path, default=Path("build/paper"))
    args = parser.parse_args()
    if args.what == "demo":
        anyio.run(demo, args)
    else:
        headline(args)


if __name__ == "__main__":
    main()
