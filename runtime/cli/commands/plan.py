"""``frontrunner plan``: B, the method of speculation, K and the stop rule for a deadline."""

import sys
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ...common.whole_files import write_whole
from ...config import Settings
from ...errors import BadRequest
from ...planning.engine_model import EngineModel, engine_models
from ...planning.estimating import Candidate, Conditions, Estimate, Estimator
from ...planning.plan import (
    SCHEDULE_KEY,
    Plan,
    as_dict,
    make_plan,
    planned_settings,
    runtime_models,
    settings_toml,
    space_of,
)
from ...planning.planner import exhaustive, greedy
from ...planning.profile import Profile
from ...traces.recordings import RecordedQuestion
from ..common.command_races import load_settings
from ..common.console import plain_lines, print_json, print_lines
from ..common.recording_files import load_recordings, warn_of_cut_branches
from ..common.running import ExitStatus, warn
from ..options.plan import PlanCommand

#: Races that are replayed for each candidate, about.
_RACES = 600
#: Columns of the table.
_WIDTH = 160
_SEARCHES = {"exhaustive": exhaustive, "greedy": greedy}


def run_plan(command: PlanCommand) -> int:
    """Run the command and return its exit status.

    Raises:
        FrontrunnerError: the input must change.
        Interrupted: a signal came.
    """
    deadlines = _deadlines(command.deadline)
    if command.search not in _SEARCHES:
        raise BadRequest(f"--search takes {' or '.join(_SEARCHES)}, not {command.search!r}")
    if command.load < 0:
        raise BadRequest("--load must be at least 0")
    settings = load_settings(command.config, command.sets)
    profile = Profile.read(_there(command.profile, "frontrunner profile --out"))
    _warn_of_another_model(profile, settings)
    models = engine_models(profile)
    pilots = command.pilot or [Path("pilot.ndjson")]
    there = [_there(path, "frontrunner pilot --out") for path in pilots]
    questions = load_recordings(there, reader=command.reader)
    warn_of_cut_branches(questions, remedy="record with frontrunner pilot")
    estimator = Estimator(
        models,
        questions,
        _circumstances(command, settings, profile, questions),
        draws=command.draws or max(1, _RACES // len(questions)),
        seed=command.seed,
    )
    most = _most_branches(command, settings, profile, estimator)
    space = space_of(models, settings, most_branches=most, context=estimator.typical_context)
    plans: list[Plan] = []
    for deadline in deadlines:
        evaluate = _Evaluate(estimator, deadline)
        choice = _SEARCHES[command.search](space, evaluate)
        plans.append(make_plan(estimator, space, choice, evaluate, command.search))
    first, candidate = plans[0], plans[0].chosen.candidate
    written: list[Path] = []
    if command.out is not None:
        kept = command.out.with_suffix(".json")
        runtime_models(estimator, space, candidate, questions).write(kept)
        data = planned_settings(settings, first, _engine_of(profile, candidate), kept.name)
        Settings.from_dict(data, source=str(command.out))  # what is written can be read
        write_whole(command.out, _document(first, profile, data))
        written = [command.out, kept]
    if command.json:
        said = as_dict(first, models[candidate.method])
        said |= {"profile": _origin(profile), "load": command.load}
        if len(plans) > 1:
            said["curve"] = [as_dict(p, models[p.chosen.candidate.method]) for p in plans]
        print_json(said)
    else:
        print_lines(_report(profile, plans, models, estimator))
    if written:
        print(f"wrote {' and '.join(map(str, written))}", file=sys.stderr)
    return ExitStatus.DONE


def _there(path: Path, made_by: str) -> Path:
    """
    Raises:
        BadRequest: there is no such file; it says how to make one.
    """
    if not path.exists():
        raise BadRequest(f"there is no {path} yet: {made_by} {path} makes it")
    return path


def _warn_of_another_model(profile: Profile, settings: Settings) -> None:
    model = settings.engine.model
    # A data sheet's model has no folder or hub name.
    same = profile.model.lower() in model.lower() if profile.modelled else profile.model == model
    if not same:
        warn(
            f"the profile is of {profile.model}, and the config's engine has {model or 'another'}: "
            "name the config that the profile is of (--config)"
        )


class _Evaluate:
    """Estimates for one deadline, each made once."""

    def __init__(self, estimator: Estimator, deadline: float) -> None:
        self._estimator = estimator
        self._deadline = deadline
        self._known: dict[Candidate, Estimate] = {}

    def __call__(self, candidate: Candidate) -> Estimate:
        known = self._known.get(candidate)
        if known is None:
            known = self._estimator.estimate(candidate, self._deadline)
            self._known[candidate] = known
        return known


# ── reading ───────────────────────────────────────────────────────────────────────────────────


def _deadlines(text: str) -> list[float]:
    deadlines: list[float] = []
    for part in text.split(","):
        try:
            deadlines.append(float(part))
        except ValueError:
            deadlines.append(-1.0)
        if not (isfinite(deadlines[-1]) and deadlines[-1] > 0):
            raise BadRequest(f"--deadline takes seconds, as in 10 or 2,5,10, not {text!r}")
    return list(dict.fromkeys(deadlines))


def _circumstances(
    command: PlanCommand,
    settings: Settings,
    profile: Profile,
    questions: Sequence[RecordedQuestion],
) -> Conditions:
    silent = any(b.probes is None for q in questions for b in q.branches)
    if silent:
        warn(
            "the pilot does not say what unfinished branches answer when forced (see frontrunner "
            "pilot --probe-every): the plan counts on finished branches only"
        )
    return Conditions(
        prompt=profile.prompt_tokens,
        others=command.load,
        return_margin=settings.race.return_margin,
        forced=not silent,
    )


def _most_branches(
    command: PlanCommand, settings: Settings, profile: Profile, estimator: Estimator
) -> int:
    limits = [settings.engine.max_branches, profile.max_branches, estimator.most_branches]
    most = min(limits) if command.branches is None else command.branches
    if not 1 <= most <= min(limits):
        raise BadRequest(
            f"--branches must lie between 1 and {min(limits)}: the config allows {limits[0]}, the "
            f"profile knows {limits[1]}, and each question of the pilot has {limits[2]} or more"
        )
    free = settings.engine.max_branches - command.load
    if free < 1:
        raise BadRequest(
            f"with {command.load} branches of other races none of engine.max_branches "
            f"({settings.engine.max_branches}) is free"
        )
    most = min(most, free)
    room = profile.cache_tokens
    if room is not None and not estimator.fitting(most, room):
        while most > 1 and not estimator.fitting(most, room):
            most = (most + 1) // 2
        warn(f"the KV cache ({room:,} tokens) holds no more than {most} branches of a race")
    return most


def _engine_of(profile: Profile, candidate: Candidate) -> dict[str, Any]:
    """What the variant with the most of the candidate's draft tokens changes of the engine."""
    own = [v for v in profile.variants if v.method == candidate.method]
    most = candidate.schedule.most
    return next((v.engine for v in own if v.k == most), own[0].engine if own else {})


# ── showing ───────────────────────────────────────────────────────────────────────────────────


def _origin(profile: Profile) -> dict[str, Any]:
    return {
        "model": profile.model,
        "hardware": profile.hardware,
        "modelled": profile.modelled,
        "versions": profile.versions,
    }


def _document(plan: Plan, profile: Profile, data: dict[str, Any]) -> str:
    e = plan.chosen
    lines = [
        f"# Planned by frontrunner for {plan.deadline:g} s, on {profile.model},",
        f"# {profile.hardware}{' (a model, not a measurement)' if profile.modelled else ''}.",
        f"# Expected: accuracy {_percent(e.accuracy, e.error)}, {e.p50:.3g} s (median), "
        f"{e.p95:.3g} s (95 %), {e.tokens:,.0f} tokens.",
        "",
        "",
    ]
    return "\n".join(lines) + settings_toml(data)


def _report(
    profile: Profile,
    plans: Sequence[Plan],
    models: dict[str, EngineModel],
    estimator: Estimator,
) -> list[str]:
    if profile.modelled:
        lines = [f"{profile.model} on {profile.hardware}: a model, not a measurement", ""]
    else:
        lines = [f"{profile.model} on {profile.hardware}", ""]
    lines += _table(plans)
    for plan in plans:
        lines += ["", *_why(plan, models[plan.chosen.candidate.method], estimator)]
    return lines


def _table(plans: Sequence[Plan]) -> list[str]:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    names = ("deadline", "B", "speculation", "K", "strategy", "accuracy %", "p50", "p95", "tokens")
    for name in names:
        left = name in ("speculation", "K", "strategy")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for plan in plans:
        e, c = plan.chosen, plan.chosen.candidate
        table.add_row(
            f"{plan.deadline:g} s",
            str(c.branches),
            c.method,
            c.schedule.label(),
            c.strategy.label,
            _percent(e.accuracy, e.error),
            f"{e.p50:.3g} s",
            f"{e.p95:.3g} s",
            f"{e.tokens:,.0f}",
        )
    return [line for line in plain_lines(table, width=_WIDTH) if line]


def _why(plan: Plan, model: EngineModel, estimator: Estimator) -> list[str]:
    e, c = plan.chosen, plan.chosen.candidate
    context = estimator.typical_context
    k = c.schedule(c.branches)
    one, all_ = (1000 * model.step.seconds(b, context, k) for b in (1, c.branches))
    knee = "beyond all batches" if plan.knee is None else f"at {plan.knee} branches"
    lines = [
        f"{plan.deadline:g} s: {c.branches} branches, because",
        f"  a step takes {one:.3g} ms with one branch and {all_:.3g} ms with {c.branches} "
        f"(contexts of {context:,.0f} tokens, K={k}); it is twice one branch's {knee}",
        f"  a single branch without speculation: accuracy {_percent(plan.alone.accuracy, None)} "
        f"in {plan.alone.p50:.3g} s (median)",
    ]
    for what, other in (("more branches", plan.wider), ("more draft tokens", plan.deeper)):
        if other is None:
            continue
        gain, error = other.gain_over(e)
        lines.append(
            f"  {what} ({other.candidate.branches} branches, {other.candidate.method} "
            f"K={other.candidate.schedule.label()}) would change accuracy by "
            f"{100 * gain:+.1f} ± {196 * error:.1f} points and the median time by "
            f"{other.p50 - e.p50:+.3g} s"
        )
    lines.append(
        f"  forced answers are asked for {plan.reserve:.3g} s before the deadline; "
        f"{100 * e.finished:.0f} % of the branches end by themselves; a branch needs no more than "
        f"{plan.max_tokens:,} tokens"
    )
    if c.schedule.changes:
        lines.append(f"  K by batch size ({SCHEDULE_KEY}): {c.schedule.label()}")
    return lines


def _percent(share: float, error: float | None) -> str:
    return f"{100 * share:.1f}" if error is None else f"{100 * share:.1f} ± {196 * error:.1f}"
