"""Which lines of a sampled solution are right: the generator knows every step's values."""

import re
from typing import Final

from .problems import Problem, Step

_NUMBER: Final = re.compile(r"\d+")
_NUMBERED: Final = re.compile(r"(\d{1,2})\. ")


def line_labels(problem: Problem, text: str) -> list[bool]:
    """For each line of ``text``, whether the way to the answer is right up to there.

    A numbered line is right if it names the numbers before and after its step and none that are
    not its step's; the line with the box, if it names the answer alone; any other line, if it
    names no number that the story does not pass through. What follows the last step, up to the
    box, is a check: a slip in it changes no answer, so it keeps the label of the last step.
    """
    passed = {problem.start, *(step.after for step in problem.steps)}
    so_far, checking = True, False
    labels: list[bool] = []
    for line in text.split("\n"):
        match = _NUMBERED.match(line)
        if "\\boxed" in line:
            right = _numbers(line) == {problem.answer}
        elif checking:
            right = True
        elif match:
            number = int(match[1])
            right = 1 <= number <= problem.level and _says(
                problem.steps[number - 1], _numbers(line[match.end() :])
            )
            checking = number == problem.level
        else:
            right = _numbers(line) <= passed
        so_far = so_far and right
        labels.append(so_far)
    return labels


def _says(step: Step, numbers: set[int]) -> bool:
    known = {step.before, step.amount, step.after}
    if step.groups:
        known |= {step.groups, step.size}
    return {step.before, step.after} <= numbers <= known


def _numbers(line: str) -> set[int]:
    return {int(digits[:9]) for digits in _NUMBER.findall(line)}
