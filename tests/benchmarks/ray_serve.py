"""Races on Ray Serve while its replicas are killed, stopped and slowed.

Needs Ray, in an environment of its own, since the development extra does not have it::

    python -m venv build/ray && build/ray/bin/pip install -e '.[ray]' 'ray[serve]==2.60.0' \\
        transformers psutil
    build/ray/bin/python tests/benchmarks/ray_serve.py

1. Engines on three replicas (``frontrunner.runtime.serving.ray_serve.engines``) that write at a
   fixed speed, and a runtime here that races on them over a handle: undisturbed, and again while
   one replica is killed (SIGKILL; Ray starts another), one is stopped for 3 s and one writes at
   half its speed. Shown: races that failed, how late results came, accuracy, branches that went on
   elsewhere, and what became of each request at the replicas that live: those that were begun are
   those that ended and those that were aborted.
2. Two whole servers (``servers``) behind Ray's HTTP proxy, on an endpoint that keeps vLLM's
   protocol: replies, whole and streamed, and clients that leave. What the endpoint has begun has
   ended or was aborted.
"""

import argparse
import os
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import ray
from common import report
from ray import serve
from replicas import STOPPED, TRUTH, Run, accounted, race, stand_ins

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.ray_serve import over_handle
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.serving.ray_serve import engines, servers

ARGUMENTS = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
ARGUMENTS.add_argument("--seconds", type=float, default=20.0, help="of load in each run")
ARGUMENTS.add_argument("--every", type=float, default=0.6, help="seconds between two races")
ARGUMENTS.add_argument("--deadline", type=float, default=4.0, help="seconds")
ARGUMENTS.add_argument("--branches", type=int, default=4)
ARGUMENTS.add_argument("--delay", type=float, default=0.03, help="seconds a token")
ARGUMENTS.add_argument("--replicas", type=int, default=3)
ARGUMENTS.add_argument("--num-cpus", type=int, default=2, help="that Ray may use")
ARGUMENTS.add_argument("--folder", default="/tmp/frontrunner-ray", help="Ray's own, a short path")

TOKENIZER = Path(__file__).parents[2] / "runtime/demo/model/target"
LENGTH = 25  # tokens of an answer
MAX_TOKENS = 64
SLOTS = 8
ASK = {"messages": [{"role": "user", "content": "6 times 7?"}], "frontrunner": {"deadline": 3}}


class Writer(ScriptedEngine):
    """Writes at a fixed speed, at half of it once there is a file that says so."""

    def __init__(self, delay: float, folder: str) -> None:
        forced = BranchScript((Piece(delay, f"{TRUTH}}}", 2),))
        super().__init__(Script([], forced=[forced], chooser=self._choose), max_branches=SLOTS)
        self._delay, self._folder = delay, folder

    def _choose(self, request: Any) -> BranchScript | None:
        if request.forced:
            return None
        slow = (Path(self._folder) / f"slow-{os.getpid()}").exists()
        delay = self._delay * (2 if slow else 1)
        # Whatever is asked: a continuation has as many tokens as are left, here or elsewhere.
        left = max(1, LENGTH - (MAX_TOKENS - request.max_tokens))
        words = [Piece(delay, "so ") for _ in range(left - 1)]
        return BranchScript((*words, Piece(delay, f"\\boxed{{{TRUTH}}}")))


def make_writer(delay: float, folder: str) -> Any:
    return lambda settings: Writer(delay, folder)


async def counts_of(handle: Any, replicas: int) -> dict[int, Counter[str]]:
    """What each replica that answers counts, by its process."""
    found: dict[int, Counter[str]] = {}
    for number in range(200):
        with suppress(Exception), anyio.move_on_after(2.0):
            told = await handle.options(session_id=f"count-{number}").counts.remote()
            found[told["pid"]] = Counter({k: v for k, v in told.items() if k != "pid"})
        if len(found) >= replicas:
            break
    return found


async def disturb(pids: list[int], folder: str, run: Run) -> None:
    await anyio.sleep(2.0)
    os.kill(pids[0], signal.SIGKILL)
    (Path(folder) / f"slow-{pids[2]}").touch()
    await anyio.sleep(2.0)
    os.kill(pids[1], signal.SIGSTOP)
    await anyio.sleep(STOPPED)
    os.kill(pids[1], signal.SIGCONT)


