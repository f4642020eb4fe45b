"""Predicted against measured: race times over a grid of (B, K, deadline), and the plan against the
measured grid.

Takes a profile of the engine and a pilot (``frontrunner profile``, ``frontrunner pilot`` on the
select split), starts all variants of the profile, and races test problems in every cell of the
grid, the cells in turns; each B and deadline has problems of its own, of the same levels, which all
variants get. Shows for each cell the median time and the accuracy, predicted and measured; of all,
the relative errors; and for each deadline the plan's cell beside the best measured one, the
compute-optimal one (the most accurate without speculation and without a deadline, by the pilot) and
a single branch. ``best_fixed`` is the B and variant that is best over all deadlines. The best of
many cells is partly the luckiest: ``best_held_out`` is chosen on either half of the problems, and
counted on the other.

A machine that does other things too is not as fast in one hour as in the next. So the pace of a
few branches without speculation is measured between the races, and predictions are shown twice: by
the profile as it is, and with its step times at that pace, at which the plan is made, too.
"""

import argparse
import itertools
import statistics
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import anyio
import orjson
from common import paired, progress, report

from frontrunner.runtime.answers import Equivalence
from frontrunner.runtime.config import Settings, demo_config_path
from frontrunner.runtime.demo.problems import Problem, hard_problems
from frontrunner.runtime.engines.protocol import Sampling
from frontrunner.runtime.planning.engine_model import engine_models
from frontrunner.runtime.planning.estimating import Candidate, Conditions, Estimate, Estimator
from frontrunner.runtime.planning.plan import stops_of
from frontrunner.runtime.planning.planner import Space, Speculation, best_of
from frontrunner.runtime.planning.probing import Prober
from frontrunner.runtime.planning.profile import Profile, Variant
from frontrunner.runtime.planning.profiler import WARM_UP_BRANCHES
from frontrunner.runtime.planning.schedule import KSchedule
from frontrunner.runtime.racing.spec import Forcing
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.traces.recordings import RecordedQuestion
from frontrunner.runtime.traces.trace_files import read_traces, unified

ARGUMENTS = argparse.ArgumentParser(description=__doc__)
ARGUMENTS.add_argument("--config", default=str(demo_config_path()), help="TOML file")
ARGUMENTS.add_argument("--profile", type=Path, required=True)
ARGUMENTS.add_argument("--pilot", type=Path, nargs="+", required=True)
ARGUMENTS.add_argument("--deadlines", type=float, nargs="+", default=[0.6, 1.2, 5.0])
ARGUMENTS.add_argument("--branches", type=int, nargs="+", default=[1, 4, 16, 32])
ARGUMENTS.add_argument("--variants", nargs="+", help="by name in the profile; default: all")
ARGUMENTS.add_argument("--count", type=int, default=30, help="problems in each cell")
ARGUMENTS.add_argument("--split", choices=["select", "test"], default="test")
ARGUMENTS.add_argument("--races", type=Path, help="NDJSON file of races: kept, and gone on with")
ARGUMENTS.add_argument("--draws", type=int, default=10)
ARGUMENTS.add_argument("--plot", type=Path, help="PNG of accuracy over deadline")
ARGUMENTS.add_argument("--seed", type=int, default=0)

Cell = tuple[str, int, float]  # variant, branches, deadline
Key = tuple[str, int, float, int]  # and problem


#: In the file of races, a row of the pace: its seconds a token are those of this many branches.
PACE, PACE_BRANCHES, PACE_TOKENS = "pace", 8, 48
#: Races that go before, of the other split: what drafts from earlier races was profiled warm, too.
WARM_UP = hard_problems("select", 8, seed=1)


