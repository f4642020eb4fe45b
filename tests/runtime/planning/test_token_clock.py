"""The clock of tokens: as long as the simulated engine takes, and the right way round."""

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.runtime.cost_model.acceptance import Acceptance
from frontrunner.runtime.cost_model.step_time import StepTime
from frontrunner.runtime.engines.protocol import Generation, Sampling
from frontrunner.runtime.engines.simulated import SimulatedEngine, SimulatedHardware, constant_k
from frontrunner.runtime.engines.workloads import PlannedOutput
from frontrunner.runtime.planning.schedule import KSchedule
from frontrunner.runtime.planning.token_clock import StepRate, TokenClock

from .simulating import STEP

ACCEPTANCE = Acceptance((0, 64), (0.7, 0.5))
lengths = st.lists(st.integers(1, 3_000), min_size=1, max_size=24)
paces = st.sampled_from(
    [
        StepRate(STEP),
        StepRate(STEP, ACCEPTANCE, KSchedule.constant(3)),
        StepRate(STEP, ACCEPTANCE, KSchedule(((1, 5), (4, 2), (16, 0)))),
    ]
)


@given(paces, lengths, st.floats(0, 1), st.integers(0, 64), st.floats(0, 4_000))
@settings(max_examples=examples(2_000))
def test_it_runs_both_ways(
    pace: StepRate, ends: list[int], launch: float, others: int, tokens: float
) -> None:
    clock = TokenClock(pace, ends, prompt=100, launch=launch, others=others)
    seconds = clock.seconds(tokens)
    assert seconds >= launch
    assert clock.tokens(seconds) == pytest.approx(tokens, abs=1e-6 * max(1.0, tokens))
    assert clock.seconds(tokens + 1) > seconds
    assert clock.tokens(launch / 2) == 0.0


@given(lengths, st.integers(1, 50), st.floats(1, 3_000))
@settings(max_examples=examples(500))
def test_company_and_slow_steps_cost_time(ends: list[int], others: int, tokens: float) -> None:
    clock = TokenClock(StepRate(STEP), ends, prompt=100)
    beside = TokenClock(StepRate(STEP), ends, prompt=100, others=others)
    slow = TokenClock(StepRate(STEP), ends, prompt=100, factor=2.0)
    assert beside.seconds(tokens) > clock.seconds(tokens)
    assert slow.seconds(tokens) == pytest.approx(2 * clock.seconds(tokens))


@given(lengths)
@settings(max_examples=examples(500))
def test_branches_that_end_make_the_others_faster(ends: list[int]) -> None:
    clock = TokenClock(StepRate(STEP), ends, prompt=100)
    none_end = TokenClock(StepRate(STEP), [max(ends)] * len(ends), prompt=100)
    assert clock.seconds(max(ends)) <= none_end.seconds(max(ends)) + 1e-9


class _Lengths:
    """Branches of these lengths."""

    def __init__(self, ends: list[int]) -> None:
        self.ends = ends

    def output_of(self, request: Generation, written: int) -> PlannedOutput:
        return PlannedOutput(self.ends[request.branch], "end")


async def race_seconds(step: StepTime, ends: list[int], k: int) -> list[float]:
    """When each branch ends on the simulated engine, from the first token of all."""
    engine = SimulatedEngine(SimulatedHardware(step, ACCEPTANCE, constant_k(k)), _Lengths(ends))
    await engine.start()
    ended = [0.0] * len(ends)
    first: dict[int, float] = {}

    async def run(branch: int) -> None:
        request = Generation(f"r{branch}", tuple(range(100)), 10_000, Sampling(), 1, branch=branch)
        async for _ in engine.generate(request):
            first.setdefault(branch, anyio.current_time())
        ended[branch] = anyio.current_time()

    async with anyio.create_task_group() as tasks:
        for branch in range(len(ends)):
            tasks.start_soon(run, branch)
    return [moment - max(first.values()) for moment in ended]


@pytest.mark.parametrize("ends", [[400], [50, 100, 300, 800], [200] * 32, list(range(20, 660, 20))])
async def test_it_tells_the_time_of_the_simulated_engine(ends: list[int]) -> None:
    clock = TokenClock(StepRate(STEP), ends, prompt=100)
    measured = await race_seconds(STEP, ends, 0)
    for end, moment in zip(ends, measured, strict=True):
        assert clock.seconds(end) == pytest.approx(moment, rel=0.02, abs=2 * STEP.seconds(32, 500))


async def test_it_tells_the_time_with_speculation_on_the_average() -> None:
    ends = [600] * 24
    clock = TokenClock(StepRate(STEP, ACCEPTANCE, constant_k(3)), ends, prompt=100)
    measured = await race_seconds(STEP, ends, 3)
    assert sum(measured) / len(ends) == pytest.approx(clock.seconds(600), rel=0.05)
