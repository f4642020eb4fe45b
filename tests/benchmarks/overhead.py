"""Tokens per second through ``Runtime`` against a bare loop over ``AsyncLLM.generate``.

The same prompts, seeds and sampling on the same engine, in turns; every branch runs to its end.
With ``--against`` the same is measured of another checkout, by its own script and in turns, and
``ratio_over_other`` is this one's ratio to the bare loop over the other's: from 1 up, nothing was
lost.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
from common import parser, progress, report, settings_of

from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.engines.supervised import running_engine
from frontrunner.runtime.engines.vllm.engine import VllmEngine
from frontrunner.runtime.racing.seeds import branch_seed
from frontrunner.runtime.runtime import Runtime

ARGUMENTS = parser(__doc__)
ARGUMENTS.set_defaults(count=10)
ARGUMENTS.add_argument("--against", type=Path, help="another checkout")
ARGUMENTS.add_argument("--rounds", type=int, default=2, help="of each checkout (--against)")


async def bare(engine: VllmEngine, prompt: tuple[int, ...], branches: int, seed: int) -> int:
    """Tokens that a 20-line script would have generated."""
    from vllm import SamplingParams, TokensPrompt
    from vllm.sampling_params import RequestOutputKind

    async def one(index: int) -> int:
        params = SamplingParams(
            temperature=1.0,
            max_tokens=800,
            seed=branch_seed(seed, index),
            output_kind=RequestOutputKind.DELTA,
        )
        tokens, pieces = 0, list[str]()
        llm: Any = engine.llm
        outputs = llm.generate(
            TokensPrompt(prompt_token_ids=list(prompt)), params, f"bare-{seed}-{index}"
        )
        async for output in outputs:
            tokens += len(output.outputs[0].token_ids)
            pieces.append(output.outputs[0].text)
        return tokens

    return sum(await asyncio.gather(*(one(i) for i in range(branches))))


def of_checkout(folder: Path, count: int) -> dict[str, dict[str, Any]]:
    """What the script of a checkout reports."""
    script = folder.resolve() / "tests" / "benchmarks" / Path(__file__).name
    done = subprocess.run(
        [sys.executable, str(script), "--count", str(count)],
        env={**os.environ, "PYTHONPATH": str(folder.resolve() / "src")},
        stdout=subprocess.PIPE,
        check=True,
    )
    return orjson.loads(done.stdout[done.stdout.index(b"{") :])


def compare(other: Path, count: int, rounds: int) -> None:
    ratios: dict[str, dict[str, list[float]]] = {}
    checkouts = {"this": Path(__file__).parents[2], "other": other}
    for done in range(rounds):
        for name in list(checkouts) if done % 2 else reversed(checkouts):
            for branches, figures in of_checkout(checkouts[name], count).items():
                found = ratios.setdefault(branches, {"this": [], "other": []})
                found[name].append(figures["ratio_median"])
        progress(done + 1, rounds, "rounds")
    report(
        {
            branches: {
                **found,
                "ratio_over_other": round(
                    statistics.median(found["this"]) / statistics.median(found["other"]), 3
                ),
            }
            for branches, found in ratios.items()
        }
    )


async def run(args: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    figures: dict[str, Any] = {}
    async with Runtime.from_config(settings_of(args)) as runtime:
        engine = running_engine(runtime.engine)
        assert isinstance(engine, VllmEngine)
        for branches in (16, 64):
            ratios: list[float] = []
            speeds: dict[str, list[float]] = {"bare": [], "runtime": []}
            for index, problem in enumerate(hard_problems("select", args.count)):
                seed = args.seed + index
                prompt = engine.encode_chat([{"role": "user", "content": problem.question}])
                for name in ("bare", "runtime") if index % 2 else ("runtime", "bare"):
                    began = loop.time()
                    if name == "bare":
                        tokens = await bare(engine, prompt, branches, seed)
                    else:
                        result = await runtime.solve(
                            problem.question,
                            deadline=120.0,
                            branches=branches,
                            seed=seed,
                            parameters={"stop": "none"},
                        )
                        tokens = result.tokens_generated
                    speeds[name].append(tokens / (loop.time() - began))
                ratios.append(speeds["runtime"][-1] / speeds["bare"][-1])
                progress(index + 1, args.count, f"B={branches}")
            figures[f"B={branches}"] = {
                "tokens_per_second": {k: round(statistics.median(v)) for k, v in speeds.items()},
                "ratio_median": round(statistics.median(ratios), 3),
                "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
            }
    report(figures)


if __name__ == "__main__":
    asked = ARGUMENTS.parse_args()
    if asked.against:
        compare(asked.against, asked.count, asked.rounds)
    else:
        asyncio.run(run(asked))
