"""Several ways of writing the solution of a demo problem.

The styles differ in length by a factor of four and more, as real reasoning branches of one
question do; which style a branch takes is the model's own draw. As in real reasoning, part of the
branches know their answer long before they stop: they go on to check it.
"""

import random
from dataclasses import dataclass
from typing import Final, Literal

from . import templates
from .problems import Problem, Step
from .slips import check_steps, draw_slips

Wording = Literal["terse", "plain", "full"]
WORDINGS: Final[tuple[Wording, ...]] = ("terse", "plain", "full")
#: Share of solutions that end in a check.
CHECK_SHARE: Final = 0.75
_SYMBOL: Final = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}


@dataclass(frozen=True, slots=True)
class Style:
    """How the steps are worded, and whether a check follows them."""

    wording: Wording
    checked: bool


STYLES: Final = tuple(Style(wording, checked) for wording in WORDINGS for checked in (False, True))


def write_equations(step: Step) -> str:
    """The step as one or two bare equations, each on its line."""
    a, n, b = step.before, step.amount, step.after
    match step.operation:
        case "pack_in":
            return f"{step.groups} * {step.size} = {n}\n{a} + {n} = {b}"
        case "pack_out":
            return f"{step.groups} * {step.size} = {n}\n{a} - {n} = {b}"
        case operation:
            return f"{a} {_SYMBOL[operation]} {n} = {b}"


def _fill(template: str, problem: Problem, step: Step) -> str:
    return template.format(
        name=problem.name,
        item=problem.item,
        a=step.before,
        b=step.after,
        n=step.amount,
        k=step.groups,
        m=step.size,
        p=step.amount,
    )


def _lines(problem: Problem, style: Style, rng: random.Random) -> list[str]:
    """The lines before the answer: one a step under its number, and those around them."""
    numbered = list(enumerate(problem.steps, start=1))
    first, last = problem.steps[0], problem.steps[-1]

    def say(choices: dict[str, tuple[str, ...]], steps: list[tuple[int, Step]]) -> list[str]:
        return [f"{n}. " + _fill(rng.choice(choices[s.operation]), problem, s) for n, s in steps]

    match style.wording:
        case "terse":
            lines = [f"{n}. " + write_equations(s).replace("\n", ", ") for n, s in numbered]
        case "plain":
            opening = _fill(rng.choice(templates.PLAIN_OPENINGS), problem, first)
            lines = [opening, *say(templates.PLAIN, numbered)]
        case "full":
            opening = _fill(rng.choice(templates.FULL_OPENINGS), problem, first)
            lines = [opening, *say(templates.FULL, numbered)]
    if style.checked:
        lines.append(_fill(rng.choice(templates.CHECK_OPENINGS), problem, last))
        undone = check_steps(problem)
        lines += say(templates.CHECK, list(zip(range(problem.level, 0, -1), undone, strict=True)))
        fits = undone[-1].before == problem.start
        lines.append(rng.choice(templates.CHECK_FITS if fits else templates.CHECK_FAILS))
    return lines


def draw_style(rng: random.Random) -> Style:
    return Style(rng.choice(WORDINGS), rng.random() < CHECK_SHARE)


def write_solution(problem: Problem, style: Style, rng: random.Random) -> str:
    """The whole solution, ending in the boxed answer."""
    lines = _lines(problem, style, rng)
    return "\n".join([*lines, templates.ANSWER.format(answer=problem.answer)])


def write_cut_solution(
    problem: Problem, style: Style, rng: random.Random, *, slips: float = 0.0
) -> tuple[str, str]:
    """A solution cut anywhere, and the answer that a forced guess should give.

    Where the cut is early no guess can be right. Then the model learns to spread its guesses:
    branches that do not know must not agree with each other, on the last number that they wrote,
    say, and outvote those that do.
    """
    worked = draw_slips(problem, rng, slips, steps=problem.level // 2)
    text = write_solution(worked, style, rng)
    cut = text[: rng.randrange(len(text))]
    return cut, f"{worked.answer}}}."
