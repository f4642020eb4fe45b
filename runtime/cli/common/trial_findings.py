"""What a trial shows, in plain sentences, and what to change where it shows something bad."""

import re
from collections.abc import Callable, Sequence
from statistics import mean, median
from typing import Final

from frontrunner.strategies.protocol import BranchStatus

from ...answers import make_extractor
from ...config import AnswerSettings, Settings
from ...result import BranchReport
from ...thinking import ThinkingFormat
from .findings import Finding, Level
from .printable import one_line
from .trial import Trial, ended

#: Shares of branches that answer by themselves, from which on nothing, or little, is wrong.
GOOD_SHARE: Final = 0.9
_POOR_SHARE: Final = 0.5
#: Of a difference between what confidence says and how often answers are right.
_FAR: Final = 0.25
#: The share of letters, in texts without a blank, that is no language any more.
_GLUED: Final = 60
_FORMS: Final = {
    "boxed": "in a \\boxed{}",
    "last_number": "with a number",
    "multiple_choice": "with a letter",
}
#: Characters of a text's end that are shown.
_TAIL: Final = 90
_MARKS: Final = ("Ġ", "Ċ", "▁")


def form(kind: str) -> str:
    """How an answer of a kind is given, in words that follow "answered"."""
    return _FORMS.get(kind, f"as answers.kind {kind!r} wants it")


def findings_of(trial: Trial, settings: Settings) -> list[Finding]:
    """All that a trial shows."""
    found = [_answers(trial, settings), _forced(trial), _votes(trial), _speed(trial)]
    return [finding for finding in found if finding is not None]


# ── answers ───────────────────────────────────────────────────────────────────────────────────


def _answers(trial: Trial, settings: Settings) -> Finding:
    """What share of branches answers by itself, and why the others do not."""
    answered, branches = len(trial.answered), len(trial.branches)
    if not branches:
        return Finding("branches", Level.BAD, "the engine lost every branch of the trial")
    share = trial.answered_share
    none = f"no branch answers {form(trial.kind)}"
    some = f"{answered} of {branches} branches answered {form(trial.kind)} by themselves"
    detail = some if answered else none
    if share >= GOOD_SHARE:
        return Finding("branches", Level.GOOD, detail)
    why, advice = explain(trial, settings)
    level = Level.WARNING if share >= _POOR_SHARE else Level.BAD
    return Finding("branches", level, f"{detail}: {why}", advice)


def explain(trial: Trial, settings: Settings) -> tuple[str, str]:
    """Why branches do not answer by themselves: the commonest reason, and what to do about it."""
    silent = [b for b in trial.branches if not ended(b) or b.answer is None]
    truncated = [b for b in silent if b.truncated]
    late = [b for b in silent if not ended(b) and not b.truncated]
    wordless = [b for b in silent if ended(b)]
    garbled = [b for b in trial.branches if looks_garbled(b.text)]
    if len(garbled) > len(trial.branches) / 2:
        return (
            f"what they write has no blanks, or marks of a tokenizer ({_example(garbled)})",
            "the model's tokenizer.json was damaged, as by a conversion: copy it again from where "
            "the model is from",
        )
    most = max((truncated, late, wordless), key=len)
    of = f"{len(most)} of {len(trial.branches)}"
    if most is truncated:
        return _truncated(of, truncated, trial, settings)
    if most is late:
        return (
            f"{of} were still writing when the trial's time was up",
            "the engine is slow for this model: lower race.branches or sampling.max_tokens, or "
            "take a smaller model",
        )
    return _wordless(of, wordless, trial, settings)


def _truncated(
    of: str, branches: Sequence[BranchReport], trial: Trial, settings: Settings
) -> tuple[str, str]:
    limit = settings.sampling.max_tokens
    why = f"{of} were cut at sampling.max_tokens = {limit:,} ({_example(branches)})"
    if _mostly(_thinking(trial), branches):
        return (
            f"{why}, while they were still thinking",
            'raise sampling.max_tokens and race.deadline, or set thinking.mode = "off"',
        )
    if _mostly(_repeats, branches):
        return (
            f"{why}, repeating themselves",
            "the model finds no end: lower sampling.temperature, set sampling.stop to what it "
            "writes behind an answer, or take a larger model",
        )
    return why, "raise sampling.max_tokens, or set sampling.stop to what follows an answer"


def _wordless(
    of: str, branches: Sequence[BranchReport], trial: Trial, settings: Settings
) -> tuple[str, str]:
    if all(not b.text.strip() for b in branches):
        return (
            f"{of} ended at once without a word",
            "the chat template does not open the assistant's turn as the model knows it: "
            "`frontrunner doctor --config` shows the prompt; correct prompt.chat_template",
        )
    if _mostly(_thinking(trial), branches):
        return (
            f"{of} ended before their thinking did",
            'set thinking.end to what closes it, or thinking.mode = "off"',
        )
    prose = numbers_in_prose(branches)
    why = f"{of} ended without one ({_example(branches)})"
    if settings.prompt.instruction == "":
        return why, 'nobody asks for the form: set prompt.instruction = "auto"'
    if trial.kind == "boxed" and prose > len(branches) / 2:
        return (
            f"{of} ended with their number in plain prose ({_example(branches)})",
            'set answers.kind = "last_number", which reads it there',
        )
    return (
        why,
        "ask for the form in other words, in prompt.instruction, or choose an answers.kind that "
        "the model keeps to",
    )


