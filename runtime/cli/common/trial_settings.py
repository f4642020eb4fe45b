"""What a trial puts into a proposed config: a form of answers that the model keeps to, how long
branches get, and a deadline that most of them meet."""

from math import ceil
from statistics import quantiles
from typing import Final

from ...config import Settings
from ...model_files.proposal import Proposal
from .trial import Trial
from .trial_findings import GOOD_SHARE, explain, form, numbers_in_prose

#: Branches that must have ended by themselves for their lengths and times to say something.
_ENOUGH: Final = 8
#: The share of branches that should be done by the deadline, in tenths, and the room beside it.
_DONE: Final = 9
_ROOM: Final = 1.2
_DEADLINES: Final = (1.0, 120.0)
#: How much larger the share must be with which another form of answers is found.
_GAIN: Final = 0.1


def better_kind(trial: Trial) -> str | None:
    """Another kind of answers, in which more of the branches have one; None: there is none."""
    if trial.kind != "boxed" or trial.answered_share >= GOOD_SHARE or not trial.branches:
        return None
    share = numbers_in_prose(trial.branches) / len(trial.branches)
    return "last_number" if share >= trial.answered_share + _GAIN else None


def measured(
    proposal: Proposal, trial: Trial, settings: Settings, earlier: Trial | None
) -> Proposal:
    """The proposal with what a trial has shown.

    Args:
        earlier: one with another kind of answers, in whose place ``trial`` was run.
    """
    if earlier is not None:
        of = f"{len(earlier.answered)} of {len(earlier.branches)}"
        reason = f"asked for a \\boxed{{}}, {of} branches gave one; a number stands in most replies"
        proposal = proposal.having("answers.kind", trial.kind, reason)
    done = trial.ended
    if len(done) >= _ENOUGH:
        proposal = _timed(proposal, trial)
    if trial.answered_share < GOOD_SHARE and trial.branches:
        why, advice = explain(trial, settings)
        note = (
            f"In the trial {len(trial.answered)} of {len(trial.branches)} branches answered "
            f"{form(trial.kind)} by themselves: {why}. What may help: {advice}."
        )
        proposal = proposal.noting(note)
    return proposal


def _timed(proposal: Proposal, trial: Trial) -> Proposal:
    tokens = sorted(branch.tokens for branch in trial.ended)
    cuts = quantiles(tokens, n=20, method="inclusive")
    median, p95 = max(1, round(cuts[9])), round(cuts[18])
    if p95 > median:
        why = "tokens of a branch, as in the trial; learned from then on"
        proposal = proposal.having("lengths.median", median, why).having("lengths.p95", p95, "")
    seconds = [branch.seconds for branch in trial.ended]
    most = quantiles(seconds, n=10, method="inclusive")[_DONE - 1]
    low, high = _DEADLINES
    deadline = float(min(high, max(low, ceil(_ROOM * most))))
    why = f"seconds; in the trial nine of ten branches were done in {most:.1f}"
    return proposal.having("race.deadline", deadline, why)
