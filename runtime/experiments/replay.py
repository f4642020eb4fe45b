"""Very many simulated races on all cores: each strategy on the same draws of recorded branches.

A *cell* is a strategy with a number of branches, a deadline, and forced answers or none. Draw
number ``d`` of a question is one random order of its branches; a cell of B branches races the
first B of it. So all cells see the same branches, and those of fewer branches a part of them.
"""

import os
import signal
from array import array
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from math import inf
from multiprocessing import connection, get_context, parent_process
from random import Random
from threading import Thread

from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import Strategy
from frontrunner.strategies.registry import Registrations

from ..errors import BadRequest, FrontrunnerError
from ..simulation.cells import Cell
from ..simulation.recorded_draws import FreshStrategies, RecordedDraws
from ..simulation.simulated_race import CannotReplay, SimulatedRace, Timing, check_replayable
from ..traces.recordings import RecordedBranch, RecordedQuestion

#: Races that a process runs before it hands the figures back: about half a second's work. It is
#: also how long Ctrl-C may take.
_RACES_A_TASK = 600
#: How long a step of a replay takes at most if no races are ready, in seconds.
_POLL_INTERVAL = 0.1
#: Fewer races than this are run at once in this process: others would take longer to start.
_WORTH_PROCESSES = 3_000


class ReplayFailed(FrontrunnerError):
    """A replay broke off: a strategy raised, or a process died."""


@dataclass(frozen=True, slots=True)
class Job:
    """A replay. Times are in tokens, as in ``Timing``."""

    questions: Sequence[RecordedQuestion]
    cells: Sequence[Cell]
    draws: int = 100
    seed: int = 0
    timing: Timing = field(default_factory=Timing)
    """Its deadline is each cell's own."""
    lengths: LengthModel | str | None = "pooled"
    """What strategies know beforehand of lengths where there is a deadline: nothing, this, or the
    lengths of all other questions (``pooled``)."""
    verifier_error: float = 0.0
    """The share of branches that whoever scores them misjudges: 1 minus the recorded score, which
    lies between 0 and 1, is what a strategy sees. Above 0, no two branches are taken to have the
    same answer, since what agents made cannot be compared."""

    def check(self) -> None:
        """Find what is wrong before the work begins, by running the first race of each cell.

        Raises:
            BadRequest: with what to change.
        """
        if not self.questions:
            raise BadRequest("the traces hold no question")
        if not 0 <= self.verifier_error < 1:
            raise BadRequest("verifier_error must be a share of at least 0 and below 1")
        if self.verifier_error:
            self._check_scores()
        most = max(cell.branches for cell in self.cells)
        for question in self.questions:
            if len(question.branches) < most:
                left = f" ({question.left_out} more were cut)" if question.left_out else ""
                raise BadRequest(
                    f"{question.name} has {len(question.branches)} whole branches{left}, and "
                    f"{most} are asked for: ask for fewer (--branches)"
                )
        worker = _Worker(self)
        records = [branch for question in self.questions for branch in question.branches]
        for cell in self.cells:
            try:
                check_replayable(worker.strategy(cell), records)
                worker.race(cell, 0, worker.draw(0, 0))
            except CannotReplay as error:
                raise CannotReplay(f"{cell.strategy.label}: {error}") from error

    def _check_scores(self) -> None:
        for question in self.questions:
            for branch in question.branches:
                if branch.score is None or not 0 <= branch.score <= 1:
                    raise BadRequest(
                        f"{question.name}: verifier_error needs a score between 0 and 1 of each "
                        f"branch, and one has {branch.score}"
                    )


@dataclass(slots=True)
class Figures:
    """What the races of a cell gave: (questions x draws) values, one question after the other."""

    right: bytearray = field(default_factory=bytearray)
    latency: "array[float]" = field(default_factory=lambda: array("d"))  # tokens
    tokens: "array[float]" = field(default_factory=lambda: array("d"))
    ended: "array[float]" = field(default_factory=lambda: array("d"))
    """Branches that ran to their own end."""

    def add(self, right: bool, latency: float, tokens: float, ended: float) -> None:
        self.right.append(right)
        self.latency.append(latency)
        self.tokens.append(tokens)
        self.ended.append(ended)

    def extend(self, other: "Figures") -> None:
        self.right += other.right
        self.latency += other.latency
        self.tokens += other.tokens
        self.ended += other.ended


@dataclass(frozen=True, slots=True)
class Part:
    """What one task gave; figures in the order of the job's cells."""

    question: int
    first_draw: int
    draws: int
    cells: list[Figures]
    clairvoyant: dict[int, Figures]
    """By number of branches: the earliest stop that would not have changed the answer of waiting
    for all branches and their votes."""