async def under_load(args: argparse.Namespace, handle: Any, *, disturbed: bool) -> Run:
    run = Run()
    settings = {"answers": {"workers": 0}, "sampling": {"max_tokens": MAX_TOKENS}}
    settings["race"] = {"branches": args.branches, "queue": 64}
    engine = over_handle(handle, str(TOKENIZER), replicas=args.replicas)
    async with Runtime(engine, Settings.from_dict(settings)) as runtime:
        before = await counts_of(handle, args.replicas)
        began = time.monotonic()
        async with anyio.create_task_group() as tasks:
            if disturbed:
                tasks.start_soon(disturb, sorted(before), args.folder, run)
            for number in range(round(args.seconds / args.every)):
                tasks.start_soon(race, runtime, number, args.deadline, run)
                await anyio.sleep(args.every)
        run.seconds = time.monotonic() - began
        run.moved = sum(member.moved_away for member in engine.members())
        await anyio.sleep(1.0)
        after = await counts_of(handle, args.replicas)
        total = Counter[str]()
        for counts in after.values():
            total.update(counts)
        run.counts = {"replicas": len(after), **total}
    return run


async def over_http() -> dict[str, Any]:
    """Replies through Ray's proxy, and clients that leave."""
    seen = Counter[str]()
    late = list[float]()
    url = "http://127.0.0.1:8000/v1/chat/completions"

    async def ask(number: int) -> None:
        stream, leaves = bool(number % 2), number % 3 == 0
        began = time.monotonic()
        with anyio.move_on_after(0.2 if leaves else 30.0) as scope:
            async with session.post(url, json={**ASK, "stream": stream}) as reply:
                said = await reply.text()
            seen[f"{reply.status}{' answered' if TRUTH in said else ''}"] += 1
            late.append(max(0.0, time.monotonic() - began - 3))
        seen["left"] += scope.cancelled_caught

    async with aiohttp.ClientSession() as session, anyio.create_task_group() as tasks:
        for number in range(60):
            tasks.start_soon(ask, number)
            await anyio.sleep(0.1)
    return {**seen, "late_max_ms": round(1000 * max(late), 1)}


async def main(args: argparse.Namespace) -> None:
    options: dict[str, Any] = {"ray_actor_options": {"num_cpus": 0.1}}
    config: dict[str, Any] = {
        "engine": {"max_branches": SLOTS},
        "race": {"branches": args.branches},
        "answers": {"workers": 0},
    }
    table: dict[str, Any] = {}
    app = engines(
        config=config,
        replicas=args.replicas,
        make=make_writer(args.delay, args.folder),
        health_check_period_s=1.0,
        **options,
    )
    handle = await anyio.to_thread.run_sync(
        lambda: serve.run(app, name="engines", route_prefix=None)
    )
    for name, disturbed in (("undisturbed", False), ("killed, stopped, slowed", True)):
        run = await under_load(args, handle, disturbed=disturbed)
        table[name] = run.row()
        print(name, table[name], *run.failed[:3], file=sys.stderr, flush=True)
    await anyio.to_thread.run_sync(lambda: serve.delete("engines"))
    with stand_ins(1, args.delay, 1.0) as replicas:
        config["engine"] = {"kind": "openai", "url": replicas[0].url, "max_branches": 32}
        config["sampling"] = {"max_tokens": MAX_TOKENS}
        whole = servers(config=config, replicas=2, **options)
        await anyio.to_thread.run_sync(lambda: serve.run(whole, name="servers"))
        table["two servers behind the proxy"] = await over_http()
        table["their endpoint"] = await accounted(replicas)
        await anyio.to_thread.run_sync(lambda: serve.delete("servers"))
    report(table)


if __name__ == "__main__":
    arguments = ARGUMENTS.parse_args()
    Path(arguments.folder).mkdir(exist_ok=True)
    ray.init(
        num_cpus=arguments.num_cpus,
        include_dashboard=False,
        object_store_memory=120 * 2**20,
        log_to_driver=False,
        _temp_dir=arguments.folder,
    )
    try:
        anyio.run(main, arguments)
    finally:
        serve.shutdown()
        ray.shutdown()
