"""Reading recorded branches, and writing them."""

import gzip
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from frontrunner.runtime.answers import Equivalence
from frontrunner.runtime.engines.protocol import Sampling
from frontrunner.runtime.engines.scripted import BranchScript
from frontrunner.runtime.events.types import BranchProbed, BranchScored, Event
from frontrunner.runtime.simulation.simulated_race import (
    CannotReplay,
    SimulatedRace,
    Timing,
    check_replayable,
)
from frontrunner.runtime.traces.formats import read_own
from frontrunner.runtime.traces.recorder import TraceRecorder
from frontrunner.runtime.traces.trace_files import (
    RecordedBranch,
    RecordedQuestion,
    TraceError,
    agreed,
    read_traces,
    unified,
)
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.protocol import ProbeAnswer

from ..events.recorded_races import recorded as recorded_race
from ..race_harness import Setup, WatchedEngine, at_its_limit, fails, forced_says, says
from .data import probed_file, probed_question, real_data, scored_file, scored_line


async def read(path: Path) -> list[RecordedQuestion]:
    return await unified(read_traces([path]), Equivalence(None))


# ── formats ───────────────────────────────────────────────────────────────────────────────────


async def test_probed_branches(tmp_path: Path) -> None:
    (question,) = await read(probed_file(tmp_path))
    assert (question.gold, question.right) == ("7", {"7"})
    assert [b.tokens for b in question.branches] == [25, 15, 35, 45]
    assert question.branches[2].probes == (
        ProbeAnswer(10, "2"),
        ProbeAnswer(20, None),
        ProbeAnswer(30, "3"),
    )


async def test_probes_from_after_the_end_are_left_out(tmp_path: Path) -> None:
    path = probed_file(tmp_path, probed_question(branches=[[["1", "2", "3"], 19, "3"]]))
    (question,) = await read(path)
    assert question.branches[0].probes == (ProbeAnswer(10, "1"),)


@pytest.mark.parametrize("answer", ["ERR", " ", None])
async def test_an_unreadable_answer_is_no_vote(tmp_path: Path, answer: str | None) -> None:
    (question,) = await read(probed_file(tmp_path, probed_question(branches=[[[], 5, answer]])))
    assert question.branches[0].answer is None


async def test_answers_are_equal_as_numbers_not_as_strings(tmp_path: Path) -> None:
    branches = [[["007"], 25, "7.0"], [[], 15, "\\frac{14}{2}"], [[], 5, "8"]]
    (question,) = await read(probed_file(tmp_path, probed_question("7", branches)))
    assert [b.answer for b in question.branches] == ["7", "7", "8"]
    assert question.branches[0].probes == (ProbeAnswer(10, "7"),)


async def test_scored_responses(tmp_path: Path) -> None:
    (question,) = await read(scored_file(tmp_path))
    assert [b.tokens for b in question.branches] == [10, 20, 30]
    assert [b.score for b in question.branches] == [0.5, 2.5, -1.0]
    assert [b.answer for b in question.branches] == ["1/2", "1/2", "3"]
    assert question.right == {"1/2"}
    (question,) = await read(scored_file(tmp_path, scored_line(tokens=[3, 2, 1])))
    assert [b.tokens for b in question.branches] == [3, 2, 1]


async def test_a_graders_verdicts_count_more_than_the_gold_answer(tmp_path: Path) -> None:
    line = scored_line(gold="3", correct=[True, True, False])
    (question,) = await read(scored_file(tmp_path, line))
    assert question.right == {"0.5"}


def test_a_branch_is_forced_to_say_what_it_last_said() -> None:
    branch = RecordedBranch(30, "9", probes=(ProbeAnswer(10, "1"), ProbeAnswer(20, None)))
    assert [branch.forced_answer(t) for t in (0, 9, 10, 19, 20, 30)] == [
        None,
        None,
        "1",
        "1",
        None,
        None,
    ]