@dataclass(slots=True)
class Replayed:
    """What a job gave."""

    job: Job
    cells: list[Figures]
    clairvoyant: dict[int, Figures]


class Replay:
    """Runs a job. ``done`` counts races while it iterates."""

    def __init__(self, job: Job, processes: int | None = None) -> None:
        """
        Args:
            processes: how many at most; None: one for each core that this process may use.

        Raises:
            BadRequest: the job cannot be run; see ``Job.check``.
        """
        job.check()
        self.job = job
        self.races = len(job.questions) * job.draws * len(job.cells)
        cores = len(os.sched_getaffinity(0)) if processes is None else processes
        self._processes = max(1, cores) if self.races >= _WORTH_PROCESSES else 1
        self._registrations: Registrations | None = None
        if self._processes > 1:  # a process of its own has not seen what was registered here
            self._registrations = _registrations(job)
        self._parts: dict[tuple[int, int], Part] = {}

    @property
    def parts(self) -> list[Part]:
        """What has been run so far."""
        return [part for _, part in sorted(self._parts.items())]

    def resume(self, parts: Iterable[Part]) -> int:
        """Take what ``parts`` of the same job has given for done; call it before ``run``.

        Returns:
            The races that need not be run again.
        """
        wanted = {(question, first): draws for question, first, draws in self._tasks()}
        for part in parts:
            if wanted.get((part.question, part.first_draw)) == part.draws:
                self._parts[part.question, part.first_draw] = part
        return sum(part.draws for part in self._parts.values()) * len(self.job.cells)

    def _tasks(self) -> Iterator[tuple[int, int, int]]:
        each = max(1, _RACES_A_TASK // len(self.job.cells))
        for question in range(len(self.job.questions)):
            for first in range(0, self.job.draws, each):
                yield question, first, min(each, self.job.draws - first)

    def run(self) -> Generator[int, None, None]:
        """Run it all; yields several times a second how many races were run since the last time.

        Raises:
            ReplayFailed: a strategy raised, or a process died.

        Closing it ends the processes. So that they can be ended, let no signal raise an exception
        while it runs: note the signal, and close it between two steps.
        """
        tasks = (task for task in self._tasks() if task[:2] not in self._parts)
        parts = self._here(tasks) if self._processes == 1 else self._apart(tasks)
        for part in parts:
            if part is None:
                yield 0
                continue
            self._parts[part.question, part.first_draw] = part
            yield part.draws * len(self.job.cells)

    def result(self) -> Replayed:
        """The figures of all races; only after ``run`` has ended."""
        cells = [Figures() for _ in self.job.cells]
        counts = dict.fromkeys(cell.branches for cell in self.job.cells)
        clairvoyant = {branches: Figures() for branches in counts}
        for _, part in sorted(self._parts.items()):
            for mine, more in zip(cells, part.cells, strict=True):
                mine.extend(more)
            for branches, more in part.clairvoyant.items():
                clairvoyant[branches].extend(more)
        return Replayed(self.job, cells, clairvoyant)

    def _here(self, tasks: Iterator[tuple[int, int, int]]) -> Iterator[Part | None]:
        worker = _Worker(self.job)
        for task in tasks:
            yield worker.part(*task)

    def _apart(self, tasks: Iterator[tuple[int, int, int]]) -> Iterator[Part | None]:
        # Spawned, not forked: the caller may have threads, and forked ones would not.
        pool = ProcessPoolExecutor(
            self._processes,
            mp_context=get_context("spawn"),
            initializer=_begin,
            initargs=(self.job, self._registrations),
        )
        try:
            waiting: set[Future[Part]] = set()
            while True:
                # A few more than run, so that no process waits for the next.
                with _sigint_blocked():
                    for task in islice(tasks, 3 * self._processes - len(waiting)):
                        waiting.add(pool.submit(_part, *task))
                if not waiting:
                    break
                done, waiting = wait(waiting, _POLL_INTERVAL, return_when=FIRST_COMPLETED)
                if not done:
                    yield None
                for future in done:
                    yield future.result()
        except BrokenProcessPool as error:
            raise ReplayFailed("a process of the replay died (out of memory?)") from error
        finally:
            # What runs, runs to the end of its task; nothing else is begun.
            pool.shutdown(wait=True, cancel_futures=True)


def _registrations(job: Job) -> Registrations:
    try:
        return Registrations.of(
            (cell.strategy.name, dict(cell.strategy.parameters)) for cell in job.cells
        )
    except ValueError as error:
        raise BadRequest(f"{error} (processes=1, --processes 1)") from error


# ── in a process of the replay ────────────────────────────────────────────────────────────────

_worker: "_Worker | None" = None


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Processes that start meanwhile begin deaf to Ctrl-C, which a terminal sends to all."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(job: Job, registrations: Registrations | None) -> None:
    global _worker
    if registrations is not None:
        registrations.receive()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process says when to end
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    Thread(target=_end_with_parent, daemon=True).start()
    _worker = _Worker(job)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)  # killed, it could not tell


