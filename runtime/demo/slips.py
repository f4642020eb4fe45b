"""Slips: results that are wrong, and the working that goes on from them.

A model that has seen nothing but right working errs only where its arithmetic is weak: every branch
of a question in the same place, and otherwise by the wording it happens to take. Slips in the
documents make it err as people and larger models do, now and then and anywhere, so that branches
differ by chance; and a check has something to find.
"""

import random
from dataclasses import replace
from typing import Final

from .problems import Problem, Step

#: What a slip adds to a result, with its weight: a digit miscounted, a carry forgotten.
_OFFSETS: Final = {
    offset * sign: weight
    for offset, weight in {1: 3, 2: 1, 10: 3, 20: 1, 100: 1}.items()
    for sign in (1, -1)
}
_LARGEST: Final = 9999


def apply(step: Step, before: int) -> Step:
    """The same operation on another quantity; a division that leaves a rest drops it."""
    match step.operation:
        case "add" | "pack_in":
            after = before + step.amount
        case "subtract" | "pack_out":
            after = before - step.amount
        case "multiply":
            after = before * step.amount
        case "divide":
            after = before // step.amount
    return replace(step, before=before, after=after)


def undo(step: Step, after: int) -> Step:
    """The step by which one would have come to ``after``: what a check computes backwards."""
    match step.operation:
        case "add" | "pack_in":
            before = after - step.amount
        case "subtract" | "pack_out":
            before = after + step.amount
        case "multiply":
            before = after // step.amount
        case "divide":
            before = after * step.amount
    return replace(step, before=before, after=after)


def check_steps(problem: Problem) -> list[Step]:
    """The steps undone, last first, from the answer; the last one leads to the start if all is
    right."""
    undone: list[Step] = []
    after = problem.answer
    for step in reversed(problem.steps):
        undone.append(undo(step, after))
        after = undone[-1].before
    return undone


def draw_slips(
    problem: Problem, rng: random.Random, rate: float, *, steps: int | None = None
) -> Problem:
    """``problem`` as someone works it who slips in a share ``rate`` of its first ``steps`` steps.

    Its question and split stay, ``steps`` and ``answer`` are as worked. A slip that would lead to
    a number below 1, on the way or in the check, is not made.
    """
    worked = problem
    for index in range(problem.level if steps is None else min(steps, problem.level)):
        if rate and rng.random() < rate:  # no draw without slips: the text stays the same
            worked = _slip(worked, rng, index)
    return worked


def _slip(problem: Problem, rng: random.Random, index: int) -> Problem:
    """One slip in the result of step ``index``, at the first offset drawn that can be."""
    offsets = list(_OFFSETS)
    # A weighted shuffle: the key of Efraimidis and Spirakis (2006).
    offsets.sort(key=lambda offset: -(rng.random() ** (1 / _OFFSETS[offset])))
    for offset in offsets:
        slipped = replace(problem.steps[index], after=problem.steps[index].after + offset)
        steps = [*problem.steps[:index], slipped]
        for step in problem.steps[index + 1 :]:
            steps.append(apply(step, steps[-1].after))
        worked = replace(problem, steps=tuple(steps), answer=steps[-1].after)
        values = [step.after for step in worked.steps]
        values += [step.before for step in check_steps(worked)]
        if all(0 < value <= _LARGEST for value in values):
            return worked
    return problem
