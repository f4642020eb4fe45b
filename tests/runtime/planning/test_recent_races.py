"""What a race expects beside it."""

from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.planning.recent_races import RecentRaces


def test_the_first_race_of_all_expects_none() -> None:
    assert RecentRaces().expected(0, 0.0) == 0


def test_the_first_of_a_burst_expects_the_others() -> None:
    recent = RecentRaces()
    for number in range(24):
        recent.expected(min(number, 7), number * 0.2)
    assert recent.expected(0, 10.0) >= 4


def test_a_load_that_is_over_is_forgotten_by_races_and_by_time() -> None:
    by_races, by_time = RecentRaces(), RecentRaces()
    for recent in (by_races, by_time):
        for _ in range(50):
            recent.expected(8, 0.0)
    for number in range(30):
        by_races.expected(0, number * 0.1)
    assert by_races.expected(0, 3.0) == 0
    assert by_time.expected(0, 600.0) == 0


@given(st.lists(st.tuples(st.integers(0, 100), st.floats(0, 100)), max_size=50))
def test_no_fewer_than_now_and_no_more_than_ever(seen: list[tuple[int, float]]) -> None:
    recent, now, most = RecentRaces(), 0.0, 0
    for racing, later in seen:
        now, most = now + later, max(most, racing)
        assert racing <= recent.expected(racing, now) <= most
