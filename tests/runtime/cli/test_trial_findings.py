"""A trial's branches are explained: why they do not answer, and what to change."""

from typing import Any

import pytest

from frontrunner.runtime.cli.common.findings import Level
from frontrunner.runtime.cli.common.questions import Asked
from frontrunner.runtime.cli.common.trial import Trial
from frontrunner.runtime.cli.common.trial_findings import explain, findings_of, looks_garbled
from frontrunner.runtime.cli.common.trial_settings import better_kind, measured
from frontrunner.runtime.config import Settings
from frontrunner.runtime.model_files.commented_toml import Setting
from frontrunner.runtime.model_files.proposal import Proposal
from frontrunner.runtime.result import BranchReport, Result
from frontrunner.runtime.thinking import ThinkingFormat
from frontrunner.strategies.protocol import BranchStatus, StopReason

SETTINGS = Settings()


def branch(text: str = "So it is 12.", answer: str | None = None, **more: Any) -> BranchReport:
    told: dict[str, Any] = {"tokens": 50, "seconds": 1.0, **more}
    forced = bool(told.pop("forced", False))
    status = told.pop("status", BranchStatus.FORCED if forced else BranchStatus.FINISHED)
    at = len(text) if forced else None
    tokens, seconds = told.pop("tokens"), told.pop("seconds")
    return BranchReport(0, status, tokens, 0, answer, forced, seconds, text, forced_at=at, **told)


def cut(text: str, answer: str | None = None, **more: Any) -> BranchReport:
    return branch(text, answer, status=BranchStatus.TRUNCATED, truncated=True, **more)


def result(*branches: BranchReport, answer: str | None = None, **more: Any) -> Result:
    told: dict[str, Any] = {"confidence": 0.5, "elapsed": 2.0, "deadline": 60.0, **more}
    return Result(
        "r", answer, "", stop_reason=StopReason.EXHAUSTED, branches=branches,
        tokens_generated=sum(b.tokens for b in branches), **told,
    )  # fmt: skip


def trial(*branches: BranchReport, kind: str = "boxed", **more: Any) -> Trial:
    return Trial(kind, (Asked("q", "12"),), (result(*branches, **more),))


@pytest.mark.parametrize(
    ("branches", "settings", "why", "advice"),
    [
        ([branch()] * 8, {}, "their number in plain prose", 'answers.kind = "last_number"'),
        (
            [branch("I do not know.")] * 8,
            {"prompt": {"instruction": ""}},
            "ended without one (such as “…I do not know.”)",
            'prompt.instruction = "auto"',
        ),
        ([branch("No idea.")] * 8, {}, "8 of 8 ended without one", "in other words"),
        ([branch("")] * 8, {}, "ended at once without a word", "prompt.chat_template"),
        ([cut("and so on")] * 8, {}, "cut at sampling.max_tokens = 4,096", "raise sampling"),
        ([cut("<think>hm")] * 8, {}, "while they were still thinking", 'mode = "off"'),
        ([branch("<think>hm")] * 8, {}, "ended before their thinking did", "thinking.end"),
        (
            [cut("I say it again and again, my friends of old. " * 9)] * 8,
            {},
            "repeating themselves",
            "sampling.stop",
        ),
        (
            [branch("Well", status=BranchStatus.CANCELLED)] * 8,
            {},
            "8 of 8 were still writing",
            "race.branches",
        ),
        ([branch("TheĠansĠwerĠisĠno")] * 8, {}, "marks of a tokenizer", "tokenizer.json"),
        ([branch("theanswerisnotknown" * 9)] * 8, {}, "has no blanks", "tokenizer.json"),
    ],
)
def test_why_branches_do_not_answer(
    branches: list[BranchReport], settings: dict[str, Any], why: str, advice: str
) -> None:
    told = explain(trial(*branches), Settings.from_dict(settings))
    assert why in told[0]
    assert advice in told[1]
    (finding, *_) = findings_of(trial(*branches), Settings.from_dict(settings))
    assert finding.level is Level.BAD
    assert finding.detail.startswith("no branch answers in a \\boxed{}: ")
    assert finding.advice == told[1]


def test_the_marks_of_thinking_are_those_of_the_model() -> None:
    marked = trial(*[cut("[T]hm")] * 8, thinking=ThinkingFormat("[T]", "[/T]", "[/T]"))
    assert "still thinking" in explain(marked, SETTINGS)[0]