async def measured(
    settings: Settings,
    variants: Sequence[Variant],
    problems: Sequence[Problem],
    args: argparse.Namespace,
) -> tuple[dict[Cell, tuple[list[float], list[bool]]], list[float]]:
    """Times and hits of all races, in the order of the problems; and the seconds a token of the
    paces between them."""
    known = known_races(args.races)
    places = list(itertools.product(args.branches, args.deadlines))
    # No engine is asked a question twice: it would draft from its own answer (``cross_branch``).
    asked = dict(zip(itertools.product(places, range(args.count)), problems, strict=True))
    grid = [(v.name, *place) for place in places for v in variants]
    missing = [(*cell, i) for i in range(args.count) for cell in grid]
    missing = [key for key in missing if key not in known]
    plain = next(variant.name for variant in variants if not variant.k)

    def keep(key: Key, seconds: float, hit: bool) -> None:
        known[key] = (seconds, hit)
        if args.races:
            with args.races.open("ab") as file:
                file.write(orjson.dumps([*key, seconds, hit]) + b"\n")

    async with AsyncExitStack() as stack:
        runtimes: dict[str, Runtime] = {}
        for variant in variants:
            if any(key[0] == variant.name for key in missing):
                data = settings.model_dump(exclude_unset=True, mode="json")
                data["engine"] = {**data["engine"], **variant.engine}
                runtime = Runtime.from_config(Settings.from_dict(data))
                runtimes[variant.name] = await stack.enter_async_context(runtime)
                for problem in WARM_UP:
                    await runtime.solve(
                        problem.question,
                        deadline=60.0,
                        branches=WARM_UP_BRANCHES,
                        strategy="majority",
                        parameters={"stop": "none"},
                    )
        for index in range(args.count):
            progress(index, args.count, "races of each cell")
            # In turns: what else the machine does falls on all.
            turn = index % len(grid)
            for cell in grid[turn:] + grid[:turn]:
                name, branches, deadline = cell
                if (*cell, index) in known:
                    continue
                problem = asked[(branches, deadline), index]
                result = await runtimes[name].solve(
                    problem.question,
                    deadline=deadline,
                    branches=branches,
                    seed=args.seed * 1_000_003 + index,
                )
                keep((*cell, index), result.elapsed, result.answer == str(problem.answer))
            if (PACE, PACE_BRANCHES, 0.0, index) not in known and plain in runtimes:
                seconds = await pace_of(runtimes[plain], problems[0])
                keep((PACE, PACE_BRANCHES, 0.0, index), seconds, True)
    progress(args.count, args.count, "races of each cell")
    paces = [seconds for key, (seconds, _) in known.items() if key[0] == PACE]
    cells: dict[Cell, tuple[list[float], list[bool]]] = {}
    for (name, branches, deadline, _), (seconds, hit) in sorted(known.items()):
        times, hits = cells.setdefault((name, branches, deadline), ([], []))
        if name != PACE:
            times.append(seconds)
            hits.append(hit)
    return {cell: found for cell, found in cells.items() if cell[0] != PACE}, paces


async def pace_of(runtime: Runtime, problem: Problem) -> float:
    """Seconds a token of a few branches together."""
    sampling = Sampling(temperature=runtime.settings.sampling.temperature)
    prompt = runtime.engine.encode_chat([{"role": "user", "content": problem.question}])
    measuring = Prober(runtime.engine, sampling, Forcing("", (), 0))
    return (await measuring.pace(prompt, PACE_BRANCHES, PACE_TOKENS)).seconds


def known_races(file: Path | None) -> dict[Key, tuple[float, bool]]:
    """By variant, branches, deadline and problem: seconds, and whether the answer was right."""
    if file is None or not file.exists():
        return {}
    lines = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    return {(n, b, float(d), i): (seconds, hit) for n, b, d, i, seconds, hit in lines}


async def load(paths: Sequence[Path]) -> list[RecordedQuestion]:
    return await unified(read_traces(paths), Equivalence(None))


async def run() -> None:
    args = ARGUMENTS.parse_args()
    settings, profile = Settings.from_toml(args.config), Profile.read(args.profile)
    models = engine_models(profile)
    pilot = await load(args.pilot)
    circumstances = Conditions(profile.prompt_tokens, return_margin=settings.race.return_margin)
    variants = [v for v in profile.variants if not args.variants or v.name in args.variants]
    if missing := set(args.variants or ()) - {v.name for v in variants}:
        raise SystemExit(f"not in the profile: {missing}; it has {[v.name for v in variants]}")
    speculations = {v.name: Speculation(v.method, KSchedule.constant(v.k)) for v in variants}
    space = Space(tuple(args.branches), tuple(speculations.values()), tuple(stops_of(settings)[:1]))
    total = args.count * len(args.branches) * len(args.deadlines)
    problems = hard_problems(args.split, total, seed=args.seed)
    cells, paces = await measured(settings, variants, problems, args)
    context = profile.prompt_tokens + PACE_TOKENS / 2
    factor = statistics.median(paces) / models["none"].step.seconds(PACE_BRANCHES, context, 0)

    def predict(given: Conditions) -> dict[Cell, Estimate]:
        estimator = Estimator(models, pilot, given, draws=args.draws)
        return {
            (name, branches, deadline): estimator.estimate(
                space.candidate(branches, speculation), deadline
            )
            for name, speculation in speculations.items()
            for branches in args.branches
            for deadline in args.deadlines
        }

    predicted = predict(circumstances)
    at_pace = predict(replace(circumstances, factor=factor))
    rows: list[dict[str, Any]] = []
    for cell, (times, hits) in cells.items():
        expected, paced, p50 = predicted[cell], at_pace[cell], statistics.median(times)
        rows.append(
            {
                "variant": cell[0],
                "branches": cell[1],
                "deadline": cell[2],
                "p50": round(p50, 4),
                "predicted_p50": round(expected.p50, 4),
                "error": round(expected.p50 / p50 - 1, 4),
                "error_at_pace": round(paced.p50 / p50 - 1, 4),
                "accuracy": round(100 * statistics.fmean(hits), 2),
                "predicted_accuracy": round(100 * expected.accuracy, 2),
                "in_time": sum(t <= cell[2] for t in times),
                "races": len(times),
            }
        )
    estimator = Estimator(models, pilot, circumstances, draws=args.draws)
    free = {b: estimator.estimate(candidate_of(space, b), 1e6) for b in args.branches}
    optimal = best_of(list(free.values())).candidate.branches
    fixed = best_fixed(cells, args.deadlines)
    plans = [
        plan_against_grid(d, at_pace, cells, speculations, optimal, fixed) for d in args.deadlines
    ]
    if args.plot:
        draw(plans, args.plot)
    report(
        {
            "model": profile.model,
            "hardware": profile.hardware,
            "step_time_error": {name: model.error for name, model in models.items()},
            "races_each": args.count,
            "pace": round(factor, 4),
            "p50": summed_up([row["error"] for row in rows]),
            "p50_at_pace": summed_up([row["error_at_pace"] for row in rows]),
            "plans": plans,
            "cells": rows,
        }
    )