# ── what is wrong with a file, and where ──────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty"),
        (b"hello", "of no known format"),
        (b'{"question": "q"}\n', "of no known format"),
        (b'[{"each_branch"', "EOF"),
        (b'[{"question": "q"}]', "of no known format"),
        (
            b'[{"question": "q", "gold": "1", "answers": ["1"], "lengths": [1]}]',
            "is a list: a line of JSON for each question",
        ),
        (
            orjson.dumps(
                {"gold": "1", "answers": ["1"], "lengths": [1]}, option=orjson.OPT_INDENT_2
            ),
            "line 1: a line of JSON for each question",
        ),
        (gzip.compress(scored_line()), "unpack it"),
        ('{"answers": [], "lengths": []}'.encode("utf-16"), "is no text in UTF-8"),
        (b"[]", "holds no question"),
        (orjson.dumps([probed_question(), probed_question(probe_freq=0)]), "question 2: probe_fr"),
        (
            orjson.dumps([probed_question(branches=[[[], 5, "1"], [[], "long", "1"]])]),
            r"question 1: each_branch.1.1: ",
        ),
        (orjson.dumps([probed_question(branches=[])]), "question 1: each_branch: "),
        (scored_line() + b'{"responses": 3, "rewards"', "line 2: "),
        (scored_line() + scored_line(rewards=[1.0]), "line 2: 3 responses, but rewards has 1"),
        (b'{"frontrunner_trace": 2, "branches": []}', "line 1: frontrunner_trace: "),
        (
            b'{"frontrunner_trace": 1, "branches": [{"branch": 0, "status": "luck", "tokens": 1}]}',
            r"line 1: branches.0.status: ",
        ),
    ],
)
def test_a_broken_file_is_refused_with_the_place(
    tmp_path: Path, content: bytes, match: str
) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(TraceError, match=match) as raised:
        read_traces([path])
    assert str(raised.value).startswith(str(path))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"cannot be read \(No such file"):
        read_traces([tmp_path / "none.json"])


# ── our own, written and read ─────────────────────────────────────────────────────────────────


async def recorded(**more: Any) -> tuple[TraceRecorder, list[Event]]:
    """A race with a clinch: three finish with 7, one is lost, one is cut."""
    recorder, seen = TraceRecorder(question="q", gold="7", text=True, times_every=2), []

    def push(event: Event) -> None:
        seen.append(event)
        recorder.push(event)

    engine = WatchedEngine(
        [says("7", 1.0), says("7.0", 2.0), fails(after=0.5), says("7", 4.0), says("9", 5.0)],
        [forced_says("8")],
    )
    await Setup(engine, Majority(5, stop="clinch"), publish=push, **more).run()
    return recorder, seen


async def test_a_race_is_written_down(tmp_path: Path) -> None:
    recorder, _ = await recorded()
    assert recorder.complete
    line = orjson.loads(recorder.line())
    assert line["frontrunner_trace"] == 1
    assert Counter(b["status"] for b in line["branches"]) == {
        "finished": 3,
        "failed": 1,
        "cancelled": 1,
    }
    first = line["branches"][0]
    assert (first["tokens"], first["answer"], first["seconds"]) == (8, "7", 1.0)
    assert first["times"] == [[0, 0.0], [2, 0.25], [4, 0.5], [6, 0.75], [8, 1.0]]
    assert "\\boxed{7}" in first["text"]
    assert [(c["command"], c["branches"]) for c in line["commands"]] == [
        ("launch", [0, 1, 2, 3, 4]),
        ("cancel", [4]),
    ]
    assert line["result"]["stop_reason"] == "clinched"


async def test_what_was_written_is_read_but_for_branches_that_were_cut(tmp_path: Path) -> None:
    recorder, _ = await recorded()
    path = tmp_path / "trace.ndjson"
    path.write_bytes(recorder.line())
    (question,) = await read(path)
    assert (question.gold, question.right, question.left_out) == ("7", {"7"}, 1)
    assert [(b.tokens, b.answer, b.lost) for b in question.branches] == [
        (8, "7", False),
        (8, "7", False),
        (1, None, True),
        (8, "7", False),
    ]


