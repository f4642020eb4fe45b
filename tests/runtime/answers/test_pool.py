import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from frontrunner.runtime.answers import AnswerClusters, Equivalence, NoKey, WorkerPool
from frontrunner.runtime.answers.algebra import worker_pool as pools
from frontrunner.runtime.answers.algebra import worker_process as process
from frontrunner.runtime.answers.algebra.worker_pool import DEFAULT_TIMEOUT_S

pytestmark = pytest.mark.slow  # it starts processes of its own

# Long enough for any machine: these tests assert what happens, not how fast.
HANG_GUARD_S = 240.0
PATIENT_S = 60.0
# Two that no computer ends, but each may be given to a parser.
ENDLESS = "10^{10^{10}}"
ENDLESS_FACTORIAL = "(10^7)!"

#: For what the worker does, which knows no event loop: once is enough.
of_the_worker = pytest.mark.parametrize("anyio_backend", ["asyncio"])

# A worker that starts at once, for the tests of what happens to processes.
QUICK_PROGRAM = """
START_SLOWLY = False
import json, os, sys, time

def wait_for(name):
    # What a test makes beside this program when it is to go on.
    while not os.path.exists(os.path.join(os.path.dirname(__file__), name)):
        time.sleep(0.01)

if START_SLOWLY:
    wait_for("start")
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    match request["formula"]:
        case "hang":
            time.sleep(1000)
        case "slow":
            wait_for("go on")
            print(json.dumps({"id": request["id"], "key": "slow"}), flush=True)
        case "nonsense":
            print("nonsense", flush=True)
        case "endless line":
            print("x" * 10_000, end="", flush=True)
        case "another id":
            print(json.dumps({"id": -1, "key": "x"}), flush=True)
        case "no key":
            print(json.dumps({"id": request["id"]}), flush=True)
        case "exit":
            sys.exit()
        case formula:
            key = formula if formula != "null" else None
            print(json.dumps({"id": request["id"], "key": key}), flush=True)
"""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits that a test does not set itself are beyond what a busy machine needs."""
    monkeypatch.setattr(process, "START_LIMIT_S", PATIENT_S)
    monkeypatch.setattr(process, "REAP_LIMIT_S", PATIENT_S)
    monkeypatch.setattr(pools, "START_LIMIT_S", PATIENT_S)
    monkeypatch.setattr(pools, "REAP_LIMIT_S", PATIENT_S)
    monkeypatch.setattr(WorkerPool.key, "__defaults__", (DEFAULT_TIMEOUT_S, PATIENT_S))


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


@of_the_worker
async def test_equal_formulas_have_equal_keys() -> None:
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            for formula, key in [
                (r"\frac{\sqrt{4}}{4}", "1/2"),
                (r"2\cdot 3", "6"),
                (r"\cos(\pi)", "-1"),
                (r"\sqrt{2}\sqrt{3}-\sqrt{6}", "0"),
                (r"\frac{1}{3^{40}}", f"1/{3**40}"),
                ("2x=10", "5"),
                ("2x>6", "(3,oo)"),
                ("no $ latex {", NoKey.UNREADABLE),
                ("\0\u202e\ud800\n", NoKey.UNREADABLE),
            ]:
                assert await pool.key(formula, PATIENT_S) == key, formula
            for a, b, equal in [
                ("x^2+2x+1", "(x+1)^2", True),
                (r"\sqrt{8}", r"2\sqrt{2}", True),
                (r"\sqrt{x^2}", "x", False),
                (r"\sqrt{x^2}", "|x|", True),
                (r"\sin^2x+\cos^2x", "1", True),
                (r"\sin B\cdot\sin C", r"\sin(B)\sin(C)", True),
                ("2x-y+1=0", "y=2x+1", True),
                ("2x+4y-3=0", "4x+8y-6=0", True),
                ("x^2+y^2=1", "x^2+y^2=2", False),
                ("2^{1000}", "2^{1000}+1", False),
                ("3+2i", "2i+3", True),
                ("3+2i", "3-2i", False),
                ("e^{-100}", "e^{-101}", False),
                ("x+1", "y+1", False),
                ("y'", "y", False),
                ("A^T", "A", False),
                ("X", "x", False),
                (r"\frac{dy}{dx}", r"\frac{dx}{dy}", False),
                (r"\frac{dy}{dx}", r"\frac{y}{x}", False),
                (r"\frac{d}{dx}x^2", "2x", True),
                (r"\int_0^1 x\,dx", "1/2", True),
                (r"\sum_{d=1}^3 d", "6", True),
                (r"d\cdot 2", "2d", True),
                ("ad-bc", "da-cb", True),
                ("a_1+(n-1)d", "a_1+nd-d", True),
                (r"\frac{\pi d^2}{4}", r"\pi(\frac{d}{2})^2", True),
                ("d_1", "d", False),
            ]:
                same = await pool.key(a, PATIENT_S) == await pool.key(b, PATIENT_S)
                assert same is equal, (a, b)
            equivalence = Equivalence(pool, timeout_s=PATIENT_S)
            assert await equivalence.same(r"$\sqrt{8}$", r"2 \sqrt 2")
            assert await equivalence.same(r"\sqrt{4}", "2")
            assert not await equivalence.same(r"\sqrt{2}", "1.414214")
            assert not await equivalence.same("x", "y")
            assert not await equivalence.same("(" * 1_000_000, "1")


@of_the_worker
async def test_hostile_formulas_end_in_time_and_leave_the_event_loop_free() -> None:
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
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
                # Whatever the machine does: reading it here would take all of its time.
                computed = time.process_time()
                key = await pool.key(hostile, 0.3)
                assert key is NoKey.UNREADABLE or time.process_time() - computed < 0.15
            # These are not even given to a worker.
            before = children()
            for million in ("(" * 1_000_000, r"\frac{" * 10_000, "\0" * 1_000_000):
                assert await pool.key(million, 0.3) is NoKey.UNREADABLE
            assert children() == before
            assert await pool.key("1+1", PATIENT_S) == "2"


@pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop")]
)
async def test_it_works_on_uvloop(run_program: Callable[[str], None]) -> None:
    pytest.importorskip("uvloop")
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            assert await pool.key("1+1", PATIENT_S) == "2"
            assert await pool.key(ENDLESS, 0.2) is NoKey.EXCEEDED
            assert children() == before
            run_program("import time; time.sleep(1000)")
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
        assert await pool.key("x", PATIENT_S) is NoKey.NO_WORKER
        assert not await pool.warm_up()
        assert children() == before


async def test_a_slow_start_costs_one_answer_but_goes_on(
    run_program: Callable[[str], None], tmp_path: Path
) -> None:
    run_program(QUICK_PROGRAM.replace("START_SLOWLY = False", "START_SLOWLY = True"))
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            assert await pool.key("x", PATIENT_S, patience_s=0.05) is NoKey.NO_WORKER
            started = children() - before
            assert len(started) == 1
            tmp_path.joinpath("start").touch()
            assert await pool.key("x", PATIENT_S) == "x"
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
            monkeypatch.setattr(pools, "READY_LIMIT_S", 0.0)
            run_program(QUICK_PROGRAM)
            assert await pool.key("x", PATIENT_S) == "x"
            assert children() - before != first


@pytest.mark.parametrize(
    "fault", ["nonsense", "endless line", "another id", "no key", "exit", "null"]
)
@pytest.mark.usefixtures("quick")
async def test_a_worker_without_a_key_leaves_it_undecided(fault: str) -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            await pool.warm_up()
            first = children() - before
            expected = NoKey.UNREADABLE if fault == "null" else NoKey.EXCEEDED
            assert await pool.key(fault, PATIENT_S) is expected
            # It said itself that it could not tell, or it is not to be trusted any more.
            assert children() - before == (first if fault == "null" else set())
            assert await pool.key("x", PATIENT_S) == "x"


@pytest.mark.usefixtures("quick")
async def test_a_worker_that_exceeds_its_time_is_replaced() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            await pool.warm_up()
            first = children() - before
            assert await pool.key("hang", 0.2) is NoKey.EXCEEDED
            assert children() == before
            assert await pool.key("x", PATIENT_S) == "x"
            assert len(children() - before) == 1
            assert children() - before != first


@pytest.mark.usefixtures("quick")
async def test_a_cancelled_formula_leaves_its_worker_to_the_next(tmp_path: Path) -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1, max_kills_per_minute=1) as pool:
            await pool.warm_up()
            first = children() - before
            for _ in range(2):
                with anyio.move_on_after(0.2) as scope:
                    await pool.key("slow", PATIENT_S)
                assert scope.cancelled_caught
            tmp_path.joinpath("go on").touch()
            # The key that nobody waited for is not taken for the next one's.
            assert await pool.key("y", PATIENT_S) == "y"
            assert children() - before == first


@pytest.mark.usefixtures("quick")
async def test_a_formula_that_is_cancelled_before_it_is_sent_is_not_waited_for() -> None:
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            assert await pool.warm_up()
            (worker,) = pool._idle
            with anyio.CancelScope() as scope:
                scope.cancel()
                await worker.key_of("x", anyio.current_time() + PATIENT_S)
            assert scope.cancelled_caught
            assert not worker.at_work
            assert await pool.key("y", PATIENT_S) == "y"


@pytest.mark.usefixtures("quick")
async def test_a_key_that_is_read_late_costs_no_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pools, "_READING_S", PATIENT_S)
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            await pool.warm_up()
            first = children() - before
            with anyio.move_on_after(0.1) as scope:
                await pool.key("slow", PATIENT_S)
            assert scope.cancelled_caught
            pool._idle[0].due = anyio.current_time() - 1
            tmp_path.joinpath("go on").touch()
            assert await pool.key("x", PATIENT_S) == "x"
            assert children() - before == first


@pytest.mark.usefixtures("quick")
async def test_a_cancelled_formula_that_hangs_costs_the_next_its_own_time_at_most() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            await pool.warm_up()
            first = children() - before
            with anyio.move_on_after(0.1) as scope:
                await pool.key("hang", 1.0)
            assert scope.cancelled_caught
            assert children() - before == first
            assert await pool.key("x", PATIENT_S) in ("x", NoKey.EXCEEDED, NoKey.NO_WORKER)
            assert await pool.key("x", PATIENT_S, patience_s=PATIENT_S) == "x"
            assert len(children() - before) == 1
            assert children() - before != first
        assert children() == before


@pytest.mark.usefixtures("quick")
async def test_cancelling_a_start_leaves_a_pool_that_works() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool, anyio.create_task_group() as tasks:
            tasks.start_soon(pool.key, "x", PATIENT_S)
            await until(lambda: children() != before)
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                assert await pool.key("x", PATIENT_S, patience_s=PATIENT_S) == "x"
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
            assert await pool.key("x", PATIENT_S) in ("x", NoKey.EXCEEDED, NoKey.NO_WORKER)
            assert await pool.key("x", PATIENT_S, patience_s=PATIENT_S) == "x"

            verdicts: list[str | NoKey] = []

            async def ask() -> None:
                verdicts.append(await pool.key("hang", PATIENT_S))

            async with anyio.create_task_group() as tasks:
                (busy,) = children() - before
                tasks.start_soon(ask)
                await anyio.wait_all_tasks_blocked()
                os.kill(busy, signal.SIGKILL)
            assert verdicts == [NoKey.EXCEEDED]
            assert await pool.key("x", PATIENT_S) == "x"


@pytest.mark.usefixtures("quick")
async def test_after_too_many_kills_it_answers_at_once_without_a_worker() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1, max_kills_per_minute=1) as pool:
            await pool.warm_up()
            assert await pool.key("hang", 0.2) is NoKey.EXCEEDED
            assert await pool.key("x", PATIENT_S) is NoKey.NO_WORKER
            assert not await pool.warm_up()
            assert children() == before


@pytest.mark.usefixtures("quick")
async def test_after_too_many_kills_workers_that_are_left_go_on() -> None:
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(2, max_kills_per_minute=1) as pool:
            assert await pool.warm_up()
            assert await pool.key("hang", 0.2) is NoKey.EXCEEDED
            assert await pool.key("x", PATIENT_S) == "x"


async def test_after_too_many_kills_a_worker_is_started_now_and_then() -> None:
    pool = WorkerPool(2, max_kills_per_minute=20)

    def starts_within(seconds: int) -> int:
        """Workers that may be started, each of which is lost at once."""
        started = 0
        for now in range(seconds):
            clock[0] = float(now)
            while pool._may_start():
                started += 1
                pool._lost_at.append(clock[0])
        return started

    clock = [0.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pools.anyio, "current_time", lambda: clock[0])
        assert starts_within(60) == 20 + 19
        assert starts_within(600) <= 20 + 600 // 3


@pytest.mark.usefixtures("quick")
async def test_closing_ends_the_formulas_under_way_and_waiting() -> None:
    before = children()
    verdicts: list[str | NoKey] = []
    with anyio.fail_after(HANG_GUARD_S):
        pool = WorkerPool(1)
        await pool.warm_up()

        async def ask() -> None:
            verdicts.append(await pool.key("hang", PATIENT_S))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(pool.aclose)
            await pool.aclose()
            assert children() == before
    assert sorted(verdict is NoKey.EXCEEDED for verdict in verdicts) == [False, False, True]
    assert NoKey.NO_WORKER in verdicts


@pytest.mark.usefixtures("quick")
async def test_closing_in_a_cancelled_scope_leaves_nothing() -> None:
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        with anyio.CancelScope() as scope:
            async with WorkerPool(2) as pool:
                await pool.key("x", PATIENT_S, 0.05)
                scope.cancel()
                await anyio.sleep(PATIENT_S)
        assert children() == before


@pytest.mark.usefixtures("quick")
async def test_many_formulas_share_the_workers() -> None:
    keys: dict[int, str | NoKey] = {}
    before = children()
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(2) as pool:

            async def ask(number: int) -> None:
                keys[number] = await pool.key(str(number), PATIENT_S, PATIENT_S)

            async with anyio.create_task_group() as tasks:
                for number in range(50):
                    tasks.start_soon(ask, number)
            assert len(children() - before) == 2
    assert keys == {number: str(number) for number in range(50)}


@pytest.mark.usefixtures("quick")
async def test_who_waited_too_long_for_a_worker_does_not_make_it_be_killed(tmp_path: Path) -> None:
    before = children()
    verdicts: list[str | NoKey] = []
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            await pool.warm_up()
            worker = children() - before

            async def ask(formula: str, patience_s: float) -> None:
                verdicts.append(await pool.key(formula, PATIENT_S, patience_s))
                tmp_path.joinpath("go on").touch()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask, "slow", PATIENT_S)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(ask, "hang", 0.05)
            assert verdicts == [NoKey.NO_WORKER, "slow"]
            assert children() - before == worker


async def test_what_a_hostile_formula_costs_its_own_race_costs_no_other() -> None:
    with anyio.fail_after(HANG_GUARD_S):
        async with WorkerPool(1) as pool:
            assert await pool.warm_up()
            one = AnswerClusters(Equivalence(pool, timeout_s=1.0))
            other = AnswerClusters(Equivalence(pool, timeout_s=PATIENT_S))
            classes: list[str] = []

            async def vote(answer: str) -> None:
                classes.append(await other.assign(answer))

            async with anyio.create_task_group() as tasks:
                # It holds the only worker until that is killed, and another must get ready.
                tasks.start_soon(one.assign, ENDLESS)
                await anyio.wait_all_tasks_blocked()
                for answer in (r"\sqrt{8}", r"2\sqrt{2}", r"\frac{4}{\sqrt{2}}"):
                    tasks.start_soon(vote, answer)
            assert len(set(classes)) == 1


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
            assert await pool.key("x", PATIENT_S) is NoKey.NO_WORKER
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


async def test_a_process_is_sent_one_signal_however_often_it_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second one would take its status from asyncio, which says so in the log."""
    worker = await process.WorkerProcess.start()
    sent: list[int] = []
    kill, kind = worker.process.kill, type(worker.process)
    monkeypatch.setattr(kind, "kill", lambda self: (sent.append(self.pid), kill()))
    worker.kill()
    worker.kill()
    await worker.aclose()
    assert sent == [worker.process.pid]
    assert worker.has_died
