"""Methods of speculation side by side: acceptance length, tokens per second of a branch.

The engines of all methods are up together (about 2 GiB each) and take turns race by race, each race
beginning with another: what else the machine does falls on all alike. A JSON row a cell (method, K,
B, temperature, round) is appended to ``--out``, and cells that are there are not run again.
``--table`` prints what is there: medians, and the lowest and highest round.

A cell is ``--races`` races one after the other. At a temperature above 0 a race is B branches of
one problem; at 0 these would be the same text B times, so there it is one branch of each of B
problems. No problem comes twice. Tokens per second of a branch: its tokens over the seconds from
its request to its last token, the prefill included.

``cross_branch`` is measured as it is after some minutes of use: ``--warm`` races of 32 branches of
the *select* split go before. ``cross_branch_alone`` has ``earlier_races = false``.
"""

import argparse
import gc
import hashlib
import itertools
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import orjson
from common import parser, progress, settings_of
from word_problems import WordProblem, word_problems

from frontrunner.runtime.config import Settings, VllmSettings
from frontrunner.runtime.demo.problems import Problem, hard_problems
from frontrunner.runtime.engines.protocol import Generation, Sampling
from frontrunner.runtime.engines.vllm.engine import VllmEngine
from frontrunner.runtime.engines.vllm.start import model_folder
from frontrunner.runtime.errors import BadRequest

ARGUMENTS = parser(__doc__)
ARGUMENTS.formatter_class = argparse.RawDescriptionHelpFormatter
ARGUMENTS.add_argument("--out", type=Path, default=Path("speculation.ndjson"))
ARGUMENTS.add_argument(
    "--methods",
    default=("none,ngram:3,draft_model:3,cross_branch:8,cross_branch_alone:8"),
    help="method:K or method:K:key=value:…, separated by commas",
)
ARGUMENTS.add_argument("--batches", default="1,4,16,32")
ARGUMENTS.add_argument("--temperatures", default="1.0,0.0")
ARGUMENTS.add_argument("--rounds", type=int, default=3)
ARGUMENTS.add_argument("--races", type=int, default=0, help="of each cell; 0: as many as suit B")
ARGUMENTS.add_argument("--warm", type=int, default=8, help="races before, for cross_branch")
ARGUMENTS.add_argument("--warm-branches", type=int, default=32, help="of each of these")
ARGUMENTS.add_argument("--max-tokens", type=int, default=800)
ARGUMENTS.add_argument(
    "--problems",
    choices=["demo", "two-step"],
    default="demo",
    help="those that the demo model was made for, or word problems for small real models",
)
ARGUMENTS.add_argument("--split", choices=["select", "test"], default="test")
ARGUMENTS.add_argument("--seconds", type=float, default=1e9, help="start no cell after these")
ARGUMENTS.add_argument("--table", action="store_true", help="only print the table")
Asked = Problem | WordProblem
RACES = {1: 6, 4: 4, 16: 3, 32: 2}


def speculation(method: str) -> dict[str, Any]:
    """``[engine.speculation]`` of a method's name on the command line."""
    name, *rest = method.split(":")
    table: dict[str, Any] = {"method": name.removesuffix("_alone")}
    if name == "cross_branch_alone":
        table["earlier_races"] = False
    if name == "draft_model":
        table["model"] = "demo-draft"
    if rest:
        table["tokens"] = int(rest[0])
    for pair in rest[1:]:
        key, value = pair.split("=")
        table[key] = value if key == "model" else orjson.loads(value)
    return table


def with_speculation(settings: Settings, table: dict[str, Any]) -> Settings:
    data = settings.model_dump(exclude_unset=True)
    data.setdefault("engine", {})["speculation"] = table
    return Settings.from_dict(data)


def fingerprint(settings: Settings) -> str:
    weights = Path(model_folder(settings.engine.model), "model.safetensors")
    return hashlib.sha256(weights.read_bytes()).hexdigest()[:12] if weights.exists() else ""


async def generate(
    engine: VllmEngine, name: str, prompt: tuple[int, ...], temperature: float, seed: int
) -> tuple[int, float]:
    """Tokens and seconds of one branch."""
    sampling = Sampling(temperature=temperature)
    request = Generation(name, prompt, ARGUMENTS.parse_args().max_tokens, sampling, seed=seed)
    began, tokens = time.perf_counter(), 0
    async with aclosing(engine.generate(request)) as chunks:
        async for chunk in chunks:
            tokens += len(chunk.token_ids)
    return tokens, time.perf_counter() - began


