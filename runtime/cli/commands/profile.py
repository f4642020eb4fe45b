"""``frontrunner profile``: what the engine of a config can do."""

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
from rich.box import SIMPLE_HEAD
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from frontrunner.strategies.parameter_texts import parse_value

from ...answers import BOXED, make_extractor
from ...common.plotting import pyplot
from ...config import DEMO_MODELS, Settings
from ...engines.protocol import Engine, Sampling
from ...errors import BadRequest
from ...planning.datasheet_profile import modelled_profile
from ...planning.engine_model import EngineModel, engine_models
from ...planning.plots import draw_surfaces
from ...planning.profile import Profile, Variant, hardware, versions
from ...planning.profiler import Extent, Profiler, measure_in_turns
from ...racing.spec import Forcing
from ...runtime import Runtime
from ...scheduling.race_factory import make_forcing
from ..common.command_races import load_settings
from ..common.console import plain_lines, progress_bar
from ..common.engine_startup import RuntimeFactory, started
from ..common.output import Output, standard_output
from ..common.questions import read_file
from ..common.running import ExitStatus, run
from ..display.ndjson import json_line
from ..options.profile import ProfileCommand

#: Asked where nothing else is said: reasoning in words, some of it long.
_QUESTIONS = (
    "A train leaves at 9:40 and arrives at 13:05. How many minutes does it take? Reason step by "
    "step and put the answer into \\boxed{}.",
    "How many positive divisors does 360 have? Reason step by step and put the answer into "
    "\\boxed{}.",
    "The sum of three consecutive even numbers is 138. Which is the largest? Reason step by step "
    "and put the answer into \\boxed{}.",
    "What is the remainder of 7^100 divided by 13? Reason step by step and put the answer into "
    "\\boxed{}.",
    "In how many ways can 5 people sit around a round table? Reason step by step and put the "
    "answer into \\boxed{}.",
    "Two dice are thrown. What is the probability that their sum is at least 9? Reason step by "
    "step and put the answer into \\boxed{}.",
)
#: Questions of the demo's own kind for the demo's model; more than a profile asks, as an answer
#: given before flatters ``cross_branch``.
_DEMO_QUESTIONS = 512
#: Columns of the table.
_WIDTH = 160


def run_profile(command: ProfileCommand, make_runtime: RuntimeFactory) -> int:
    """Run the command and return its exit status.

    Raises:
        FrontrunnerError: the input must change, or the engine failed.
        OutputClosed: nobody reads standard output any more.
        Interrupted: a signal came; what was measured is in the file.
    """
    if command.plot:
        pyplot()  # what is missing is said before the work, not after it
    if command.simulate is not None:
        if command.engine_args or command.config or command.in_turns:
            raise BadRequest("--simulate takes no --config, --engine-args or --in-turns")
        profile = modelled_profile(command.simulate, command.draft, command.acceptance)
        profile.write(command.out)
        with standard_output() as output:
            return run(lambda: _show(command, profile, output))
    if command.draft is not None:
        raise BadRequest("--draft is for --simulate; for an engine, name it in --engine-args")
    settings = load_settings(command.config, command.sets)
    variants = variants_of(settings, command.engine_args or [])
    questions = _questions(command.questions, settings)
    known = None if command.fresh else _known(command, settings)
    with standard_output() as output:
        return run(
            lambda: _profile(command, settings, variants, questions, known, make_runtime, output)
        )


# ── what is measured ──────────────────────────────────────────────────────────────────────────


def variants_of(settings: Settings, engine_args: Sequence[str]) -> list[tuple[Variant, Settings]]:
    """No speculation, the config's own, and what ``--engine-args`` say, each once.

    Raises:
        BadRequest: an argument is not of the form ``key=value,…``.
        ConfigError: the engine cannot be started so.
    """
    own = settings.engine.speculation.model_dump(exclude_unset=True, mode="json")
    changes: list[dict[str, Any]] = [{"speculation": {"method": "none"}}]
    if settings.engine.speculation.method != "none":
        changes.append({"speculation": own})
    for text in engine_args:
        changes += _expanded(text)
    made: dict[str, tuple[Variant, Settings]] = {}
    data = settings.model_dump(exclude_unset=True, mode="json")
    for change in changes:
        engine = {**data.get("engine", {}), **change}
        engine.setdefault("speculation", own or {"method": "none"})
        changed = Settings.from_dict({**data, "engine": engine}, source="--engine-args")
        speculation = changed.engine.speculation
        k = 0 if speculation.method == "none" else speculation.tokens
        name = _name(change, k)
        made.setdefault(name, (Variant(name, speculation.method, k, change), changed))
    return list(made.values())


