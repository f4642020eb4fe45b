"""``frontrunner calibrate --accuracy``: how likely an answer is right, by its race's confidence."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

from ...common.whole_files import write_whole
from ...errors import BadRequest
from ...experiments.accuracy import Seen, calibration_error, fit_accuracy, seen_races
from ...racing.accuracy_map import AccuracyMap, AccuracyStep
from ...simulation.cells import StrategySpec
from ...traces.recordings import RecordedQuestion
from ..common.console import print_json, print_lines
from ..common.recording_files import load_recordings, warn_of_cut_branches
from ..common.running import ExitStatus, warn
from ..options.calibrate import CalibrateCommand

#: Questions below which accuracy by confidence is a guess.
_ENOUGH = 30


def calibrate_accuracy(command: CalibrateCommand, path: Path) -> int:
    """Write the file and say what it is worth; returns the exit status.

    Raises:
        FrontrunnerError: the input must change.
        Interrupted: a signal came.
    """
    if not 0.0 < command.holdout < 1.0:
        raise BadRequest("--holdout must be between 0 and 1, as in 0.5")
    strategy = StrategySpec.parse(command.strategy)
    strategy.create(command.branches, forced=True)
    questions = _usable(load_recordings(command.traces, reader=command.reader), command.branches)
    seen = seen_races(questions, strategy, command.branches, command.draws, command.seed)
    if not any(seen):
        raise BadRequest("no replayed race came to an answer: there is nothing to calibrate")
    known = fit_accuracy(seen, strategy, command.branches)
    fitting, checking = _split(seen, command.holdout, command.seed)
    checked = fit_accuracy(fitting, strategy, command.branches)
    before, after = calibration_error(checking, None), calibration_error(checking, checked)
    write_whole(path, known.json())
    if command.json:
        errors = {"confidence": before, "accuracy_estimate": after}
        print_json({"file": str(path), "questions": len(seen), "held_out_error": errors})
    else:
        print_lines(_report(path, known, before, after))
    return ExitStatus.DONE


def _usable(recorded: Sequence[RecordedQuestion], branches: int) -> list[RecordedQuestion]:
    warn_of_cut_branches(recorded, remedy="record with frontrunner pilot")
    questions = [q for q in recorded if len(q.branches) >= branches]
    if len(questions) < 2:
        raise BadRequest(
            f"two questions with {branches} whole branches are needed at least, and "
            f"{len(questions)} have as many: record more (frontrunner pilot), or lower --branches"
        )
    if len(questions) < _ENOUGH:
        warn(f"{len(questions)} questions say little: {_ENOUGH} and more are better")
    return questions


def _split(
    seen: Sequence[list[Seen]], holdout: float, seed: int
) -> tuple[list[list[Seen]], list[list[Seen]]]:
    mixed = list(seen)
    Random(seed).shuffle(mixed)
    held = min(max(1, round(holdout * len(mixed))), len(mixed) - 1)
    return mixed[held:], mixed[:held]


def _report(path: Path, known: AccuracyMap, before: float | None, after: float | None) -> list[str]:
    lines = [f"confidence from   accuracy   races   ({known.strategy}, {known.branches} branches)"]
    for name, steps in (("finished branches", known.finished), ("forced answers", known.forced)):
        lines += ["", f"decided by {name}:", *(map(_row, steps) if steps else ["  none seen"])]
    lines += ["", f"on held-out questions the confidence is {_points(before)} from what was right,"]
    lines += [f"and the accuracy estimate {_points(after)}", "", "[race]"]
    return [*(f"# {line}".rstrip() for line in lines[:-1]), lines[-1], f'calibration = "{path}"']


def _row(step: AccuracyStep) -> str:
    return f"{step.confidence:15.3f} {100 * step.accuracy:8.1f} % {step.races:7d}"


def _points(error: float | None) -> str:
    return "an unknown distance" if error is None else f"{100 * error:.1f} points"
