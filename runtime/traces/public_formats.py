"""Forms of other people's recordings, and the plain form that anyone's can be written in."""

from collections.abc import Iterator, Sequence
from math import exp
from pathlib import Path
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter

from ..answers import BOXED
from .formats import LOOSE, Length, lines_of, parse, readable
from .recordings import RecordedBranch, RecordedQuestion, TraceError

# ── the plain form ────────────────────────────────────────────────────────────────────────────


class PlainQuestion(BaseModel):
    """A line of the plain form: lists with a value for each branch."""

    model_config = ConfigDict(coerce_numbers_to_str=True, extra="forbid")

    answers: list[str | None] = Field(min_length=1)
    """What the branches answered; null: nothing."""
    lengths: list[Length]
    """Their tokens."""
    question: str | None = None
    gold: Annotated[str, Field(min_length=1)] | None = None
    """The right answer; without it ``right`` is needed."""
    right: list[bool] | None = None
    """Whether the answers are right, where that is known better than by comparing them."""
    scores: list[FiniteFloat | None] | None = None
    """A reward model's, for strategies that ask for rewards."""
    seconds: list[Annotated[FiniteFloat, Field(ge=0)] | None] | None = None
    """From a branch's launch to its end."""
    logprobs: list[FiniteFloat | None] | None = None
    """The mean log probability of a branch's tokens, in nats, for votes weighed by likelihood."""
    truncated: list[bool] | None = None
    """Whether a branch ran into its token limit. Without it those that did not answer did."""


def read_plain(path: Path, content: bytes) -> Iterator[RecordedQuestion]:
    """NDJSON, a question a line; see ``PlainQuestion``."""
    for place, line in lines_of(path, content, TypeAdapter(PlainQuestion)):
        count = len(line.answers)
        for name in ("lengths", "right", "scores", "seconds", "logprobs", "truncated"):
            values = getattr(line, name)
            if values is not None and len(values) != count:
                raise TraceError(path, f"{count} answers, but {name} has {len(values)}", place)
        if line.gold is None and line.right is None:
            raise TraceError(path, "gold or right must say what is right", place)
        yield RecordedQuestion(
            name=f"{path.name}, {place}",
            gold=line.gold,
            question=line.question,
            branches=tuple(
                RecordedBranch(
                    tokens=line.lengths[i],
                    answer=readable(answer),
                    correct=_at(line.right, i),
                    score=_at(line.scores, i),
                    seconds=_at(line.seconds, i),
                    logprob=_at(line.logprobs, i),
                    truncated=readable(answer) is None
                    if line.truncated is None
                    else line.truncated[i],
                )
                for i, answer in enumerate(line.answers)
            ),
        )


def plain_line(question: RecordedQuestion) -> bytes:
    """A question in the plain form, without the line's end. Branches that were lost, and what the
    form has no place for (texts, forced answers on the way), are left out.

    Args:
        question: as it was read, or with answers that are votes (``reading.unified``), which a
            reader elsewhere can compare as texts.
    """
    branches = [b for b in question.branches if not b.lost]
    right = [
        b.answer in question.right if question.right or b.correct is None else b.correct
        for b in branches
    ]
    known = bool(question.right) or any(b.correct is not None for b in branches)
    line: dict[str, Any] = {
        "question": question.question,
        "gold": question.gold,
        "answers": [b.answer for b in branches],
        "lengths": [b.tokens for b in branches],
        "right": right if known or question.gold is None else None,
        "scores": _unless_unknown([b.score for b in branches]),
        "seconds": _unless_unknown([b.seconds for b in branches]),
        "logprobs": _unless_unknown([b.logprob for b in branches]),
        "truncated": [b.truncated for b in branches],
    }
    return orjson.dumps({key: value for key, value in line.items() if value is not None})


def _at(values: Sequence[Any] | None, place: int) -> Any:
    return None if values is None else values[place]


def _unless_unknown(values: list[float | None]) -> list[float | None] | None:
    return values if any(value is not None for value in values) else None


# ── responses with their mean log probability ─────────────────────────────────────────────────


