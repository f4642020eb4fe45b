"""A race told as one text that only grows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profiles import examples

from frontrunner.runtime.events.types import (
    BranchEnded,
    BranchExtended,
    BranchForcing,
    BranchProgressed,
    BranchStarted,
    Event,
    RaceDecided,
    VoteChanged,
)
from frontrunner.runtime.result import BranchReport, Result
from frontrunner.runtime.serving.runs.leader_stream import (
    SEPARATOR,
    Answer,
    Decided,
    LeaderStream,
    Reasoning,
    StreamItem,
)
from frontrunner.strategies.protocol import BranchStatus, StopReason

from ..events.recorded_races import recorded


def started(index: int, parent: int | None = None, inherited: int = 0) -> BranchStarted:
    return BranchStarted(0, index, None, parent, inherited)


def said(index: int, text: str) -> BranchProgressed:
    return BranchProgressed(0, index, text, 1, False)


def ended(index: int, status: BranchStatus, answer: str | None = None) -> BranchEnded:
    return BranchEnded(0, index, status, 1, answer)


def report(index: int, text: str, answer: str | None = None) -> BranchReport:
    return BranchReport(index, BranchStatus.FINISHED, 1, 0, answer, False, 1.0, text)


def decided(answer: str | None, text: str, *branches: BranchReport) -> RaceDecided:
    return RaceDecided(
        1, Result("r", answer, text, 1.0, StopReason.CLINCHED, 1, 2, branches=branches)
    )


def content(result: Result) -> str:
    return result.text if result.answer is None else result.answer


def tell(*events: Event) -> list[StreamItem]:
    narrator = LeaderStream(content)
    return [item for event in events for item in narrator.tell(event)]


def reasoning(told: list[StreamItem]) -> str:
    return "".join(item.text for item in told if isinstance(item, Reasoning))


def test_the_first_to_speak_is_followed_until_it_cannot_win() -> None:
    told = tell(
        started(0),
        started(1),
        said(1, "a"),
        said(0, "long and longer"),
        said(1, "b"),
        ended(1, BranchStatus.CANCELLED),
        said(0, "!"),
    )
    assert reasoning(told) == f"ab{SEPARATOR}long and longer!"
    assert [item.branch for item in told if isinstance(item, Reasoning)] == [1, 1, 0]


def test_a_finished_branch_stays_in_front_while_its_answer_leads() -> None:
    before = (started(0), started(1), said(0, "a"), ended(0, BranchStatus.FINISHED, "1"))
    leads = (VoteChanged(0, {"1": 1}, {}, "1"), said(1, "b"))
    assert reasoning(tell(*before, *leads)) == "a"
    behind = (VoteChanged(0, {"2": 2, "1": 1}, {}, "2"), said(1, "b"))
    assert reasoning(tell(*before, *behind)) == f"a{SEPARATOR}b"


def test_cutting_all_at_once_turns_to_nobody() -> None:
    told = tell(
        *(started(i) for i in range(4)),
        *(said(i, f"text {i}") for i in range(4)),
        *(ended(i, BranchStatus.CANCELLED) for i in range(4)),
        decided("7", "text 3", *(report(i, f"text {i}", "7") for i in range(3, 4))),
    )
    assert reasoning(told) == f"text 0{SEPARATOR}text 3"


def test_a_fork_of_the_branch_in_front_goes_on_where_that_was() -> None:
    told = tell(
        started(0),
        said(0, "one "),
        said(0, "two "),
        ended(0, BranchStatus.CANCELLED),
        started(1, parent=0, inherited=2),
        said(1, "three"),
    )
    assert reasoning(told) == "one two three"


def test_a_forced_answer_that_cut_its_branch_back() -> None:
    told = tell(
        started(0),
        said(0, "thinking "),
        said(0, "too far"),
        decided("7", "thinking \nTime is up: 7", report(0, "thinking \nTime is up: 7", "7")),
    )
    assert reasoning(told) == "thinking too far\nTime is up: 7"


def test_a_branch_that_is_extended_goes_on_and_nothing_is_told_twice() -> None:
    told = tell(
        started(0),
        said(0, "so "),
        said(0, "</think>1"),
        ended(0, BranchStatus.FINISHED, "1"),
        BranchExtended(0, 0, "Wait", 1, 1, 3),
        said(0, ", 2"),
        ended(0, BranchStatus.FINISHED, "2"),
        decided("2", "so Wait, 2", report(0, "so Wait, 2", "2")),
    )
    assert reasoning(told) == "so </think>1Wait, 2"


def test_an_extended_branch_that_is_turned_to_is_told_as_it_is_now() -> None:
    told = tell(
        started(0),
        started(1),
        said(0, "a"),
        said(1, "so </think>1"),
        ended(1, BranchStatus.FINISHED, "1"),
        BranchExtended(0, 1, "Wait", 1, 1, 3),
        ended(0, BranchStatus.CANCELLED),
        said(1, ", 2"),
    )
    assert reasoning(told) == f"a{SEPARATOR}so Wait, 2"


def test_a_forced_answer_beside_a_branch_that_ran_on_is_told_once() -> None:
    text = "thinking \nTime is up: 7"
    told = tell(
        started(0),
        said(0, "thinking "),
        BranchForcing(0, 0, 1, beside=True),
        said(0, "too far"),
        BranchProgressed(0, 0, "\nTime is up: 7", 2, True),
        ended(0, BranchStatus.FORCED, "7"),
        decided("7", text, report(0, text, "7")),
    )
    assert reasoning(told) == "thinking too far\nTime is up: 7"


@pytest.mark.parametrize("name", ["forced", "forced_beside", "extended", "extended_and_cut"])
def test_of_a_real_race_no_word_is_told_twice(name: str) -> None:
    """Whatever is told of the branch behind the answer is told once, in its order."""
    events = recorded(name)
    last = events[-1]
    assert isinstance(last, RaceDecided)
    told = tell(*events)
    behind = next(b.index for b in last.result.branches if b.text == last.result.text)
    parts = {
        branch: "".join(
            event.text
            for event in events
            if isinstance(event, BranchProgressed | BranchExtended) and event.branch == branch
        )
        for branch in range(len(last.result.branches))
    }
    *before, at_last = reasoning(told).split(SEPARATOR)
    assert at_last == parts[behind]
    assert all(any(part.startswith(piece) for part in parts.values()) for piece in before)


def test_without_an_answer_the_text_is_the_reply() -> None:
    told = tell(started(0), said(0, "hello"), decided(None, "hello", report(0, "hello")))
    assert reasoning(told) == "hello"
    assert [item.text for item in told if isinstance(item, Answer)] == ["hello"]
    assert isinstance(told[-1], Decided)


@settings(max_examples=examples(500))
@given(st.data())
def test_it_ends_with_the_text_behind_the_answer(data: st.DataObject) -> None:
    texts = ["" for _ in range(3)]
    narrator = LeaderStream(content)
    told = [item for i in range(3) for item in narrator.tell(started(i))]
    for _ in range(data.draw(st.integers(0, 12))):
        index = data.draw(st.integers(0, 2))
        piece = data.draw(st.sampled_from(["a", "b", "ab", "\n\n"]))
        if data.draw(st.booleans()):
            texts[index] += piece
            told += narrator.tell(said(index, piece))
        else:
            status = data.draw(st.sampled_from(list(BranchStatus)))
            told += narrator.tell(ended(index, status, data.draw(st.sampled_from("12"))))
    winner = data.draw(st.integers(0, 2))
    reports = [report(i, text, "1") for i, text in enumerate(texts)]
    told += narrator.tell(decided("1", texts[winner], *reports))
    assert reasoning(told).endswith(texts[winner])
    assert isinstance(told[-1], Decided)
