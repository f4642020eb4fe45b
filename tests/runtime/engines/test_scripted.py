"""The scripted engine, in exact virtual time; what it shares with all engines: conformance.py."""

from collections.abc import Callable, Coroutine
from contextlib import aclosing
from math import inf

import anyio
import pytest

from frontrunner.runtime.engines.protocol import (
    Chunk,
    FinishReason,
    Generation,
    Sampling,
    StepTimes,
    TokenTimes,
)
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.errors import EngineClosed, EngineDead, EngineError


async def engine_of(*branches: BranchScript, **script: object) -> ScriptedEngine:
    engine = ScriptedEngine(Script(branches))
    for name, value in script.items():
        setattr(engine.script, name, value)
    await engine.start()
    return engine


def request(
    branch: int = 0, *, max_tokens: int = 100, forced: bool = False, name: str = "r"
) -> Generation:
    return Generation(
        f"{name}{branch}", (1, 2, 3), max_tokens, Sampling(), branch=branch, forced=forced
    )


async def read(engine: ScriptedEngine, generation: Generation) -> list[tuple[float, Chunk]]:
    """Its chunks, and when they came."""
    began = anyio.current_time()
    async with aclosing(engine.generate(generation)) as chunks:
        return [(anyio.current_time() - began, chunk) async for chunk in chunks]


async def test_pieces_come_when_their_delays_have_passed() -> None:
    engine = await engine_of(BranchScript((Piece(1, "a", 2), Piece(0.5, "b", 1), Piece(2, "c", 3))))
    assert await read(engine, request()) == [
        (1.0, Chunk("a", (0, 1))),
        (1.5, Chunk("b", (2,))),
        (3.5, Chunk("c", (3, 4, 5), FinishReason.STOP)),
    ]


async def test_an_answering_branch_spreads_its_tokens_evenly_and_ends_with_its_box() -> None:
    engine = await engine_of(BranchScript.answering("7", seconds=4, tokens=4))
    came = await read(engine, request())
    assert [at for at, _ in came] == [1.0, 2.0, 3.0, 4.0]
    assert "".join(chunk.text for _, chunk in came) == "step0 step1 step2 \\boxed{7}"
    assert came[-1][1].finish is FinishReason.STOP
    engine = await engine_of(BranchScript.answering(None, seconds=1, tokens=1))
    ((_, chunk),) = await read(engine, request())
    assert "boxed" not in chunk.text


@pytest.mark.parametrize("finish", list(FinishReason))
async def test_a_branch_ends_as_its_script_says(finish: FinishReason) -> None:
    engine = await engine_of(BranchScript((Piece(0, "a"),), finish=finish))
    assert [chunk.finish for _, chunk in await read(engine, request())] == [finish]
    engine = await engine_of(BranchScript(finish=finish))
    assert await read(engine, request()) == [(0.0, Chunk("", (), finish))]


async def test_no_more_tokens_come_than_were_asked_for() -> None:
    engine = await engine_of(BranchScript((Piece(1, "a", 2), Piece(1, "b", 3), Piece(1, "c", 1))))
    assert [chunk for _, chunk in await read(engine, request(max_tokens=4))] == [
        Chunk("a", (0, 1)),
        Chunk("b", (2, 3), FinishReason.LENGTH),
    ]
    (*_, (_, last)) = await read(engine, request(max_tokens=6))
    assert last.finish is FinishReason.STOP


async def test_a_branch_that_fails_does_so_after_its_pieces() -> None:
    engine = await engine_of(BranchScript((Piece(1, "a"),), error="out of luck"))
    async with aclosing(engine.generate(request())) as chunks:
        assert await anext(chunks) == Chunk("a", (0,))
        with pytest.raises(EngineError, match="out of luck"):
            await anext(chunks)
    assert anyio.current_time() == 1.0
    assert engine.load().running == 0


async def test_a_stalled_branch_never_ends_by_itself() -> None:
    engine = await engine_of(BranchScript((Piece(1, "a"),), stall=True))
    with anyio.move_on_after(1_000_000) as scope:
        await read(engine, request())
    assert scope.cancelled_caught
    assert engine.load().running == 0


async def test_branches_and_forced_continuations_play_their_own_scripts_in_turn() -> None:
    def one(text: str) -> BranchScript:
        return BranchScript((Piece(0, text),))

    engine = await engine_of(one("a"), one("b"), forced=[one("x"), one("y"), one("z")])
    played = [(await read(engine, request(branch)))[0][1].text for branch in range(5)]
    assert played == ["a", "b", "a", "b", "a"]
    played = [(await read(engine, request(branch, forced=True)))[0][1].text for branch in range(5)]
    assert played == ["x", "y", "z", "x", "y"]


async def test_a_chooser_goes_before_the_lists() -> None:
    special = BranchScript((Piece(0, "special"),))
    engine = await engine_of(
        BranchScript((Piece(0, "usual"),)),
        chooser=lambda request: special if request.branch == 1 else None,
    )
    assert (await read(engine, request(0)))[0][1].text == "usual"
    assert (await read(engine, request(1)))[0][1].text == "special"


async def read_while(
    engine: ScriptedEngine,
    function: Callable[..., Coroutine[object, object, object]],
    *arguments: object,
) -> list[tuple[float, Chunk]]:
    """Read a request while ``function`` does something to it."""
    came: list[tuple[float, Chunk]] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(function, *arguments)
        came = await read(engine, request())
    return came


