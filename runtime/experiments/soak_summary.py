"""What a soak has shown: figures, and whether all held."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from .soak_log import End, RaceEnded, RunEnded, Sample, SoakLog, Strike

#: Seconds after its deadline at which a reply still counts as in time: the way to the client.
SLACK: Final = 0.05
#: Share of its memory that a server may grow by in an hour.
MOST_GROWTH: Final = 0.01
#: Seconds of load before a slope says something, and after which memory should be steady.
_TELLING, _SETTLED = 1_800.0, 600.0
#: The share of a short run that is left out of its slope.
_SETTLED_SHARE: Final = 0.2
#: Open files that may come and go.
_MOST_DESCRIPTORS: Final = 16
_HOUR: Final = 3_600.0


@dataclass(slots=True)
class Summary:
    """Figures of a soak; times are in seconds."""

    seconds: float
    """Of load, in all runs."""
    runs: int
    races: int
    ends: dict[str, int]
    clients: dict[str, int]
    missed: int
    """Replies that came more than ``SLACK`` after their deadline."""
    missed_at_server: int
    """Races that ended more than ``SLACK`` after their deadline inside the server."""
    late_p99: float | None
    late_max: float | None
    right: float | None
    """The share of right answers, of those of which it is known."""
    strikes: int
    server_bytes: int | None
    """The most that the server's own process took."""
    engine_bytes: int | None
    server_growth: float | None
    """By which share of it the memory of the server's process grew in an hour; None: nothing is
    known."""
    engine_growth: float | None
    """The same of the engine's processes; None also where they were killed."""
    descriptors: int | None
    """Open files of the server at the end of a run over those at its beginning, the most."""
    requests_left: int
    processes_left: int
    zombies: int
    files_left: list[str]
    client_lag: float
    """Of the clients' own event loop, the most: nothing is on time there that the machine has no
    time for."""
    problems: list[str] = field(default_factory=list[str])
    """What did not hold, a sentence each."""

    @property
    def held(self) -> bool:
        """Whether everything did that can be judged."""
        return not self.problems


def summarise(log: SoakLog) -> Summary:
    """The figures of a soak so far."""
    races, samples, ended = log.of(RaceEnded), log.of(Sample), log.of(RunEnded)
    late = sorted(race.late for race in races if race.late is not None)
    known = [race.right for race in races if race.right is not None]
    runs = log.runs()
    summary = Summary(
        seconds=round(log.seconds, 1),
        runs=len(runs),
        races=len(races),
        ends=dict(Counter(race.end.value for race in races)),
        clients=dict(Counter(race.client for race in races)),
        missed=sum(seconds > SLACK for seconds in late),
        missed_at_server=sum((race.overshoot or 0.0) > SLACK for race in races),
        late_p99=round(late[int(0.99 * len(late))], 4) if late else None,
        late_max=round(late[-1], 4) if late else None,
        right=round(sum(known) / len(known), 4) if known else None,
        strikes=len(log.of(Strike)),
        server_bytes=max((s.server_bytes for s in samples), default=None),
        engine_bytes=max((s.engine_bytes for s in samples), default=None),
        server_growth=_growth([_samples(run) for run in runs], lambda s: s.server_bytes),
        engine_growth=_growth([_unstruck(run) for run in runs], lambda s: s.engine_bytes),
        descriptors=_more_descriptors([_samples(run) for run in runs]),
        requests_left=sum(run.requests_left for run in ended),
        processes_left=sum(run.processes_left for run in ended),
        zombies=max((s.zombies for s in samples), default=0),
        files_left=[name for run in ended for name in run.files_left],
        client_lag=round(max((s.client_lag for s in samples), default=0.0), 3),
    )
    summary.problems = _problems(summary, races, ended)
    return summary


def _problems(summary: Summary, races: Sequence[RaceEnded], ended: Sequence[RunEnded]) -> list[str]:
    found: list[str] = []
    if summary.missed:
        found.append(
            f"{summary.missed} replies came over {1000 * SLACK:.0f} ms after their deadline, "
            f"{1000 * (summary.late_max or 0.0):.0f} ms at most ({summary.missed_at_server} were "
            f"late in the server; the clients themselves were up to "
            f"{1000 * summary.client_lag:.0f} ms late)"
        )
    failed = [race for race in races if race.end is End.FAILED]
    if failed:
        what, times = Counter(race.problem for race in failed).most_common(1)[0]
        found.append(f"{len(failed)} races failed, {times} of them so: {what}")
    if summary.requests_left:
        found.append(f"{summary.requests_left} requests stayed in the engine")
    if summary.processes_left:
        found.append(f"{summary.processes_left} processes outlived the server")
    if summary.zombies > 1:  # one may be seen in the moment in which it ends
        found.append(f"{summary.zombies} zombies at once")
    if summary.files_left:
        found.append(f"files were left behind: {', '.join(summary.files_left[:5])}")
    if (summary.descriptors or 0) > _MOST_DESCRIPTORS:
        found.append(f"{summary.descriptors} more files were open at the end than at the beginning")
    if any(run.status not in (0, 130, 143) for run in ended):
        found.append("the server did not end by itself when told to, or died before")
    if summary.seconds >= _TELLING and (summary.server_growth or 0.0) > MOST_GROWTH:
        found.append(f"the server's memory grew by {100 * (summary.server_growth or 0):.1f} % an h")
    return found


def _samples(run: Sequence[object]) -> list[Sample]:
    return [record for record in run if isinstance(record, Sample)]


def _unstruck(run: Sequence[object]) -> list[Sample]:
    """The samples of a run in which all processes lived on."""
    return [] if any(isinstance(record, Strike) for record in run) else _samples(run)


def _growth(runs: Sequence[Sequence[Sample]], of: Callable[[Sample], int]) -> float | None:
    """The share by which something grew in an hour: the mean over runs, by their length, of the
    slope (Theil and Sen's: the median of all pairs', which single steps do not bend)."""
    slopes: list[tuple[float, float]] = []
    for run in runs:
        if len(run) < 2:
            continue
        begin = min(_SETTLED, _SETTLED_SHARE * run[-1].at)
        steady = _thinned([sample for sample in run if sample.at >= begin])
        level = sorted(of(s) for s in steady)[len(steady) // 2] if steady else 0
        pairs = [
            (of(b) - of(a)) / (b.at - a.at)
            for i, a in enumerate(steady)
            for b in steady[i + 1 :]
            if b.at > a.at
        ]
        if pairs and level:
            slope = sorted(pairs)[len(pairs) // 2]
            slopes.append((slope * _HOUR / level, steady[-1].at - steady[0].at))
    weight = sum(seconds for _, seconds in slopes)
    return round(sum(s * w for s, w in slopes) / weight, 5) if weight else None


def _thinned(samples: list[Sample], most: int = 400) -> list[Sample]:
    """Samples evenly spread, so that there are not too many pairs."""
    step = -(-len(samples) // most) if samples else 1
    return samples[::step]


def _more_descriptors(runs: Sequence[Sequence[Sample]]) -> int | None:
    """First and last samples of a run are taken while nobody asks anything."""
    return max((run[-1].descriptors - run[0].descriptors for run in runs if run), default=None)
