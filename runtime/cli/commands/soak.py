"""``frontrunner soak``: hours of load on a server, and whether it keeps its word."""

import random
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import count

import aiohttp
import anyio
from rich.progress import BarColumn, Progress, TaskID, TimeElapsedColumn, TimeRemainingColumn

from ...common.plotting import pyplot
from ...config import PoolSettings, Settings, VllmSettings, config_path
from ...errors import BadRequest, EngineError
from ...experiments.soak_log import End, RaceEnded, RunBegan, RunEnded, SoakLog, Strike
from ...experiments.soak_plot import draw_soak
from ...experiments.soak_summary import SLACK, Summary, summarise
from ..common.command_races import RaceOptions, load_settings
from ..common.console import print_json, print_lines, progress_bar
from ..common.engine_startup import RuntimeFactory, spinner
from ..common.questions import Asked, read_file
from ..common.running import ExitStatus, Interrupted, run, warn
from ..common.soak_clients import Load, Users
from ..common.soak_server import SoakServer, soak_server
from ..options.soak import SoakCommand

_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0}
#: Seconds after a strike in which races are lost by it.
_STRUCK = 30.0
#: Between two looks at the clients' own event loop, in seconds.
_TICK = 0.05
#: Seconds that the end of a run takes at most after Ctrl-C.
_END_LIMIT = 120.0
_QUESTIONS = 200
_MIB = 2**20


def run_soak(command: SoakCommand, make_runtime: RuntimeFactory) -> int:
    """Run the command and return its exit status.

    Raises:
        FrontrunnerError: before there was load, or because the server did not start.
        Interrupted: a signal came; the summary so far has been shown.
    """
    pyplot()  # what is missing is said before the work, not after it
    settings = load_settings(command.config, command.sets)
    seconds = seconds_of(command.duration)
    load = _load(command, settings)
    try:
        command.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadRequest(f"cannot make the folder {command.out} ({error.strerror})") from error
    about = " ".join([str(config_path(command.config)), *(command.sets or ())])
    with closing(SoakLog(command.out / "soak.jsonl", about)) as log:
        before = log.seconds
        if before:
            print(f"{before / 60:.1f} minutes of load are in {log.path}", file=sys.stderr)
        status = ExitStatus.DONE
        try:
            if before < seconds:
                soak = _Soak(command, load, log, seconds - before)
                status = ExitStatus(run(soak.run))
        except Interrupted:
            _show(command, log)
            print("run the same command again to go on", file=sys.stderr)
            raise
        return max(status, _show(command, log))


def seconds_of(duration: str) -> float:
    """A duration as ``90s``, ``10m`` or ``1.5h``, in seconds.

    Raises:
        BadRequest: it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", duration.strip())
    if found is None or not float(found[1]):
        raise BadRequest(f"--duration takes a time such as 90s, 10m or 8h, not {duration!r}")
    return float(found[1]) * _UNITS[found[2]]


def _load(command: SoakCommand, settings: Settings) -> Load:
    """What the users do.

    Raises:
        BadRequest: they cannot.
    """
    deadline = settings.race.deadline if command.deadline is None else command.deadline
    RaceOptions(0.5 * deadline).check(settings)
    server = settings.server
    if server.key_file is not None or server.keys_env is not None:
        raise BadRequest(
            "soak asks without a key: give it a config without [server] key_file and keys_env"
        )
    engine = settings.engine
    engines = engine.members if isinstance(engine, PoolSettings) else (engine,)
    if command.kill_every is not None and not any(isinstance(e, VllmSettings) for e in engines):
        raise BadRequest(
            "--kill-every kills processes of vLLM that the server starts, and this config has "
            "none: its engine runs elsewhere"
        )
    return Load(
        _questions(command), command.users, deadline, command.cancels, command.slow, command.pause
    )


def _questions(command: SoakCommand) -> Sequence[Asked]:
    if command.file is not None:
        return read_file(command.file)
    from ...demo.problems import hard_problems

    # The split that nothing was trained on, and that is not kept for reported numbers.
    problems = hard_problems("select", _QUESTIONS, seed=command.seed)
    return [Asked(problem.question, str(problem.answer)) for problem in problems]


# ── one run ───────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Soak:
    """One server and the load on it."""

    command: SoakCommand
    load: Load
    log: SoakLog
    seconds: float  # that are left
    _began: float = 0.0  # anyio clock
    _struck_at: float | None = None
    _lag: float = 0.0  # of the clients' own event loop since the last sample, seconds
    _tally: "_Tally" = field(default_factory=lambda: _Tally())

    async def run(self) -> int:
        """Start a server, put load on it, end it, and note everything."""
        command, number = self.command, len(self.log.of(RunBegan)) + 1
        arguments = ["--config", str(config_path(command.config))]
        for each in command.sets or ():
            arguments += ["--set", each]
        with spinner("starting the server", sys.stderr):
            started = soak_server(arguments, command.out / "server.log")
            server = await started.__aenter__()
        try:
            self.log.add(RunBegan(number, str(config_path(command.config))))
            self._began = anyio.current_time()
            failure: EngineError | None = None
            try:
                failure = await self._put_load(server, number)
            finally:
                with anyio.move_on_after(_END_LIMIT, shield=True):
                    await self._end(server)
        finally:
            with anyio.CancelScope(shield=True):
                await started.__aexit__(None, None, None)
        if failure is not None:
            warn(str(failure))
        return ExitStatus.DONE if failure is None else ExitStatus.FAILED

    def _ended(self, race: RaceEnded) -> None:
        self.log.add(race)
        self._tally.count(race)

    @property
    def _at(self) -> float:
        return anyio.current_time() - self._began

    async def _put_load(self, server: SoakServer, number: int) -> EngineError | None:
        """Until the time is over; returns why it was over before."""
        failure: EngineError | None = None
        async with aiohttp.ClientSession(
            connector=server.connector(), timeout=aiohttp.ClientTimeout(total=None)
        ) as session:
            users = Users(
                self.load,
                session,
                self._ended,
                lambda: self._at,
                self._was_struck,
                random.Random(f"{self.command.seed}/{number}"),
            )
            with _Bar(self.seconds) as (bar, task), anyio.move_on_after(self.seconds):
                self.log.add(await server.sample(session, self._at, 0.0))
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(users.run)
                    tasks.start_soon(self._watch_lag)
                    if self.command.kill_every is not None:
                        tasks.start_soon(self._strike, server, self.command.kill_every)
                    try:
                        await self._sample(server, bar, task)
                    except EngineError as error:
                        failure = error
                    tasks.cancel_scope.cancel()
        return failure

    async def _sample(self, server: SoakServer, bar: Progress, task: TaskID) -> None:
        """Look at the server until cancelled.

        Raises:
            EngineError: it has ended.
        """
        async with aiohttp.ClientSession(connector=server.connector()) as session:
            while True:
                await anyio.sleep(self.command.sample_every)
                lag, self._lag = self._lag, 0.0
                sample = await server.sample(session, self._at, lag)
                self.log.add(sample)
                size = sample.server_bytes // _MIB
                bar.update(task, completed=self._at, description=f"{self._tally}, {size} MiB")

    async def _watch_lag(self) -> None:
        """Notice when these clients' own event loop is late."""
        while True:
            due = anyio.current_time() + _TICK
            await anyio.sleep_until(due)
            self._lag = max(self._lag, anyio.current_time() - due)

    async def _strike(self, server: SoakServer, every: float) -> None:
        """Kill the engine, and stop it, by turns."""
        for turn in count():
            await anyio.sleep(every)
            number = (signal.SIGKILL, signal.SIGSTOP)[turn % 2]
            if server.strike(number):
                self._struck_at = self._at
                self.log.add(Strike(round(self._at, 3), number.name))

    def _was_struck(self) -> bool:
        return self._struck_at is not None and self._at < self._struck_at + _STRUCK

    async def _end(self, server: SoakServer) -> None:
        """See that nothing is left in the engine, and then of the server."""
        over = self._at
        left = await server.come_to_rest()
        if server.status is None:
            async with aiohttp.ClientSession(connector=server.connector()) as session:
                self.log.add(await server.sample(session, over, 0.0))
        ended: RunEnded = await server.end(over, left)
        self.log.add(ended)


