"""``frontrunner bench``: strategies, branches, deadlines and configs on a running engine."""

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

from frontrunner import __version__

from ...answers import Equivalence, WorkerPool
from ...common.config_identity import RACING_TABLES
from ...common.json_bytes import json_bytes
from ...common.plotting import pyplot
from ...common.whole_files import write_whole
from ...config import Settings, config_path
from ...errors import BadRequest
from ...experiments.bench import BenchCell, BenchRace, RaceFile, Task, cells_of, tasks_of
from ...experiments.bench_report import bench_report, bench_table
from ...experiments.bench_summary import BenchRow, bench_rows
from ...experiments.intervals import numpy
from ...experiments.row_files import write_csv, write_parquet
from ...runtime import Runtime
from ...simulation.cells import StrategySpec
from ..common.bench_races import CONFIGURED, race_task
from ..common.command_races import RaceOptions, load_settings
from ..common.console import plain_lines, print_json, print_lines, progress_bar
from ..common.engine_startup import RuntimeFactory, started
from ..common.lists import numbers
from ..common.own_sources import own_sources
from ..common.questions import Asked, read_file
from ..common.report_file import write_report
from ..common.running import ExitStatus, Interrupted, run, warn
from ..options.bench import BenchCommand

#: Columns of a table that goes into a file or a pipe.
_WIDTH = 240


@dataclass(frozen=True, slots=True)
class _Bench:
    """What is to be run, checked."""

    command: BenchCommand
    settings: dict[str, Settings]
    """By the name of the config."""
    cells: list[BenchCell]
    questions: list[Asked]
    file: RaceFile

    def tasks(self, config: str, number: int) -> list[Task]:
        """What is left of a round on the engine of ``config``."""
        own = [cell for cell in self.cells if cell.config == config]
        return list(tasks_of(own, len(self.questions), number, self.file.races))

    def close(self) -> None:
        """Let others have the folder."""
        self.file.close()

    def left(self) -> int:
        """Races that are still to be run."""
        return sum(
            len(task.questions)
            for number in range(self.command.rounds)
            for config in self.settings
            for task in self.tasks(config, number)
        )


def run_bench(command: BenchCommand, make_runtime: RuntimeFactory) -> int:
    """Run the command and return its exit status.

    Raises:
        FrontrunnerError: before anything was raced, or because the engine did not start.
        Interrupted: a signal came; the races that have ended are in the folder.
    """
    numpy()  # what is missing is said before the work, not after it
    pyplot()
    with closing(_checked(command)) as bench:
        return _run(bench, make_runtime)


def _run(bench: "_Bench", make_runtime: RuntimeFactory) -> int:
    left = bench.left()
    if bench.file.races:
        print(f"{len(bench.file.races)} races are in {bench.file.path}", file=sys.stderr)
    status = ExitStatus.DONE
    try:
        if left:
            status = ExitStatus(run(lambda: _race_all(bench, make_runtime, left)))
    except Interrupted:
        _show(bench)
        print("run the same command again to go on", file=sys.stderr)
        raise
    _show(bench)
    return status


# ── what is asked ─────────────────────────────────────────────────────────────────────────────


def _checked(command: BenchCommand) -> _Bench:
    settings: dict[str, Settings] = {}
    for path in command.config or [None]:
        name = config_path(path).stem
        if name in settings:
            raise BadRequest(f"two configs are called {name}: their names tell them apart")
        settings[name] = load_settings(path, command.sets)
    first = next(iter(settings.values()))
    strategies = command.strategies or [CONFIGURED, command.baseline]
    branches = numbers("--branches", command.branches or str(first.race.branches), whole=True)
    deadlines = numbers("--deadlines", command.deadlines or f"{first.race.deadline:g}")
    users = numbers("--users", command.users, whole=True)
    cells = cells_of(
        list(settings), strategies, [int(b) for b in branches], deadlines, [int(u) for u in users]
    )
    for cell in cells:
        race_options(cell, 0).check(settings[cell.config])
    questions = _questions(command)
    try:
        command.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadRequest(f"cannot make the folder {command.out} ({error.strerror})") from error
    file = RaceFile(
        command.out / "races.jsonl",
        [(asked.text, asked.answer or "") for asked in questions],
        {
            (name, strategy): _identity(of, strategy, command.seed)
            for name, of in settings.items()
            for strategy in strategies
        },
    )
    return _Bench(command, settings, cells, questions, file)


