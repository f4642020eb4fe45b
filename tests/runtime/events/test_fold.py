"""What events tell of a race is what was: of real races, and of recorded ones as it was stored."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontrunner.runtime.engines.scripted import BranchScript, Piece
from frontrunner.runtime.events.event_lines import read_event
from frontrunner.runtime.events.fold import BranchState, RaceState
from frontrunner.runtime.events.growing_text import GrowingText
from frontrunner.runtime.events.types import (
    BranchEnded,
    BranchExtended,
    BranchForcing,
    BranchProgressed,
    BranchScored,
    BranchStarted,
    Event,
    RaceDecided,
    VoteChanged,
)
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.protocol import BranchStatus

from ...backends import run_virtual
from ..race_harness import SUFFIX, Setup, WatchedEngine, fails, forced_says, says, stalls
from .recorded_races import RACES, STREAMS, joined, recorded, run

Line = dict[str, Any]


def fold(*events: Event) -> RaceState:
    race = RaceState()
    for event in events:
        race.apply(event)
    return race


# ── real races ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("reader", [list, joined], ids=["quick reader", "slow reader"])
@pytest.mark.parametrize("name", RACES)
def test_the_events_of_a_race_tell_its_result(
    name: str, reader: Callable[[list[Event]], list[Event]]
) -> None:
    events = reader(run(name))
    if name == "cancelled":
        assert not fold(*events).counted(BranchStatus.RUNNING)
        return
    *before, last = events
    assert isinstance(last, RaceDecided)
    race, result = fold(*before), last.result
    assert list(race.branches) == [report.index for report in result.branches]
    for report in result.branches:
        branch = race.branches[report.index]
        assert branch.text == report.text
        assert branch.tokens == report.tokens
        assert branch.own_tokens == report.inherited_tokens + report.tokens - report.forced_tokens
        assert (branch.status, branch.answer) == (report.status, report.answer)
        assert (branch.parent, branch.inherited_tokens) == (report.parent, report.inherited_tokens)
        assert (branch.probes, branch.score) == (report.probes, report.score)
        assert branch.reason == report.error or branch.status is BranchStatus.CANCELLED
        if report.forced_at is not None:
            assert branch.own_text == report.text[: report.forced_at]
    assert (race.votes, race.forced_votes) == (result.votes, result.forced_votes)
    assert race.leader == result.answer


# ── recorded races ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", RACES)
def test_a_recorded_race_is_known_as_it_was_stored(name: str) -> None:
    events = recorded(name)
    stored: dict[str, Any] = json.loads((STREAMS / f"{name}.json").read_text())
    assert str(len(events)) in stored
    for count, state in stored.items():
        assert json.loads(json.dumps(fold(*events[: int(count)]).to_dict())) == state
    whole = fold(*joined(events)).to_dict()
    assert json.loads(json.dumps(whole)) == stored[str(len(events))]


def lines(name: str) -> list[Line]:
    return [json.loads(line) for line in (STREAMS / f"{name}.ndjson").read_text().splitlines()]


@pytest.mark.parametrize("name", RACES)
def test_recorded_events_have_the_fields_of_today(name: str) -> None:
    """Otherwise: record them anew, see ``recorded_races``."""
    for line, event in zip(lines(name), recorded(name), strict=True):
        assert set(line) == {"event", *(field.name for field in fields(event))}


def test_the_recorded_races_hold_what_happens_in_races() -> None:
    assert {path.stem for path in STREAMS.iterdir()} == set(RACES)
    told = {name: lines(name) for name in RACES}
    assert {line["event"] for race in told.values() for line in race} >= {
        "branch_forcing",
        "branch_probed",
        "branch_scored",
        "branch_extended",
        "call_time_reached",
    }
    assert [e["beside"] for e in told["forced"] if e["event"] == "branch_forcing"] == [False] * 2
    beside = [e["branch"] for e in told["forced_beside"] if e.get("beside")]
    ends = {e["branch"]: e["status"] for e in told["forced_beside"] if e["event"] == "branch_ended"}
    assert {ends[branch] for branch in beside} == {"finished", "forced"}
    assert any(e.get("inherited_characters") for e in told["forks"])
    assert sum(e["event"] == "branch_extended" for e in told["extended"]) == 2
    leaders = [e["leader"] for e in told["best_of_n"] if e["event"] == "vote_changed"]
    assert leaders[0] != leaders[-1] == told["best_of_n"][-1]["result"]["answer"]
    assert "race_decided" not in {e["event"] for e in told["cancelled"]}
    assert told["no_answer"][-1]["result"]["answer"] is None
    ends = [e["status"] for e in told["truncated"] if e["event"] == "branch_ended"]
    assert ends == ["truncated", "truncated", "forced"]


def test_streams_of_an_earlier_version_can_be_read() -> None:
    old: list[Line] = [
        {"event": "branch_started", "at": 0, "branch": 0, "seed": None},
        {"event": "branch_progressed", "at": 1, "branch": 0, "text": "so", "tokens": 1},
        {"event": "branch_forcing", "at": 2, "branch": 0, "tokens": 1},
        {"event": "branch_extended", "at": 3, "branch": 0, "text": "Wait"},
        {"event": "vote_changed", "at": 4, "votes": {"7": 1}, "leader": "7"},
    ]
    old[1]["forced"] = False
    race = fold(*(read_event(json.dumps(line)) for line in old))
    assert race.branches[0].text == "soWait"
    assert (race.leader, race.weights) == ("7", {})


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('{"event": "branch_flew"}', "branch_flew"),
        ("[]", "no event"),
        ('{"at": 1}', "no event"),
        ("{", "unexpected end"),
        ('{"event": "branch_probed", "at": 1, "branch": 0, "tokens": "x"}', "tokens"),
    ],
    ids=["unknown", "list", "nameless", "cut", "wrong type"],
)
def test_what_is_no_event_is_refused(line: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        read_event(line)


# ── one by one ────────────────────────────────────────────────────────────────────────────────


def started(branch: int = 0, **more: Any) -> BranchStarted:
    return replace(BranchStarted(0.0, branch, None), **more)


def said(text: str, tokens: int = 1, branch: int = 0, *, forced: bool = False) -> BranchProgressed:
    return BranchProgressed(1.0, branch, text, tokens, forced)


def only(*events: Event) -> BranchState:
    (branch,) = fold(*events).branches.values()
    return branch


def test_a_branch_that_is_asked_beside_runs_on() -> None:
    asked = (started(), said("so "), BranchForcing(2.0, 0, 1, beside=True))
    assert only(*asked).status is BranchStatus.RUNNING
    assert only(*asked, said("on ")).text == "so on "
    cut_back = only(*asked, said("on ", 5), said("It is 7", 2, forced=True))
    assert (cut_back.text, cut_back.tokens, cut_back.own_tokens) == ("so It is 7", 8, 6)
    assert only(*asked[:-1], BranchForcing(2.0, 0, 1)).status is BranchStatus.FORCING


def test_an_extension_takes_back_text_tokens_and_answer() -> None:
    branch = only(
        started(),
        said("so </think>1", 4),
        BranchEnded(2.0, 0, BranchStatus.FINISHED, 4, "1"),
        BranchExtended(2.0, 0, "Wait", 1, 1, 3),
        said(", 2", 2),
    )
    assert branch.text == "so Wait, 2"
    assert (branch.tokens, branch.own_tokens, branch.extensions) == (4, 4, 1)
    assert (branch.status, branch.answer, branch.ended_at) == (BranchStatus.RUNNING, None, None)


def test_a_fork_begins_with_the_characters_that_it_is_told() -> None:
    parent = (started(), said("one two three", 5))
    exact = started(1, parent=0, inherited_tokens=3, inherited_characters=7)
    assert fold(*parent, exact, said("!", branch=1)).branches[1].text == "one two!"
    # Of an earlier version: as far as pieces tell.
    vague = started(1, parent=0, inherited_tokens=3)
    assert fold(started(), said("one ", 3), said("two", 2), vague).branches[1].text == "one "


def test_a_viewer_may_come_late() -> None:
    race = fold(
        said("on", branch=3),
        started(5, parent=4, inherited_tokens=9),
        said("!", branch=5),
        BranchScored(1.0, 6, 1, None),
    )
    assert {i: (b.text, b.tokens) for i, b in race.branches.items()} == {
        3: ("on", 1),
        5: ("!", 1),
        6: ("", 0),
    }


def test_the_ranking_is_the_strategy_s_and_the_same_for_everybody() -> None:
    race = fold(VoteChanged(1.0, {"42": 3, "7": 1, "x": 1}, {"x": 1, "y": 2}, "7", {"x": 4.0}))
    assert race.ranking() == ["7", "x", "42", "y"]
    assert fold(VoteChanged(1.0, {"b": 1, "a": 1}, {}, None)).ranking() == ["a", "b"]


@given(st.lists(st.tuples(st.text(max_size=4), st.integers(0, 3))), st.data())
def test_growing_text_is_text(pieces: list[tuple[str, int]], data: st.DataObject) -> None:
    text, whole, tokens = GrowingText(), "", 0
    for piece, count in pieces:
        text.append(piece, count)
        whole, tokens = whole + piece, tokens + count
        wanted = data.draw(st.integers(0, 9))
        assert text.tail(wanted) == whole[max(0, len(whole) - wanted) :]
        if data.draw(st.booleans()):
            kept, tokens = data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, tokens))
            copy = text.copy(kept, tokens)
            assert (str(text), str(copy)) == (whole, whole[:kept])
            text.cut(kept, tokens)
            whole = whole[:kept]
        assert (str(text), len(text), text.tokens) == (whole, len(whole), tokens)
        assert 0 <= text.characters_of(data.draw(st.integers(0, tokens))) <= len(whole)


def test_streams_are_small() -> None:
    """They are read by people, too."""
    assert all(path.stat().st_size < 40_000 for path in Path(STREAMS).iterdir())


# ── forced answers ────────────────────────────────────────────────────────────────────────────

#: What branches do, and what they say when they are forced; some say nothing at all.
_BRANCHES = [
    says("7", 1.0),
    says(None, 1.0),
    stalls("long "),
    stalls("so \\boxed{7}, or "),
    fails("gone", 0.5),
    BranchScript(tuple(Piece(0.25, f"word{i} ", 2) for i in range(64))),
]
_FORCED = [forced_says("8", 0.01), forced_says("9", 0.3), fails("lost", 0.02), stalls()]


@settings(deadline=None)
@given(
    branches=st.lists(st.sampled_from(_BRANCHES), min_size=1, max_size=4),
    forced=st.lists(st.sampled_from(_FORCED), min_size=1, max_size=3),
    crowded=st.booleans(),
)
def test_events_hold_a_forcing_suffix_where_a_branch_was_asked_behind_one_and_nowhere_else(
    branches: list[BranchScript], forced: list[BranchScript], crowded: bool
) -> None:
    room = len(branches) if crowded else 64
    engine = WatchedEngine(branches, forced, max_branches=room)
    told: list[Event] = []
    race = Setup(engine, Majority(len(branches), stop="none"), deadline=4.0, publish=told.append)
    result = run_virtual(race.run)
    known = fold(*told)
    asked = {request.branch for request in engine.requests if request.forced}
    for report in result.branches:
        branch = known.branches[report.index]
        assert branch.text == report.text
        assert (report.forced_at is not None) == bool(branch.forced_text)
        if branch.forced_text:
            assert report.index in asked
            assert branch.forced_text.startswith(SUFFIX)
        else:
            assert SUFFIX not in branch.text
