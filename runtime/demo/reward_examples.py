"""What the demo's reward model reads: branches with labels, written ones and sampled ones."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from transformers import PreTrainedTokenizerFast

from .corpus import prompt_text
from .labels import line_labels
from .problems import LEVELS, Problem, draw_problem
from .sampling import Sample
from .slips import draw_slips
from .solutions import Style, draw_style, write_solution
from .tokenizer import END

CONTEXT: Final = 1024
MICROBATCH_TOKENS: Final = 8192
#: Share of steps with a slip in written solutions: about half of them are right.
SLIPS: Final = 0.12
#: Written solutions that are drawn at a time.
_POOL: Final = 1024
#: Weight of a text's end, where whole branches are scored, over that of a line's.
END_WEIGHT: Final = 4.0


@dataclass(frozen=True, slots=True)
class Example:
    """A branch as the reward model reads it."""

    ids: list[int]  # (num_tokens,)
    places: list[int]  # (num_labels,) tokens at which a score is read
    labels: list[float]  # (num_labels,)
    weights: list[float]  # (num_labels,)


def make_example(problem: Problem, branch: Sample, tokenizer: PreTrainedTokenizerFast) -> Example:
    """The branch with its labels: each line's at its line break, the answer's at the end.

    The end is read twice: at the text's last token, where a forced answer ends, and at the token
    that ends the turn, which the chat template puts after a branch that ended by itself.
    """
    ids: list[int] = tokenizer.encode(prompt_text(problem.question), add_special_tokens=False)
    places: list[int] = []
    labels: list[float] = []
    weights: list[float] = []
    # Without the last line: broken off, or the one with the answer.
    lines = branch.text.split("\n")
    for line, right in zip(lines[:-1], line_labels(problem, branch.text), strict=False):
        ids += tokenizer.encode(line + "\n", add_special_tokens=False)
        places.append(len(ids) - 1)
        labels.append(float(right))
        weights.append(1.0)
    ids += tokenizer.encode(lines[-1], add_special_tokens=False)
    if branch.finished:
        right = branch.answer == str(problem.answer)
        for end in ([], [tokenizer.vocab[END]]):
            ids += end
            places.append(len(ids) - 1)
            labels.append(float(right))
            weights.append(END_WEIGHT / 2)
    kept = [i for i, place in enumerate(places) if place < CONTEXT]
    return Example(
        ids[:CONTEXT],
        [places[i] for i in kept],
        [labels[i] for i in kept],
        [weights[i] for i in kept],
    )


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


def written_batches(
    rng: random.Random, tokenizer: PreTrainedTokenizerFast
) -> Iterator[list[Example]]:
    """Endless batches of written solutions."""
    while True:
        pool = [make_example(*write_branch(rng), tokenizer) for _ in range(_POOL)]
        yield from batches(rng, pool)


def sampled_batches(
    rng: random.Random, examples: Sequence[Example], epochs: int
) -> Iterator[list[Example]]:
    """``epochs`` epochs of the target's own branches."""
    for _ in range(epochs):
        yield from batches(rng, examples)
