"""B at run time, of one race and of many."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.runtime.planning.allocation import ActiveRace, BranchAllocator

from .simulating import COUNTS, MODELS, STEP

counts = st.sampled_from(COUNTS)
contenders = st.builds(
    ActiveRace,
    seconds=st.floats(-1, 100),
    prompt=st.none() | st.integers(1, 5_000),
    running=st.none() | st.integers(1, 64),
    ended=st.integers(0, 64),
    written=st.floats(0, 1_000),
    least=st.integers(1, 8),
)


@pytest.fixture(scope="module")
def sharing() -> BranchAllocator:
    return BranchAllocator(MODELS)


def alone(sharing: BranchAllocator, seconds: float, *, most: int = 64, factor: float = 1.0) -> int:
    return sharing.share([ActiveRace(seconds)], most=most, factor=factor)


@given(
    st.lists(contenders, min_size=1, max_size=12),
    st.integers(1, 64),
    st.integers(0, 99),
    st.floats(0.25, 4.0),
)
@settings(max_examples=examples(300))
def test_a_share_comes_out_of_anything(
    sharing: BranchAllocator, races: list[ActiveRace], most: int, fixed: int, factor: float
) -> None:
    assert 1 <= sharing.share(races, most=most, fixed=fixed, factor=factor) <= most


@given(contenders, counts, st.integers(0, 64))
@settings(max_examples=examples(300))
def test_more_time_reaches_more_tokens_and_a_fuller_batch_fewer(
    sharing: BranchAllocator, race: ActiveRace, share: int, others: int
) -> None:
    reached = sharing.reached_tokens(race, share, others)
    assert reached >= race.written - 1e-6
    longer = replace(race, seconds=race.seconds + 1.0)
    assert sharing.reached_tokens(longer, share, others) >= reached - 1e-6
    assert sharing.reached_tokens(race, share, others, factor=2.0) <= reached + 1e-6
    assert sharing.reached_tokens(race, share, others + 8) <= reached + 1e-6


def test_little_time_makes_for_few_branches_and_much_for_many(sharing: BranchAllocator) -> None:
    planned = [alone(sharing, seconds) for seconds in (0.5, 1.0, 2.0, 10.0)]
    assert planned == sorted(planned)
    assert planned[0] < planned[-1] == 64
    assert alone(sharing, 10.0, most=20) == 16


def test_races_that_begin_together_get_less_each(sharing: BranchAllocator) -> None:
    shares = [sharing.share([ActiveRace(2.0)] * n, most=64) for n in (1, 2, 4, 8)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] <= shares[0] / 4


def test_branches_that_nobody_may_cut_leave_less_for_others(sharing: BranchAllocator) -> None:
    shares = [sharing.share([ActiveRace(2.0)], most=64, fixed=n) for n in (0, 16, 64)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < shares[0]


def test_races_that_have_just_begun_make_room_and_those_about_to_end_need_not(
    sharing: BranchAllocator,
) -> None:
    newcomers = [ActiveRace(1.0)] * 4
    fresh = [ActiveRace(1.0, running=16, written=5.0)] * 4
    assert sharing.share([*newcomers, *fresh], most=64) < 8
    # All but ended: what they hold is what others wait for, and their answers are at stake.
    ending = [ActiveRace(0.1, running=16, written=395.0)] * 4
    assert sharing.share(ending, most=64) >= 16


def test_a_race_keeps_what_it_is_to_have_at_least() -> None:
    assert ActiveRace(1.0, running=16).kept(4) == 4
    assert ActiveRace(1.0, running=2).kept(4) == 2
    assert ActiveRace(1.0, running=16, least=8).kept(4) == 8
    assert ActiveRace(1.0).kept(4) == 4
    assert ActiveRace(1.0, least=8).kept(4) == 8


def test_measured_times_correct_the_profile(sharing: BranchAllocator) -> None:
    yielded = MODELS.engine.acceptance.tokens_per_step(3)
    usual = STEP.seconds(10, 200, 3) / yielded
    assert sharing.correction(usual, 10.2) == pytest.approx(1.0)
    assert sharing.correction(2 * usual, 10) == pytest.approx(2.0)
    assert sharing.correction(1e6, 10) == 4.0
    assert sharing.correction(1e6, 0) == 1.0
    assert sharing.correction(None, 10) == 1.0
    assert alone(sharing, 2.0, factor=3.0) < alone(sharing, 2.0)


def test_clocks_are_kept_within_bounds(
    sharing: BranchAllocator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frontrunner.runtime.planning.allocation._MAX_CLOCKS", 3)
    bounded = BranchAllocator(MODELS)
    for others in range(10):
        race = ActiveRace(2.0)
        assert bounded.reached_tokens(race, 4, others) == sharing.reached_tokens(race, 4, others)
        assert len(bounded._clocks) <= 3
