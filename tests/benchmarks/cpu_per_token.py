"""CPU of this process for each token of a race, side by side with another checkout's code.

Three measures, each of them ``time.process_time`` in a process of its own, in turns with the other
checkout (``--against``; its ``src`` is put first on the path), medians and spread:

``free`` (the default)
    An engine that costs nearly nothing: prepared chunks, a few of them at a time as one step of a
    real engine brings them. A race nobody watches (``solve``), one that is streamed (``stream``),
    and beside them the bare loop over the engine's generators. With ``--plain`` the engine offers
    no more than the ``Engine`` protocol asks for.
``timed``
    The scripted engine: ``--races`` at once, each of ``--branches`` that write ``--rate`` tokens a
    second until the deadline; also how late the results came, on the clock of this process's own
    CPU time (see ``common.CpuTimeLoop``). What branches take in memory: ``branch_memory.py``.
``vllm``
    The demo model in process: all branches to their end, against a bare loop over
    ``AsyncLLM.generate`` with the same seeds. It needs vLLM.

::

    python tests/benchmarks/cpu_per_token.py --against ../other-checkout
    python tests/benchmarks/cpu_per_token.py timed --races 1000 --rate 50
    python tests/benchmarks/cpu_per_token.py vllm --branches 32 --against ../other-checkout

Where it goes: run one measure alone under a profiler::

    python -m cProfile -s tottime tests/benchmarks/cpu_per_token.py --measure --rounds 3
"""

import argparse
import asyncio
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import orjson
from common import CpuTimeLoop, progress, report

from frontrunner.runtime.config import Settings, demo_config_path
from frontrunner.runtime.engines.protocol import Chunk, FinishReason, Generation
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.runtime import Runtime

ARGUMENTS = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
ARGUMENTS.add_argument("kind", nargs="?", choices=["free", "timed", "vllm"], default="free")
ARGUMENTS.add_argument("--against", type=Path, help="another checkout")
ARGUMENTS.add_argument("--rounds", type=int, default=5)
ARGUMENTS.add_argument("--branches", type=int, default=16)
ARGUMENTS.add_argument("--tokens", type=int, default=400, help="of each branch (free, vllm)")
ARGUMENTS.add_argument("--batch", type=int, default=8, help="chunks of a step (free)")
ARGUMENTS.add_argument("--plain", action="store_true", help="an engine that only generates (free)")
ARGUMENTS.add_argument("--races", type=int, default=200, help="at once (timed)")
ARGUMENTS.add_argument("--rate", type=float, default=50, help="tokens a second of a branch (timed)")
ARGUMENTS.add_argument("--deadline", type=float, default=4.0, help="seconds (timed)")
ARGUMENTS.add_argument("--watched", action="store_true", help="stream the races (timed)")
ARGUMENTS.add_argument("--measure", action="store_true", help="only this code, in this process")

STOP_NONE = {"strategy": "majority", "parameters": {"stop": "none"}}


class FreeEngine(ScriptedEngine):
    """Yields prepared chunks, ``batch`` of them for each turn of the event loop."""

    def __init__(self, tokens: int, batch: int) -> None:
        super().__init__(Script([BranchScript()]))
        words = [Chunk(f"word{i % 10} ", (1000 + i,)) for i in range(tokens - 1)]
        self.chunks = (*words, Chunk("\\boxed{42}", (1000 + tokens,), FinishReason.STOP))
        self.batch = batch

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        batch = self.batch
        for number, chunk in enumerate(self.chunks):
            if number % batch == 0:
                await anyio.lowlevel.checkpoint()
            yield chunk


class FeedingEngine(FreeEngine):
    """The same, where it is asked to feed: all branches in one call, as a real engine's step
    brings all their tokens. The code of before never asks."""

    def __init__(self, tokens: int, batch: int) -> None:
        super().__init__(tokens, batch)
        self._fed: dict[Any, tuple[int, anyio.Event]] = {}

    async def feed(self, request: Generation, sink: Any) -> FinishReason:
        ended = anyio.Event()
        if not self._fed:
            asyncio.get_running_loop().call_soon(self._step)
        self._fed[sink] = (0, ended)
        await ended.wait()
        return FinishReason.STOP

    def _step(self) -> None:
        for sink, (place, ended) in [*self._fed.items()]:
            put, after = sink.put, place + self.batch
            for chunk in self.chunks[place:after]:
                put(chunk.text, chunk.token_ids)
            if after < len(self.chunks):
                self._fed[sink] = (after, ended)
            else:
                del self._fed[sink]
                ended.set()
        if self._fed:
            asyncio.get_running_loop().call_soon(self._step)


