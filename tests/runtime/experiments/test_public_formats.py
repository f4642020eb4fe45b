"""Other people's recordings, and the plain form."""

from collections.abc import Callable
from math import exp
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.answers import Equivalence
from frontrunner.runtime.traces.public_formats import plain_line
from frontrunner.runtime.traces.recordings import RecordedBranch, RecordedQuestion, TraceError
from frontrunner.runtime.traces.trace_files import read_traces, unified

from .data import real_data


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "recorded.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(line) for line in lines))
    return path


async def read(path: Path) -> list[RecordedQuestion]:
    return await unified(read_traces([path]), Equivalence(None))


PLAIN: dict[str, Any] = {
    "gold": "1/2",
    "answers": ["0.5", "3", None, ""],
    "lengths": [10, 20, 30, 40],
}


async def test_the_plain_form_needs_answers_lengths_and_gold(tmp_path: Path) -> None:
    (question,) = await read(written(tmp_path, PLAIN))
    assert [b.answer in question.right for b in question.branches] == [True, False, False, False]
    assert [b.tokens for b in question.branches] == [10, 20, 30, 40]
    assert [b.truncated for b in question.branches] == [False, False, True, True]


async def test_right_is_enough_where_no_gold_is_known(tmp_path: Path) -> None:
    line = {"answers": ["a", "b", "c"], "lengths": [1, 2, 3], "right": [False, True, True]}
    (question,) = await read(written(tmp_path, line))
    assert question.right == {"b", "c"}


async def test_numbers_are_answers_too(tmp_path: Path) -> None:
    (question,) = await read(written(tmp_path, {"answers": [7, 8.5], "lengths": [1, 2], "gold": 7}))
    assert [b.answer in question.right for b in question.branches] == [True, False]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lengths": [1, 2]}, "4 answers, but lengths has 2"),
        ({"right": [True]}, "4 answers, but right has 1"),
        ({"scores": [1.0]}, "4 answers, but scores has 1"),
        ({"seconds": []}, "4 answers, but seconds has 0"),
        ({"logprobs": [-1.0]}, "4 answers, but logprobs has 1"),
        ({"truncated": [True] * 5}, "4 answers, but truncated has 5"),
        ({"gold": None}, "gold or right must say what is right"),
        ({"lengths": [1, 2, 0, 4]}, "lengths.2"),
        ({"lenghts": [1]}, "there is no field 'lenghts'; known: answers, lengths, "),
        ({"lenghts": [1]}, "did you mean 'lengths'?"),
        ({"answers": []}, "answers"),
        ({"lengths": [1, 2, 10**18, 4]}, "lengths.2"),
        ({"gold": ""}, "gold"),
        ({"seconds": [1, 2, 3, -1]}, "seconds.3"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(TraceError, match="line 2") as caught:
        read_traces([written(tmp_path, PLAIN, {**PLAIN, **change})])
    assert said in str(caught.value)


async def test_a_mark_of_the_encoding_and_long_texts_do_not_hide_the_form(tmp_path: Path) -> None:
    path = tmp_path / "recorded.jsonl"
    line = {"question": "x" * 100_000, **PLAIN}
    path.write_bytes(b"\xef\xbb\xbf" + orjson.dumps(line) + b"\r\n" + orjson.dumps(line))
    assert len(read_traces([path])) == 1  # the same question twice


_ANSWERS = st.lists(st.sampled_from(["7", "8", "1/2", "0.5", None]), min_size=1, max_size=6)


@given(answers=_ANSWERS, more=st.data())
async def test_what_is_written_in_the_plain_form_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, answers: list[str | None], more: st.DataObject
) -> None:
    def each(values: st.SearchStrategy[Any]) -> list[Any]:
        return more.draw(st.lists(values, min_size=len(answers), max_size=len(answers)))

    line: dict[str, Any] = {
        "question": "?",
        "gold": "1/2",
        "answers": answers,
        "lengths": each(st.integers(1, 10**6)),
        "truncated": each(st.booleans()),
        "scores": each(st.none() | st.floats(-5, 5)),
        "seconds": each(st.none() | st.floats(0, 100)),
        "logprobs": each(st.none() | st.floats(-9, 0)),
    }
    folder = tmp_path_factory.mktemp("plain")
    (once,) = await read(written(folder, line))
    (again,) = await read(written(folder, orjson.loads(plain_line(once))))

    def plainly(b: RecordedBranch) -> tuple[Any, ...]:
        return b.tokens, b.answer, b.truncated, b.score, b.seconds, b.logprob

    def seen(question: RecordedQuestion) -> list[Any]:
        return [(*plainly(b), b.answer in question.right) for b in question.branches]

    assert seen(once) == seen(again)


async def test_responses_with_log_probabilities(tmp_path: Path) -> None:
    line = {
        "question": "?",
        "gold": "42",
        "trajectories": [
            {"answer": "42", "n_tokens": 9, "finish_reason": "stop", "logprob": -0.5, "text": "a"},
            {"answer": "", "n_tokens": 400, "finish_reason": "length", "logprob": -1.0},
            {"answer": "", "n_tokens": 20, "finish_reason": "stop"},
        ],
    }
    (question,) = await read(written(tmp_path, line))
    assert [(b.answer, b.truncated) for b in question.branches] == [
        ("42", False),
        (None, True),
        (None, False),
    ]
    assert [b.score for b in question.branches] == [exp(-0.5), exp(-1.0), None]


async def test_responses_with_the_score_of_a_process_reward_model(tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    traces = [
        {"text": r"so \boxed{3}, no: \boxed{4}", "tokens": 30, "correct": True, "prm_score": 0.9},
        {"text": "I do not know", "tokens": 99, "correct": False, "prm_score": 0.1},
    ]
    records = [{"problem_id": "p1", "gold": "4", "difficulty": "x", "traces": traces}]
    path.write_bytes(orjson.dumps({"meta": {"dataset": "?"}, "records": records}))
    (question,) = await read(path)
    assert [(b.answer, b.score, b.truncated) for b in question.branches] == [
        ("4", 0.9, False),
        (None, 0.1, True),
    ]
    assert question.right == {"4"}


async def test_runs_of_agents(tmp_path: Path) -> None:
    runs = [
        {"reward": 0, "seconds": 671.9, "steps": 37},
        {"reward": 1, "seconds": 0.2, "steps": 2},
        {"reward": 0.5, "seconds": 10.0, "steps": 3},
    ]
    (question,) = await read(written(tmp_path, {"task": "t", "model": "m", "runs": runs}))
    assert [b.tokens for b in question.branches] == [672, 1, 10]
    assert [b.answer in question.right for b in question.branches] == [False, True, False]
    assert len({b.answer for b in question.branches}) == 3  # failures do not agree
    assert [b.score for b in question.branches] == [0.0, 1.0, 0.5]


@pytest.mark.parametrize(
    ("name", "questions", "branches", "share"),
    [
        ("qwen2_5_0_5b_gsm8k_16branches.jsonl", 100, 16, (0.35, 0.45)),
        ("qwen2_5_1_5b_math500_8branches_prm.json", 40, 8, (0.3, 0.6)),
        ("terminal_bench_2_0_5runs.jsonl", 89, 5, (0.82, 0.85)),
    ],
)
async def test_public_sets(
    name: str, questions: int, branches: int, share: tuple[float, float]
) -> None:
    read_of: Callable[[Path], Any] = read
    found = await read_of(real_data(name))
    assert len(found) == questions
    assert {len(q.branches) for q in found} == {branches}
    right = sum(b.answer in q.right for q in found for b in q.branches)
    assert share[0] < right / (questions * branches) < share[1]
