"""Memory of a branch that runs, beside another checkout's.

Races that nobody watches, on an engine that writes so many tokens of each branch and then no more:
what ``tracemalloc`` counts while all of them run, over that before, for each branch. The pieces of
text and their token ids are new objects, as a real engine's are. Each number of tokens is measured
in a process of its own; the figures do not depend on what else the machine does.

::

    python tests/benchmarks/branch_memory.py --against ../other-checkout
"""

import argparse
import asyncio
import gc
import os
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import orjson
from common import progress, report

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.protocol import Chunk, FinishReason, Generation
from frontrunner.runtime.engines.scripted import BranchScript, Script, ScriptedEngine
from frontrunner.runtime.runtime import Runtime

ARGUMENTS = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
ARGUMENTS.add_argument("--against", type=Path, help="another checkout")
ARGUMENTS.add_argument("--tokens", type=int, nargs="+", default=[1, 32, 500, 4000])
ARGUMENTS.add_argument("--races", type=int, default=20)
ARGUMENTS.add_argument("--branches", type=int, default=16, help="of a race")
ARGUMENTS.add_argument("--measure", action="store_true", help="only this code, in this process")


class Writer(ScriptedEngine):
    """Writes ``tokens`` tokens of each branch, which then runs until it is cancelled."""

    def __init__(self, tokens: int) -> None:
        super().__init__(Script([BranchScript()]), max_branches=1 << 20)
        self.tokens = tokens
        self.written = 0  # branches that have all their tokens
        self.change = anyio.Event()

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        for place in range(self.tokens):
            yield Chunk(f"word{place % 10} ", (1000 + place,))
        await self._run_on()

    async def feed(self, request: Generation, sink: Any) -> FinishReason:
        """The code of before never asks for it."""
        for place in range(self.tokens):
            sink.put(f"word{place % 10} ", (1000 + place,))
        await self._run_on()
        return FinishReason.ABORT

    async def _run_on(self) -> None:
        self.written += 1
        self.change.set()
        await anyio.sleep_forever()

    async def until(self, branches: int) -> None:
        """Wait until so many are written."""
        while self.written < branches:
            self.change = anyio.Event()
            await self.change.wait()


async def measure(tokens: int, races: int, branches: int) -> float:
    """Bytes of each branch."""
    engine = Writer(tokens)
    settings = Settings.model_validate({"race": {"queue": races}})
    async with Runtime(engine, settings) as runtime, anyio.create_task_group() as tasks:

        async def race() -> None:
            await runtime.solve(
                "q",
                branches=branches,
                deadline=3600.0,
                strategy="majority",
                parameters={"stop": "none"},
            )

        tasks.start_soon(race)  # what is made but once
        await engine.until(branches)
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(races):
            tasks.start_soon(race)
        await engine.until(branches * (races + 1))
        gc.collect()
        used = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        tasks.cancel_scope.cancel()
        return used / races / branches
    raise AssertionError


def in_process(source: Path, tokens: int, args: argparse.Namespace) -> float:
    """The measure of the code under ``source``."""
    command = [sys.executable, __file__, "--measure", "--tokens", str(tokens)]
    command += ["--races", str(args.races), "--branches", str(args.branches)]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(source)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return orjson.loads(done.stdout.splitlines()[-1])


def main() -> None:
    args = ARGUMENTS.parse_args()
    if args.measure:
        print(asyncio.run(measure(args.tokens[0], args.races, args.branches)))
        return
    sources = {"this": Path(__file__).parents[2] / "src"}
    if args.against:
        sources["other"] = args.against.resolve() / "src"
    if not all((source / "frontrunner").is_dir() for source in sources.values()):
        ARGUMENTS.error("--against: name the folder of a checkout, the one that holds src/")
    figures: dict[str, dict[str, float]] = {}
    for done, tokens in enumerate(args.tokens):
        found = {name: in_process(source, tokens, args) for name, source in sources.items()}
        figures[f"{tokens} tokens"] = {
            **{f"{name}_kib": round(size / 1024, 2) for name, size in found.items()},
            **({"ratio": round(found["this"] / found["other"], 3)} if args.against else {}),
        }
        progress(done + 1, len(args.tokens))
    report(figures)


if __name__ == "__main__":
    main()