def _part(question: int, first: int, draws: int) -> Part:
    assert _worker is not None
    return _worker.part(question, first, draws)


class _Worker:
    """Runs races of one job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._recorded = RecordedDraws(job.questions, job.seed)
        self._strategies = FreshStrategies()
        self._timings: dict[float, Timing] = {}

    def part(self, question: int, first: int, draws: int) -> Part:
        cells = [Figures() for _ in self._job.cells]
        clairvoyant: dict[int, Figures] = {}
        for draw in range(first, first + draws):
            order = self.draw(question, draw)
            judged = self._misjudged(question, draw, order)
            for figures, cell in zip(cells, self._job.cells, strict=True):
                figures.add(*self.race(cell, question, judged))
            for branches in dict.fromkeys(cell.branches for cell in self._job.cells):
                figures = clairvoyant.setdefault(branches, Figures())
                figures.add(*clairvoyant_stop(self._job.questions[question], order[:branches]))
        return Part(question, first, draws, cells, clairvoyant)

    def draw(self, question: int, draw: int) -> Sequence[RecordedBranch]:
        """All branches of a question in the order of this draw."""
        return self._recorded.order(question, draw)

    def _misjudged(
        self, question: int, draw: int, order: Sequence[RecordedBranch]
    ) -> Sequence[RecordedBranch]:
        """``order`` as a verifier that errs has it, each branch with an answer of its own."""
        error = self._job.verifier_error
        if not error:
            return order
        rng = Random(f"{self._job.seed}/{question}/{draw}")
        right = self._job.questions[question].right
        return [
            replace(
                branch,
                answer=None if branch.answer is None else f"of run {place}",
                correct=branch.answer in right,
                score=abs((rng.random() < error) - (branch.score or 0.0)),
            )
            for place, branch in enumerate(order)
        ]

    def race(
        self, cell: Cell, question: int, order: Sequence[RecordedBranch]
    ) -> tuple[bool, float, int, int]:
        """Whether the answer was right, when it came, the tokens of all branches, and how many
        of them ran to their own end."""
        timing = self._timings.get(cell.deadline)
        if timing is None:
            base = self._job.timing
            timing = self._timings[cell.deadline] = Timing(
                cell.deadline,
                base.reserve,
                base.forced_cost,
                base.probe_cost,
                base.score_delay,
                base.progress_every,
            )
        lengths = self._known_lengths(question) if cell.deadline < inf else None
        race = SimulatedRace(self.strategy(cell), order[: cell.branches], timing, lengths=lengths)
        try:
            outcome = race.run()
        except FrontrunnerError:
            raise
        except Exception as error:
            raise ReplayFailed(
                f"{cell.strategy.label} failed on {self._job.questions[question].name}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if self._job.verifier_error:
            chosen = outcome.decision.branch
            right = chosen is not None and bool(order[chosen].correct)
        else:
            right = outcome.decision.answer in self._job.questions[question].right
        return right, outcome.time, outcome.tokens, outcome.ended

    def strategy(self, cell: Cell) -> Strategy:
        """A fresh strategy."""
        return self._strategies.create(cell.strategy, cell.branches, forced=cell.forced)

    def _known_lengths(self, question: int) -> LengthModel | None:
        if not isinstance(self._job.lengths, str):
            return self._job.lengths
        return self._recorded.pooled_lengths(question)


def clairvoyant_stop(
    question: RecordedQuestion, records: Sequence[RecordedBranch]
) -> tuple[bool, float, int, int]:
    """The earliest moment from which on the leader stays the answer that waiting for all branches
    gives, as ``_Worker.race`` returns it: what no rule can beat that always gives that answer."""
    answered = [b for b in records if b.answer is not None and not b.lost]
    whole = [b for b in answered if not b.truncated]
    voting = sorted(whole or answered, key=lambda b: b.tokens)
    if not voting:
        longest = max(b.tokens for b in records)
        return False, longest, sum(b.tokens for b in records), len(records)
    votes: dict[str | None, int] = {}  # in order of arrival, which decides between equals
    leader, since = voting[0].answer, voting[0].tokens
    for moment, arrived in groupby(voting, key=lambda b: b.tokens):
        for branch in arrived:
            votes[branch.answer] = votes.get(branch.answer, 0) + 1
        front = max(votes, key=votes.__getitem__)
        if front != leader:
            leader, since = front, moment
    tokens, ended = sum(min(b.tokens, since) for b in records), [b.tokens <= since for b in records]
    return leader in question.right, since, tokens, sum(ended)
