from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import pytest

from frontrunner.runtime.answers import AnswerClusters, Equivalence

FACTORED, EXPANDED, OTHER = "(x+1)^2", "x^2+2x+1", "x^2+2x+2"


@dataclass
class FakePool:
    """Knows which forms are equal, counts what it is asked, and may be made to wait."""

    equal: list[set[str]] = field(default_factory=lambda: [{FACTORED, EXPANDED}])
    undecided: set[str] = field(default_factory=set)
    gate: anyio.Event | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def verify(self, a: str, b: str, timeout_s: float) -> bool | None:
        self.asked.append((a, b))
        if self.gate is not None:
            await self.gate.wait()
        await anyio.lowlevel.checkpoint()
        if {a, b} & self.undecided:
            return None
        return any({a, b} <= same for same in self.equal)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("1/2", r"$\frac{2}{4}$", True),
        ("0.5", "1/3", False),
        ("0.333333", "1/3", False),
        ("Yes", r"\text{yes}.", True),
        ("listen", "silent", False),
        ("4", "four", False),
        ("(" * 100, "(" * 101, False),
        ("(" * 1_000_000, "(" * 1_000_001, False),
        ("(" * 1_000_000, "(" * 1_000_000, True),
        ("9^9^9^9^9^9", "1", False),
        ("", "1", False),
    ],
)
async def test_most_pairs_need_no_worker(a: str, b: str, same: bool) -> None:
    pool = FakePool()
    assert await Equivalence(pool).same(a, b) is same
    assert pool.asked == []


async def test_a_pair_is_asked_once_in_whatever_order_and_spelling() -> None:
    pool = FakePool()
    equivalence = Equivalence(pool)
    assert await equivalence.same(FACTORED, EXPANDED)
    assert await equivalence.same(EXPANDED, "$ (x + 1)^{2} $")
    assert not await equivalence.same(FACTORED, OTHER)
    assert not await equivalence.same(OTHER, FACTORED)
    assert len(pool.asked) == 2


async def test_without_a_pool_only_cheap_comparisons_are_made() -> None:
    equivalence = Equivalence(None)
    assert not await equivalence.same(FACTORED, EXPANDED)
    assert await equivalence.same(FACTORED, FACTORED)


async def test_only_the_last_used_pairs_are_remembered() -> None:
    pool = FakePool()
    equivalence = Equivalence(pool, max_pairs=2)
    for other in ("a+1", "b+1", "a+1", "c+1"):
        await equivalence.same(FACTORED, other)
    assert len(pool.asked) == 3
    await equivalence.same(FACTORED, "a+1")
    assert len(pool.asked) == 3
    await equivalence.same(FACTORED, "b+1")
    assert len(pool.asked) == 4


async def test_undecided_is_different_and_remembered() -> None:
    pool = FakePool(undecided={FACTORED})
    equivalence = Equivalence(pool)
    assert not await equivalence.same(FACTORED, EXPANDED)
    assert not await equivalence.same(EXPANDED, FACTORED)
    assert len(pool.asked) == 1


async def test_an_undecided_pair_is_tried_again_later() -> None:
    pool = FakePool(undecided={FACTORED})
    equivalence = Equivalence(pool, undecided_for_s=0)
    assert not await equivalence.same(FACTORED, EXPANDED)
    pool.undecided.clear()
    assert await equivalence.same(FACTORED, EXPANDED)


async def test_a_form_that_hangs_twice_is_not_given_to_a_parser_again() -> None:
    pool = FakePool(undecided={"10^{10^10}"})
    equivalence = Equivalence(pool)
    for number in range(20):
        assert not await equivalence.same("10^{10^{10}}", f"x+{number}")
    assert len(pool.asked) == 2
    # The others in those comparisons are not blamed for it.
    assert not await equivalence.same("x+0", "x+1")
    assert len(pool.asked) == 3


async def test_a_form_once_decided_is_not_blamed_for_its_partners() -> None:
    hostile = {f"10^(10^{number})" for number in range(5)}
    pool = FakePool(undecided=hostile)
    equivalence = Equivalence(pool)
    assert not await equivalence.same(FACTORED, OTHER)
    for form in hostile:
        assert not await equivalence.same(FACTORED, form)
    assert await equivalence.same(FACTORED, EXPANDED)


async def test_concurrent_comparisons_of_a_pair_ask_once() -> None:
    pool = FakePool(gate=anyio.Event())
    equivalence = Equivalence(pool)
    verdicts: list[bool] = []

    async def compare(a: str, b: str) -> None:
        verdicts.append(await equivalence.same(a, b))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(compare, FACTORED, EXPANDED)
                tasks.start_soon(compare, EXPANDED, FACTORED)
            await anyio.wait_all_tasks_blocked()
            assert len(pool.asked) == 1
            assert pool.gate is not None
            pool.gate.set()
    assert verdicts == [True] * 10
    assert len(pool.asked) == 1


