"""A simulated race is a live race, but for the time it takes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf

import anyio
import pytest
import trio.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.profiles import examples
from tests.strategies.counted import counted

from frontrunner.runtime.engines.protocol import FinishReason, Generation
from frontrunner.runtime.engines.scripted import BranchScript, Piece
from frontrunner.runtime.racing.deadline_reserve import DeadlineReserve
from frontrunner.runtime.simulation.simulated_race import (
    CannotReplay,
    SimulatedRace,
    Timing,
    check_replayable,
)
from frontrunner.runtime.traces.recordings import RecordedBranch
from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.protocol import (
    BranchFinished,
    BranchForced,
    BranchProbed,
    BranchProgressed,
    BranchScored,
    BranchStarted,
    BranchStatus,
    CallTimeReached,
    Cancel,
    Command,
    Decide,
    Extend,
    Force,
    Fork,
    Launch,
    Needs,
    Observation,
    Probe,
    ProbeAnswer,
    RaceView,
    Score,
    StopReason,
    Strategy,
)
from frontrunner.strategies.votes import tally

from ..race_harness import Setup, WatchedEngine

#: Seconds a token takes in the live races: a power of two, so that sums of it are exact.
STEP = 1 / 64
EVERY = 4  # tokens between probes


def record(
    tokens: int, answer: str | None, probes: Sequence[str | None] | None = (), **more: object
) -> RecordedBranch:
    said = None
    if probes is not None:
        said = tuple(ProbeAnswer(EVERY * n, a) for n, a in enumerate(probes, 1))
    return RecordedBranch(tokens, answer, probes=said, **more)  # pyright: ignore[reportArgumentType]


def simulated(
    strategy: Strategy, records: Sequence[RecordedBranch], timing: Timing | None = None
) -> SimulatedRace:
    return SimulatedRace(strategy, records, timing or Timing())


# ── against the live race ─────────────────────────────────────────────────────────────────────


class FixedReserve(DeadlineReserve):
    """Always the same, and learns nothing."""

    def __init__(self, reserve: float) -> None:
        super().__init__(return_margin=STEP, fallback_step=STEP)
        self._fixed = reserve

    def round_reserve(self, predicted: float) -> float:
        return self._fixed - STEP  # the rest is for the way back

    def learn(self, predicted: float, actual: float) -> None:
        pass


def live_script(branch: RecordedBranch) -> BranchScript:
    """A token at a time. All but the last come a quarter of a step early, so that whenever a branch
    ends there is no doubt about how many tokens the others have."""
    pieces = [Piece(0.0, "…", 0)]  # the prompt is taken in: speed is measured from here
    for token in range(1, branch.tokens + 1):
        delay = STEP
        if token == 1 and branch.tokens > 1:
            delay = 0.75 * STEP
        elif token == branch.tokens and branch.tokens > 1:
            delay = 1.25 * STEP
        last = token == branch.tokens and branch.answer is not None and not branch.lost
        pieces.append(Piece(delay, f"\\boxed{{{branch.answer}}}" if last else "and "))
    finish = FinishReason.LENGTH if branch.truncated else FinishReason.STOP
    return BranchScript(tuple(pieces), finish, "lost" if branch.lost else None)


class LiveEngine(WatchedEngine):
    """Plays recorded branches; a forced answer is the last recorded probe."""

    def __init__(self, records: Sequence[RecordedBranch], forced_cost: float) -> None:
        super().__init__([live_script(b) for b in records], prefill_tokens_per_step=10**9)

        def chosen(request: Generation) -> BranchScript | None:
            if not request.forced:
                return None
            tokens = len(request.prompt) - 3 - len(self.encode(SUFFIX))
            answer = records[request.branch].forced_answer(tokens)
            text = f"{answer}}}" if answer is not None else "}"
            # Of answers that come at one moment the first breaks a tie, and trio's tasks run in
            # any order: a nanosecond apart they come in the branches' order, as simulated.
            return BranchScript((Piece(forced_cost * STEP + 1e-9 * request.branch, text, 2),))

        self.script.chooser = chosen


SUFFIX = "\nTime is up. The answer is \\boxed{"


@st.composite
def recorded_races(draw: st.DrawFn) -> list[RecordedBranch]:
    lengths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=8, unique=True))
    answers = st.one_of(st.none(), st.sampled_from("1234"))
    branches: list[RecordedBranch] = []
    for tokens in lengths:
        count = tokens // EVERY
        probes = draw(st.lists(answers, min_size=count, max_size=count))
        lost = draw(st.integers(0, 9)) == 0
        cut = not lost and draw(st.integers(0, 2)) == 0
        answer = None if lost else draw(answers)
        branches.append(record(tokens, answer, probes, lost=lost, truncated=cut))
    return branches


@example(  # ends without an answer while it is being forced beside: it is asked anew
    [record(14, None, [None] * 3, truncated=True)], "none", True, 15, 2, 1, None
)
@settings(max_examples=examples(150))
@given(
    records=recorded_races(),
    stop=st.sampled_from(["none", "clinch", "flip_risk"]),
    force=st.booleans(),
    deadline=st.one_of(st.integers(1, 45), st.just(1000)),
    reserve=st.integers(1, 12),
    forced_cost=st.integers(0, 12),
    lengths=st.sampled_from([None, LengthModel.from_quantiles(15.3, 38.9)]),
)
def test_it_ends_as_the_live_race_does(
    records: list[RecordedBranch],
    stop: str,
    force: bool,
    deadline: int,
    reserve: int,
    forced_cost: int,
    lengths: LengthModel | None,
) -> None:
    """Same answer, reason, votes, time and tokens."""
    # Half a token off, so that nothing happens at the very moment at which time is called; and
    # the forced answers do not come at the very moment of the hard stop.
    hard_stop = deadline + 0.5
    reserve = min(reserve, deadline - 1)
    cost = forced_cost + 0.125
    strategy = {"branches": len(records), "stop": stop, "force_answers": force}

    async def live() -> tuple[object, ...]:
        result = await Setup(
            LiveEngine(records, cost),
            counted(**strategy),  # pyright: ignore[reportArgumentType]
            deadline=(hard_stop + 1) * STEP,
            branches=len(records),
            return_margin=STEP,
            reserve=FixedReserve((reserve + 1) * STEP),
            lengths=lengths,
        ).run()
        whole = {BranchStatus.FINISHED, BranchStatus.TRUNCATED, BranchStatus.FAILED}
        return (
            result.answer,
            result.stop_reason,
            result.votes,
            result.forced_votes,
            result.elapsed / STEP,
            result.confidence,
            [b.tokens for b in result.branches if b.status in whole],
        )

    clock = trio.testing.MockClock(autojump_threshold=0)
    expected = anyio.run(live, backend="trio", backend_options={"clock": clock})

    race = SimulatedRace(
        counted(**strategy),  # pyright: ignore[reportArgumentType]
        records,
        Timing(hard_stop, reserve, cost),
        lengths=lengths,
    )
    outcome = race.run()
    votes = tally(race.view)
    whole = ("finished", "truncated", "failed")
    ended = [b for b in race.branches.values() if b.status in whole]
    assert expected == (
        outcome.decision.answer,
        outcome.decision.stop_reason,
        votes.finished,
        votes.forced,
        pytest.approx(outcome.time),
        pytest.approx(outcome.decision.confidence),
        [b.tokens for b in ended],
    )


# ── what it does at which moment ──────────────────────────────────────────────────────────────


NOTHING = Needs()


@dataclass
class Diary:
    """Does what it was told at each kind of observation, and notes all of them."""

    first: Sequence[Command]
    on: dict[type, list[Sequence[Command]]] = field(default_factory=dict)
    needs: Needs = NOTHING
    noted: list[tuple[Observation, list[int]]] = field(default_factory=list)

    def start(self, view: RaceView) -> Sequence[Command]:
        return self.first

    def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
        self.noted.append((observation, [b.tokens for b in view.branches.values()]))
        waiting = self.on.get(type(observation), [])
        return waiting.pop(0) if waiting else []

    def conclude(self, view: RaceView) -> Decide:
        return Decide(None, None, StopReason.DEADLINE, 0.0)


def test_waiting_for_all_takes_the_longest_branch() -> None:
    records = [record(10, "1"), record(30, "2"), record(20, "2")]
    outcome = simulated(Majority(3, stop="none"), records).run()
    assert (outcome.decision.answer, outcome.decision.stop_reason) == ("2", StopReason.EXHAUSTED)
    assert (outcome.time, outcome.tokens) == (30, 60)


def test_branches_that_are_cut_count_the_tokens_they_had() -> None:
    records = [record(10, "1"), record(11, "1"), record(30, "2")]
    race = simulated(Majority(3, stop="clinch"), records)
    outcome = race.run()
    assert (outcome.time, outcome.tokens) == (11, 32)
    assert race.branches[2].status is BranchStatus.CANCELLED


def test_forced_answers_are_the_probes_before_and_come_with_the_deadline_at_no_cost() -> None:
    records = [record(40, "9", ["1", "2", "3", "4"]), record(41, "9", ["5", "2"])]
    outcome = simulated(counted(2), records, Timing(deadline=11)).run()
    assert (outcome.decision.answer, outcome.decision.stop_reason) == ("2", StopReason.DEADLINE)
    assert outcome.time == 11


def test_forced_answers_that_come_after_the_hard_stop_do_not_count() -> None:
    records = [record(40, "9", ["1", "1", "1"]), record(41, "9", ["1", "1", "1"])]
    outcome = simulated(counted(2), records, Timing(20, reserve=5, forced_cost=6)).run()
    assert (outcome.decision.answer, outcome.time) == (None, 20)


def test_branches_that_are_let_run_may_finish_until_the_hard_stop() -> None:
    records = [record(40, "9", ["1", "1", "1"]), record(18, "8", ["2"])]
    let_run = Diary([Launch(2)], {CallTimeReached: [[Force((0, 1), let_run=True)]]})
    race = simulated(let_run, records, Timing(20, reserve=6, forced_cost=3))
    race.run()
    assert [(b.status, b.answer) for b in race.branches.values()] == [
        (BranchStatus.FORCED, "1"),
        (BranchStatus.FINISHED, "8"),
    ]
    kinds = [type(o) for o, _ in let_run.noted]
    assert kinds[2:] == [CallTimeReached, BranchFinished, BranchForced]
    late = Diary([Launch(2)], {CallTimeReached: [[Force((0, 1), let_run=True)]]})
    race = simulated(late, records, Timing(20, reserve=6, forced_cost=7))
    race.run()
    assert race.branches[0].status is BranchStatus.CANCELLED


def test_a_reserve_longer_than_the_deadline_calls_at_once() -> None:
    strategy = Diary([Launch(1)])
    simulated(strategy, [record(40, "1")], Timing(20, reserve=25)).run()
    assert [t for o, t in strategy.noted if isinstance(o, CallTimeReached)] == [[0]]


def test_a_branch_that_ran_into_its_limit_breaks_ties_as_a_forced_one_does() -> None:
    records = [record(10, "1", truncated=True), record(11, "1", truncated=True), record(30, "2")]
    race = simulated(counted(3), records)
    outcome = race.run()
    assert (outcome.decision.answer, outcome.time) == ("2", 30)
    assert tally(race.view).forced == {"1": 2}


def test_lengths_of_branches_that_ran_into_their_limit_are_known_to_be_longer() -> None:
    prior = LengthModel.from_quantiles(15, 40)
    seen: list[float] = []

    class Watching(Majority):
        def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
            assert view.lengths is not None
            seen.append(view.lengths.median)
            return super().observe(observation, view)

    for cut in (False, True):
        records = [record(12, "1", truncated=cut), record(13, "2")]
        SimulatedRace(Watching(2, stop="none"), records, Timing(100), lengths=prior).run()
    assert max(seen[: len(seen) // 2]) <= prior.median < max(seen[len(seen) // 2 :])


def test_a_forced_answer_stands_for_a_branch_that_is_cut_without_one() -> None:
    records = [
        record(18, None, ["1"], truncated=True),
        record(19, None, ["2"], lost=True),
        record(30, "9"),
    ]
    let_run = Diary([Launch(3)], {CallTimeReached: [[Force((0, 1), let_run=True)]]})
    race = simulated(let_run, records, Timing(20, reserve=6, forced_cost=3))
    race.run()
    assert [(b.status, b.answer) for b in race.branches.values()] == [
        (BranchStatus.FORCED, "1"),
        (BranchStatus.FORCED, "2"),
        (BranchStatus.CANCELLED, None),
    ]


def test_a_branch_that_ends_at_the_deadline_has_ended() -> None:
    outcome = simulated(counted(1, force_answers=False), [record(20, "1")], Timing(20)).run()
    assert (outcome.decision.answer, outcome.time) == ("1", 20)


def test_what_is_launched_later_runs_later() -> None:
    strategy = Diary([Launch(1)], {BranchFinished: [[Launch(5)]]})
    race = simulated(strategy, [record(10, "1"), record(7, "2"), record(8, "3")])
    outcome = race.run()
    assert [o for o, _ in strategy.noted if isinstance(o, BranchStarted)] == [
        BranchStarted(i) for i in range(3)
    ]
    assert (outcome.time, outcome.tokens) == (18, 25)


def test_progress_is_told_at_the_recorded_marks_to_those_who_ask() -> None:
    records = [record(10, "1", ["1", "1"]), record(9, "1", None)]
    asking = Diary([Launch(2)], needs=Needs(progress=True))
    simulated(asking, records, Timing(progress_every=3)).run()
    progress = [(o, t) for o, t in asking.noted if isinstance(o, BranchProgressed)]
    assert progress == [
        (BranchProgressed(1, 3), [3, 3]),
        (BranchProgressed(0, 4), [4, 4]),
        (BranchProgressed(1, 3), [6, 6]),
        (BranchProgressed(0, 4), [8, 8]),
    ]
    silent = Diary([Launch(2)])
    simulated(silent, records).run()
    assert not [o for o, _ in silent.noted if isinstance(o, BranchProgressed)]


def test_probes_come_back_after_their_cost_unless_the_branch_has_ended() -> None:
    records = [record(12, "9", ["1", "2", "3"]), record(7, "9", ["4"])]
    asking = Needs(progress=True)
    strategy = Diary([Launch(2)], {BranchProgressed: [[Probe((0, 1, 5))]]}, asking)
    race = simulated(strategy, records, Timing(probe_cost=3.5))
    race.run()
    assert [o for o, _ in strategy.noted if isinstance(o, BranchProbed)] == [BranchProbed(0)]
    assert race.branches[0].probes == [ProbeAnswer(4, "1")]


def test_scores_come_after_their_delay() -> None:
    strategy = Diary([Launch(2)], {BranchFinished: [[Score((0,))]]})
    race = simulated(strategy, [record(5, "1", score=0.75), record(9, "2")], Timing(score_delay=2))
    race.run()
    (scored,) = [t for o, t in strategy.noted if isinstance(o, BranchScored)]
    assert scored == [5, 7]
    assert (race.branches[0].score, race.branches[0].scored_tokens) == (0.75, 5)


def test_a_cancelled_branch_never_ends() -> None:
    strategy = Diary([Launch(2)], {BranchFinished: [[Cancel((1, 0), "enough")]]})
    race = simulated(strategy, [record(5, "1"), record(9, "2")])
    outcome = race.run()
    assert (outcome.time, outcome.tokens, race.arrivals) == (5, 10, [0])
    assert race.branches[0].status is BranchStatus.FINISHED


@pytest.mark.parametrize(
    ("command", "match"),
    [
        (Fork(0, 3), "forks or extensions"),
        (Extend(0, "Wait"), "forks or extensions"),
        (Probe((1,)), "no probes were recorded"),
        (Force((1,)), "--forced off"),
        (Score((0,)), "scores of branches"),
        (Score((1,)), "scores of unfinished branches"),
    ],
)
def test_what_was_not_recorded_cannot_be_replayed(command: Command, match: str) -> None:
    strategy = Diary([Launch(2)], {BranchFinished: [[command]]})
    with pytest.raises(CannotReplay, match=match):
        simulated(strategy, [record(5, "1", None), record(9, "2", None)]).run()


@pytest.mark.parametrize(
    ("needs", "match"),
    [
        (Needs(logprobs=20), "log probabilities"),
        (Needs(delimiter="\n\n"), "ends of steps"),
        (Needs(rewards=True), "a score of each branch"),
        (Needs(rewards=True, comparisons=True), "a judge's comparisons"),
    ],
)
def test_what_strategies_need_is_checked_beforehand(needs: Needs, match: str) -> None:
    with pytest.raises(CannotReplay, match=match):
        check_replayable(Diary([], needs=needs), [record(5, "1")])
    check_replayable(Diary([], needs=Needs(rewards=True)), [record(5, "1", score=0.0)])


def test_the_speed_is_known_after_two_tokens_and_where_there_is_a_deadline() -> None:
    seen: list[float | None] = []

    class Looks(Diary):
        def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
            if isinstance(observation, BranchFinished):
                seen.append(view.reachable_tokens)
            return []

    records = [record(1, "1"), record(6, "1"), record(30, "1")]
    simulated(Looks([Launch(3)]), records, Timing(20)).run()
    assert seen == [None, 14.0]
    simulated(Looks([Launch(3)]), records, Timing(inf)).run()
    assert seen[2:] == [None, None, None]


def test_the_text_of_a_running_branch_is_its_share() -> None:
    whole = replace(record(10, "1"), text="0123456789")
    texts: list[str] = []

    class Looks(Diary):
        def observe(self, observation: Observation, view: RaceView) -> Sequence[Command]:
            if isinstance(observation, BranchFinished):
                texts.append(view.branches[0].text)
            return []

    simulated(Looks([Launch(2)]), [whole, record(4, "1")]).run()
    assert texts == ["0123", "0123456789"]