async def cpu_of(work: Callable[[], Awaitable[int]]) -> float:
    """Microseconds of CPU for each of the tokens that ``work`` returns."""
    gc.collect()
    began = time.process_time()
    tokens = await work()
    return (time.process_time() - began) / max(1, tokens) * 1e6


async def streamed(runtime: Runtime, options: Mapping[str, Any]) -> int:
    result = None
    async with runtime.stream("q", **options) as events:
        async for event in events:
            result = getattr(event, "result", None)
    assert result is not None
    return result.tokens_generated


async def measure_free(args: argparse.Namespace) -> dict[str, list[float]]:
    engine = (FreeEngine if args.plain else FeedingEngine)(args.tokens, args.batch)
    options: dict[str, Any] = {"branches": args.branches, "deadline": 60.0, **STOP_NONE}

    async def bare() -> int:
        async def one(index: int) -> int:
            pieces, ids = list[str](), list[int]()
            request = Generation(f"bare-{index}", (1,), args.tokens, None, branch=index)  # type: ignore[arg-type]
            async with aclosing(engine.generate(request)) as chunks:
                async for chunk in chunks:
                    pieces.append(chunk.text)
                    ids.extend(chunk.token_ids)
            return len(ids)

        return sum(await asyncio.gather(*(one(i) for i in range(args.branches))))

    figures: dict[str, list[float]] = {"bare": [], "solve": [], "stream": []}
    async with Runtime(engine) as runtime:

        async def solve() -> int:
            return (await runtime.solve("q", **options)).tokens_generated

        async def stream() -> int:
            return await streamed(runtime, options)

        for turn in range(args.rounds + 1):
            for name, work in (("bare", bare), ("solve", solve), ("stream", stream)):
                cost = await cpu_of(work)
                if turn:  # the first one warms up
                    figures[name].append(cost)
    return figures