def prompt_of(engine: VllmEngine, question: str) -> tuple[int, ...]:
    """As a chat; a base model, which has no template for one, completes a text."""
    try:
        return engine.encode_chat([{"role": "user", "content": question}])
    except BadRequest:
        return engine.encode_prompt(f"Question: {question}\nLet us think step by step.\nAnswer:")


async def race(
    engine: VllmEngine, name: str, chosen: list[Asked], branches: int, temperature: float
) -> list[tuple[int, float]]:
    """A race of ``branches`` branches over the problems in turn."""
    prompts = [prompt_of(engine, problem.question) for problem in chosen]
    found: list[tuple[int, float]] = []

    async def run(index: int) -> None:
        prompt = prompts[index % len(prompts)]
        seed = int.from_bytes(hashlib.sha256(f"{name}/{index}".encode()).digest()[:4])
        found.append(await generate(engine, f"{name}-{index}", prompt, temperature, seed))

    async with anyio.create_task_group() as tasks:
        for index in range(branches):
            tasks.start_soon(run, index)
    return found


class Cell(NamedTuple):
    B: int
    temperature: float
    round: int


class Meter:
    """What the engine counts: its steps, drafts, and the tokens drafted and accepted."""

    def __init__(self, engine: VllmEngine) -> None:
        self.steps = self.drafts = self.drafted = self.accepted = 0
        take = engine._stats.take

        def taking(scheduler_stats: Any, generated: int) -> None:
            self.steps += 1
            found = scheduler_stats.spec_decoding_stats
            if found is not None:
                self.drafts += found.num_drafts
                self.drafted += found.num_draft_tokens
                self.accepted += found.num_accepted_tokens
            take(scheduler_stats, generated)

        engine._stats.take = taking

    def reset(self) -> None:
        self.steps = self.drafts = self.drafted = self.accepted = 0


class Contestant:
    """One method's engine, and what it has done in the cell that is being run."""

    def __init__(self, settings: Settings, method: str) -> None:
        self.method = method
        engine = with_speculation(settings, speculation(method)).engine
        assert isinstance(engine, VllmSettings)
        self.engine = VllmEngine(engine)
        self._meter = Meter(self.engine)
        self._branches: list[tuple[int, float]] = []
        self._seconds = 0.0

    async def warm_up(self, problems: Sequence[Asked]) -> None:
        await race(self.engine, "warm-1", list(problems[:1]), 1, 1.0)
        await race(self.engine, "warm-16", list(problems[1:2]), 16, 1.0)
        if self.method.startswith("cross_branch:"):
            for index, problem in enumerate(problems[2:]):
                branches = ARGUMENTS.parse_args().warm_branches
                await race(self.engine, f"warm-{index}", [problem], branches, 1.0)

    def begin_cell(self) -> None:
        self._meter.reset()
        self._branches, self._seconds = [], 0.0

    async def race(self, name: str, chosen: list[Asked], B: int, temperature: float) -> None:
        gc.collect()
        began = time.perf_counter()
        self._branches += await race(self.engine, name, chosen, B, temperature)
        self._seconds += time.perf_counter() - began

    def measured(self) -> dict[str, Any]:
        meter, tokens = self._meter, sum(count for count, _ in self._branches)
        steps = max(1, tokens - meter.accepted)  # a step without a draft is one of one token
        return {
            "tokens_per_second": tokens / sum(seconds for _, seconds in self._branches),
            "batch_tokens_per_second": tokens / self._seconds,
            "tokens_per_step": tokens / steps,
            "acceptance_length": 1 + meter.accepted / meter.drafts if meter.drafts else 1.0,
            "drafted_per_step": meter.drafted / steps,
            "step_ms": 1e3 * self._seconds / max(1, meter.steps),
            "tokens": tokens,
        }


def asked(args: argparse.Namespace, split: Any, count: int, seed: int) -> Sequence[Asked]:
    if args.problems == "demo":
        return hard_problems(split, count, seed=seed)
    return word_problems(split, count, seed)


