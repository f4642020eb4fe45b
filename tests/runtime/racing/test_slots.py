"""How many places a race occupies."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.profiles import examples

from frontrunner.runtime.racing.slots import NoLimit, SlotAccount

from .shared_slots import SharedSlots


class Race(RuleBasedStateMachine):
    """A race that launches, cuts and probes at random."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = SharedSlots(held=4, free=4)
        self.occupancy = SlotAccount(self.shared, granted=4)
        self.active = 0

    @rule(more=st.integers(0, 6))
    def launch(self, more: int) -> None:
        self.active += self.occupancy.room(self.active, more)

    @rule(more=st.integers(0, 6))
    def probe(self, more: int) -> None:
        self.occupancy.beside += self.occupancy.room_beside(self.active, more)

    @precondition(lambda self: self.active)
    @rule()
    def finish(self) -> None:
        self.active -= 1
        self.occupancy.release_unused(self.active)

    @precondition(lambda self: self.active)
    @rule()
    def cut(self) -> None:
        self.active -= 1
        self.occupancy.aborting += 1
        self.occupancy.release_unused(self.active)

    @precondition(lambda self: self.occupancy.aborting)
    @rule()
    def engine_was_told(self) -> None:
        self.occupancy.aborting -= 1
        self.occupancy.release_unused(self.active)

    @precondition(lambda self: self.occupancy.beside)
    @rule()
    def probe_is_over(self) -> None:
        self.occupancy.beside -= 1
        self.occupancy.release_unused(self.active)

    @rule(count=st.integers(-4, 4))
    def others(self, count: int) -> None:
        self.shared.free = max(0, self.shared.free + count)

    @invariant()
    def what_runs_has_a_place(self) -> None:
        assert self.active <= self.occupancy.granted
        assert self.active + self.occupancy.beside <= self.shared.held

    @invariant()
    def a_branch_that_is_replaced_at_once_keeps_its_place(self) -> None:
        if self.active and self.occupancy.aborting:
            held = self.shared.held - self.occupancy.beside
            assert held >= min(self.occupancy.granted, self.active)


Race.TestCase.settings = settings(max_examples=examples(200), stateful_step_count=30)
TestRace = Race.TestCase


@given(st.integers(1, 9), st.integers(0, 9), st.integers(0, 9))
def test_a_race_that_has_the_engine_to_itself_runs_what_it_was_granted(
    granted: int, active: int, more: int
) -> None:
    active = min(active, granted)
    occupancy = SlotAccount(NoLimit(), granted)
    assert occupancy.room(active, more) == min(more, granted - active)
    assert occupancy.room_beside(active, more) == more
