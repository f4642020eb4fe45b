"""Tokens per second through ``Runtime`` against a bare loop over ``AsyncLLM.generate``.

The same prompts, seeds and sampling on the same engine, in turns; every branch runs to its end.
"""

import asyncio
import statistics
from typing import Any

from common import parser, progress, report, settings_of

from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.engines.supervised import running_engine
from frontrunner.runtime.engines.vllm.engine import VllmEngine
from frontrunner.runtime.racing.seeds import branch_seed
from frontrunner.runtime.runtime import Runtime

ARGUMENTS = parser(__doc__)
ARGUMENTS.set_defaults(count=10)


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


async def run() -> None:
    args = ARGUMENTS.parse_args()
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
    asyncio.run(run())
