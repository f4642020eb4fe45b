import os
import signal
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from frontrunner.runtime.answers import Equivalence, WorkerPool, workers

# Long enough for any machine: these tests assert what happens, not how fast.
HANG_GUARD_S = 60.0
PATIENT_S = 30.0
# Two that no computer ends, but each passes `needs_only_string_comparison`.
ENDLESS = "10^{10^{10}}"
ENDLESS_FACTORIAL = "(10^7)!"


def children() -> set[int]:
    """Return the process ids of this process's children, zombies included."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything; the state and the parent follow it.
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == os.getpid():
            found.add(int(stat.parent.name))
    return found


def is_running(process: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await anyio.sleep(0.01)


async def test_equal_mathematics_is_recognized() -> None:
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            for a, b, equal in [
                (r"\frac{1}{2}", "0.5", True),
                ("x^2+2x+1", "(x+1)^2", True),
                (r"\sqrt{8}", r"2\sqrt{2}", True),
                ("1<x<2", "(1,2)", True),
                (r"\sqrt{2}", "1.414214", True),
                (r"\{1,2\}", r"\{2,1\}", True),
                ("x+1", "y+1", False),
                ("(1,2)", "[1,2]", False),
                # math-verify takes it for a right answer, but only one way round.
                ("1", "2x+z=1", False),
                ("no $ latex {", "1", False),
                ("\0\u202e\ud800\n", "1", False),
            ]:
                assert await pool.verify(a, b, PATIENT_S) is equal, (a, b)
                assert await pool.verify(b, a, PATIENT_S) is equal, (b, a)


async def test_hostile_expressions_end_in_time_and_leave_the_event_loop_free() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.sleep(0.01)
            ticks += 1

    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(2) as pool, anyio.create_task_group() as tasks:
            tasks.start_soon(tick)
            for hostile in (
                ENDLESS,
                r"\frac{" * 300 + "1" + "}{1}" * 300,
                "(" * 10_000,
                r"\log_{2^5}(\log_{2^5}(\log_{2^5}(x)))",
                "\\boxed{" * 500,
                "\0" * 100,
                "\u202e1\u202c" * 100,
                ENDLESS_FACTORIAL,
            ):
                assert await pool.warm_up()
                ticks = 0
                verdict = await pool.verify(hostile, "1", 0.3)
                assert verdict is not True
                # None means that it took its whole time, in which a free loop ticks 30 times.
                assert verdict is False or ticks > 5
            # These are not even given to a worker.
            before = children()
            for million in ("(" * 1_000_000, r"\frac{" * 200_000, "\0" * 1_000_000):
                assert await pool.verify(million, "1", 0.3) is None
            assert children() == before
            assert await pool.warm_up()
            assert await pool.verify("x+x", "2x", PATIENT_S) is True
            tasks.cancel_scope.cancel()


async def test_equivalence_and_pool_fit_together() -> None:
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            equivalence = Equivalence(pool, timeout_s=PATIENT_S)
            assert await equivalence.same(r"$\sqrt{8}$", r"2 \sqrt 2")
            assert not await equivalence.same("x", "y")
            assert not await equivalence.same("(" * 1_000_000, "1")


async def test_no_process_runs_before_it_is_needed_nor_after_the_end() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        pool = WorkerPool(2)
        assert children() == before
        assert await pool.warm_up()
        assert len(children() - before) == 2
        await pool.aclose()
        assert children() == before
        await pool.aclose()
        assert await pool.verify("x", "x", PATIENT_S) is None
        assert not await pool.warm_up()
        assert children() == before


async def test_a_slow_start_costs_one_answer_but_goes_on() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            assert await pool.verify("x+x", "2x", 0.05) is None
            started = children() - before
            assert len(started) == 1
            assert await pool.verify("x+x", "2x", PATIENT_S) is True
            assert children() - before == started


async def test_a_worker_that_exceeds_its_time_is_replaced() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            await pool.warm_up()
            first = children() - before
            assert await pool.verify(ENDLESS, "1", 0.2) is None
            assert children() == before
            assert await pool.verify("x+x", "2x", PATIENT_S) is True
            assert len(children() - before) == 1
            assert children() - before != first


async def test_cancelling_a_comparison_kills_its_worker() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            await pool.warm_up()
            with anyio.move_on_after(0.2) as scope:
                await pool.verify(ENDLESS, "1", PATIENT_S)
            assert scope.cancelled_caught
            assert children() == before
            assert await pool.verify("x+x", "2x", PATIENT_S) is True


async def test_cancelling_a_start_keeps_the_worker() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool, anyio.create_task_group() as tasks:
            tasks.start_soon(pool.verify, "x", "y", PATIENT_S)
            await until(lambda: children() != before)
            started = children()
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                assert await pool.verify("x+x", "2x", PATIENT_S) is True
                assert children() == started


async def test_a_worker_that_dies_idle_or_at_work_is_replaced() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            await pool.warm_up()
            (idle,) = children() - before
            os.kill(idle, signal.SIGKILL)
            await until(lambda: not is_running(idle))
            assert await pool.verify("x+x", "2x", PATIENT_S) in (True, None)
            assert await pool.verify("x+x", "2x", PATIENT_S) is True

            verdicts: list[bool | None] = []

            async def compare() -> None:
                verdicts.append(await pool.verify(ENDLESS, "1", PATIENT_S))

            async with anyio.create_task_group() as tasks:
                (busy,) = children() - before
                tasks.start_soon(compare)
                await anyio.sleep(0.1)
                os.kill(busy, signal.SIGKILL)
            assert verdicts == [None]
            assert await pool.verify("x+x", "2x", PATIENT_S) is True


async def test_after_too_many_kills_it_answers_at_once_without_a_worker() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1, max_kills_per_minute=1) as pool:
            await pool.warm_up()
            assert await pool.verify(ENDLESS, "1", 0.2) is None
            assert await pool.verify("x+x", "2x", PATIENT_S) is None
            assert not await pool.warm_up()
            assert children() == before


async def test_closing_ends_the_comparisons_under_way_and_waiting() -> None:
    before = children()
    verdicts: list[bool | None] = []
    with anyio.fail_after(HANG_GUARD_S):
        pool = WorkerPool(1)
        await pool.warm_up()

        async def compare() -> None:
            verdicts.append(await pool.verify(ENDLESS, "1", PATIENT_S))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(compare)
            await anyio.sleep(0.1)
            tasks.start_soon(pool.aclose)
            await pool.aclose()
            assert children() == before
    assert verdicts == [None] * 3


async def test_closing_in_a_cancelled_scope_leaves_nothing() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        with anyio.CancelScope() as scope:
            async with WorkerPool(2) as pool:
                await pool.verify("x", "y", 0.05)
                scope.cancel()
                await anyio.sleep(PATIENT_S)
        assert children() == before


async def test_many_comparisons_share_the_workers() -> None:
    verdicts: dict[int, bool | None] = {}
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(2) as pool, anyio.create_task_group() as tasks:

            async def compare(number: int) -> None:
                verdicts[number] = await pool.verify(
                    f"x+{number}", f"{number % 2 * number}+x", PATIENT_S
                )

            for number in range(1, 21):
                tasks.start_soon(compare, number)
            await until(lambda: len(verdicts) == 20)
            assert len(children() - before) <= 2
    assert verdicts == {number: number % 2 == 1 for number in range(1, 21)}


@pytest.mark.parametrize("program", ["/nowhere/python", None])
async def test_a_worker_that_cannot_start_decides_nothing(
    program: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if program is None:
        monkeypatch.setattr(workers, "_PROGRAM", Path("/nowhere/worker.py"))
    else:
        monkeypatch.setattr("sys.executable", program)
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(2) as pool:
            assert not await pool.warm_up()
            assert await pool.verify("x", "x", PATIENT_S) is None
            assert children() == before


async def test_workers_do_not_see_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTRUNNER_TEST_TOKEN", "secret")
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            await pool.warm_up()
            (worker,) = children() - before
            assert b"secret" not in Path(f"/proc/{worker}/environ").read_bytes()


@pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop")]
)
async def test_it_works_on_uvloop() -> None:
    pytest.importorskip("uvloop")
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            assert await pool.verify("x+x", "2x", PATIENT_S) is True
            assert await pool.verify(ENDLESS, "1", 0.2) is None
            assert await pool.verify("x+x", "2x", PATIENT_S) is True
        assert children() == before


@pytest.mark.parametrize("arguments", [{"max_workers": 0}, {"max_kills_per_minute": 0}])
def test_a_pool_without_workers_or_kills_is_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        WorkerPool(**arguments)