@dataclass(slots=True)
class _Tally:
    """Races of this run."""

    races: int = 0
    late: int = 0
    failed: int = 0

    def count(self, race: RaceEnded) -> None:
        self.races += 1
        self.late += (race.late or 0.0) > SLACK
        self.failed += race.end is End.FAILED

    def __str__(self) -> str:
        return f"{self.races} races, {self.late} late, {self.failed} failed"


class _Bar:
    """How far it is, on standard error."""

    def __init__(self, seconds: float) -> None:
        columns = (BarColumn(), "{task.description}", TimeElapsedColumn(), TimeRemainingColumn())
        self._bar = progress_bar(*columns)
        self._seconds = seconds

    def __enter__(self) -> tuple[Progress, TaskID]:
        self._bar.start()
        return self._bar, self._bar.add_task("", total=self._seconds)

    def __exit__(self, *exc_info: object) -> None:
        self._bar.stop()


# ── what is shown ─────────────────────────────────────────────────────────────────────────────


def _show(command: SoakCommand, log: SoakLog) -> ExitStatus:
    summary = summarise(log)
    if command.json:
        print_json({**asdict(summary), "held": summary.held})
    else:
        print_lines(summary_lines(summary))
    picture = command.out / "soak.png"
    try:
        draw_soak(log, picture)
    except OSError as error:
        raise BadRequest(f"cannot write {picture} ({error.strerror})") from error
    print(f"wrote {log.path.name} and {picture.name} to {command.out}", file=sys.stderr)
    return ExitStatus.DONE if summary.held else ExitStatus.FAILED


def summary_lines(summary: Summary) -> list[str]:
    """A summary for a terminal."""
    ends = ", ".join(f"{times} {end}" for end, times in sorted(summary.ends.items()))
    rows = {
        "load": f"{summary.seconds / 60:.1f} minutes in {summary.runs} runs",
        "races": f"{summary.races}: {ends}",
        "late": f"{summary.missed} over 50 ms; p99 {_ms(summary.late_p99)}, "
        f"worst {_ms(summary.late_max)} (clients' own lag: {_ms(summary.client_lag)})",
        "right": "-" if summary.right is None else f"{100 * summary.right:.1f} %",
        "engine struck": f"{summary.strikes} times",
        "server memory": _memory(summary.server_bytes, summary.server_growth),
        "engine memory": _memory(summary.engine_bytes, summary.engine_growth),
        "left behind": f"{summary.requests_left} requests, {summary.processes_left} processes, "
        f"{len(summary.files_left)} files; {summary.zombies} zombies at once; "
        f"{summary.descriptors or 0:+d} open files",
    }
    lines = [f"{name:<15}{told}" for name, told in rows.items()]
    lines += [f"! {problem}" for problem in summary.problems]
    return [*lines, "all held" if summary.held else "not all held"]


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.0f} ms"


def _memory(size: int | None, growth: float | None) -> str:
    told = "-" if size is None else f"{size / _MIB:.0f} MiB at most"
    return told if growth is None else f"{told}, {100 * growth:+.2f} % an hour"
