"""Where the time of an engine's step goes, with speculation and without: drafting, the model's run
over all tokens (with drafts it verifies them), sampling or rejecting, and the rest.

Each method is an engine of its own, run by vLLM in this process so that its parts can be timed; the
methods take turns question by question, after some questions that nothing is measured of, from
which ``cross_branch`` drafts. Prompt steps are left out. Times are medians of a step.

example:
  step_parts.py --batches 1,16 --questions 6
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from common import progress

from frontrunner.runtime.config import Settings, VllmSettings, demo_config_path
from frontrunner.runtime.demo.problems import hard_problems

ARGUMENTS = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
ARGUMENTS.add_argument("--batches", default="1,16", help="branches at once")
ARGUMENTS.add_argument("--questions", type=int, default=6, help="of each batch")
ARGUMENTS.add_argument("--warm", type=int, default=6, help="questions of 32 branches beforehand")
ARGUMENTS.add_argument("--max-tokens", type=int, default=200)
METHODS: dict[str, dict[str, Any]] = {
    "none": {},
    "cross_branch": {"speculation": {"method": "cross_branch", "tokens": 8}},
}
EXECUTOR = "frontrunner.runtime.engines.vllm.cpu_executor.CpuExecutor"
#: vLLM's model runner's methods, and what their time is called.
PARTS = {
    "_prepare_inputs": "inputs",
    "_model_forward": "model",
    "_sample": "sampling",
    "propose_draft_token_ids": "drafting",
}


class Timed:
    """An engine in this process, and how long the parts of its steps took."""

    def __init__(self, settings: Settings) -> None:
        from vllm import LLM

        from frontrunner.runtime.engines.vllm.engine import engine_arguments

        assert isinstance(settings.engine, VllmSettings)
        arguments = engine_arguments(settings.engine, on_cpu=True)
        arguments["distributed_executor_backend"] = EXECUTOR
        self.llm: Any = LLM(**arguments)
        self.steps: dict[int, list[dict[str, float]]] = {}  # by batch
        self._parts: dict[str, float] = {}
        self._asked = 0
        runner = self.llm.llm_engine.model_executor.driver_worker.worker.model_runner
        for method, part in PARTS.items():
            setattr(runner, method, self._timed(getattr(runner, method), part))

    def _timed(self, call: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self._parts[part] = self._parts.get(part, 0.0) + time.perf_counter() - began

        return timed

    def run(self, question: str, batch: int, max_tokens: int) -> None:
        """Answer once in ``batch`` branches, and keep the times of the steps in which all ran."""
        from vllm import SamplingParams, TokensPrompt

        engine = self.llm.llm_engine
        messages = [{"role": "user", "content": question}]
        tokenizer = self.llm.get_tokenizer()
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        ids = tokenizer.encode(prompt, add_special_tokens=False)
        for branch in range(batch):
            sampling = SamplingParams(max_tokens=max_tokens, ignore_eos=True, seed=branch)
            self._asked += 1
            engine.add_request(str(self._asked), TokensPrompt(prompt_token_ids=ids), sampling)
        seen: dict[str, int] = {}
        while engine.get_num_unfinished_requests() == batch:
            before, self._parts = sum(seen.values()), {}
            began = time.perf_counter()
            for output in engine.step():
                seen[output.request_id] = len(output.outputs[0].token_ids)
            took = time.perf_counter() - began
            if before >= batch and len(seen) == batch:  # no prompt is read any more
                parts = {**dict.fromkeys(PARTS.values(), 0.0), **self._parts}
                parts["rest"] = took - sum(parts.values())
                parts["step"] = took
                parts["tokens"] = (sum(seen.values()) - before) / batch
                self.steps.setdefault(batch, []).append(parts)
        while engine.has_unfinished_requests():
            engine.step()


def main() -> None:
    args = ARGUMENTS.parse_args()
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    batches = [int(batch) for batch in args.batches.split(",")]
    engines: dict[str, Timed] = {}
    for name, engine in METHODS.items():
        data = Settings.from_toml(demo_config_path()).model_dump(exclude_unset=True, mode="json")
        data["engine"] = {**data["engine"], **engine}
        engines[name] = Timed(Settings.from_dict(data))
    warm = hard_problems("select", args.warm)
    for number, problem in enumerate(warm):
        for timed in engines.values():
            timed.run(problem.question, 32, args.max_tokens)
            timed.steps.clear()
        progress(number + 1, len(warm), "warming")
    asked = hard_problems("test", args.questions * len(batches))
    for number, problem in enumerate(asked):
        turn = list(engines.values())
        for timed in turn if number % 2 else turn[::-1]:
            timed.run(problem.question, batches[number % len(batches)], args.max_tokens)
        progress(number + 1, len(asked), "questions")
    shown = [*PARTS.values(), "rest", "step"]
    rows = []
    for batch in batches:
        for name, timed in engines.items():
            steps = timed.steps[batch]
            mean = [1000 * statistics.median(step[part] for step in steps) for part in shown]
            tokens = statistics.fmean(step["tokens"] for step in steps)
            rows.append(
                f"| {batch}, {name} | {tokens:.2f} |" + "".join(f" {m:.2f} |" for m in mean)
            )
    print(
        "| branches, method | tokens a step | " + " | ".join(f"{part}, ms" for part in shown) + " |"
    )
    print("|---" * (len(shown) + 2) + "|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
