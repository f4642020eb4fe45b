"""What it costs to lose the engine in the middle of a race, again and again.

    python tests/benchmarks/engine_kills.py --count 50

The engine's processes get SIGKILL and SIGSTOP by turns, while a race runs on them and the program
goes on. A stopped core is one that hangs: it is noticed after ``--stall`` seconds. Told are, for
each signal: how long the race took to return after the signal and whether by its deadline; how
long it took until the engine called itself lost, and until races ran on a new one; what a race
asked for in between was told; and what is left in the end: processes, zombies, files in shared
memory and in the temporary folder, those of other programs not counted if they were there before.
"""

import math
import multiprocessing
import os
import random
import signal
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import psutil
from common import parser, progress, report, settings_of

from frontrunner.errors import EngineRestarting
from frontrunner.runtime.config import VllmSettings
from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.engines.supervised import SupervisedEngine, Supervision
from frontrunner.runtime.engines.vllm.engine import VllmEngine
from frontrunner.runtime.events.types import BranchProgressed, RaceDecided
from frontrunner.runtime.model_files.families import with_family
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime

ARGUMENTS = parser(__doc__)
ARGUMENTS.set_defaults(count=50, branches=8)
ARGUMENTS.add_argument("--stall", type=float, default=1.0, help="engine.stall_limit, seconds")
ARGUMENTS.add_argument(
    "--forked",
    action="store_true",
    help="fork the engine's processes from one that has imported vLLM: much quicker to start",
)
ARGUMENTS.add_argument(
    "--seconds", type=float, default=math.inf, help="begin no further loss after so many"
)
ARGUMENTS.add_argument("--deadline", type=float, default=6.0, help="of each race, seconds")

_FOLDERS = (Path("/dev/shm"), Path(tempfile.gettempdir()))
#: A race on the demo's model has so many pieces of text at least.
_LATEST = 250
#: What libraries keep there for good, and Python for a fork server until the program ends.
_KEPT = ("torchinductor_", "pymp-")
#: Of vLLM's processes. Forked, they do not see the environment that tells them of their folder.
_FORKED = "vllm_dist_"


@dataclass
class Losses:
    """What was seen of the losses by one signal; seconds."""

    noticed: list[float] = field(default_factory=list[float])
    returned: list[float] = field(default_factory=list[float])
    rebuilt: list[float] = field(default_factory=list[float])
    late: int = 0
    answered: int = 0
    refused: int = 0
    retried: int = 0  # the next race, after the restart, had an answer or came to its deadline


async def run() -> None:
    args = ARGUMENTS.parse_args()
    settings = settings_of(args)
    if args.forked:
        fork_cores()
    settings = with_family(settings)
    own = settings.engine
    assert isinstance(own, VllmSettings)
    engine = SupervisedEngine(
        lambda: VllmEngine(own, settings.prompt, settings.thinking),
        # As if each engine had lived for long: no pauses that grow.
        Supervision(stall_limit=args.stall, restarts=5, stable=0.0),
    )
    before, processes = files(), descendants()
    losses = {signal.SIGKILL: Losses(), signal.SIGSTOP: Losses()}
    problems, rng = hard_problems("select", 20), random.Random(args.seed)
    during = set[str]()
    async with Runtime(engine, settings, warm_up=True) as runtime:
        first = len(descendants() - processes)
        began = anyio.current_time()
        for index in range(args.count):
            if anyio.current_time() > began + args.seconds:
                break
            number = (signal.SIGKILL, signal.SIGSTOP)[index % 2]
            question = problems[index % len(problems)].question
            moment = rng.randint(1, _LATEST)
            await lose(runtime, question, args, number, moment, losses[number])
            progress(index + 1, args.count, number.name)
            during = {n for n in files() - before if "frontrunner-" not in n}
            if args.forked:
                during = {n for n in during if _FORKED not in n}
        zombies = [p for p in descendants() if p.status() == psutil.STATUS_ZOMBIE]
        running = len(descendants() - processes) - first
    report(
        {
            **{number.name: told(loss) for number, loss in losses.items()},
            "left while it ran": {
                "processes more than at first": running,
                "zombies": len(zombies),
                "files": sorted(during),
            },
            "left at the end": {
                "processes": [p.name() for p in descendants() - processes],
                "files": sorted(n for n in files() - before if not args.forked or _FORKED not in n),
            },
        },
    )