def numbers_in_prose(branches: Sequence[BranchReport]) -> int:
    """How many of the branches that ended by themselves have a number for an answer, wherever it
    stands."""
    find = make_extractor(AnswerSettings(kind="last_number")).find
    return sum(ended(branch) and find(branch.text) is not None for branch in branches)


def looks_garbled(text: str) -> bool:
    """Whether text came out of a tokenizer that was damaged: its marks for blanks are in it, or
    words have none between them."""
    if sum(text.count(mark) for mark in _MARKS) > 2:
        return True
    latin = re.findall(r"[A-Za-z]+", text)
    return sum(map(len, latin)) > _GLUED and max(map(len, latin)) > _GLUED


def _thinking(trial: Trial) -> Callable[[BranchReport], bool]:
    """Whether a branch's text ends inside its thinking, as the races read it."""
    told = (result.thinking for result in trial.unhurried)
    form = next((form for form in told if form is not None), ThinkingFormat())
    return lambda branch: form.read(branch.text).position == "inside"


def _repeats(branch: BranchReport) -> bool:
    """Whether the end of its text stands in it several times."""
    end = branch.text[-40:]
    return len(end) == 40 and branch.text.count(end) > 2


def _mostly(test: Callable[[BranchReport], bool], branches: Sequence[BranchReport]) -> bool:
    return sum(map(test, branches)) > len(branches) / 2


def _example(branches: Sequence[BranchReport]) -> str:
    text = one_line(next((b.text for b in branches if b.text.strip()), ""))
    return f"such as “…{text[-_TAIL:]}”" if text else "all of them empty"


# ── forced answers, votes, speed ──────────────────────────────────────────────────────────────


def _forced(trial: Trial) -> Finding | None:
    """What becomes of branches that are cut."""
    forced = trial.forced
    if not forced:
        if not trial.hurried:
            return None
        cut = [b for result in trial.hurried for b in result.branches if not ended(b)]
        if cut:
            least = max(result.deadline for result in trial.hurried)
            detail = f"{len(cut)} branches were cut, and none of them was made to answer"
            advice = f"{least:.2g} s were too short for that: give races more time"
            return Finding("forced answers", Level.WARNING, detail, advice)
        detail = "no branch had to be forced: all were done by the short deadline"
        return Finding("forced answers", Level.GOOD, detail)
    parsed = [b for b in forced if b.answer is not None]
    detail = f"{len(parsed)} of {len(forced)} branches that were cut could be made to answer"
    right, given = trial.right_branches(trial.hurried, forced=True)
    if given:
        detail += f", and {right} of {given} forced answers were right"
    advice = (
        "set forcing.suffix to words after which this model gives its answer at once, and raise "
        "forcing.max_tokens if they are cut"
    )
    if len(parsed) < _POOR_SHARE * len(forced):
        return Finding("forced answers", Level.BAD, detail, advice)
    scattered = [r for r in trial.hurried if _scatters(r.branches)]
    if scattered:
        detail += f"; in {len(scattered)} of {len(trial.hurried)} races they all differ"
        if len(scattered) > len(trial.hurried) / 2:
            return Finding(
                "forced answers",
                Level.WARNING,
                detail,
                "cut so early, branches know nothing yet: give races more time, or "
                "set forcing.suffix to words that this model goes on from",
            )
    good = len(parsed) >= GOOD_SHARE * len(forced)
    return Finding(
        "forced answers",
        Level.GOOD if good else Level.WARNING,
        detail,
        None if good else advice,
    )


def _scatters(branches: Sequence[BranchReport]) -> bool:
    answers = [b.answer for b in branches if b.forced and b.answer is not None]
    return len(answers) > 2 and len(set(answers)) == len(answers)


def _votes(trial: Trial) -> Finding | None:
    """What the confidence is worth: against the right answers, and against what all say."""
    if not trial.unhurried:
        return None
    said = mean(result.confidence for result in trial.unhurried)
    right = sum(trial.is_right(i, r.answer) for i, r in enumerate(trial.unhurried))
    alone, given = trial.right_branches(trial.unhurried, forced=False)
    races = len(trial.unhurried)
    detail = f"it says {said:.2f} on average, and {right} of {races} answers were right"
    if given:
        detail += f" (of single branches {alone} of {given})"
    kept = sum(
        hurried.answer is not None and hurried.answer == unhurried.answer
        for hurried, unhurried in zip(trial.hurried, trial.unhurried, strict=False)
    )
    if trial.hurried:
        detail += f"; the short races gave the answer of the long ones in {kept} of {races}"
    if said - right / races > _FAR:
        return Finding(
            "confidence",
            Level.WARNING,
            detail,
            "it says how surely the model prefers this answer to its others, and this model is "
            "often sure of wrong ones: do not read it as the chance of being right",
        )
    return Finding("confidence", Level.GOOD, detail)


def _speed(trial: Trial) -> Finding | None:
    seconds = sum(result.elapsed for result in trial.unhurried)
    tokens = sum(result.tokens_generated for result in trial.unhurried)
    done = [branch.seconds for branch in trial.ended]
    if seconds <= 0 or not tokens:
        return None
    branches = max(len(result.branches) for result in trial.unhurried)
    detail = f"{tokens / seconds:,.0f} tokens a second by {branches} branches together"
    if done:
        detail += f"; half of those that ended by themselves were done in {median(done):.1f} s"
    lost = [b for r in trial.unhurried for b in r.branches if b.status is BranchStatus.FAILED]
    if lost:
        why = one_line(lost[0].error or "no word")
        return Finding("speed", Level.WARNING, f"{detail}; lost branches: {len(lost)} ({why})")
    return Finding("speed", Level.GOOD, detail)
