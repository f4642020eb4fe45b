"""A pool of scripted replicas in virtual time: where requests go, and what a lost replica costs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import anyio
import pytest

from frontrunner.runtime.engines.pool.engine import PoolEngine
from frontrunner.runtime.engines.pool.fed import feed
from frontrunner.runtime.engines.pool.member import Member, PooledRequest
from frontrunner.runtime.engines.pool.members import MemberReport
from frontrunner.runtime.engines.protocol import FinishReason, Generation, Sampling, TokenSink
from frontrunner.runtime.engines.scripted import BranchScript, Script, ScriptedEngine
from frontrunner.runtime.errors import BadRequest, EngineClosed, EngineError, EngineStartError

from .replicas import PROMPT, Reading, Replica, Said, ask, homes, pool_of, read


@pytest.fixture(params=[False, True], ids=["read", "fed"], autouse=True)
def _by_calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reading, "by_calls", request.param)


def two(**settings: float) -> dict[str, Replica]:
    return {name: Replica(**settings) for name in ("a", "b")}  # type: ignore[arg-type]


def report(pool: PoolEngine, name: str) -> MemberReport:
    return next(member for member in pool.members() if member.name == name)


async def race(pool: PoolEngine, name: str, branches: Sequence[int]) -> list[Said]:
    """Run branches at once, to their ends."""
    said = [Said() for _ in branches]
    async with anyio.create_task_group() as tasks:
        for branch, of in zip(branches, said, strict=True):
            tasks.start_soon(read, pool, ask(name, branch), of)
    return said


async def test_a_race_stays_together_and_races_are_spread() -> None:
    engines = {name: Replica() for name in "abc"}
    async with pool_of(engines) as pool, anyio.create_task_group() as tasks:
        for name in ("r1", "r2", "r3"):
            for branch in range(4):
                tasks.start_soon(read, pool, ask(name, branch), Said())
    found = [homes(engines, name) for name in ("r1", "r2", "r3")]
    assert all(len(of) == 1 for of in found)
    assert sorted(of[0] for of in found) == ["a", "b", "c"]


async def test_only_a_full_home_sends_a_branch_elsewhere_and_what_continues_it_follows() -> None:
    engines = two(slots=3)
    async with pool_of(engines) as pool:
        await race(pool, "r", range(5))
        at = {r.branch: n for n, e in engines.items() for r in e.requests}
        assert sorted(at.values()) in (["a"] * 3 + ["b"] * 2, ["a"] * 2 + ["b"] * 3)
        for branch in range(5):  # forced answers, beside a full house
            forced = replace(ask("r", branch), request_id=f"f{branch}", forced=True)
            await read(pool, forced, Said())
            assert forced in engines[at[branch]].requests
        fork = replace(ask("r", 5), parent=4)
        await read(pool, fork, Said())
        assert fork in engines[at[4]].requests


async def test_a_race_goes_where_a_token_takes_least_whatever_the_number_of_requests() -> None:
    engines = {"slow": Replica(delay=0.05), "quick": Replica(delay=0.01)}
    async with pool_of(engines) as pool:
        await race(pool, "r1", range(1))
        await race(pool, "r2", range(1))  # both are measured now
        async with anyio.create_task_group() as tasks:
            for branch in range(4):
                tasks.start_soon(read, pool, ask("r3", branch), Said())
            await anyio.sleep(0.001)
            tasks.start_soon(read, pool, ask("r4", 0), Said())
        assert homes(engines, "r3") == homes(engines, "r4") == ["quick"]


async def test_a_replica_that_was_slow_once_is_not_avoided_for_ever() -> None:
    engines = {"a": Replica(), "b": Replica()}
    engines["a"].slowness = 10.0
    async with pool_of(engines) as pool:
        await race(pool, "r1", range(1))
        await race(pool, "r2", range(1))
        engines["a"].slowness = 1.0
        assert [homes(engines, r) for r in ("r1", "r2")] == [["a"], ["b"]]
        await anyio.sleep(60)
        async with anyio.create_task_group() as tasks:
            for name in ("r3", "r4"):
                tasks.start_soon(read, pool, ask(name, 0), Said())
        assert {*homes(engines, "r3"), *homes(engines, "r4")} == {"a", "b"}


@pytest.mark.parametrize("tokens", [0, 7])
async def test_what_runs_on_a_replica_that_dies_goes_on_elsewhere(tokens: int) -> None:
    engines = two(length=30)
    home = ""
    async with pool_of(engines) as pool:
        said = [Said() for _ in range(4)]
        async with anyio.create_task_group() as tasks:
            for branch, of in enumerate(said):
                tasks.start_soon(read, pool, ask("r", branch), of)
            await anyio.sleep(0.01 * tokens + 0.005)
            (home,) = homes(engines, "r")
            engines[home].kill()
        assert all(of.finish is FinishReason.STOP and of.without_gap for of in said)
        assert all(of.tokens == 30 for of in said)
        (other,) = set(engines) - {home}
        moved = engines[other].requests
        assert all(len(r.prompt) == len(PROMPT) + tokens for r in moved)
        assert all(r.max_tokens == 100 - tokens for r in moved)
        assert report(pool, home).moved_away == 4
        assert not report(pool, home).serves
        assert pool.failure is None
        assert pool.slots == 8 < pool.info.max_branches == 16


async def test_what_runs_on_a_replica_that_stalls_goes_on_elsewhere_and_it_proves_itself() -> None:
    engines = two(length=30)
    home = ""
    async with pool_of(engines) as pool:
        await race(pool, "before", range(2))
        said = [Said() for _ in range(4)]
        began = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for branch, of in enumerate(said):
                tasks.start_soon(read, pool, ask("r", branch), of)
            await anyio.sleep(0.105)
            (home,) = homes(engines, "r")
            engines[home].stop()
        took = anyio.current_time() - began
        assert all(of.finish is FinishReason.STOP and of.without_gap for of in said)
        # The 0.3 s of an undisturbed race, and a stall that was noticed by the replica's own pace.
        assert took < 0.3 + 0.7
        assert "no token" in (report(pool, home).trouble or "")
        await race(pool, "meanwhile", range(2))
        assert homes(engines, "meanwhile") != [home]
        engines[home].go_on()
        await anyio.sleep(10)
        assert report(pool, home).serves
        assert engines[home].live == 0  # what had left it was ended there


async def test_a_lone_replica_that_stalls_keeps_its_branches() -> None:
    engines = {"a": Replica(length=30)}
    async with pool_of(engines) as pool, anyio.create_task_group() as tasks:
        said = Said()
        tasks.start_soon(read, pool, ask("r", 0), said)
        await anyio.sleep(0.105)
        engines["a"].stop()
        await anyio.sleep(5)
        assert pool.failure is not None
        engines["a"].go_on()
        await anyio.sleep(1)
        assert said.finish is FinishReason.STOP
        assert said.without_gap
        assert pool.failure is None


async def test_one_branch_that_is_lost_moves_and_its_replica_goes_on() -> None:
    engines = two()
    lost = [True]

    def write(request: object) -> BranchScript | None:
        return BranchScript(error="out of luck") if lost and lost.pop() else None

    for engine in engines.values():
        usual = engine.script.chooser
        assert usual is not None
        engine.script.chooser = lambda request, usual=usual: write(request) or usual(request)
    async with pool_of(engines) as pool:
        said = await race(pool, "r", range(3))
        assert all(of.finish is FinishReason.STOP and of.without_gap for of in said)
        assert all(member.serves for member in pool.members())


async def test_a_request_that_no_replica_would_take_is_not_sent_on() -> None:
    engines = two()

    class OwnFaultError(EngineError):
        at_fault = False

    async def refuse(request: object) -> object:
        raise OwnFaultError("too hot")
        yield

    for engine in engines.values():
        engine.generate = refuse  # type: ignore[method-assign,assignment]
    async with pool_of(engines) as pool:
        for branch in range(5):
            said = Said()
            await read(pool, ask("r", branch), said)
            assert "too hot" in (said.error or "")
        assert all(m.serves and m.moved_away == 0 for m in pool.members())


async def test_nothing_is_begun_elsewhere_once_the_race_is_over() -> None:
    engines = two()
    async with pool_of(engines) as pool, anyio.create_task_group() as tasks:
        said = Said()
        tasks.start_soon(read, pool, ask("r", 0, deadline=0.1), said)
        await anyio.sleep(0.15)
        (home,) = homes(engines, "r")
        engines[home].kill()
        await anyio.sleep(1)
        assert "died" in (said.error or "")
        assert homes(engines, "r") == [home]


async def test_aborts_reach_the_owner_alone() -> None:
    engines = two()
    async with pool_of(engines) as pool:
        said = {name: [Said(), Said()] for name in ("r1", "r2")}
        async with anyio.create_task_group() as tasks:
            for name, both in said.items():
                for branch, of in enumerate(both):
                    tasks.start_soon(read, pool, ask(name, branch), of)
            await anyio.sleep(0.05)
            await pool.abort(["r1-b0", "r1-b1", "unknown"])
        assert [of.finish for of in said["r1"]] == [FinishReason.ABORT] * 2
        assert [of.finish for of in said["r2"]] == [FinishReason.STOP] * 2
        (home,), (other,) = homes(engines, "r1"), homes(engines, "r2")
        assert engines[home].aborts == [("r1-b0", "r1-b1")]
        assert engines[other].aborts == []


async def test_an_abort_finds_a_branch_that_has_moved() -> None:
    engines = two()
    async with pool_of(engines) as pool:
        said = Said()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, pool, ask("r", 0), said)
            await anyio.sleep(0.05)
            (home,) = homes(engines, "r")
            engines[home].kill()
            await anyio.sleep(0.05)
            await pool.abort(["r-b0"])
        assert said.finish is FinishReason.ABORT
        assert all(engine.live == 0 for engine in engines.values())


async def test_members_join_drain_and_leave_while_races_run() -> None:
    engines = two(length=100)
    async with pool_of(engines) as pool:
        said = [Said(), Said()]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, pool, ask("r1", 0), said[0])
            tasks.start_soon(read, pool, ask("r2", 0), said[1])
            await anyio.sleep(0.1)
            engines["c"] = Replica(length=100)
            await pool.join("c", engines["c"])
            assert pool.slots == pool.info.max_branches == 24
            assert not await pool.drain("a", 0.1)  # its race runs on
            await race(pool, "r3", range(4))
            assert "a" not in homes(engines, "r3")
            await pool.leave("b")
            assert [m.name for m in pool.members()] == ["a", "c"]
        assert all(of.finish is FinishReason.STOP and of.without_gap for of in said)
        assert await pool.drain("a")
        pool.resume("a")
        with pytest.raises(BadRequest, match="no member 'b'"):
            await pool.leave("b")
        await pool.leave("a")
        with pytest.raises(BadRequest, match="only member"):
            await pool.leave("c")
        with pytest.raises(BadRequest, match="already"):
            await pool.join("c", Replica())
        assert (await race(pool, "r4", range(2)))[0].finish is FinishReason.STOP


async def test_a_member_that_serves_something_else_is_refused() -> None:
    longer = Replica()
    longer._info = replace(longer.info, max_context_tokens=7)
    other = Replica()
    other._info = replace(other.info, model="another")
    foreign = Replica()
    foreign.encode = lambda text: (7,)  # type: ignore[method-assign]
    cases: Mapping[str, Replica] = {
        "max_context_tokens = 7": longer,
        "different models": other,
        "different tokens": foreign,
    }
    for said, engine in cases.items():
        with pytest.raises(EngineStartError, match=said):
            await PoolEngine({"a": Replica(), "b": engine}).start()
        async with pool_of({"a": Replica()}) as pool:
            with pytest.raises(EngineStartError, match=said):
                await pool.join("b", engine)
            assert [member.name for member in pool.members()] == ["a"]
            assert isinstance(engine.failure, EngineClosed)  # it was closed


async def test_a_pool_starts_with_what_there_is_and_takes_the_others_in_later() -> None:
    class Late(Replica):
        tries = 0

        async def start(self) -> None:
            self.tries += 1
            if self.tries < 3:
                raise EngineStartError("still loading")
            await super().start()

    with pytest.raises(EngineStartError, match="still loading"):
        await PoolEngine({"a": Late()}).start()
    engines = {"a": Replica(), "late": Late()}
    async with pool_of(engines) as pool:
        assert pool.info.max_branches == 8
        assert "still loading" in (report(pool, "late").trouble or "")
        await anyio.sleep(30)
        assert pool.info.max_branches == 16
        assert report(pool, "late").serves


@pytest.mark.parametrize("recovers", [False, True])
async def test_the_first_branch_is_hedged(recovers: bool) -> None:
    engines = two(length=30)
    async with pool_of(engines, stall_after=100, hedge_after=0.2) as pool:
        (slow,) = [n for n in engines if n == "a"]
        engines[slow].slowness = 25.0 if recovers else 1000.0
        engines["b"].slowness = 10.0 if recovers else 1.0
        said = [Said() for _ in range(2)]
        async with anyio.create_task_group() as tasks:
            for branch, of in enumerate(said):
                tasks.start_soon(read, pool, ask("r", branch), of)
            await anyio.sleep(0.5)
            engines[slow].slowness = 1.0
            await anyio.sleep(30)
            await pool.abort(["r-b1"])
        assert said[0].finish is FinishReason.STOP
        assert said[0].without_gap
        first = [r.request_id for r in engines["b"].requests]
        assert first == ["r-b0-hedge"]
        # One of the two was ended; nothing is left of it.
        assert all(engine.live == 0 for engine in engines.values())
        assert all(member.running == 0 for member in pool.members())


async def test_a_pool_that_is_closed_ends_its_requests() -> None:
    said, pool = Said(), PoolEngine(two())
    await pool.start()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read, pool, ask("r", 0), said)
        await anyio.sleep(0.05)
        await pool.aclose()
        await pool.aclose()
    assert said.finish is FinishReason.ABORT or said.error is not None
    assert isinstance(pool.failure, EngineClosed)
    with pytest.raises(EngineClosed):
        pool.encode("x")


async def test_what_comes_as_it_leaves_a_replica_is_written_anew() -> None:
    """Its last tokens are there in the moment in which it is told to go on elsewhere: it has not
    ended here, since they were not taken in."""
    request = Generation("r", (1,), 10, Sampling())
    live, said = PooledRequest(request), Said()

    class Ending(ScriptedEngine):
        async def feed(self, request: Generation, sink: TokenSink) -> FinishReason:
            sink.put("the answer is ", (1, 2, 3))
            live.leave = EngineError("it stalls")
            sink.put_all(["42"], [(4,)])
            return FinishReason.STOP

    engine = Ending(Script([BranchScript.answering("42", seconds=0.1)]))
    assert await feed(live, Member("a", engine), engine, said) is None
    assert said.words == ["the", "answer", "is"]
    assert live.generated == [1, 2, 3]
