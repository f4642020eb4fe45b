import os
import signal
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from frontrunner.runtime.answers import Equivalence, WorkerPool, process, workers

# Long enough for any machine: these tests assert what happens, not how fast.
HANG_GUARD_S = 60.0
PATIENT_S = 30.0
# Two that no computer ends, but each passes `needs_only_string_comparison`.
ENDLESS = "10^{10^{10}}"
ENDLESS_FACTORIAL = "(10^7)!"

# A worker that starts at once, for the tests of what happens to processes.
QUICK_PROGRAM = """
import json, os, sys, time
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    match request["gold"]:
        case "hang":
            time.sleep(1000)
        case "slow":
            time.sleep(0.5)
            print(json.dumps({"id": request["id"], "equal": True}), flush=True)
        case "nonsense":
            print("nonsense", flush=True)
        case "endless line":
            print("x" * 10_000, end="", flush=True)
        case "another id":
            print(json.dumps({"id": -1, "equal": True}), flush=True)
        case "no verdict":
            print(json.dumps({"id": request["id"]}), flush=True)
        case "exit":
            sys.exit()
        case gold:
            equal = gold == request["answer"] if gold != "null" else None
            print(json.dumps({"id": request["id"], "equal": equal}), flush=True)
"""


@pytest.fixture
def run_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what makes the pools of this test run another program from now on."""

    def run(text: str) -> None:
        program = tmp_path / "program.py"
        program.write_text(text)
        monkeypatch.setattr(process, "_PROGRAM", program)

    return run


@pytest.fixture
def quick(run_program: Callable[[str], None]) -> None:
    run_program(QUICK_PROGRAM)


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


def is_running(worker: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{worker}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def environment_of(worker: int) -> bytes:
    return Path(f"/proc/{worker}/environ").read_bytes()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing tells of the end of a process
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
            equivalence = Equivalence(pool, timeout_s=PATIENT_S)
            assert await equivalence.same(r"$\sqrt{8}$", r"2 \sqrt 2")
            assert not await equivalence.same("x", "y")
            assert not await equivalence.same("(" * 1_000_000, "1")


async def test_hostile_expressions_end_in_time_and_leave_the_event_loop_free() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await anyio.sleep(0.01)
            ticks += 1

    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool, anyio.create_task_group() as tasks:
            tasks.start_soon(tick)
            for hostile in (
                "\0" * 100,
                "\u202e1\u202c" * 100,
                "\\boxed{" * 500,
                r"\frac{" * 20 + "1" + "}{1}" * 20,
                ENDLESS,
                "(" * 10_000,
                ENDLESS_FACTORIAL,
            ):
                assert await pool.warm_up()
                ticks = 0
                verdict = await pool.verify(hostile, "2", 0.3)
                assert verdict is not True
                # None means that it took its whole time, in which a free loop ticks 30 times.
                assert verdict is not None or ticks > 5
            # These are not even given to a worker.
            before = children()
            for million in ("(" * 1_000_000, r"\frac{" * 10_000, "\0" * 1_000_000):
                assert await pool.verify(million, "1", 0.3) is None
            assert children() == before
            assert await pool.verify("x+x", "2x", PATIENT_S) is True
            tasks.cancel_scope.cancel()


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
            assert children() == before
            assert not await pool.warm_up(0.01)  # it is closed while a worker starts up
        assert children() == before


@pytest.mark.usefixtures("quick")
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


async def test_a_slow_start_costs_one_answer_but_goes_on(
    run_program: Callable[[str], None],
) -> None:
    run_program("import time; time.sleep(0.5)\n" + QUICK_PROGRAM)
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            assert await pool.verify("x", "x", 0.05) is None
            started = children() - before
            assert len(started) == 1
            assert await pool.verify("x", "x", PATIENT_S) is True
            assert children() - before == started


async def test_a_worker_that_never_becomes_ready_is_replaced(
    run_program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_program("import time; time.sleep(1000)")
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            assert not await pool.warm_up(0.1)
            first = children() - before
            monkeypatch.setattr(workers, "READY_LIMIT_S", 0.0)
            run_program(QUICK_PROGRAM)
            assert await pool.verify("x", "x", PATIENT_S) is True
            assert children() - before != first


@pytest.mark.parametrize(
    "fault", ["nonsense", "endless line", "another id", "no verdict", "exit", "null"]
)
@pytest.mark.usefixtures("quick")
async def test_a_worker_without_a_verdict_leaves_it_undecided(fault: str) -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            await pool.warm_up()
            first = children() - before
            assert await pool.verify(fault, "x", PATIENT_S) is None
            # It said itself that it could not tell, or it is not to be trusted any more.
            assert children() - before == (first if fault == "null" else set())
            assert await pool.verify("x", "x", PATIENT_S) is True


@pytest.mark.usefixtures("quick")
async def test_a_worker_that_exceeds_its_time_is_replaced() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            await pool.warm_up()
            first = children() - before
            assert await pool.verify("hang", "1", 0.2) is None
            assert children() == before
            assert await pool.verify("x", "x", PATIENT_S) is True
            assert len(children() - before) == 1
            assert children() - before != first


@pytest.mark.usefixtures("quick")
async def test_a_cancelled_comparison_leaves_its_worker_to_the_next() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1, max_kills_per_minute=1) as pool:
            await pool.warm_up()
            first = children() - before
            for _ in range(2):
                with anyio.move_on_after(0.2) as scope:
                    await pool.verify("slow", "1", PATIENT_S)
                assert scope.cancelled_caught
            # The verdict that nobody waited for is not taken for the next one's.
            assert await pool.verify("x", "y", PATIENT_S) is False
            assert children() - before == first


@pytest.mark.usefixtures("quick")
async def test_a_verdict_that_is_read_late_costs_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_READING_S", PATIENT_S)
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            await pool.warm_up()
            first = children() - before
            with anyio.move_on_after(0.1) as scope:
                await pool.verify("slow", "1", PATIENT_S)
            assert scope.cancelled_caught
            pool._idle[0].due = anyio.current_time() - 1
            assert await pool.verify("x", "x", PATIENT_S) is True
            assert children() - before == first


@pytest.mark.usefixtures("quick")
async def test_a_cancelled_comparison_that_hangs_costs_the_next_its_own_time_at_most() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            await pool.warm_up()
            first = children() - before
            with anyio.move_on_after(0.1) as scope:
                await pool.verify("hang", "1", 1.0)
            assert scope.cancelled_caught
            assert children() - before == first
            assert await pool.verify("x", "x", PATIENT_S) in (True, None)
            assert await pool.verify("x", "x", PATIENT_S) is True
            assert len(children() - before) == 1
            assert children() - before != first
        assert children() == before


@pytest.mark.usefixtures("quick")
async def test_cancelling_a_start_leaves_a_pool_that_works() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool, anyio.create_task_group() as tasks:
            tasks.start_soon(pool.verify, "x", "y", PATIENT_S)
            await until(lambda: children() != before)
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                assert await pool.verify("x", "x", PATIENT_S) is True
                assert len(children() - before) == 1


@pytest.mark.usefixtures("quick")
async def test_a_worker_that_dies_idle_or_at_work_is_replaced() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            await pool.warm_up()
            (idle,) = children() - before
            os.kill(idle, signal.SIGKILL)
            await until(lambda: not is_running(idle))
            assert await pool.verify("x", "x", PATIENT_S) in (True, None)
            assert await pool.verify("x", "x", PATIENT_S) is True

            verdicts: list[bool | None] = []

            async def compare() -> None:
                verdicts.append(await pool.verify("hang", "1", PATIENT_S))

            async with anyio.create_task_group() as tasks:
                (busy,) = children() - before
                tasks.start_soon(compare)
                await anyio.sleep(0.1)
                os.kill(busy, signal.SIGKILL)
            assert verdicts == [None]
            assert await pool.verify("x", "x", PATIENT_S) is True


@pytest.mark.usefixtures("quick")
async def test_after_too_many_kills_it_answers_at_once_without_a_worker() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1, max_kills_per_minute=1) as pool:
            await pool.warm_up()
            assert await pool.verify("hang", "1", 0.2) is None
            assert await pool.verify("x", "x", PATIENT_S) is None
            assert not await pool.warm_up()
            assert children() == before


@pytest.mark.usefixtures("quick")
async def test_closing_ends_the_comparisons_under_way_and_waiting() -> None:
    before = children()
    verdicts: list[bool | None] = []
    with anyio.fail_after(HANG_GUARD_S):
        pool = WorkerPool(1)
        await pool.warm_up()

        async def compare() -> None:
            verdicts.append(await pool.verify("hang", "1", PATIENT_S))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(compare)
            await anyio.sleep(0.1)
            tasks.start_soon(pool.aclose)
            await pool.aclose()
            assert children() == before
    assert verdicts == [None] * 3


@pytest.mark.usefixtures("quick")
async def test_closing_in_a_cancelled_scope_leaves_nothing() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        with anyio.CancelScope() as scope:
            async with WorkerPool(2) as pool:
                await pool.verify("x", "y", 0.05)
                scope.cancel()
                await anyio.sleep(PATIENT_S)
        assert children() == before


@pytest.mark.usefixtures("quick")
async def test_many_comparisons_share_the_workers() -> None:
    verdicts: dict[int, bool | None] = {}
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(2) as pool:

            async def compare(number: int) -> None:
                verdicts[number] = await pool.verify("1", str(number % 2), PATIENT_S)

            async with anyio.create_task_group() as tasks:
                for number in range(50):
                    tasks.start_soon(compare, number)
            assert len(children() - before) == 2
    assert verdicts == {number: number % 2 == 1 for number in range(50)}


@pytest.mark.usefixtures("quick")
async def test_who_waited_too_long_for_a_worker_does_not_make_it_be_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "LEAST_WORKING_SHARE", 0.99)
    before = children()
    verdicts: list[bool | None] = []
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            await pool.warm_up()
            worker = children() - before

            async def compare(a: str, timeout_s: float) -> None:
                verdicts.append(await pool.verify(a, "x", timeout_s))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(compare, "slow", PATIENT_S)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(compare, "hang", 10.0)
            assert verdicts == [True, None]
            assert children() - before == worker


@pytest.mark.parametrize("program", ["/nowhere/python", None])
async def test_a_worker_that_cannot_start_decides_nothing(
    program: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if program is None:
        monkeypatch.setattr(process, "_PROGRAM", Path("/nowhere/worker.py"))
    else:
        monkeypatch.setattr("sys.executable", program)
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(2) as pool:
            assert not await pool.warm_up()
            assert await pool.verify("x", "x", PATIENT_S) is None
            assert children() == before


@pytest.mark.usefixtures("quick")
async def test_workers_do_not_see_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FRONTRUNNER_TEST_TOKEN", "secret")
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            await pool.warm_up()
            (worker,) = children() - before
            assert b"secret" not in environment_of(worker)


@pytest.mark.parametrize("arguments", [{"max_workers": 0}, {"max_kills_per_minute": 0}])
def test_a_pool_without_workers_or_kills_is_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        WorkerPool(**arguments)
