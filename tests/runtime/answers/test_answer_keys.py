import random
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import pytest

from frontrunner.runtime.answers import AnswerClusters, ComparisonRules, Equivalence, NoKey
from frontrunner.runtime.answers.equivalence.answer_keys import MAX_EXCEEDED

FACTORED, EXPANDED, OTHER = "(x+1)^2", "x^2+2x+1", "x^2+2x+2"


@dataclass
class FakePool:
    """Knows the keys of some formulas, counts what it is asked, and may be made to wait."""

    keys: dict[str, str] = field(default_factory=lambda: {FACTORED: "square", EXPANDED: "square"})
    exceeding: set[str] = field(default_factory=set[str])
    busy: bool = False
    gate: anyio.Event | None = None
    asked: list[str] = field(default_factory=list[str])

    async def key(self, formula: str, timeout_s: float) -> str | NoKey:
        self.asked.append(formula)
        if self.gate is not None:
            await self.gate.wait()
        await anyio.lowlevel.checkpoint()
        if self.busy:
            return NoKey.NO_WORKER
        if formula in self.exceeding:
            return NoKey.EXCEEDED
        return self.keys.get(formula, NoKey.UNREADABLE)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("1/2", r"$\frac{2}{4}$", True),
        ("0.5", "1/3", False),
        ("0.333333", "1/3", False),
        ("Yes", r"\text{yes}.", True),
        ("listen", "silent", False),
        ("4", "four", True),
        ("5", "four", False),
        ("(1, 2)", r"\left(1,2\right)", True),
        ("1, 2", "2, 1", True),
        ("(" * 100, "(" * 101, False),
        ("(" * 1_000_000, "(" * 1_000_001, False),
        ("(" * 1_000_000, "(" * 1_000_000, True),
        ("9^9^9^9^9^9", "1", False),
        ("", "1", False),
    ],
)
async def test_most_answers_need_no_worker(a: str, b: str, same: bool) -> None:
    pool = FakePool()
    assert await Equivalence(pool).same(a, b) is same
    assert pool.asked == []


async def test_a_formula_is_asked_once_in_whatever_company_and_spelling() -> None:
    pool = FakePool()
    equivalence = Equivalence(pool)
    assert await equivalence.same(FACTORED, EXPANDED)
    assert await equivalence.same(EXPANDED, "$ (x + 1)^{2} $")
    assert not await equivalence.same(FACTORED, OTHER)
    assert not await equivalence.same(OTHER, FACTORED)
    assert await equivalence.same(f"{FACTORED}, 1", f"1, {EXPANDED}")
    assert pool.asked == [FACTORED, EXPANDED, OTHER]


async def test_without_a_pool_only_cheap_comparisons_are_made() -> None:
    equivalence = Equivalence(None)
    assert not await equivalence.same(FACTORED, EXPANDED)
    assert await equivalence.same(FACTORED, FACTORED)


async def test_only_the_last_used_keys_are_remembered() -> None:
    pool = FakePool()
    equivalence = Equivalence(pool, max_keys=2)
    for formula in ("a+1", "b+1", "a+1", "c+1", "a+1"):
        await equivalence.key(formula)
    assert pool.asked == ["a+1", "b+1", "c+1"]
    await equivalence.key("b+1")
    assert pool.asked[3:] == ["b+1"]


async def test_what_is_no_formula_is_known_by_its_spelling_from_then_on() -> None:
    pool = FakePool(keys={})
    equivalence = Equivalence(pool)
    assert await equivalence.same(r"\foo x", r"\foo x")
    assert not await equivalence.same(r"\foo x", r"\foo y")
    assert len(pool.asked) == 2


async def test_a_formula_that_exceeds_its_time_twice_is_left_alone_for_a_while() -> None:
    pool = FakePool(exceeding={FACTORED})
    equivalence = Equivalence(pool)
    for _ in range(5):
        assert not await equivalence.same(FACTORED, EXPANDED)
    assert pool.asked.count(FACTORED) == 2
    assert pool.asked.count(EXPANDED) == 1


async def test_a_formula_that_exceeded_its_time_is_tried_again_later() -> None:
    pool = FakePool(exceeding={FACTORED})
    equivalence = Equivalence(pool, undecided_for_s=0)
    for _ in range(3):
        assert not await equivalence.same(FACTORED, EXPANDED)
    pool.exceeding.clear()
    assert await equivalence.same(FACTORED, EXPANDED)