def _expanded(text: str) -> list[dict[str, Any]]:
    """``a.b=1|3,c=x`` as the tables of two variants."""
    alternatives: list[dict[str, Any]] = [{}]
    for part in text.split(","):
        key, equals, values = part.strip().partition("=")
        path = key.strip().removeprefix("engine.").split(".")
        if not equals or not all(step.isidentifier() for step in path):
            raise BadRequest(
                "--engine-args takes keys of [engine], as in "
                f"speculation.method=ngram,speculation.tokens=3|5, not {text!r}"
            )
        alternatives = [
            _with(tables, path, parse_value(value.strip()))
            for tables in alternatives
            for value in values.split("|")
        ]
    return alternatives


def _with(tables: dict[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    first, *rest = path
    inner = tables.get(first, {}) if rest else None
    return {**tables, first: _with(inner or {}, rest, value) if rest else value}


def _name(change: dict[str, Any], k: int) -> str:
    speculation = dict(change.get("speculation", {}))
    method = speculation.pop("method", None)
    speculation.pop("tokens", None)
    parts = [str(method)] if method is not None else []
    parts += [f"K={k}"] if k else []
    parts += [f"{key}={value}" for key, value in speculation.items()]
    parts += [f"{key}={value}" for key, value in change.items() if key != "speculation"]
    return ", ".join(parts)


def _questions(file: Path | None, settings: Settings) -> list[str]:
    if file is not None:
        return [asked.text for asked in read_file(file)]
    if settings.engine.model in DEMO_MODELS:
        from ...demo.problems import hard_problems

        return [problem.question for problem in hard_problems("select", _DEMO_QUESTIONS)]
    return list(_QUESTIONS)


def _engine_tables(settings: Settings) -> dict[str, Any]:
    data = settings.engine.model_dump(exclude_unset=True, mode="json")
    data.pop("speculation", None)
    return data


def _known(command: ProfileCommand, settings: Settings) -> Profile | None:
    """What is in the file already of the same engine, measured in the same way."""
    if not command.out.exists():
        return None
    known = Profile.read(command.out)
    same = (known.model, known.settings, known.quick, known.modelled) == (
        settings.engine.model,
        _engine_tables(settings),
        command.quick,
        False,
    )
    if not same:
        raise BadRequest(
            f"{command.out} holds the profile of another engine or another extent: name another "
            "file with --out, or measure anew with --fresh"
        )
    return known


# ── measuring ─────────────────────────────────────────────────────────────────────────────────


async def _profile(
    command: ProfileCommand,
    settings: Settings,
    variants: Sequence[tuple[Variant, Settings]],
    questions: Sequence[str],
    known: Profile | None,
    make_runtime: RuntimeFactory,
    output: Output,
) -> int:
    profile = known
    before = {v.name: v for v in profile.variants} if profile is not None else {}
    lacking = [(before.get(v.name, v), changed) for v, changed in variants]
    lacking = [(variant, changed) for variant, changed in lacking if not variant.complete]
    groups = [lacking] if command.in_turns and lacking else [[one] for one in lacking]
    for number, group in enumerate(groups, len(variants) - len(lacking) + 1):
        async with AsyncExitStack() as stack:
            profilers: list[Profiler] = []
            for variant, changed in group:
                began = anyio.current_time()
                runtime = await stack.enter_async_context(started(make_runtime(changed), show=True))
                variant.start_seconds = anyio.current_time() - began
                profilers.append(
                    _profiler(runtime, changed, questions, variant, quick=command.quick)
                )
                if profile is None:
                    profile = _fresh(runtime, settings, profilers[0], quick=command.quick)
                if variant not in profile.variants:
                    profile.variants.append(variant)
            assert profile is not None
            names = ", ".join(variant.name for variant, _ in group)
            label = f"{number}/{len(variants)} {names}" if len(group) == 1 else "all in turns"
            await _with_progress(profilers, label, profile, command.out)
            sizes = [p.cache_tokens for p in profilers if p.cache_tokens is not None]
            if sizes:
                profile.cache_tokens = sizes[-1]
                profile.write(command.out)
    assert profile is not None
    return await _show(command, profile, output)


def _profiler(
    runtime: Runtime,
    settings: Settings,
    questions: Sequence[str],
    variant: Variant,
    *,
    quick: bool,
) -> Profiler:
    engine, sampling = runtime.engine, settings.sampling
    return Profiler(
        engine,
        Sampling(sampling.temperature, sampling.top_p, sampling.top_k, sampling.stop),
        _forcing(settings, engine),
        sampling.max_tokens,
        questions,
        Extent.of(engine.info.max_branches, quick=quick),
        variant,
    )


def _forcing(settings: Settings, engine: Engine) -> Forcing:
    """What is measured as a round of forced answers: of a kind that is not forced, that of
    boxes."""
    answers, kind = make_extractor(settings.answers), settings.answers.kind
    forcing = make_forcing(settings, engine, answers, kind)
    return forcing if forcing.suffix else make_forcing(settings, engine, BOXED, "boxed")


def _fresh(runtime: Runtime, settings: Settings, profiler: Profiler, *, quick: bool) -> Profile:
    info = runtime.engine.info
    return Profile(
        engine=info.name,
        model=settings.engine.model,
        hardware=hardware(),
        settings=_engine_tables(settings),
        quick=quick,
        prompt_tokens=profiler.prompt_tokens,
        max_branches=info.max_branches,
        max_context_tokens=info.max_context_tokens,
        versions=versions(),
    )


async def _with_progress(
    profilers: Sequence[Profiler], label: str, profile: Profile, out: Path
) -> None:
    columns = (
        TextColumn("[cyan]{task.description}[/cyan]"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}"),
    )
    with progress_bar(*columns) as p:
        bar = p.add_task(label, total=None, what="")

        def progress(done: int, total: int, what: str) -> None:
            p.update(bar, completed=done, total=total, what=what)

        await measure_in_turns(profilers, progress, lambda: profile.write(out))


# ── showing ───────────────────────────────────────────────────────────────────────────────────


async def _show(command: ProfileCommand, profile: Profile, output: Output) -> int:
    models = await anyio.to_thread.run_sync(engine_models, profile)
    if command.json:
        await output.write(json_line(summary(profile, models)))
    else:
        for line in _report(profile, models):
            await output.line(line)
    said = [str(command.out)]
    if command.plot:
        plot = command.out.with_suffix(".png")
        draw_surfaces(profile, models, plot)
        said.append(str(plot))
    print(f"wrote {' and '.join(said)}", file=sys.stderr)
    return ExitStatus.DONE


def summary(profile: Profile, models: dict[str, EngineModel]) -> dict[str, Any]:
    """A profile's models, for JSON."""
    context = 2 * profile.prompt_tokens
    return {
        "engine": profile.engine,
        "model": profile.model,
        "hardware": profile.hardware,
        "modelled": profile.modelled,
        "versions": profile.versions,
        "methods": {
            name: {
                "draft_tokens": model.ks,
                "step_time": model.step,
                "held_out_error": model.error,
                "acceptance": {
                    "positions": model.acceptance.positions,
                    "probabilities": model.acceptance.probabilities,
                },
                "launch": model.launch,
                "forced_answers": model.forced,
                "abort_seconds": model.abort,
                "knee": {str(k): model.step.knee(context, k) for k in model.ks},
                "tokens_per_second": {
                    str(k): {
                        str(b): model.tokens_per_second(b, context, k) for b in _batches(profile)
                    }
                    for k in model.ks
                },
            }
            for name, model in models.items()
        },
        "skipped": {v.name: v.skipped for v in profile.variants if v.skipped},
    }


def _batches(profile: Profile) -> list[int]:
    return [b for b in (1, 4, 16, 32, 64, 128, 256) if b <= profile.max_branches]


def _report(profile: Profile, models: dict[str, EngineModel]) -> list[str]:
    context = 2 * profile.prompt_tokens
    kind = "a model by data sheets, no measurement" if profile.modelled else "measured"
    lines = [
        f"{profile.model} on {profile.hardware} ({kind})",
        f"Tokens per second of one branch, at {context:,} tokens of context:",
        "",
    ]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("speculation", no_wrap=True)
    for batch in _batches(profile):
        table.add_column(f"B={batch}", justify="right")
    for name in ("knee", "tokens a step", "error %", "forced (ms)", "abort (ms)"):
        table.add_column(name, justify="right")
    for name, model in models.items():
        for k in model.ks:
            if (k == 0) != (name == "none"):
                continue
            knee = model.step.knee(context, k)
            table.add_row(
                name if k == 0 else f"{name} K={k}",
                *(f"{model.tokens_per_second(b, context, k):,.0f}" for b in _batches(profile)),
                "none" if knee is None else str(knee),
                f"{model.acceptance.tokens_per_step(k):.2f}" if k else "1",
                "" if model.error is None else f"{100 * model.error:.1f}",
                f"{1000 * model.forced.seconds(16):,.0f}",
                f"{1000 * model.abort:,.1f}",
            )
    lines += plain_lines(table, width=_WIDTH)
    lines += [
        "",
        "knee: the batch whose steps take twice as long as one branch's. error: median on held-out "
        "points.",
        "forced: a round of forced answers of 16 branches.",
    ]
    for variant in profile.variants:
        for what, why in variant.skipped.items():
            lines.append(f"not measured, {variant.name}, {what}: {why}")
    return lines