def _identity(settings: Settings, strategy: str, seed: int) -> str:
    """The same only for what races a cell of this strategy alike."""
    said = settings.model_dump(mode="json", include=set(RACING_TABLES))
    for key in ("branches", "deadline"):  # each cell's own
        del said["race"][key]
    digest = sha256(json_bytes([__version__, seed, said]))
    for source in own_sources(f"{strategy} {said}"):
        digest.update(sha256(source).digest())
    return digest.hexdigest()[:16]


def race_options(cell: BenchCell, seed: int) -> RaceOptions:
    """The options of a cell's races.

    Raises:
        BadRequest: its strategy is not given as ``name:key=value``.
    """
    if cell.strategy == CONFIGURED:
        return RaceOptions(cell.deadline, cell.branches, seed)
    spec = StrategySpec.parse(cell.strategy)
    return RaceOptions(cell.deadline, cell.branches, seed, spec.name, dict(spec.parameters))


def _questions(command: BenchCommand) -> list[Asked]:
    if command.file in ("demo:select", "demo:test"):
        from ...demo.problems import hard_problems

        split = "select" if command.file == "demo:select" else "test"
        problems = hard_problems(split, command.count)
        return [Asked(problem.question, str(problem.answer)) for problem in problems]
    questions = read_file(Path(command.file))
    silent = sum(asked.answer is None for asked in questions)
    if silent:
        raise BadRequest(f'{silent} questions of {command.file} have no "answer"')
    return questions[: command.count]


# ── the races ─────────────────────────────────────────────────────────────────────────────────


async def _race_all(bench: _Bench, make_runtime: RuntimeFactory, left: int) -> int:
    columns = ("[cyan]races[/cyan]", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with WorkerPool(1) as pool:
        equivalence = Equivalence(pool)
        with progress_bar(*columns) as progress:
            bar = progress.add_task("", total=left)

            def ended(race: BenchRace) -> None:
                bench.file.add(race)
                progress.advance(bar)

            async with AsyncExitStack() as engines:
                runtime: Runtime | None = None
                for number in range(bench.command.rounds):
                    for name, settings in bench.settings.items():
                        tasks = bench.tasks(name, number)
                        if not tasks:
                            continue
                        if runtime is None or len(bench.settings) > 1:
                            await engines.aclose()  # two engines would disturb each other
                            made = started(make_runtime(settings), show=False)
                            runtime = await engines.enter_async_context(made)
                        for task in tasks:
                            options = race_options(task.cell, bench.command.seed)
                            await race_task(
                                runtime, task, bench.questions, options, equivalence, ended
                            )
                            if runtime.engine.failure is not None:
                                warn(f"the engine of {name} failed: {runtime.engine.failure}")
                                return ExitStatus.FAILED
    return ExitStatus.DONE


# ── what is shown ─────────────────────────────────────────────────────────────────────────────


def _show(bench: _Bench) -> None:
    command = bench.command
    rows = bench_rows(
        bench.file.races, bench.cells, baseline=command.baseline, budget=command.budget
    )
    if not rows:
        warn("no question has been raced in all cells yet: there is no table")
        return
    plain = plain_lines(bench_table(rows), width=_WIDTH)
    if command.json:
        print_json(*(row.as_dict() for row in rows))
    else:
        print_lines(plain)
    _write(bench, rows, plain)


def _write(bench: _Bench, rows: Sequence[BenchRow], plain: Sequence[str]) -> None:
    folder = bench.command.out
    report = bench_report(rows, _facts(bench), bench.command.budget)
    try:
        write_whole(folder / "table.txt", *(f"{line}\n" for line in plain))
        write_report(report, folder)
        write_csv(rows, folder / "cells.csv")
        parquet = write_parquet(rows, folder / "cells.parquet")
    except OSError as error:
        raise BadRequest(f"cannot write to {folder} ({error.strerror})") from error
    names = ["report.html", "table.txt", "cells.csv", *(["cells.parquet"] if parquet else [])]
    print(f"wrote {', '.join(names)} to {folder}", file=sys.stderr)


def _facts(bench: _Bench) -> dict[str, str]:
    return {
        "questions": f"{bench.command.file}, {len(bench.questions)}",
        "rounds": str(bench.command.rounds),
        "seed": str(bench.command.seed),
        **{
            f"engine of {name}": f"{of.engine.kind}, {of.engine.model or 'its first model'}"
            for name, of in bench.settings.items()
        },
    }