async def test_likelihoods_are_written_down_and_replayed(tmp_path: Path) -> None:
    scripts = [
        BranchScript.answering("3", seconds=1, logprob=-0.9),
        BranchScript.answering("7", seconds=2, logprob=-0.2),
        BranchScript.answering("3", seconds=3, logprob=-0.8),
    ]
    recorder = TraceRecorder(question="q", gold="7")
    strategy = Majority(3, stop="none", weight="likelihood")
    sampling = Sampling(likelihoods=True)
    setup = Setup(WatchedEngine(scripts), strategy, publish=recorder.push, sampling=sampling)
    assert (await (await setup.race()).run()).answer == "7"
    path = tmp_path / "trace.ndjson"
    path.write_bytes(recorder.line())
    (question,) = await read(path)
    assert [b.logprob for b in question.branches] == pytest.approx([-0.9, -0.2, -0.8])
    replayed = Majority(3, stop="none", weight="likelihood")
    check_replayable(replayed, question.branches)
    for strategy, answer in ((replayed, "7"), (Majority(3, stop="none", weight="none"), "3")):
        outcome = SimulatedRace(strategy, question.branches, Timing()).run()
        assert outcome.decision.answer == answer
    without = [replace(branch, logprob=None) for branch in question.branches]
    with pytest.raises(CannotReplay, match="mean log probability"):
        check_replayable(replayed, without)


async def test_forced_branches_are_left_out_too(tmp_path: Path) -> None:
    recorder, _ = await recorded(deadline=0.9)
    path = tmp_path / "trace.ndjson"
    path.write_bytes(recorder.line())
    (question,) = await read(path)
    assert [b.lost for b in question.branches] == [True]
    forced = orjson.loads(recorder.line())["branches"][0]["forced"]
    assert forced[1] == "8"


async def test_races_on_the_same_question_are_pooled(tmp_path: Path) -> None:
    recorder, _ = await recorded()
    path = tmp_path / "trace.ndjson"
    path.write_bytes(recorder.line() * 2 + recorder.line().replace(b'"q"', b'"other"'))
    assert [len(q.branches) for q in await read(path)] == [8, 4]


async def test_probes_and_scores_are_written_and_read(tmp_path: Path) -> None:
    _, seen = await recorded()
    again = TraceRecorder(question="q", gold="7")
    for event in seen:
        if event is seen[-1]:
            again.push(BranchProbed(0.5, 0, 4, "6"))
            again.push(BranchScored(1.0, 0, 8, 0.75))
        again.push(event)
    path = tmp_path / "trace.ndjson"
    path.write_bytes(again.line())
    (question,) = await read(path)
    assert question.branches[0].probes == (ProbeAnswer(4, "6"),)
    assert question.branches[0].score == 0.75
    assert question.branches[1].probes is None


async def test_a_probe_that_never_came_is_told_from_one_that_was_not_to_come(
    tmp_path: Path,
) -> None:
    """A branch that is shorter than the time to its first probe would have said nothing."""
    _, seen = await recorded()
    path = tmp_path / "trace.ndjson"
    for probed in (False, True):
        again = TraceRecorder(question="q", gold="7", probed=probed)
        for event in seen:
            again.push(event)
        path.write_bytes(again.line())
        (question,) = await read(path)
        wanted = () if probed else None
        assert [b.probes for b in question.branches] == [wanted] * len(question.branches)


def test_in_older_traces_a_short_branch_was_asked_as_often_as_its_length_allows() -> None:
    """An empty list was not written."""
    branches = [
        {"branch": 0, "status": "finished", "tokens": 40, "answer": "1", "probes": [[32, "1"]]},
        {"branch": 1, "status": "finished", "tokens": 32, "answer": "1"},
        {"branch": 2, "status": "finished", "tokens": 33, "answer": "1"},
    ]
    line = {"frontrunner_trace": 1, "gold": "1", "branches": branches}
    (question,) = read_own(Path("old"), orjson.dumps(line))
    assert [b.probes for b in question.branches] == [(ProbeAnswer(32, "1"),), (), None]


