"""Speculation changes the speed and nothing else: accuracy at temperature 1.0 stays."""

import statistics

import anyio
import pytest
import torch

from frontrunner.runtime.config import Settings
from frontrunner.runtime.demo.problems import Problem, problems
from frontrunner.runtime.engines.vllm.cpu_corrections import expand_batch_to_tokens
from frontrunner.runtime.runtime import Runtime

PROBLEMS = 6
BRANCHES = 16
#: Points. The standard error of the difference of two such runs is about 4.5 (96 branches of 6
#: problems, paired); the fault that this test is for costs all of the accuracy.
TOLERANCE = 25.0


def easy_problems() -> list[Problem]:
    stream = problems("select", 3)
    return [next(stream) for _ in range(PROBLEMS)]


async def share_right(runtime: Runtime) -> float:
    """Points of single branches that are right."""
    right: list[bool] = []

    async def race(index: int, problem: Problem) -> None:
        result = await runtime.solve(
            problem.question,
            deadline=1_200.0,
            branches=BRANCHES,
            seed=index,
            parameters={"stop": "none"},
        )
        right.extend(b.answer == str(problem.answer) for b in result.branches)

    chosen = easy_problems()
    for start in range(0, PROBLEMS, 3):
        async with anyio.create_task_group() as tasks:
            for index in range(start, start + 3):
                tasks.start_soon(race, index, chosen[index])
    return 100.0 * statistics.fmean(right)


@pytest.fixture(scope="module")
async def without(runtime: Runtime) -> float:
    return await share_right(runtime)


@pytest.mark.parametrize("method", ["ngram", "draft_model", "cross_branch"])
async def test_accuracy_with_speculation_equals_accuracy_without(
    demo_settings: Settings, without: float, method: str
) -> None:
    speculation: dict[str, object] = {"method": method, "tokens": 3}
    if method == "draft_model":
        speculation["model"] = "demo-draft"
    if method == "cross_branch":
        speculation["token_cost"] = 0.0  # also where it does not pay
    data = demo_settings.model_dump(exclude_unset=True)
    data["engine"]["speculation"] = speculation
    async with Runtime.from_config(Settings.from_dict(data)) as runtime:
        with_speculation = await share_right(runtime)
        acceptance = runtime.load().acceptance_length
    assert acceptance is not None
    assert acceptance > 1.05
    assert without > 30.0
    assert abs(with_speculation - without) <= TOLERANCE


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32, torch.int64, torch.bfloat16])
def test_expanding_repeats_each_value_for_its_tokens(dtype: torch.dtype) -> None:
    values = torch.tensor([3, 0, 2, 7], dtype=dtype)
    ends = torch.tensor([2, 3, 3, 6], dtype=torch.int32)
    expanded = expand_batch_to_tokens(values, ends, 6, 0, 1)
    assert expanded.dtype == dtype
    assert expanded.tolist() == [3, 3, 1, 7, 7, 7]
