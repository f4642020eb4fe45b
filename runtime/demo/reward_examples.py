"""What the demo's reward model reads: branches with labels, written ones and sampled ones."""

import random
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from transformers import PreTrainedTokenizerFast

from .corpus import prompt_text
from .labels import line_labels
from .problems import LEVELS, Problem, draw_problem
from .sampling import Sample
from .slips import draw_slips
from .solutions import Style, draw_style, write_solution

CONTEXT: Final = 1024
MICROBATCH_TOKENS: Final = 8192
#: Share of steps with a slip in written solutions: about half of them are right.
SLIPS: Final = 0.12
#: Share of digits that are drawn anew in solutions that are spoilt.
SPOILT: Final = 0.15
#: Written solutions that are drawn at a time.
_POOL: Final = 1024


@dataclass(frozen=True, slots=True)
class Example:
    """A branch as the reward model reads it."""

    ids: list[int]  # (num_tokens,)
    prompt: int  # tokens of the prompt
    ends: list[int]  # (num_lines,) the last tokens of the lines
    labels: list[float]  # of the first lines, up to the first wrong one: 1 right, 0 wrong


def make_example(problem: Problem, branch: Sample, tokenizer: PreTrainedTokenizerFast) -> Example:
    """The branch with its lines and labels.

    What follows a wrong line has no label: it may be right in itself; nor has a line broken off.
    """
    ids: list[int] = tokenizer.encode(prompt_text(problem.question), add_special_tokens=False)
    prompt = len(ids)
    ends: list[int] = []
    for line in branch.text.splitlines(keepends=True):
        ids += tokenizer.encode(line, add_special_tokens=False)
        ends.append(len(ids) - 1)
    ends = [end for end in ends if end < CONTEXT]
    labels = line_labels(problem, branch.text)[: None if branch.finished else -1]
    known = labels.index(False) + 1 if False in labels else len(labels)
    return Example(ids[:CONTEXT], prompt, ends, list(map(float, labels[:known][: len(ends)])))


def batches(rng: random.Random, examples: Sequence[Example]) -> list[list[Example]]:
    """One epoch of batches of about ``MICROBATCH_TOKENS`` tokens, each of nearly equal lengths."""
    grouped: list[list[Example]] = [[]]
    # A little noise: the same neighbours would meet in every epoch.
    order = sorted(examples, key=lambda e: -len(e.ids) * rng.uniform(0.95, 1.05))
    for example in order:
        batch = grouped[-1]
        longest = max([len(example.ids), *(len(e.ids) for e in batch)])
        if batch and longest * (len(batch) + 1) > MICROBATCH_TOKENS:
            grouped.append([example])
        else:
            batch.append(example)
    rng.shuffle(grouped)
    return grouped


def write_branch(rng: random.Random) -> tuple[Problem, Sample]:
    """A train-split problem of any level with a written solution, right or slipped.

    Without a check: a written one always tells whether there was a slip, and the model would learn
    to read no more than its last sentence, which in the target's own branches tells little.
    """
    problem = draw_problem(rng, rng.choice(LEVELS), "train")
    worked = draw_slips(problem, rng, SLIPS)
    text = write_solution(worked, Style(draw_style(rng).wording, checked=False), rng)
    return problem, Sample(0, text, str(worked.answer), finished=True)


def spoil(text: str, rng: random.Random) -> str:
    """``text`` with other digits in places: there is hardly one in a slip to learn from."""
    return "".join(
        rng.choice(string.digits) if c.isdigit() and rng.random() < SPOILT else c for c in text
    )


def written_batches(
    rng: random.Random, tokenizer: PreTrainedTokenizerFast, *, spoilt: float
) -> Iterator[list[Example]]:
    """Endless batches of written solutions, a share ``spoilt`` of them spoilt, without labels."""
    while True:
        pool: list[Example] = []
        for _ in range(_POOL):
            problem, branch = write_branch(rng)
            if rng.random() < spoilt:
                branch = replace(branch, text=spoil(branch.text, rng))
                pool.append(replace(make_example(problem, branch, tokenizer), labels=[]))
            else:
                pool.append(make_example(problem, branch, tokenizer))
        yield from batches(rng, pool)


def sampled_batches(
    rng: random.Random, examples: Sequence[Example], epochs: int
) -> Iterator[list[Example]]:
    """``epochs`` epochs of the target's own branches."""
    for _ in range(epochs):
        yield from batches(rng, examples)