async def test_branches_cut_at_their_limit_are_written_and_read_as_such(tmp_path: Path) -> None:
    recorder = TraceRecorder(question="q", gold="7")
    engine = WatchedEngine([at_its_limit("hm", 1), at_its_limit("\\boxed{7} hm", 2)])
    setup = Setup(engine, Majority(2, force_answers=False), publish=recorder.push)
    await setup.run()
    asked = TraceRecorder(question="q", gold="7", probed=True)
    engine = WatchedEngine([at_its_limit("hm", 1)] * 2, [forced_says("7", 0.01)])
    await Setup(engine, Majority(2), publish=asked.push).run()
    path = tmp_path / "trace.ndjson"
    path.write_bytes(recorder.line() + asked.line())
    (question,) = await read(path)
    assert [(b.answer, b.truncated, b.tokens, b.probes) for b in question.branches] == [
        (None, True, 8, None),
        ("7", True, 8, None),
        (None, True, 8, (ProbeAnswer(8, "7"),)),
        (None, True, 8, (ProbeAnswer(8, "7"),)),
    ]
    assert question.left_out == 0


def written(name: str) -> dict[str, Any]:
    recorder = TraceRecorder(question="q", gold="7", times_every=1)
    for event in recorded_race(name):
        recorder.push(event)
    return orjson.loads(recorder.line())


def test_what_a_branch_took_back_has_no_times() -> None:
    line = written("extended")
    (branch,) = line["branches"]
    assert branch["extended"]
    tokens = [tokens for tokens, _ in branch["times"]]
    assert tokens == sorted(set(tokens))
    assert tokens[-1] == branch["tokens"]
    assert [c["command"] for c in line["commands"]] == ["launch", "extend", "extend"]


def test_a_forced_answer_beside_is_written_down_where_its_branch_ended() -> None:
    branches = written("forced_beside")["branches"]
    assert [b["status"] for b in branches] == ["finished", "forced", "forced"]
    for branch in branches[1:]:
        assert branch["times"][-1][0] == branch["tokens"] == branch["forced"][0]


def test_a_race_that_runs_has_no_line_yet() -> None:
    with pytest.raises(ValueError, match="not ended"):
        TraceRecorder().line()


# ── the real files ────────────────────────────────────────────────────────────────────────────


async def test_the_figures_of_aime_2024() -> None:
    """Single branches are right in 75.7 %, the majority of 128 in 80.0 %."""
    questions = await read(real_data("qwen3_8b_aime24_128branches.json"))
    assert [len(q.branches) for q in questions] == [128] * 30
    right = sum(b.answer in q.right for q in questions for b in q.branches)
    assert round(100 * right / (30 * 128), 1) == 75.7
    leaders = [
        Counter(b.answer for b in q.branches if b.answer is not None).most_common(1)[0][0]
        for q in questions
    ]
    assert sum(a in q.right for a, q in zip(leaders, questions, strict=True)) == 24


async def test_the_verdicts_of_the_reward_set() -> None:
    path = real_data("math_rm8.jsonl")
    questions = await read(path)
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert len(questions) == 60
    for question, line in zip(questions, lines, strict=True):
        assert [b.answer in question.right for b in question.branches] == line["correct"]


def test_without_a_right_answer_right_is_what_most_branches_say() -> None:
    branches = tuple(RecordedBranch(5, answer) for answer in ("7", "8", "8", None))
    cut = RecordedBranch(9, "7", truncated=True)
    question = RecordedQuestion("q", None, (*branches, cut, cut))
    assert not question.judged
    assert agreed(question).right == {"8"}
    assert agreed(RecordedQuestion("q", None, branches[3:])).right == frozenset()
    known = RecordedQuestion("q", "7", branches, frozenset({"7"}))
    assert agreed(known) is known
