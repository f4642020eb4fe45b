from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.answers import ExactClusters

from ...backends import run_virtual


async def test_the_first_answer_of_a_class_represents_it() -> None:
    clusters = ExactClusters(str.lower)
    assert await clusters.assign("Red") == "Red"
    assert await clusters.assign("RED") == "Red"
    assert clusters.assign_now("red") == "Red"
    assert clusters.assign_now("green") == "green"


async def test_an_answer_whose_key_fails_stands_for_itself() -> None:
    def fail(answer: str) -> str:
        raise RuntimeError

    clusters = ExactClusters(fail)
    assert await clusters.assign("a") == "a"
    assert await clusters.assign("b") == "b"


@given(st.lists(st.text("abAB", max_size=3)))
def test_answers_share_a_class_exactly_if_they_share_a_key(answers: list[str]) -> None:
    async def assign() -> list[str]:
        clusters = ExactClusters(str.lower)
        return [await clusters.assign(answer) for answer in answers]

    assigned = run_virtual(assign)
    for a, of_a in zip(answers, assigned, strict=True):
        for b, of_b in zip(answers, assigned, strict=True):
            assert (of_a == of_b) == (a.lower() == b.lower())
