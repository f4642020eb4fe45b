"""Every registered strategy, with its defaults, under a driver that does anything a race might."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test
from tests.profiles import examples

from frontrunner.strategies.lengths import LengthModel
from frontrunner.strategies.protocol import StopReason
from frontrunner.strategies.registry import create_strategy, strategy_names

from .any_race import AnyRace
from .views import FakeView, view_of


def any_race_of(name: str) -> type[AnyRace]:
    class Machine(AnyRace):
        @initialize(
            branches=st.integers(1, 12),
            room=st.integers(1, 12),
            lengths=st.none() | st.just(LengthModel.from_quantiles(100, 400)),
        )
        def begin(self, branches: int, room: int, lengths: LengthModel | None) -> None:
            self.room, self.view.lengths = room, lengths
            self.start(create_strategy(name, {"branches": branches}))

    return Machine


@pytest.mark.parametrize("name", strategy_names())
def test_it_keeps_to_what_every_race_must_keep_to(name: str) -> None:
    run_state_machine_as_test(
        any_race_of(name), settings=settings(max_examples=examples(60), stateful_step_count=50)
    )


@pytest.mark.parametrize("name", strategy_names())
def test_it_always_knows_what_to_say_when_time_is_up(name: str) -> None:
    strategy = create_strategy(name, {"branches": 4})
    strategy.start(FakeView())
    assert strategy.conclude(FakeView()).stop_reason is StopReason.FAILED
    assert strategy.conclude(view_of(running=4)).answer is None
    assert strategy.conclude(view_of(["a"], running=3)).answer == "a"
    assert strategy.conclude(view_of([None], ["b", "b"], running=1)).answer == "b"
    assert strategy.conclude(view_of([], ["b"], running=2)).answer == "b"
    assert strategy.conclude(view_of(["a"], truncated=["b", "b"], running=1)).answer == "a"
    replied = strategy.conclude(view_of([None], ["b"], running=2))
    assert (replied.answer, replied.branch) == (None, 0)


@pytest.mark.parametrize("name", strategy_names())
@pytest.mark.parametrize("branches", [0, -1])
def test_it_refuses_to_run_no_branches(name: str, branches: int) -> None:
    with pytest.raises(ValueError, match="branches"):
        create_strategy(name, {"branches": branches})