def races_of(cells: list[Cell], args: argparse.Namespace) -> dict[Cell, list[list[Asked]]]:
    """The problems of each cell's races. No problem comes twice: nothing drafts from an answer to
    the question that it was asked before."""
    wanted = {
        cell: [cell.B if cell.temperature == 0 else 1] * (args.races or RACES.get(cell.B, 2))
        for cell in cells
    }
    total = sum(itertools.chain.from_iterable(wanted.values()))
    fresh = iter(asked(args, args.split, total, args.seed))
    return {
        cell: [list(itertools.islice(fresh, count)) for count in counts]
        for cell, counts in wanted.items()
    }


async def run_cell(
    contestants: list[Contestant], cell: Cell, races: list[list[Asked]], split: str
) -> None:
    for contestant in contestants:
        contestant.begin_cell()
    for index, chosen in enumerate(races):
        name = f"{split}-{cell.B}-{cell.temperature}-{cell.round}-{index}"
        first = (cell.round + index) % len(contestants)
        for contestant in contestants[first:] + contestants[:first]:
            await contestant.race(name, chosen, cell.B, cell.temperature)


def read(file: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[k] for k in ("method", "B", "temperature", "round", "split", "model"))


def table(rows: list[dict[str, Any]]) -> None:
    cells: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        group = (row["model"], row["split"], row["temperature"], row["B"], row["method"])
        cells.setdefault(group, []).append(row)
    heads = "temp   B  method                         tok/s/branch (low–high)  × none (low–high)"
    print(f"{heads}  accepted  tok/step  batch/s  drafted  step ms  rounds")
    for group, found in sorted(cells.items()):
        rates = [row["tokens_per_second"] for row in found]
        base = cells.get((*group[:4], "none"), [])
        # Against the same round: the machine's other work changes from minute to minute.
        of_round = {row["round"]: row["tokens_per_second"] for row in base}
        ratios = [
            row["tokens_per_second"] / of_round[row["round"]]
            for row in found
            if row["round"] in of_round
        ]

        def told(ratios: list[float]) -> str:
            if not ratios:
                return " " * 18
            return f"{statistics.median(ratios):6.2f} ({min(ratios):.2f}–{max(ratios):.2f})"

        def middle(name: str, found: list[dict[str, Any]] = found) -> float:
            return statistics.median(row[name] for row in found)

        print(
            f"{group[2]:4} {group[3]:3}  {group[4]:30} {statistics.median(rates):7.1f} "
            f"({min(rates):6.1f}–{max(rates):6.1f})   "
            f"{told(ratios)}"
            f"  {middle('acceptance_length'):8.2f}  {middle('tokens_per_step'):8.2f}"
            f"  {middle('batch_tokens_per_second'):7.1f}"
            f"  {middle('drafted_per_step'):7.2f}  {middle('step_ms'):7.2f}  {len(found):4}"
        )


async def run(args: argparse.Namespace, settings: Settings) -> None:
    methods, model = args.methods.split(","), fingerprint(settings)
    done = {key(row) for row in read(args.out)}
    grid = itertools.product(
        range(args.rounds), args.temperatures.split(","), args.batches.split(",")
    )
    cells = [Cell(int(B), float(temperature), number) for number, temperature, B in grid]
    races = races_of(cells, args)
    cells = [
        cell
        for cell in cells
        if any((method, *cell, args.split, model) not in done for method in methods)
    ]
    if not cells:
        return
    warm = asked(args, "select", 2 + args.warm, args.seed + 1)
    async with AsyncExitStack() as stack:
        contestants = [Contestant(settings, method) for method in methods]
        for number, contestant in enumerate(contestants):
            progress(number, len(methods), f"starts {contestant.method}")
            stack.push_async_callback(contestant.engine.aclose)
            await contestant.engine.start()
            await contestant.warm_up(warm)
        began = time.monotonic()
        for number, cell in enumerate(cells):
            progress(number, len(cells), f"B={cell.B} at temperature {cell.temperature:g}")
            if time.monotonic() - began > args.seconds:
                break
            await run_cell(contestants, cell, races[cell], args.split)
            with args.out.open("ab") as file:
                for contestant in contestants:
                    row = {
                        "method": contestant.method,
                        **cell._asdict(),
                        "split": args.split,
                        "model": model,
                        **contestant.measured(),
                        "races": len(races[cell]),
                    }
                    if key(row) not in done:
                        file.write(orjson.dumps(row) + b"\n")
        progress(len(cells), len(cells))


async def main() -> None:
    args = ARGUMENTS.parse_args()
    if not args.table:
        await run(args, settings_of(args))
    table(read(args.out))


if __name__ == "__main__":
    anyio.run(main)
