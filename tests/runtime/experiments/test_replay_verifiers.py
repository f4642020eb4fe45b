"""Replays of agents' runs with a verifier that errs."""

from collections.abc import Sequence

import pytest

from frontrunner.runtime.errors import BadRequest
from frontrunner.runtime.experiments.replay import Job, Replay, Replayed
from frontrunner.runtime.simulation.cells import StrategySpec, cells_of
from frontrunner.runtime.traces.trace_files import RecordedBranch, RecordedQuestion

ACCEPTED = [StrategySpec.parse("best_of_n:threshold=1")]


def task(*rewards: float) -> RecordedQuestion:
    """Runs that take 100, 101, … seconds."""
    runs = tuple(
        RecordedBranch(100 + i, "yes" if r == 1 else f"no {i}", correct=r == 1, score=r)
        for i, r in enumerate(rewards)
    )
    return RecordedQuestion("task", "yes", runs, frozenset({"yes"}))


def replayed(
    tasks: Sequence[RecordedQuestion], error: float, branches: int, draws: int
) -> Replayed:
    cells = cells_of(ACCEPTED, [branches], [float("inf")], [False])
    replay = Replay(Job(tasks, cells, draws, verifier_error=error), 1)
    assert sum(replay.run()) == replay.races
    return replay.result()


def share(replayed: Replayed) -> float:
    right = replayed.cells[0].right
    return sum(right) / len(right)


def test_a_verifier_that_never_errs_finds_the_one_that_is_right() -> None:
    assert share(replayed([task(0, 1, 0)], 0.0, 3, 50)) == 1.0


def test_one_that_errs_takes_wrong_runs_and_passes_right_ones_over() -> None:
    # The right one is taken unless it is misjudged, or an earlier one is: at 0.1, about 0.8.
    found = share(replayed([task(0, 1, 0)], 0.1, 3, 2000))
    assert 0.75 < found < 0.87
    assert found == share(replayed([task(0, 1, 0)], 0.1, 3, 2000))


def test_a_run_alone_is_right_however_it_is_judged() -> None:
    assert share(replayed([task(1)], 0.5, 1, 20)) == 1.0
    assert share(replayed([task(0)], 0.5, 1, 20)) == 0.0


def test_equal_answers_do_not_add_up_where_they_cannot_be_compared() -> None:
    """Always misjudged, four that are right lose to the one that is wrong."""
    assert share(replayed([task(1, 1, 1, 1, 0)], 0.999999, 5, 20)) == 0.0


@pytest.mark.parametrize("error", [-0.1, 1.0, 2.0])
def test_shares_that_are_none_are_refused(error: float) -> None:
    with pytest.raises(BadRequest, match="verifier_error"):
        replayed([task(1)], error, 1, 1)


def test_scores_that_cannot_be_turned_round_are_refused() -> None:
    with pytest.raises(BadRequest, match=r"a score between 0 and 1 .* one has 3\.5"):
        replayed([task(3.5)], 0.1, 1, 1)
