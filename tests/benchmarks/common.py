"""What the benchmarks share: arguments, paired statistics, a progress line, a report."""

import argparse
import asyncio
import random
import selectors
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from frontrunner.runtime.config import Settings, demo_config_path


class CpuTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock is what this process computes: seconds of its own CPU time, and
    what it would have slept. So it tells how late things are by our own doing, on a machine that
    others use as well, and does not wait.

    To ask the system for a process's CPU time may take 20 µs, a hundred times as long as the time
    of day, and a loop asks all the time. So the system is asked at most every ``_READ`` seconds of
    the day; what passes between counts as computed.
    """

    _READ = 0.0005

    def __init__(self) -> None:
        self._slept = 0.0
        self._computed = time.process_time()
        self._read_at = time.monotonic()
        self._told = 0.0
        super().__init__(_SleeplessSelector(self._sleep))

    def time(self) -> float:
        now = time.monotonic()
        if now - self._read_at > self._READ:
            self._computed, self._read_at = time.process_time(), now
        self._told = max(self._told, self._slept + self._computed + now - self._read_at)
        return self._told

    def _sleep(self, seconds: float) -> None:
        self._slept += seconds


class _SleeplessSelector(selectors.DefaultSelector):
    """Says how long it would have waited for nothing, after a moment for what other threads and
    processes do."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        super().__init__()
        self._sleep = sleep

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout is None or timeout <= 0:
            return ready if ready or timeout is not None else super().select(None)
        ready = super().select(0)
        if not ready:
            self._sleep(timeout)
        return ready


def parser(description: str | None) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--config", default=str(demo_config_path()), help="TOML file")
    made.add_argument("--model", help="another model folder")
    made.add_argument("--count", type=int, default=200, help="test problems")
    made.add_argument("--branches", type=int, default=16)
    made.add_argument("--seed", type=int, default=0)
    return made


def settings_of(args: argparse.Namespace) -> Settings:
    settings = Settings.from_toml(args.config)
    if args.model:
        engine = settings.engine.model_copy(update={"model": args.model})
        settings = settings.model_copy(update={"engine": engine})
    return settings


def paired(
    ours: Sequence[float], theirs: Sequence[float], *, draws: int = 5_000
) -> dict[str, float]:
    """Difference of two accuracies on the same problems, in points, with a 95 % bootstrap."""
    differences = [100.0 * (a - b) for a, b in zip(ours, theirs, strict=True)]
    rng = random.Random(0)
    means = sorted(
        statistics.fmean(rng.choices(differences, k=len(differences))) for _ in range(draws)
    )
    return {
        "points": round(statistics.fmean(differences), 2),
        "low": round(means[int(0.025 * draws)], 2),
        "high": round(means[int(0.975 * draws)], 2),
    }


def quartiles(values: Sequence[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return {"p25": round(low, 4), "median": round(middle, 4), "p75": round(high, 4)}


def share(hits: Sequence[bool]) -> float:
    return round(100.0 * statistics.fmean(hits), 2)


def progress(done: int, of: int, note: str = "") -> None:
    end = "\n" if done == of else ""
    print(f"\r{done}/{of} {note}\033[K", end=end, file=sys.stderr, flush=True)


def report(figures: dict[str, Any]) -> None:
    print(orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode())
