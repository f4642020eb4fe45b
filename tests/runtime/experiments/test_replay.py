"""Many races: what is drawn, what is compared, and what stops it."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.runtime.answers import Equivalence
from frontrunner.runtime.errors import BadRequest
from frontrunner.runtime.experiments import replay as replaying
from frontrunner.runtime.experiments.comparison import CLAIRVOYANT, Row, rows_of
from frontrunner.runtime.experiments.replay import (
    Job,
    Replay,
    Replayed,
    ReplayFailed,
    clairvoyant_stop,
)
from frontrunner.runtime.simulation.cells import Cell, StrategySpec, cells_of
from frontrunner.runtime.simulation.simulated_race import CannotReplay, SimulatedRace, Timing
from frontrunner.runtime.traces.trace_files import (
    RecordedBranch,
    RecordedQuestion,
    read_traces,
    unified,
)
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.protocol import ProbeAnswer
from frontrunner.strategies.votes import tally

from .data import real_data

ALL = StrategySpec.parse("majority:stop=none")
DEFAULT = StrategySpec.parse("majority")


def question(seed: int, branches: int = 12) -> RecordedQuestion:
    """Right in about two thirds of the branches; probed every 10 tokens."""
    rng = Random(seed)
    made: list[RecordedBranch] = []
    for _ in range(branches):
        tokens = rng.randint(20, 200)
        probes = tuple(ProbeAnswer(t, rng.choice("778")) for t in range(10, tokens + 1, 10))
        made.append(RecordedBranch(tokens, rng.choice("778"), probes=probes))
    return RecordedQuestion(f"question {seed}", "7", tuple(made), frozenset("7"))


QUESTIONS = [question(seed) for seed in range(6)]


def run(job: Job, processes: int | None = 1) -> Replayed:
    replay = Replay(job, processes)
    assert sum(replay.run()) == replay.races
    return replay.result()


def by_cell(rows: Sequence[Row]) -> dict[tuple[str, int, float | None, bool], Row]:
    return {(r.strategy, r.branches, r.deadline, r.forced): r for r in rows}


# ── what is named ─────────────────────────────────────────────────────────────────────────────


def test_a_strategy_is_named_with_its_parameters() -> None:
    spec = StrategySpec.parse("majority:stop=flip_risk, max_flip_risk=0.1,min_votes=4")
    assert spec.parameters == (("stop", "flip_risk"), ("max_flip_risk", 0.1), ("min_votes", 4))
    assert spec.label == "majority:stop=flip_risk,max_flip_risk=0.1,min_votes=4"
    assert StrategySpec.parse(spec.label) == spec
    assert StrategySpec.parse("x:a=true,b=False,c=1e3").parameters == (
        ("a", True),
        ("b", False),
        ("c", 1000.0),
    )


@pytest.mark.parametrize(
    "text", ["majority:", "majority:stop", "majority:=1", "m:a=1,a=2", "m:a b=1"]
)
def test_a_strategy_that_is_not_named_so_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="name:key=value"):
        StrategySpec.parse(text)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("luck", "unknown strategy 'luck'"),
        ("majority:stop=sometimes", "stop must be one of"),
        ("majority:zeal=1", "no parameter 'zeal'"),
        ("majority:branches=4", "given by --branches"),
        ("majority:force_answers=true", "given by --forced"),
    ],
)
def test_a_strategy_that_cannot_be_made_is_refused(text: str, match: str) -> None:
    with pytest.raises(BadRequest, match=match):
        StrategySpec.parse(text).create(8, forced=True)


def test_cells_are_all_combinations_once() -> None:
    cells = cells_of([ALL, DEFAULT, ALL], [4, 8], [inf, 50.0], [True, False])
    assert len(cells) == len(set(cells)) == 16


# ── draws ─────────────────────────────────────────────────────────────────────────────────────


def test_the_same_seed_gives_the_same_figures_and_another_others() -> None:
    job = Job(QUESTIONS, cells_of([ALL], [4], [inf], [True]), draws=10)
    first, second = run(job), run(job)
    assert first.cells == second.cells
    assert run(replace(job, seed=1)).cells != first.cells


def test_a_cell_does_not_depend_on_the_others() -> None:
    """So any two runs can be compared, whatever else was in them."""
    alone = run(Job(QUESTIONS, [Cell(DEFAULT, 4)], draws=10))
    cells = cells_of([ALL, DEFAULT], [4, 8], [inf, 90.0], [True, False])
    among = run(Job(QUESTIONS, cells, draws=10))
    assert among.cells[cells.index(Cell(DEFAULT, 4))] == alone.cells[0]


def test_processes_give_the_same_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying, "_WORTH_PROCESSES", 0)
    job = Job(QUESTIONS, cells_of([ALL, DEFAULT], [4, 8], [inf], [True]), draws=7)
    one, two = run(job), run(job, processes=2)
    assert (one.cells, one.clairvoyant) == (two.cells, two.clairvoyant)


def test_a_replay_that_is_broken_off_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    import multiprocessing

    monkeypatch.setattr(replaying, "_WORTH_PROCESSES", 0)
    cells = cells_of([ALL, DEFAULT], [4, 8], [inf], [True])
    races = Replay(Job(QUESTIONS, cells, draws=2000), processes=2).run()
    next(races)
    races.close()
    assert multiprocessing.active_children() == []


# ── figures ───────────────────────────────────────────────────────────────────────────────────


def test_waiting_for_all_takes_as_long_as_the_longest_of_each_draw() -> None:
    job = Job(QUESTIONS, [Cell(ALL, 12)], draws=3)
    longest = [max(b.tokens for b in q.branches) for q in QUESTIONS]
    assert list(run(job).cells[0].latency) == [n for n in longest for _ in range(3)]


def test_rows_compare_with_the_baseline_of_the_same_cell() -> None:
    cells = cells_of([ALL, DEFAULT], [4, 8], [inf, 90.0], [True, False])
    rows = by_cell(rows_of(run(Job(QUESTIONS, cells, draws=20)), ALL))
    for key, row in rows.items():
        base = rows[(ALL.label, *key[1:])]
        if key[0] == ALL.label:
            assert row.baseline is None
            continue
        assert row.accuracy_difference == pytest.approx(row.accuracy - base.accuracy)
        assert row.speedup == pytest.approx(base.latency_mean / row.latency_mean)
        assert row.tokens_saved == pytest.approx(1 - row.tokens_mean / base.tokens_mean)
        assert row.speedup_interval is not None
        assert row.speedup is not None
        low, high = row.speedup_interval
        assert low <= row.speedup <= high
        assert row.latency_p50 <= row.latency_p95
        assert row.deadline is None or row.latency_p95 <= row.deadline
    assert {key[1] for key in rows if key[0] == CLAIRVOYANT} == {4, 8}
    assert all(
        row.over_clairvoyant is None or row.over_clairvoyant >= 1.0
        for row in rows.values()
        if row.strategy == ALL.label
    )


def test_times_in_seconds_are_times_in_tokens_by_the_step() -> None:
    replayed = run(Job(QUESTIONS, cells_of([ALL], [4], [90.0], [True]), draws=5))
    (tokens,) = rows_of(replayed, ALL)
    (seconds,) = rows_of(replayed, ALL, step_seconds=0.5)
    assert seconds.latency_mean == pytest.approx(tokens.latency_mean / 2)
    assert (seconds.deadline, seconds.tokens_mean) == (45.0, tokens.tokens_mean)


@settings(max_examples=examples(200))
@given(seed=st.integers(0, 10_000), branches=st.integers(1, 12))
@example(seed=4370, branches=4)  # two branches end at the same moment
def test_no_earlier_stop_is_sure_to_keep_the_final_majority(seed: int, branches: int) -> None:
    """The clairvoyant stop by brute force: at every later arrival the leader is the final one, and
    at the arrival before it another one was."""
    asked = question(seed)
    records = asked.branches[:branches]
    right, time, _, _ = clairvoyant_stop(asked, records)

    def leader_at(moment: float) -> str | None:
        race = SimulatedRace(
            Majority(branches, stop="none", force_answers=False), records, Timing(moment)
        )
        race.run()
        return tally(race.view).leader

    final = leader_at(1000)
    moments = sorted({b.tokens for b in records})
    assert right == (final == "7")
    assert all(leader_at(m) == final for m in moments if m >= time)
    before = [m for m in moments if m < time]
    assert not before or leader_at(before[-1]) != final


# ── what stops it ─────────────────────────────────────────────────────────────────────────────


def test_more_branches_than_were_recorded_are_refused() -> None:
    with pytest.raises(BadRequest, match="question 0 has 12 whole branches, and 16"):
        Replay(Job(QUESTIONS, [Cell(ALL, 16)]))


def test_what_cannot_be_replayed_is_refused_before_the_work_begins() -> None:
    bare = [
        replace(q, branches=tuple(replace(b, probes=None) for b in q.branches)) for q in QUESTIONS
    ]
    with pytest.raises(CannotReplay, match=r"majority:stop=none: .*--forced off"):
        Replay(Job(bare, [Cell(ALL, 8, 5.0)]))
    run(Job(bare, [Cell(ALL, 8, 5.0, forced=False)], draws=2))


def test_a_strategy_that_raises_is_named_with_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, view: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(Majority, "start", broken)
    with pytest.raises(ReplayFailed, match=r"majority failed on question 0: ZeroDiv.*oops"):
        Replay(Job(QUESTIONS, [Cell(DEFAULT, 8)]))


# ── the real file ─────────────────────────────────────────────────────────────────────────────


async def test_the_default_rule_on_aime_2024() -> None:
    """No less accurate than waiting for all, and 1.5 (B=8) and 1.8 (B=16) times faster."""
    path: Path = real_data("qwen3_8b_aime24_128branches.json")
    questions = await unified(read_traces([path]), Equivalence(None))
    rows = by_cell(
        rows_of(
            run(Job(questions, cells_of([ALL, DEFAULT], [8, 16], [inf], [True]), draws=20)), ALL
        )
    )
    for branches, faster in ((8, 1.5), (16, 1.8)):
        row = rows[(DEFAULT.label, branches, None, True)]
        assert row.accuracy_difference_interval is not None
        assert row.accuracy_difference_interval[1] >= 0
        assert row.speedup is not None
        assert row.speedup >= faster
    assert rows[(ALL.label, 16, None, True)].latency_mean == pytest.approx(24_866, rel=0.03)