@pytest.mark.parametrize(
    ("answering", "level"), [(10, "good"), (9, "good"), (6, "warning"), (4, "bad")]
)
def test_the_share_that_answers(answering: int, level: str) -> None:
    branches = [branch(answer="12")] * answering + [branch("No.")] * (10 - answering)
    (finding, *_) = findings_of(trial(*branches), SETTINGS)
    assert (finding.name, finding.level) == ("branches", level)
    assert finding.detail.startswith(f"{answering} of 10 branches answered in a \\boxed{{}}")
    assert (finding.advice is None) == (level == "good")


def test_branches_that_were_lost_are_not_counted_as_silent() -> None:
    lost = branch("", status=BranchStatus.FAILED, error="gone")
    found = {f.name: f for f in findings_of(trial(branch(answer="1"), lost), SETTINGS)}
    assert found["branches"].detail.startswith("1 of 1 ")
    assert "lost branches: 1 (gone)" in found["speed"].detail
    (finding, *_) = findings_of(trial(lost), SETTINGS)
    assert finding.level is Level.BAD


def hurried(*forced: BranchReport, right: set[tuple[int, str]] = frozenset()) -> Trial:  # type: ignore[assignment]
    full = result(branch(answer="12"), branch(answer="12"), answer="12")
    short = result(*forced, answer=forced[0].answer)
    return Trial("boxed", (Asked("q", "12"),), (full,), (short,), frozenset(right))


def test_forced_answers() -> None:
    def finding(*forced: BranchReport, **more: Any) -> Any:
        return {f.name: f for f in findings_of(hurried(*forced, **more), SETTINGS)}[
            "forced answers"
        ]

    agree = [branch(answer="12", forced=True)] * 4
    good = finding(*agree, right={(0, "12")})
    assert good.level is Level.GOOD
    assert "4 of 4 branches" in good.detail
    assert "4 of 4 forced answers were right" in good.detail
    differ = [branch(answer=str(i), forced=True) for i in range(4)]
    scattered = finding(*differ)
    assert scattered.level is Level.WARNING
    assert "they all differ" in scattered.detail
    none = finding(*[branch(forced=True)] * 4)
    assert none.level is Level.BAD
    assert "forcing.suffix" in none.advice
    lost = finding(branch("Well", status=BranchStatus.CANCELLED))
    assert lost.level is Level.WARNING
    assert "1 branches were cut, and none of them was made to answer" in lost.detail
    done = finding(branch(answer="12"))
    assert done.level is Level.GOOD
    assert "no branch had to be forced" in done.detail


def test_confidence_in_wrong_answers_is_told() -> None:
    def finding(right: set[tuple[int, str]]) -> Any:
        made = trial(*[branch(answer="9")] * 4, answer="9", confidence=0.95)
        made = Trial(made.kind, made.questions, made.unhurried, (), frozenset(right))
        return {f.name: f for f in findings_of(made, SETTINGS)}["confidence"]

    wrong = finding(set())
    assert wrong.level is Level.WARNING
    assert (
        "0.95 on average, and 0 of 1 answers were right (of single branches 0 of 4)" in wrong.detail
    )
    assert "do not read it as the chance of being right" in wrong.advice
    assert finding({(0, "9")}).level is Level.GOOD


def test_another_form_of_answers_is_taken_where_it_finds_more() -> None:
    prose, boxed, silent = branch(), branch(answer="12"), branch("No.")
    assert better_kind(trial(*[prose] * 8)) == "last_number"
    assert better_kind(trial(*[boxed] * 8)) is None
    assert better_kind(trial(*[silent] * 8)) is None
    assert better_kind(trial(*[prose] * 8, kind="last_number")) is None
    assert better_kind(trial(*[cut("12")] * 8)) is None


def test_what_was_measured_is_written() -> None:
    proposal = Proposal(
        (Setting("race.deadline", 10.0, "a guess"), Setting("race.branches", 16, "x"))
    )
    branches = [branch(answer="12", tokens=100 + i, seconds=4.0 + i / 10) for i in range(20)]
    written = measured(proposal, trial(*branches), SETTINGS, None)
    assert written.get("lengths.median") in (109, 110)
    assert written.get("lengths.p95") in (118, 119)
    assert written.get("race.deadline") == 7.0  # 1.2 times what nine of ten took, 5.7 s, rounded up
    assert [s.path for s in written.settings][:2] == ["race.deadline", "race.branches"]
    assert written.notes == ()
    few = measured(proposal, trial(*branches[:3]), SETTINGS, None)
    assert few.get("race.deadline") == 10.0
    silent = measured(proposal, trial(*[branch("No.")] * 8), SETTINGS, None)
    assert "0 of 8 branches answered" in silent.notes[0]


@pytest.mark.parametrize(
    "text", ["A plain sentence of words.", "", "x = 1", "数字は十二です。" * 20]
)
def test_language_is_not_garbled(text: str) -> None:
    assert not looks_garbled(text)