def summed_up(errors: Sequence[float]) -> dict[str, Any]:
    sizes = [abs(error) for error in errors]
    return {
        "error_median": round(statistics.median(sizes), 4),
        "error_worst": round(max(sizes), 4),
        "within_15_percent": f"{sum(size <= 0.15 for size in sizes)} of {len(sizes)}",
    }


def candidate_of(space: Space, branches: int) -> Candidate:
    """Without speculation."""
    return Candidate("none", KSchedule(), branches, space.stops[0])


def plan_against_grid(
    deadline: float,
    predicted: dict[Cell, Any],
    cells: dict[Cell, tuple[list[float], list[bool]]],
    speculations: dict[str, Speculation],
    optimal: int,
    fixed: tuple[str, int],
) -> dict[str, Any]:
    own = [cell for cell in cells if cell[2] == deadline]
    planned = best_of([predicted[cell] for cell in own])
    chosen = next(cell for cell in own if predicted[cell] is planned)
    best = max(own, key=lambda cell: statistics.fmean(cells[cell][1]))
    none = next((n for n, s in speculations.items() if s.method == "none"), own[0][0])
    compute, single = (none, optimal, deadline), (none, 1, deadline)
    said: dict[str, Any] = {"deadline": deadline}
    named = {
        "planned": chosen,
        "best": best,
        "best_fixed": (*fixed, deadline),
        "compute_optimal": compute,
        "single": single,
    }
    for name, cell in named.items():
        if cell not in cells:
            continue
        hits = cells[cell][1]
        share = statistics.fmean(hits)
        said[name] = {
            "variant": cell[0],
            "branches": cell[1],
            "accuracy": round(100 * share, 2),
            "standard_error": round(100 * sqrt(share * (1 - share) / len(hits)), 2),
        }
        if name != "planned":
            said[f"planned_over_{name}"] = paired(cells[chosen][1], hits)
    held_out = best_held_out(own, cells)
    said["best_held_out"] = round(100 * statistics.fmean(held_out), 2)
    said["planned_over_best_held_out"] = paired(cells[chosen][1], held_out)
    return said


def best_fixed(
    cells: dict[Cell, tuple[list[float], list[bool]]], deadlines: Sequence[float]
) -> tuple[str, int]:
    """The variant and B that is right most often over all deadlines."""

    def accuracy(variant: str, branches: int) -> float:
        return statistics.fmean(statistics.fmean(cells[variant, branches, d][1]) for d in deadlines)

    return max({cell[:2] for cell in cells}, key=lambda place: accuracy(*place))


def best_held_out(
    own: Sequence[Cell], cells: dict[Cell, tuple[list[float], list[bool]]]
) -> list[bool]:
    """Hits of the cell that is best on every second problem, on the others; both ways."""
    held_out = list(cells[own[0]][1])
    for half in (0, 1):
        best = max(own, key=lambda cell: statistics.fmean(cells[cell][1][half::2]))
        held_out[1 - half :: 2] = cells[best][1][1 - half :: 2]
    return held_out


def draw(plans: Sequence[dict[str, Any]], file: Path) -> None:
    """Measured accuracy over deadline, with a standard error."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for name in ("best", "best_fixed", "compute_optimal", "single", "planned"):
        own = [(plan["deadline"], plan[name]) for plan in plans if name in plan]
        axes.errorbar(
            [deadline for deadline, _ in own],
            [cell["accuracy"] for _, cell in own],
            [cell["standard_error"] for _, cell in own],
            marker="o",
            linestyle="--" if name == "planned" else "-",  # it may lie on another
            capsize=3,
            label=name.replace("_", "-"),
        )
    axes.set(xscale="log", xlabel="deadline (s)", ylabel="accuracy (%)", ylim=(0, 102))
    axes.set_xticks([p["deadline"] for p in plans], [f"{p['deadline']:g}" for p in plans])
    axes.minorticks_off()
    axes.legend()
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    anyio.run(run)