def fork_cores() -> None:
    from vllm.v1.engine import utils

    utils: Any = utils
    forkserver = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload(["vllm.v1.engine.core", "vllm.v1.worker.cpu_worker"])
    utils.get_mp_context = lambda: forkserver


async def lose(
    runtime: Runtime,
    question: str,
    args: Any,
    number: signal.Signals,
    moment: int,
    seen: Losses,
) -> None:
    """Lose the engine at the so-many-th piece of text of a race, and race again."""
    clock, lost_at, noticed, pieces = anyio.current_time, 0.0, anyio.Event(), 0

    async def notice() -> None:
        while runtime.engine.failure is None:  # noqa: ASYNC110 - as a prober would
            await anyio.sleep(0.002)
        seen.noticed.append(clock() - lost_at)
        noticed.set()

    began, result = clock(), None
    async with anyio.create_task_group() as beside:
        options: dict[str, Any] = {"parameters": {"stop": "none"}, "branches": args.branches}
        async with runtime.stream(question, deadline=args.deadline, **options) as events:
            async for event in events:
                pieces += isinstance(event, BranchProgressed)
                if pieces >= moment and not lost_at:
                    lost_at = clock()
                    strike(number)
                    beside.start_soon(notice)
                if isinstance(event, RaceDecided):
                    result = event.result
        ended = clock()
        assert lost_at, "the race was over before"
        assert isinstance(result, Result)
        seen.returned.append(ended - lost_at)
        seen.late += ended - began > args.deadline
        seen.answered += result.answer is not None
        await noticed.wait()
        try:
            await runtime.solve(question, deadline=args.deadline)
        except EngineRestarting:
            seen.refused += 1
        while runtime.engine.failure is not None:  # noqa: ASYNC110 - likewise
            await anyio.sleep(0.01)
        seen.rebuilt.append(clock() - lost_at)
        again = await runtime.solve(question, deadline=args.deadline, branches=args.branches)
        seen.retried += not any(branch.error for branch in again.branches)


def strike(number: signal.Signals) -> None:
    """Send a signal to the engine's processes, one after the other."""
    for process in descendants():
        if "VLLM::" in " ".join(process.cmdline()):
            process.send_signal(number)


def descendants() -> set[psutil.Process]:
    """All but Python's resource tracker and fork server, which serve this process to its end."""
    found = psutil.Process().children(recursive=True)
    kept = ("resource_tracker", "forkserver")
    return {p for p in found if p.is_running() and not any(k in command(p) for k in kept)}


def command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def files() -> set[str]:
    """What is in shared memory and in the temporary folder."""
    return {
        entry.path
        for folder in _FOLDERS
        for entry in os.scandir(folder)
        if not entry.name.startswith(_KEPT)
    }


def told(seen: Losses) -> dict[str, Any]:
    def spread(values: list[float]) -> str:
        if not values:
            return "-"
        return f"median {statistics.median(values):.3f}, max {max(values):.3f}"

    return {
        "losses": len(seen.returned),
        "seconds until noticed": spread(seen.noticed),
        "seconds until the race returned": spread(seen.returned),
        "races after their deadline": seen.late,
        "races with an answer": seen.answered,
        "asked meanwhile and refused with EngineRestarting": seen.refused,
        "seconds until races ran again": spread(seen.rebuilt),
        "next races that lost no branch": seen.retried,
    }


if __name__ == "__main__":
    anyio.run(run)