async def test_that_no_worker_was_free_is_held_against_no_formula() -> None:
    pool = FakePool(busy=True)
    equivalence = Equivalence(pool)
    for _ in range(3):
        assert not await equivalence.same(FACTORED, EXPANDED)
    pool.busy = False
    assert await equivalence.same(FACTORED, EXPANDED)


async def test_concurrent_questions_for_a_formula_ask_once() -> None:
    pool = FakePool(gate=anyio.Event())
    equivalence = Equivalence(pool)
    keys: list[str] = []

    async def ask(answer: str) -> None:
        keys.append(await equivalence.key(answer))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask, FACTORED)
                tasks.start_soon(ask, f"${FACTORED}$")
            await anyio.wait_all_tasks_blocked()
            assert pool.asked == [FACTORED]
            assert pool.gate is not None
            pool.gate.set()
    assert len(keys) == 10
    assert len(set(keys)) == 1
    assert pool.asked == [FACTORED]


async def test_when_the_asking_task_is_cancelled_a_waiting_one_asks_again() -> None:
    pool = FakePool(gate=anyio.Event())
    equivalence = Equivalence(pool)
    keys: list[str] = []
    first = anyio.CancelScope()

    async def ask(scope: anyio.CancelScope) -> None:
        with scope:
            keys.append(await equivalence.key(FACTORED))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, first)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(ask, anyio.CancelScope())
            await anyio.wait_all_tasks_blocked()
            first.cancel()
            await anyio.wait_all_tasks_blocked()
            assert len(pool.asked) == 2
            assert pool.gate is not None
            pool.gate.set()
    assert keys == ["square"]


# ── the classes of a race ─────────────────────────────────────────────────────────────────────


async def test_an_answer_is_represented_by_the_first_of_its_class() -> None:
    clusters = AnswerClusters(Equivalence(FakePool()))
    answers = ["$(x+1)^2$", OTHER, EXPANDED, "x^{2} + 2x + 1", "1/2", "0.50", FACTORED]
    assert [await clusters.assign(answer) for answer in answers] == [
        *["$(x+1)^2$", OTHER, "$(x+1)^2$", "$(x+1)^2$"],
        *["1/2", "1/2", "$(x+1)^2$"],
    ]


async def test_numbers_never_need_a_worker() -> None:
    pool = FakePool()
    clusters = AnswerClusters(Equivalence(pool))
    answers = ["1", "2", "1.0", r"\frac{4}{2}", "$1$"]
    assert [await clusters.assign(answer) for answer in answers] == ["1", "2", "1", "2", "1"]
    assert pool.asked == []


async def test_when_time_is_up_only_what_is_known_counts() -> None:
    pool = FakePool()
    clusters = AnswerClusters(Equivalence(pool))
    assert clusters.assign_now(FACTORED) == FACTORED
    assert clusters.assign_now("$(x+1)^{2}$") == FACTORED
    assert clusters.assign_now("0.5") == "0.5"
    assert clusters.assign_now("1/2") == "0.5"
    assert clusters.assign_now(EXPANDED) == EXPANDED
    assert await clusters.assign(EXPANDED) == EXPANDED  # an answer stays where it was put
    assert pool.asked == []


async def test_what_another_race_learned_counts_when_time_is_up() -> None:
    equivalence = Equivalence(FakePool())
    assert await equivalence.same(FACTORED, EXPANDED)
    clusters = AnswerClusters(equivalence)
    assert clusters.assign_now(FACTORED) == clusters.assign_now(EXPANDED) == FACTORED


async def test_concurrent_equal_answers_make_one_class() -> None:
    pool = FakePool(gate=anyio.Event())
    clusters = AnswerClusters(Equivalence(pool))
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
    assert len(pool.asked) == len(set(pool.asked)) == 3
    # One class for the four, and one for what the fake does not know.
    assert len(set(representatives)) == 2
    assert await clusters.assign(FACTORED) == await clusters.assign(EXPANDED)


async def test_an_answer_placed_while_its_key_is_awaited_stays_there() -> None:
    pool = FakePool(gate=anyio.Event())
    clusters = AnswerClusters(Equivalence(pool))
    clusters.assign_now(FACTORED)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clusters.assign, EXPANDED)
        await anyio.wait_all_tasks_blocked()
        assert clusters.assign_now(EXPANDED) == EXPANDED
        assert pool.gate is not None
        pool.gate.set()
    assert await clusters.assign(EXPANDED) == EXPANDED