class _Trajectory(BaseModel):
    model_config = LOOSE

    answer: str | None = None
    n_tokens: Length
    finish_reason: str | None = None
    logprob: FiniteFloat | None = None
    text: str | None = None


class _Sampled(BaseModel):
    model_config = LOOSE

    question: str
    gold: str
    trajectories: list[_Trajectory] = Field(min_length=1)


def read_trajectories(path: Path, content: bytes) -> Iterator[RecordedQuestion]:
    """NDJSON, a question a line with ``trajectories``, each with its answer, tokens, and finish
    reason. The score is the geometric mean of its tokens' probabilities, e to the mean log
    probability, which lies in (0, 1] as scores should."""
    for place, line in lines_of(path, content, TypeAdapter(_Sampled)):
        yield RecordedQuestion(
            name=f"{path.name}, {place}",
            gold=line.gold,
            question=line.question,
            branches=tuple(
                RecordedBranch(
                    tokens=one.n_tokens,
                    answer=readable(one.answer),
                    truncated=one.finish_reason == "length",
                    score=None if one.logprob is None else exp(min(0.0, one.logprob)),
                    text=one.text,
                    logprob=one.logprob,
                )
                for one in line.trajectories
            ),
        )


# ── responses with the score of a process reward model ────────────────────────────────────────


class _StepScored(BaseModel):
    tokens: Length
    text: str
    correct: bool | None = None
    prm_score: FiniteFloat | None = None


class _StepScoredQuestion(BaseModel):
    model_config = LOOSE

    gold: str
    problem_id: str | None = None
    question: str | None = None
    traces: list[_StepScored] = Field(min_length=1)


class _StepScoredSet(BaseModel):
    records: list[_StepScoredQuestion] = Field(min_length=1)


def read_step_scored(path: Path, content: bytes) -> Iterator[RecordedQuestion]:
    """One JSON object with ``records``, each with the ``traces`` of a question: text, tokens, the
    grader's verdict, and a process reward model's score. Answers are what stands in their last
    box; a text without one is taken for one that ran into its token limit."""
    for number, record in enumerate(parse(path, content, TypeAdapter(_StepScoredSet), "").records):
        answers = [BOXED.find(trace.text) for trace in record.traces]
        yield RecordedQuestion(
            name=f"{path.name}, {record.problem_id or f'record {number + 1}'}",
            gold=record.gold,
            question=record.question,
            branches=tuple(
                RecordedBranch(
                    tokens=trace.tokens,
                    answer=answer,
                    truncated=answer is None,
                    correct=trace.correct,
                    score=trace.prm_score,
                    text=trace.text,
                )
                for trace, answer in zip(record.traces, answers, strict=True)
            ),
        )


# ── runs of agents ────────────────────────────────────────────────────────────────────────────

#: What an agent's run that its task's tests accept answers.
ACCEPTED = "accepted"


class _Run(BaseModel):
    reward: FiniteFloat
    seconds: FiniteFloat = Field(gt=0)


class _Task(BaseModel):
    model_config = LOOSE

    task: str
    runs: list[_Run] = Field(min_length=1)


def read_agent_runs(path: Path, content: bytes) -> Iterator[RecordedQuestion]:
    """NDJSON, a task a line with the ``runs`` of an agent, each with its reward and its seconds.

    A second is taken for a token, so that times and costs of a replay are in agent seconds. What
    runs made cannot be compared: one with a reward of 1 is right, and every other one is an answer
    of its own. The score is the reward, as a verifier that is never wrong would give it.
    """
    for place, line in lines_of(path, content, TypeAdapter(_Task)):
        yield RecordedQuestion(
            name=f"{path.name}, {place}",
            gold=ACCEPTED,
            question=line.task,
            branches=tuple(
                RecordedBranch(
                    tokens=max(1, round(run.seconds)),
                    answer=ACCEPTED if run.reward >= 1 else f"not accepted, run {number}",
                    correct=run.reward >= 1,
                    score=run.reward,
                    seconds=run.seconds,
                )
                for number, run in enumerate(line.runs, 1)
            ),
        )
