from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.racing.seeds import branch_seed

seeds = st.integers(-(2**70), 2**70)
branches = st.integers(0, 100_000)


@given(seeds, branches, st.booleans())
def test_a_branch_seed_is_a_function_of_its_arguments_in_63_bits(
    seed: int, branch: int, forced: bool
) -> None:
    made = branch_seed(seed, branch, forced=forced)
    assert made is not None
    assert 0 <= made < 2**63
    assert made == branch_seed(seed, branch, forced=forced)


@given(branches, st.booleans())
def test_no_seed_gives_no_branch_seed(branch: int, forced: bool) -> None:
    assert branch_seed(None, branch, forced=forced) is None


def test_seeds_of_different_branches_requests_and_forced_answers_differ() -> None:
    made = {
        branch_seed(seed, branch, forced=forced)
        for seed in (-1, 0, 1, 10, 11)
        for branch in range(1_000)
        for forced in (False, True)
    }
    assert len(made) == 5 * 1_000 * 2


def test_seeds_stay_what_they_were() -> None:
    """Or a recorded race could not be repeated with the next release."""
    assert branch_seed(0, 0) == 8251779107552973432
    assert branch_seed(42, 7, forced=True) == 6499667544295501200