async def test_when_the_asking_task_is_cancelled_a_waiting_one_asks_again() -> None:
    pool = FakePool(gate=anyio.Event())
    equivalence = Equivalence(pool)
    verdicts: list[bool] = []
    first = anyio.CancelScope()

    async def compare(scope: anyio.CancelScope) -> None:
        with scope:
            verdicts.append(await equivalence.same(FACTORED, EXPANDED))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(compare, first)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(compare, anyio.CancelScope())
            await anyio.wait_all_tasks_blocked()
            first.cancel()
            await anyio.wait_all_tasks_blocked()
            assert len(pool.asked) == 2
            assert pool.gate is not None
            pool.gate.set()
    assert verdicts == [True]


async def test_an_answer_is_represented_by_the_first_of_its_class() -> None:
    pool = FakePool()
    clusters = AnswerClusters(Equivalence(pool))
    answers = ["$(x+1)^2$", OTHER, EXPANDED, "x^{2} + 2x + 1", "1/2", "0.50", FACTORED]
    assert [await clusters.assign(answer) for answer in answers] == [
        *["$(x+1)^2$", OTHER, "$(x+1)^2$", "$(x+1)^2$"],
        *["1/2", "1/2", "$(x+1)^2$"],
    ]


async def test_an_answer_is_compared_with_representatives_only() -> None:
    pool = FakePool()
    clusters = AnswerClusters(Equivalence(pool))
    for answer in (FACTORED, EXPANDED, OTHER):
        await clusters.assign(answer)
    assert [set(pair) for pair in pool.asked] == [{FACTORED, EXPANDED}, {FACTORED, OTHER}]


async def test_numbers_never_need_a_worker() -> None:
    pool = FakePool()
    clusters = AnswerClusters(Equivalence(pool))
    answers = ["1", "2", "1.0", r"\frac{4}{2}", "$1$"]
    assert [await clusters.assign(answer) for answer in answers] == ["1", "2", "1", "2", "1"]
    assert pool.asked == []


async def test_when_time_is_up_only_spelling_and_numbers_count() -> None:
    pool = FakePool()
    clusters = AnswerClusters(Equivalence(pool))
    assert clusters.assign_now(FACTORED) == FACTORED
    assert clusters.assign_now("$(x+1)^{2}$") == FACTORED
    assert clusters.assign_now("0.5") == "0.5"
    assert clusters.assign_now("1/2") == "0.5"
    assert clusters.assign_now(EXPANDED) == EXPANDED
    assert await clusters.assign(EXPANDED) == EXPANDED  # an answer stays where it was put
    assert pool.asked == []


async def test_what_was_learned_before_counts_when_time_is_up() -> None:
    clusters = AnswerClusters(Equivalence(FakePool()))
    await clusters.assign(FACTORED)
    await clusters.assign(EXPANDED)
    assert clusters.assign_now(EXPANDED) == FACTORED


async def test_concurrent_equal_answers_make_one_class_and_one_question() -> None:
    pool = FakePool(gate=anyio.Event())
    clusters = AnswerClusters(Equivalence(pool))
    await clusters.assign(OTHER)
    representatives: list[str] = []

    async def assign(answer: str) -> None:
        representatives.append(await clusters.assign(answer))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for answer in (FACTORED, f"${FACTORED}$", "( x + 1 )^2", EXPANDED, "1+2x+x^2"):
                tasks.start_soon(assign, answer)
            await anyio.wait_all_tasks_blocked()
            assert pool.gate is not None
            pool.gate.set()
    assert len(pool.asked) == len({frozenset(pair) for pair in pool.asked})
    # One class for the four, and one for what the fake does not know to be equal.
    assert len(set(representatives)) == 2
    assert await clusters.assign(FACTORED) == await clusters.assign(EXPANDED)


async def test_an_answer_placed_while_it_is_compared_stays_there() -> None:
    pool = FakePool(gate=anyio.Event())
    clusters = AnswerClusters(Equivalence(pool))
    await clusters.assign(FACTORED)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clusters.assign, EXPANDED)
        await anyio.wait_all_tasks_blocked()
        assert clusters.assign_now(EXPANDED) == EXPANDED
        assert pool.gate is not None
        pool.gate.set()
    assert await clusters.assign(EXPANDED) == EXPANDED


async def test_a_cancelled_answer_is_not_assigned() -> None:
    pool = FakePool(gate=anyio.Event())
    clusters = AnswerClusters(Equivalence(pool))
    await clusters.assign(FACTORED)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clusters.assign, EXPANDED)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    pool.gate = None
    assert await clusters.assign(EXPANDED) == FACTORED
