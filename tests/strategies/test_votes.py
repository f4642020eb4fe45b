from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.strategies.protocol import BranchStatus
from frontrunner.strategies.votes import count, supporter, tally

from .views import FakeView, view_of

THOROUGH = settings(max_examples=examples(10_000))
answers = st.sampled_from("abcd")
#: Votes in order of arrival, one letter each: a text is much cheaper to draw than a list.
ballots = st.text("abcd", max_size=12)


@settings(max_examples=examples(2_000))
@given(ballots, ballots, st.integers(0, 2**32))
def test_the_order_of_votes_changes_neither_the_counts_nor_how_many_votes_win(
    finished: str, forced: str, seed: int
) -> None:
    first = count(finished, forced)
    mix = Random(seed)
    second = count(mix.sample(finished, len(finished)), mix.sample(forced, len(forced)))

    assert first.finished == second.finished == Counter(finished)
    assert first.forced == second.forced == Counter(forced)
    assert first.lead() == second.lead()
    assert first.deciding() == second.deciding()
    assert first.total == second.total == len(finished)
    if first.leader is None or second.leader is None:
        assert first.leader == second.leader
    else:
        assert votes_for(finished, forced, first.leader) == votes_for(
            finished, forced, second.leader
        )


def votes_for(finished: str, forced: str, answer: str) -> tuple[int, int]:
    return finished.count(answer), forced.count(answer)


@THOROUGH
@given(ballots, ballots)
def test_finished_votes_decide_then_forced_ones_then_who_came_first(
    finished: str, forced: str
) -> None:
    came = finished + forced
    votes = count(finished, forced)
    ranking = sorted(set(came), key=lambda a: (-finished.count(a), -forced.count(a), came.index(a)))
    assert votes.ranking() == ranking
    assert votes.leader == (ranking[0] if ranking else None)


@given(ballots, ballots)
def test_forced_answers_decide_only_when_nothing_has_finished(finished: str, forced: str) -> None:
    def two_best(votes: str) -> tuple[int, ...]:
        return tuple(sorted([*Counter(votes).values(), 0, 0], reverse=True)[:2])

    votes = count(finished, forced)
    assert votes.lead() == two_best(finished)
    assert votes.deciding() == two_best(finished or forced)


def test_of_two_answers_with_equal_votes_the_first_to_arrive_leads() -> None:
    assert count(["b", "a", "a", "b"]).leader == "b"
    assert count(["a", "b", "b", "a"]).leader == "a"
    assert count([], ["b", "a"]).leader == "b"


def test_forced_answers_break_a_tie_but_never_outvote_a_finished_one() -> None:
    assert count(["a", "b"], ["b"]).leader == "b"
    assert count(["a", "b"], ["c", "c", "c", "b"]).leader == "b"
    assert count(["a"], ["b"] * 10).leader == "a"


def test_without_any_vote_nobody_leads() -> None:
    votes = count([])
    assert votes.leader is None
    assert votes.ranking() == []
    assert votes.lead() == votes.deciding() == (0, 0)


entries = st.lists(
    st.tuples(st.sampled_from([BranchStatus.FINISHED, BranchStatus.FORCED]), st.none() | answers),
    max_size=12,
)


@given(entries, st.integers(0, 4))
def test_a_tally_counts_the_answers_that_arrived_and_no_others(
    entries: list[tuple[BranchStatus, str | None]], running: int
) -> None:
    view = FakeView()
    for status, answer in entries:
        view.add(status, answer)
    for _ in range(running):
        # Read already but not arrived: no vote.
        view.add(BranchStatus.RUNNING, "a")
    votes = tally(view)
    tiers = {BranchStatus.FINISHED: votes.finished, BranchStatus.FORCED: votes.forced}
    for tier, counted in tiers.items():
        given_ = [answer for status, answer in entries if status is tier and answer is not None]
        assert counted == Counter(given_)
        assert list(counted) == list(dict.fromkeys(given_))


def test_votes_count_in_order_of_arrival_and_not_of_launch() -> None:
    view = view_of(["a", "b"])
    view.arrivals.reverse()
    assert tally(view).leader == "b"
    assert supporter(view, "b") == 1


def test_the_branch_shown_is_the_first_finished_one_with_the_answer_else_the_first_forced() -> None:
    view = FakeView()
    view.add(BranchStatus.FORCED, "a")
    view.add(BranchStatus.FINISHED, "b")
    view.add(BranchStatus.FINISHED, "a")
    view.add(BranchStatus.FINISHED, "a")
    assert supporter(view, "a") == 2
    assert supporter(view_of([], ["x", "a", "a"]), "a") == 1
    assert supporter(view, "nobody's") is None
    assert supporter(view, None) is None


def test_branches_without_an_answer_support_nothing() -> None:
    assert supporter(view_of([None, None]), None) is None
