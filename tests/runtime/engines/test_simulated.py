"""The simulated engine in virtual time, where its times are exact."""

from contextlib import aclosing

import anyio
import pytest

from frontrunner.runtime.cost_model.acceptance import Acceptance
from frontrunner.runtime.cost_model.step_time import StepTime
from frontrunner.runtime.engines.protocol import Chunk, FinishReason, Generation, Sampling
from frontrunner.runtime.engines.simulated import SimulatedEngine, SimulatedHardware, constant_k
from frontrunner.runtime.engines.workloads import PlannedOutput, SampledWorkload
from frontrunner.strategies.lengths import LengthModel

#: A second for each branch in the step, so that times tell who was in it.
ROWS = StepTime(row=1.0)
PROMPT = tuple(range(32))


class _Long:
    def output_of(self, request: Generation, written: int) -> PlannedOutput:
        return PlannedOutput(4 if request.forced else 1_000, "end")


def engine(step: StepTime = ROWS, **hardware: object) -> SimulatedEngine:
    made = SimulatedHardware(step, **hardware)  # pyright: ignore[reportArgumentType]
    return SimulatedEngine(made, _Long())


def request(name: str, tokens: int, prompt: tuple[int, ...] = PROMPT, **more: object) -> Generation:
    return Generation(name, prompt, tokens, Sampling(), **more)  # pyright: ignore[reportArgumentType]


async def read(
    engine: SimulatedEngine, generation: Generation, log: list[tuple[float, Chunk]]
) -> None:
    async with aclosing(engine.generate(generation)) as chunks:
        log.extend([(anyio.current_time(), chunk) async for chunk in chunks])


async def test_a_step_lasts_as_long_as_its_branches_say() -> None:
    own, log, other = engine(), list[tuple[float, Chunk]](), list[tuple[float, Chunk]]()
    await own.start()
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read, own, request("a", 4), log)
        await anyio.sleep(0.5)
        tasks.start_soon(read, own, request("b", 2), other)
    # a's prompt; b's prompt beside a; two steps of both, of which b needs one; a's last alone.
    assert [t - began for t, _ in log] == [1.0, 3.0, 5.0, 6.0]
    assert [t - began for t, _ in other] == [3.0, 5.0]
    assert log[-1][1].finish is FinishReason.LENGTH


async def test_an_abort_frees_at_the_end_of_the_step() -> None:
    own, log = engine(StepTime(constant=1.0)), list[tuple[float, Chunk]]()
    await own.start()
    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read, own, request("a", 100), log)
        await anyio.sleep(2.5)
        await own.abort(["a", "nobody"])
        assert anyio.current_time() - began == 2.5
        assert own.load().running == 1
    assert anyio.current_time() - began == 3.0
    assert [chunk.finish for _, chunk in log] == [None, None, FinishReason.ABORT]
    assert own.load().running == 0


async def test_a_prompt_is_taken_in_by_chunks_and_not_twice() -> None:
    step = StepTime(constant=1.0, token=0.01)
    own = engine(step, prefill_tokens_per_step=64, cache_block_tokens=16)
    await own.start()
    prompt = tuple(range(160))
    for expected in (pytest.approx(3 + 1.6), pytest.approx(1 + 0.01)):
        began, log = anyio.current_time(), list[tuple[float, Chunk]]()
        await read(own, request("a", 1, prompt), log)
        assert anyio.current_time() - began == expected


async def test_a_continuation_finds_its_branch_in_the_cache() -> None:
    own, log = engine(StepTime(constant=1.0, token=0.01), cache_block_tokens=8), []
    await own.start()
    await read(own, request("a", 40), log)
    ids = tuple(i for _, chunk in log for i in chunk.token_ids)
    began = anyio.current_time()
    forced = request("f", 9, (*PROMPT, *ids, 1, 2, 3), forced=True)
    again: list[tuple[float, Chunk]] = []
    await read(own, forced, again)
    # 72 tokens are nine blocks; the three of the suffix are taken in, then come three steps more.
    assert anyio.current_time() - began == pytest.approx(4 + 0.03 + 3 * 0.01)
    assert again[-1][1].finish is FinishReason.STOP


async def test_what_has_no_place_waits_by_priority() -> None:
    own = engine(StepTime(constant=1.0), max_branches=1)
    await own.start()
    order: list[str] = []

    async def run(name: str, priority: int) -> None:
        await read(own, request(name, 3, priority=priority), [])
        order.append(name)

    async with anyio.create_task_group() as tasks:
        for name, priority in (("first", 9), ("late", 5), ("urgent", 1)):
            tasks.start_soon(run, name, priority)
            await anyio.sleep(0.1)
        assert (own.load().running, own.load().waiting) == (1, 2)
    assert order == ["first", "urgent", "late"]


async def test_speculation_yields_what_is_accepted() -> None:
    own = engine(
        StepTime(constant=1.0, draft=0.25), acceptance=Acceptance((0,), (0.5,)), k=constant_k(2)
    )
    await own.start()
    accepted: float | None = None
    async with anyio.create_task_group() as tasks:
        for n in range(32):
            tasks.start_soon(read, own, request(f"r{n}", 700, seed=n, branch=n), [])
        await anyio.sleep(100)
        accepted = own.load().acceptance_length
        await own.abort([f"r{n}" for n in range(32)])
    assert accepted == pytest.approx(1.75, abs=0.06)  # 1 + 1/2 + 1/4


async def test_answers_come_with_their_probabilities() -> None:
    workload = SampledWorkload(
        LengthModel.from_quantiles(20, 40), {"7": 0.75, "8": 0.25}, {"9": 1.0}
    )
    own = SimulatedEngine(SimulatedHardware(StepTime(constant=0.01)), workload)
    await own.start()
    said: list[str] = []

    async def run(n: int, *, forced: bool) -> None:
        log: list[tuple[float, Chunk]] = []
        await read(own, request(f"r{n}{forced}", 1_000, seed=n, branch=n, forced=forced), log)
        said.append("".join(chunk.text for _, chunk in log))

    async with anyio.create_task_group() as tasks:
        for n in range(200):
            tasks.start_soon(lambda n=n: run(n, forced=False))
    assert sum("\\boxed{7}" in text for text in said) == pytest.approx(150, abs=25)
    said.clear()
    await run(0, forced=True)
    assert said[0].endswith("9}")
