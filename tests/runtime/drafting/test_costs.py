"""Drafting never costs more than it gives: whatever steps cost and whatever is accepted."""

import logging
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

pytest.importorskip("numba")

import numpy as np

from frontrunner.runtime.drafting.costs import StepCosts, StepMeter, batch_group

LOG = logging.getLogger("test")
STEPS = 2_000


@dataclass(frozen=True)
class Machine:
    """Seconds of a step: ``base``, more of it with any draft tokens, and of each."""

    branches: int
    at_all: float  # of the step without drafts
    per_token: float
    accepted: float  # the chance of a draft token after an accepted one
    promised: float  # what the proposer takes it for
    K: int
    noise: float = 0.1
    wanders: bool = False  # whether its speed changes every now and then

    def seconds(self, tokens: int) -> float:
        return 0.01 * (1.0 + (self.at_all + self.per_token * tokens if tokens else 0.0))

    def rate(self, tokens: int) -> float:
        """Expected tokens a second with the drafts shared out evenly."""
        gained = 0.0
        for place in range(self.K):
            rows = min(self.branches, max(0, tokens - place * self.branches))
            gained += rows * self.accepted ** (place + 1)
        return (self.branches + gained) / self.seconds(tokens)

    def run(self, costs: StepCosts, steps: int = STEPS, seed: int = 0) -> float:
        """Tokens a second of ``steps`` steps with drafts as ``costs`` chooses them."""
        rng = np.random.default_rng(seed)
        places = np.repeat(np.arange(1, self.K + 1), self.branches)
        chances = self.promised**places
        tokens = seconds = 0.0
        slowness = 1.0
        for _ in range(steps):
            if self.wanders and rng.random() < 0.01:
                slowness = float(rng.lognormal(0.0, 0.5))
            chosen = costs.choose(self.branches, chances)
            lengths = np.bincount(np.arange(chosen) % self.branches, minlength=self.branches)
            runs = rng.geometric(1.0 - self.accepted, size=self.branches) - 1
            accepted = int(np.minimum(runs, lengths).sum())
            took = slowness * self.seconds(chosen) * float(rng.lognormal(0.0, self.noise))
            if rng.random() < 0.05:
                took *= 3.0  # something else ran
            costs.observe(self.branches, chosen, took)
            if chosen:
                costs.accepted(float(chances[:chosen].sum()), accepted)
            tokens += self.branches + accepted
            seconds += self.seconds(chosen)
        return tokens / seconds


MACHINES = st.builds(
    Machine,
    branches=st.sampled_from([1, 2, 4, 8, 16, 32]),
    at_all=st.floats(0.0, 0.5),
    per_token=st.floats(0.0, 0.2),
    accepted=st.floats(0.05, 0.95),
    promised=st.floats(0.1, 0.95),
    K=st.integers(1, 8),
    wanders=st.booleans(),
)


@given(MACHINES, st.integers(0, 2**31))
@settings(max_examples=examples(12), deadline=None)
def test_no_machine_is_slower_with_drafts_than_without(machine: Machine, seed: int) -> None:
    assert machine.run(StepCosts(LOG), seed=seed) >= 0.97 * machine.rate(0)


@pytest.mark.parametrize("branches", [1, 4, 16])
@pytest.mark.parametrize("per_token", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("accepted", [0.5, 0.8])
def test_where_drafts_pay_they_are_near_the_best_fixed_number(
    branches: int, per_token: float, accepted: float
) -> None:
    machine = Machine(branches, 0.1, per_token, accepted, accepted, K=6)
    best = max(machine.rate(tokens) for tokens in range(6 * branches + 1))
    assert machine.run(StepCosts(LOG)) >= 0.9 * best


def test_promises_that_are_not_kept_are_not_believed_for_long() -> None:
    machine = Machine(4, 0.0, 0.15, accepted=0.05, promised=0.9, K=4)
    assert machine.rate(4) < machine.rate(0)
    assert machine.run(StepCosts(LOG)) >= 0.97 * machine.rate(0)


def test_a_machine_that_changes_is_followed() -> None:
    costs = StepCosts(LOG)
    dear = Machine(8, 0.2, 0.3, 0.7, 0.7, K=4)
    cheap = Machine(8, 0.0, 0.01, 0.7, 0.7, K=4)
    dear.run(costs)
    assert costs.seconds(8, 1) == pytest.approx(dear.seconds(1), rel=0.25)
    cheap.run(costs)
    best = max(cheap.rate(tokens) for tokens in range(33))
    assert cheap.run(costs, seed=1) >= 0.9 * best
    dear.run(costs)
    assert dear.run(costs, seed=2) >= 0.96 * dear.rate(0)


def test_nothing_is_known_of_a_batch_size_that_never_ran() -> None:
    costs = StepCosts(LOG)
    Machine(4, 0.1, 0.1, 0.5, 0.5, K=4).run(costs, 100)
    assert costs.seconds(4, 2) is not None
    assert costs.seconds(16, 2) is None
    assert costs.choose(16, np.zeros(0)) == 0


def test_batch_sizes_are_grouped_in_order() -> None:
    groups = [batch_group(branches) for branches in range(1, 65)]
    assert groups == sorted(groups)
    assert len(set(groups)) == 12
    assert [groups[n - 1] for n in (5, 6)] != [groups[n - 1] for n in (7, 8)]


def test_only_steps_of_the_same_rows_are_measured() -> None:
    def measured(ends: list[int], new: list[int]) -> int:
        meter = StepMeter(LOG)
        meter.step_begins(np.array([10, 20]), 0, 0.0)
        meter.step_ended(1e9, np.array(ends) - np.array(new), np.array(new))
        return sum(len(group.plain) for group in meter.costs._groups.values())

    assert measured([11, 21], [1, 1]) == 1
    assert measured([11], [1]) == 0  # one has ended
    assert measured([11, 21, 8], [1, 1, 1]) == 0  # one has come
    assert measured([11, 30], [1, 1]) == 0  # one is another's
    assert measured([11, 20], [1, 0]) == 0  # one read its prompt