async def measure_timed(args: argparse.Namespace) -> dict[str, list[float]]:
    step = 1.0 / args.rate
    count = int(args.deadline * args.rate * 2)
    script = BranchScript(tuple(Piece(step, "word ") for _ in range(count)))
    forced = BranchScript((Piece(0.001, "42}"),))
    engine = ScriptedEngine(
        Script([script], [forced]), max_branches=args.races * args.branches, step_seconds=0.002
    )
    options: dict[str, Any] = {"branches": args.branches, "deadline": args.deadline, **STOP_NONE}
    late: list[float] = []
    tokens = 0

    async with Runtime(engine, Settings.model_validate({"race": {"queue": args.races}})) as runtime:

        async def one() -> None:
            nonlocal tokens
            began = anyio.current_time()
            if args.watched:
                written = await streamed(runtime, options)
            else:
                written = (await runtime.solve("q", **options)).tokens_generated
            tokens += written
            late.append((anyio.current_time() - began - args.deadline) * 1000)

        began = time.process_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(args.races):
                tasks.start_soon(one)
        used = time.process_time() - began
    events = args.races * args.branches * args.rate * args.deadline
    late.sort()
    return {
        "us_per_due_token": [used / events * 1e6],
        "cpu_seconds": [used],
        "tokens_seen_share": [tokens / events],
        "late_ms_p50": [late[len(late) // 2]],
        "late_ms_max": [late[-1]],
        "late": [float(sum(ms > 0 for ms in late))],
    }


async def bare_vllm(llm: Any, prompt: Sequence[int], args: argparse.Namespace, seed: int) -> int:
    """What a script of 20 lines would do."""
    from vllm import SamplingParams, TokensPrompt
    from vllm.sampling_params import RequestOutputKind

    async def one(index: int) -> int:
        params = SamplingParams(
            max_tokens=args.tokens,
            seed=1000 * seed + index,
            output_kind=RequestOutputKind.DELTA,
        )
        ids, pieces = list[int](), list[str]()
        asked = TokensPrompt(prompt_token_ids=list(prompt))
        async for output in llm.generate(asked, params, f"bare-{seed}-{index}"):
            ids += output.outputs[0].token_ids
            pieces.append(output.outputs[0].text)
        return len(ids)

    return sum(await asyncio.gather(*(one(i) for i in range(args.branches))))


async def measure_vllm(args: argparse.Namespace) -> dict[str, list[float]]:
    from frontrunner.runtime.demo.problems import hard_problems

    figures: dict[str, list[float]] = {"bare": [], "solve": [], "stream": []}
    async with Runtime.from_config(Settings.from_toml(demo_config_path())) as runtime:
        supervised: Any = runtime.engine  # its class has moved since
        engine: Any = getattr(supervised, "inner", supervised)
        for turn, problem in enumerate(hard_problems("select", args.rounds)):
            options: dict[str, Any] = {
                "branches": args.branches,
                "deadline": 120.0,
                "seed": turn,
                "max_tokens": args.tokens,
                **STOP_NONE,
            }
            messages = [{"role": "user", "content": problem.question}]
            prompt = engine.encode_chat(messages)

            async def solve(question: Any = problem.question, asked: Any = options) -> int:
                return (await runtime.solve(question, **asked)).tokens_generated

            async def stream(question: Any = problem.question, asked: Any = options) -> int:
                result = None
                async with runtime.stream(question, **asked) as events:
                    async for event in events:
                        result = getattr(event, "result", None)
                assert result is not None
                return result.tokens_generated

            async def bare(prompt: Any = prompt, seed: int = turn) -> int:
                return await bare_vllm(engine.llm, prompt, args, seed)

            for name, work in (("bare", bare), ("solve", solve), ("stream", stream)):
                figures[name].append(await cpu_of(work))
    return figures


def run_measure(args: argparse.Namespace) -> dict[str, list[float]]:
    if args.kind != "timed":
        return asyncio.run(MEASURES[args.kind](args))
    with asyncio.Runner(loop_factory=CpuTimeLoop) as runner:
        return runner.run(MEASURES[args.kind](args))


MEASURES = {"free": measure_free, "timed": measure_timed, "vllm": measure_vllm}


def in_process(source: Path, arguments: Sequence[str]) -> dict[str, list[float]]:
    """One measure of the code under ``source``."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", *arguments],
        env={**os.environ, "PYTHONPATH": str(source)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return orjson.loads(done.stdout.splitlines()[-1])


def main() -> None:
    args = ARGUMENTS.parse_args()
    if args.measure:
        print(orjson.dumps(run_measure(args)).decode())
        return
    sources = {"this": Path(__file__).parents[2] / "src"}
    if args.against:
        sources["other"] = args.against / "src"
    if not all((source / "frontrunner").is_dir() for source in sources.values()):
        ARGUMENTS.error("--against: name the folder of a checkout, the one that holds src/")
    passed = [word for word in sys.argv[1:] if word != "--against" and word != str(args.against)]
    seen: dict[str, dict[str, list[float]]] = {name: {} for name in sources}
    turns = 3 if args.kind == "free" else 1
    for turn in range(turns):
        for name, source in sources.items() if turn % 2 else reversed(sources.items()):
            for key, values in in_process(source, passed).items():
                seen[name].setdefault(key, []).extend(values)
        progress(turn + 1, turns)
    figures: dict[str, Any] = {
        name: {
            key: {
                "median": round(statistics.median(values), 3),
                "low": round(min(values), 3),
                "high": round(max(values), 3),
            }
            for key, values in kinds.items()
        }
        for name, kinds in seen.items()
    }
    if args.against:
        figures["ratio"] = {
            key: round(statistics.median(values) / statistics.median(seen["other"][key]), 3)
            for key, values in seen["this"].items()
            if statistics.median(seen["other"][key])
        }
    report(figures)


if __name__ == "__main__":
    main()
