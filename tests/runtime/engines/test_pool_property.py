"""Any replicas, any load, any faults, as long as one replica stays whole: no request is lost, each
ends or is aborted where it runs, and a race keeps together."""

from dataclasses import dataclass

import anyio
from hypothesis import event, given, settings
from hypothesis import strategies as st

from frontrunner.runtime.engines.pool.engine import PoolEngine
from frontrunner.runtime.engines.protocol import FinishReason

from ...backends import run_virtual
from ...profiles import examples
from .replicas import Replica, Said, ask, pool_of, read

LENGTH = 40  # tokens of an answer
SETTLED = 10.0  # seconds after which everything must have come to an end


@dataclass(frozen=True)
class Fault:
    """Something that befalls a replica other than the last."""

    replica: int
    at: float
    kind: str  # kill, stop, slow, leave
    seconds: float


@dataclass(frozen=True)
class OneRace:
    at: float
    branches: int
    lasts: float  # seconds until what still runs of it is aborted


#: In odd fractions, so that nothing happens in the same moment as something else.
moments = st.sampled_from([0.0497, 0.1013, 0.1979, 0.0, 0.3041, 0.4023])
replicas = st.lists(
    st.builds(
        Replica,
        delay=st.sampled_from([0.005, 0.01, 0.03]),
        length=st.just(LENGTH),
        slots=st.integers(1, 8),
    ),
    min_size=2,
    max_size=4,
)
faults = st.lists(
    st.builds(
        Fault,
        replica=st.integers(0, 2),
        at=moments,
        kind=st.sampled_from(["stop", "kill", "slow", "leave"]),
        seconds=st.sampled_from([2.0, 5.0, 0.1]),
    ),
    min_size=2,
    max_size=5,
)
races = st.lists(
    st.builds(
        OneRace, at=moments, branches=st.integers(1, 6), lasts=st.sampled_from([8.0, 0.3, 0.03])
    ),
    min_size=3,
    max_size=6,
)


async def befall(pool: PoolEngine, engines: dict[str, Replica], fault: Fault) -> None:
    name = f"m{fault.replica % (len(engines) - 1)}"  # the last one stays whole
    await anyio.sleep(fault.at)
    if name not in {member.name for member in pool.members()}:
        return
    engine = engines[name]
    match fault.kind:
        case "kill":
            engine.kill()
            engine.go_on()
        case "stop":
            engine.stop()
            await anyio.sleep(fault.seconds)
            engine.go_on()
        case "slow":
            engine.slowness = 20.0
            await anyio.sleep(fault.seconds)
            engine.slowness = 1.0
        case _:
            await pool.leave(name, fault.seconds)


async def run_race(pool: PoolEngine, name: str, race: OneRace, said: list[Said]) -> None:
    await anyio.sleep(race.at)
    async with anyio.create_task_group() as tasks:
        for branch, of in enumerate(said):
            tasks.start_soon(read, pool, ask(name, branch), of)
        await anyio.sleep(race.lasts)
        await pool.abort([f"{name}-b{branch}" for branch in range(race.branches)])


def check(said: list[Said], engines: dict[str, Replica]) -> None:
    for of in said:
        assert of.error is None
        assert of.finish in (FinishReason.STOP, FinishReason.ABORT)
        assert of.without_gap
        assert of.tokens == len(of.words)
        assert of.finish is FinishReason.ABORT or of.tokens == LENGTH
    assert all(engine.live == 0 for engine in engines.values())


@settings(max_examples=examples(400))
@given(replicas, races, faults, st.sampled_from([None, 0.02, 0.2]))
def test_no_request_is_lost_and_nothing_is_left(
    members: list[Replica], asked: list[OneRace], befallen: list[Fault], hedge: float | None
) -> None:
    engines = {f"m{place}": engine for place, engine in enumerate(members)}
    said = [[Said() for _ in range(race.branches)] for race in asked]

    async def main() -> None:
        async with pool_of(engines, stall_after=0.5, hedge_after=hedge) as pool:
            with anyio.fail_after(SETTLED):
                async with anyio.create_task_group() as tasks:
                    for fault in befallen:
                        tasks.start_soon(befall, pool, engines, fault)
                    for place, race in enumerate(asked):
                        tasks.start_soon(run_race, pool, f"r{place}", race, said[place])
            await anyio.sleep(SETTLED)  # trials that were under way
            assert all(member.running == 0 for member in pool.members())
            asked_for = [r.request_id for e in engines.values() for r in e.requests]
            event(f"moved: {any('-moved' in name for name in asked_for)}")

    run_virtual(main)
    check([of for race in said for of in race], engines)


@settings(max_examples=examples(200))
@given(replicas, races)
def test_a_race_keeps_together_while_nothing_fails_and_there_is_room(
    members: list[Replica], asked: list[OneRace]
) -> None:
    engines = {f"m{place}": engine for place, engine in enumerate(members)}
    said = [[Said() for _ in range(race.branches)] for race in asked]
    room = all(
        sum(race.branches for race in asked) <= engine.info.max_branches for engine in members
    )

    async def main() -> None:
        async with pool_of(engines) as pool, anyio.create_task_group() as tasks:
            for place, race in enumerate(asked):
                tasks.start_soon(run_race, pool, f"r{place}", race, said[place])

    run_virtual(main)
    check([of for race in said for of in race], engines)
    for place, race in enumerate(asked):
        at = [n for n, e in engines.items() for r in e.requests if r.race == f"r{place}"]
        assert len(at) == race.branches  # none was asked twice
        assert not room or len(set(at)) == 1
