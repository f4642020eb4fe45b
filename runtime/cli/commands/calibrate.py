"""``frontrunner calibrate``: the reward threshold of ``best_of_n`` for a wanted precision, or what
a confidence is worth (``calibrate_accuracy``)."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from ...errors import BadRequest
from ...experiments.calibration import (
    Figures,
    Fit,
    ScoredQuestion,
    decisions_needed,
    figures,
    fit_threshold,
    scored_question,
    split,
)
from ...traces.recordings import RecordedQuestion
from ..common.console import print_json, print_lines
from ..common.recording_files import load_recordings
from ..common.running import ExitStatus, complain, warn
from ..options.calibrate import CalibrateCommand
from .calibrate_accuracy import calibrate_accuracy

_BOUNDS = ("wilson", "none")


@dataclass(frozen=True, slots=True)
class _Calibrated:
    fit: Fit
    fitted_on: Figures
    held_out: Figures


def run_calibrate(command: CalibrateCommand) -> int:
    """Run the command and return its exit status.

    Raises:
        FrontrunnerError: the input must change.
        Interrupted: a signal came.
    """
    if (command.precision is None) == (command.accuracy is None):
        raise BadRequest("say either --precision, for a reward threshold, or --accuracy FILE")
    if command.accuracy is not None:
        return calibrate_accuracy(command, command.accuracy)
    assert command.precision is not None
    return _threshold(command, command.precision)


def _threshold(command: CalibrateCommand, precision: float) -> int:
    confidence = _checked(command, precision)
    questions = _usable(load_recordings(command.traces, reader=command.reader))
    try:
        fitting, checking = split(questions, command.holdout, command.seed)
        fit = fit_threshold(fitting, precision, confidence)
    except ValueError as error:
        raise BadRequest(f"these traces are too few to calibrate on: {error}") from error
    found = _Calibrated(
        fit,
        figures(fitting, fit.threshold, confidence),
        figures(checking, fit.threshold, confidence),
    )
    if command.json:
        print_json(_as_dict(command, confidence, found))
    else:
        print_lines(_report(precision, confidence, found))
    if not fit.reached:
        complain(_shortfall(command, precision, confidence, found))
        return ExitStatus.FAILED
    _warn_if_it_did_not_hold(precision, found.held_out)
    return ExitStatus.DONE


def _checked(command: CalibrateCommand, precision: float) -> float | None:
    """The confidence of the bound; None: no bound."""
    if not 0.0 < precision < 1.0:
        raise BadRequest("--precision must be between 0 and 1, as in 0.95")
    if not 0.5 <= command.confidence < 1.0:
        raise BadRequest("--confidence must be at least 0.5 and below 1, as in 0.9")
    if not 0.0 < command.holdout < 1.0:
        raise BadRequest(
            "--holdout must be between 0 and 1, as in 0.5: a threshold is always checked on "
            "questions that it was not fitted on"
        )
    if command.bound not in _BOUNDS:
        raise BadRequest(f"--bound takes {' or '.join(_BOUNDS)}, not {command.bound!r}")
    return None if command.bound == "none" else command.confidence


# ── reading ───────────────────────────────────────────────────────────────────────────────────


def _usable(recorded: Sequence[RecordedQuestion]) -> list[ScoredQuestion]:
    scored = [scored_question(question) for question in recorded]
    questions = [question for question in scored if question is not None]
    if not any(question.arrivals for question in questions):
        raise BadRequest(
            "the traces hold no branch with both an answer and a score: record races of a strategy "
            "that scores all branches, as with --strategy best_of_n"
        )
    cut = sum(question.left_out for question in recorded)
    if cut:
        whole = sum(len(question.branches) for question in recorded)
        warn(
            f"{cut} of {cut + whole} recorded branches were cut or forced and are left out, mostly "
            "long ones: record with --strategy best_of_n, no threshold and a generous deadline"
        )
    silent = len(scored) - len(questions)
    if silent:
        warn(f"{silent} of {len(scored)} questions have no scored branch and are left out")
    return questions


# ── showing ───────────────────────────────────────────────────────────────────────────────────


def _as_dict(
    command: CalibrateCommand, confidence: float | None, found: _Calibrated
) -> dict[str, Any]:
    return {
        "threshold": found.fit.threshold,
        "reached": found.fit.reached,
        "precision": command.precision,
        "bound": command.bound,
        "confidence": confidence,
        "smoothed": found.fit.smoothed,
        "holdout": command.holdout,
        "seed": command.seed,
        "fitted_on": found.fitted_on.as_dict(),
        "held_out": found.held_out.as_dict(),
    }


def _report(precision: float, confidence: float | None, found: _Calibrated) -> list[str]:
    """A TOML document: the figures as comments, then the settings if there is a threshold."""
    both = (found.fitted_on, found.held_out)
    rows: list[tuple[str, list[str]]] = [
        ("", ["fitted on", "held out"]),
        ("questions", [str(f.questions) for f in both]),
        ("questions that reach it", [_percent(f.stopped_share) for f in both]),
        ("precision: right of these", [_percent(f.precision) for f in both]),
        ("branches cut", [_percent(f.branches_cut) for f in both]),
        ("tokens saved", [_percent(f.tokens_saved) for f in both]),
    ]
    if confidence is not None:
        bounds = [_percent(f.precision_bound) for f in both]
        rows.insert(4, (f"at least, with {_short(confidence)} confidence", bounds))
    asked = f"a precision of {_short(precision)}"
    if confidence is not None:
        asked += f" with {_short(confidence)} confidence"
    if found.fit.reached:
        title = f"The lowest reward threshold for {asked}: {found.fit.threshold!r}"
    else:
        title = f"No reward threshold has {asked}. The closest: {found.fit.threshold!r}"
    table = [f"{name:<36}{''.join(f'{value:>12}' for value in values)}" for name, values in rows]
    lines = [f"# {line}".rstrip() for line in (title, "", *table)]
    if found.fit.reached:
        lines += ["", "[race]", 'strategy = "best_of_n"', ""]
        lines += ["[race.parameters]", f"threshold = {found.fit.threshold!r}"]
    return lines


def _shortfall(
    command: CalibrateCommand, precision: float, confidence: float | None, found: _Calibrated
) -> str:
    best = f"the best, smoothed, is {_percent(found.fit.smoothed)}, at {found.fit.threshold!r}"
    none = f"no threshold has a precision of {_short(precision)}"
    if confidence is None:
        return f"{none}: {best}"
    said = f"{none}: with {_short(confidence)} confidence {best}"
    needed, had = decisions_needed(precision, confidence), found.fitted_on.questions
    if had < needed:
        questions = ceil(needed / (1.0 - command.holdout))
        said += (
            f"; that takes {needed} decisions even if all are right, and {had} questions were "
            f"fitted on: record at least {questions}, or lower --precision or --confidence"
        )
    return said


def _warn_if_it_did_not_hold(precision: float, held_out: Figures) -> None:
    if held_out.precision is None:
        warn("no held-out question reaches the threshold: nothing is known of its precision there")
    elif held_out.precision < precision:
        warn(
            f"on the held-out questions its precision is {_percent(held_out.precision)}, below the "
            f"{_short(precision)} that it was fitted for"
        )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _short(share: float) -> str:
    return f"{100 * share:g} %"