async def test_a_cancelled_answer_is_not_assigned() -> None:
    pool = FakePool()
    clusters = AnswerClusters(Equivalence(pool))
    await clusters.assign(FACTORED)
    pool.gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(clusters.assign, EXPANDED)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    pool.gate = None
    assert await clusters.assign(EXPANDED) == FACTORED


async def test_the_classes_do_not_depend_on_the_order_of_arrival() -> None:
    answers = ["(1,2)", "1,2", "2,1", "(2,1)", r"\{1,2\}", FACTORED, EXPANDED, OTHER, "3.141593",
               r"3.1415927", "5 cm", "5", "x=5", "2-1", "1", "1,2,2"]  # fmt: skip
    equivalence, shuffle = Equivalence(FakePool()), random.Random(0)
    seen: set[frozenset[frozenset[str]]] = set()
    for _ in range(50):
        clusters, classes = AnswerClusters(equivalence), dict[str, set[str]]()
        for answer in shuffle.sample(answers, len(answers)):
            classes.setdefault(await clusters.assign(answer), set()).add(answer)
        seen.add(frozenset(map(frozenset, classes.values())))
    assert len(seen) == 1


# ── the switches ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rules", "a", "b", "same"),
    [
        (ComparisonRules(), "5 km", "5", True),
        (ComparisonRules(units="keep"), "5 km", "5", False),
        (ComparisonRules(units="keep"), "5 km", "5 m", False),
        (ComparisonRules(units="keep"), r"5\text{ kilometres}", "5km", True),
        (ComparisonRules(units="keep"), "5.0 km", "5 km", True),
        (ComparisonRules(units="keep"), "50%", "50 percent", True),
        (ComparisonRules(units="keep"), "50%", "50", False),
        (ComparisonRules(), "3.14", "3.1416", False),
        (ComparisonRules(tolerance=0.01), "3.14", "3.1416", True),
        (ComparisonRules(tolerance=0.01), "3.14", "3.15", False),
        (ComparisonRules(tolerance=0.01), "1/3", "0.333", True),
        (ComparisonRules(tolerance=0.01), "(1/3, 2)", "(0.333, 2)", True),
        (ComparisonRules(tolerance=1e-6), "1/3", "0.333", False),
        (ComparisonRules(tolerance=0.01), "1234-1", "1233-1", False),
        (ComparisonRules(), "(1,2)", "(2,1)", False),
        (ComparisonRules(order="never"), "(1,2)", "(2,1)", True),
        (ComparisonRules(), "1,2", "2,1", True),
        (ComparisonRules(order="always"), "1,2", "2,1", False),
        (ComparisonRules(order="always"), r"\{1,2\}", r"\{2,1\}", False),
    ],
)
async def test_the_switches_say_what_is_the_same(
    rules: ComparisonRules, a: str, b: str, same: bool
) -> None:
    equivalence = Equivalence(None)
    assert await equivalence.same(a, b, rules) is same
    assert await equivalence.same(b, a, rules) is same
    clusters = AnswerClusters(equivalence, rules)
    assert (await clusters.assign(a) == await clusters.assign(b)) is same


@pytest.mark.parametrize(("tolerance", "digits"), [(0.1, 2), (0.01, 3), (0.005, 4), (1e-6, 7)])
def test_a_tolerance_is_a_number_of_digits(tolerance: float, digits: int) -> None:
    assert ComparisonRules(tolerance=tolerance).significant_digits == digits


async def test_hostile_answers_cost_their_own_race_its_comparisons_and_no_other() -> None:
    hostile = [f"x^{{{n}^{n}}}+y" for n in range(100, 108)]
    pool = FakePool(exceeding={*hostile})
    equivalence = Equivalence(pool)
    theirs, ours = AnswerClusters(equivalence), AnswerClusters(equivalence)
    async with anyio.create_task_group() as branches:
        for answer in (*hostile, FACTORED):
            branches.start_soon(theirs.assign, answer)
    assert sum(formula in pool.exceeding for formula in pool.asked) == MAX_EXCEEDED
    assert theirs.undecided >= len(hostile)
    assert await ours.assign(FACTORED) == await ours.assign(EXPANDED)
    assert ours.undecided == 0


async def test_answers_that_no_worker_was_free_for_are_told() -> None:
    pool = FakePool(busy=True)
    clusters = AnswerClusters(Equivalence(pool))
    assert await clusters.assign(FACTORED) != await clusters.assign(EXPANDED)
    assert clusters.undecided == 2