async def aborting(engine: ScriptedEngine, at: float, *ids: str) -> float:
    """Abort after ``at`` seconds; return how long that took."""
    await anyio.sleep(at)
    began = anyio.current_time()
    await engine.abort(ids)
    return anyio.current_time() - began


async def test_an_abort_ends_a_request_at_once() -> None:
    engine = await engine_of(
        BranchScript((Piece(1, "a"), Piece(10, "b"))), BranchScript(stall=True)
    )
    results: dict[int, list[tuple[float, Chunk]]] = {}

    async def reader(branch: int) -> None:
        results[branch] = await read(engine, request(branch))

    async with anyio.create_task_group() as tasks:
        for branch in range(2):
            tasks.start_soon(reader, branch)
        assert await aborting(engine, 3, "r0", "r1", "unknown") == 0.0
    end = (3.0, Chunk("", (), FinishReason.ABORT))
    assert results == {0: [(1.0, Chunk("a", (0,))), end], 1: [end]}
    assert engine.aborts == [("r0", "r1", "unknown")]


async def test_a_slow_abort_takes_effect_when_it_returns() -> None:
    engine = await engine_of(BranchScript((Piece(4, "late"), Piece(10, "b"))), abort_delay=2)
    came = await read_while(engine, aborting, engine, 3, "r0")
    assert came == [(4.0, Chunk("late", (0,))), (5.0, Chunk("", (), FinishReason.ABORT))]


async def test_an_abort_that_hangs_aborts_nothing() -> None:
    engine = await engine_of(BranchScript((Piece(5, "a"),)), abort_delay=inf)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(aborting, engine, 1, "r0")
        assert await read(engine, request()) == [(5.0, Chunk("a", (0,), FinishReason.STOP))]
        tasks.cancel_scope.cancel()


async def test_a_branch_may_ignore_its_abort() -> None:
    engine = await engine_of(BranchScript((Piece(1, "a"), Piece(5, "b")), ignores_abort=True))
    came = await read_while(engine, aborting, engine, 2, "r0")
    assert [(at, chunk.text) for at, chunk in came] == [(1.0, "a"), (6.0, "b")]


async def test_at_its_time_the_engine_dies_with_all_requests() -> None:
    engine = await engine_of(
        BranchScript((Piece(9, "a"),)),
        BranchScript(stall=True),
        BranchScript((Piece(9, "a"),), ignores_abort=True),
        dies_at=4,
    )
    died: list[float] = []

    async def reader(branch: int) -> None:
        with pytest.raises(EngineDead):
            await read(engine, request(branch))
        died.append(anyio.current_time())

    async with anyio.create_task_group() as tasks:
        for branch in range(3):
            tasks.start_soon(reader, branch)
        assert engine.failure is None
    assert died == [4.0] * 3
    assert isinstance(engine.failure, EngineDead)
    with pytest.raises(EngineDead):
        await read(engine, request())
    assert engine.load().running == 0


async def test_a_killed_engine_loses_its_requests_now() -> None:
    engine = await engine_of(BranchScript(stall=True))

    async def kill() -> None:
        await anyio.sleep(1)
        engine.kill()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kill)
        with pytest.raises(EngineDead):
            await read(engine, request())
    assert anyio.current_time() == 1.0


async def test_closing_the_engine_ends_its_streams() -> None:
    engine = await engine_of(BranchScript(stall=True))

    async def close() -> None:
        await anyio.sleep(1)
        await engine.aclose()

    came = await read_while(engine, close)
    assert came == [(1.0, Chunk("", (), FinishReason.ABORT))]


async def test_it_serves_nothing_before_its_start() -> None:
    engine = ScriptedEngine(Script([BranchScript()]))
    with pytest.raises(EngineClosed):
        await read(engine, request())
    assert engine.requests == []


async def test_it_keeps_every_request_and_counts_those_that_run() -> None:
    engine = await engine_of(BranchScript((Piece(1, "a"),)), BranchScript((Piece(2, "a"),)))
    async with anyio.create_task_group() as tasks:
        for branch in range(2):
            tasks.start_soon(read, engine, request(branch))
        for running, wait in ((2, 0.5), (1, 1), (0, 1)):
            await anyio.sleep(wait)
            assert engine.load().running == running
    assert sorted(r.request_id for r in engine.requests) == ["r0", "r1"]
    assert engine.load().step_seconds == 0.01


def test_token_times_are_those_of_a_branch() -> None:
    times = TokenTimes(window=3)
    assert (times.seconds, times.batch) == (None, 0.0)
    times.add(9.0, 1, 0)  # a prompt
    assert (times.seconds, times.batch) == (None, 1.0)
    for _ in range(3):
        times.add(2.0, 4, 8)
    assert (times.seconds, times.batch) == (1.0, 4.0)
    times.add(4.0, 8, 0)  # of others, while these wait
    assert times.seconds == 3.0
    assert times.batch == 6.0


def test_step_times_give_quantiles_of_the_last_steps_only() -> None:
    steps = StepTimes(window=10, clock=lambda: 0.0)
    assert steps.quantile(0.5) is None
    steps.add(100.0)
    for n in range(10):
        steps.add(float(n))
    assert steps.quantile(0.0) == 0.0
    assert steps.quantile(0.5) == 5.0
    assert steps.quantile(0.95) == 9.0
    assert steps.quantile(1.0) == 9.0
