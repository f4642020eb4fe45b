"""Generated multi-step arithmetic word problems, graded by their number of steps.

A problem is a quantity followed through ``level`` numbered steps (2 to 8). Larger levels also use
larger numbers. Splits are disjoint by construction: a problem's split is a hash of its *numbers and
operations* alone, so no test problem shares its arithmetic with any training problem, however it is
worded.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from . import templates

Split = Literal["train", "select", "test"]
Operation = Literal["add", "subtract", "multiply", "divide", "pack_in", "pack_out"]

LEVELS: Final = range(2, 9)
#: The levels reported as "hard".
HARD_LEVELS: Final = (6, 7, 8)
OPERATIONS: Final[tuple[Operation, ...]] = (
    "add", "subtract", "multiply", "divide", "pack_in", "pack_out",
)  # fmt: skip
# Largest quantity that may occur at a level.
_LARGEST: Final = {2: 100, 3: 150, 4: 200, 5: 300, 6: 400, 7: 500, 8: 600}


@dataclass(frozen=True, slots=True)
class Step:
    """One operation: ``before`` becomes ``after``; ``pack_*`` move ``groups`` of ``size``."""

    operation: Operation
    before: int
    amount: int
    after: int
    groups: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """A worded problem with its steps; ``answer`` is the last step's quantity."""

    question: str
    answer: int
    start: int
    steps: tuple[Step, ...]
    name: str
    item: str
    split: Split

    @property
    def level(self) -> int:
        return len(self.steps)


def split_of(start: int, steps: tuple[Step, ...]) -> Split:
    """The only split in which this arithmetic may occur: 90 % train, 5 % select, 5 % test."""
    key = f"{start}|" + "|".join(f"{s.operation},{s.amount},{s.groups}" for s in steps)
    bucket = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest()) % 100
    return "train" if bucket < 90 else "select" if bucket < 95 else "test"


def _draw_step(rng: random.Random, value: int, largest: int) -> Step | None:
    operation = rng.choice(OPERATIONS)
    match operation:
        case "add":
            n = rng.randint(2, max(3, min(largest - value, largest // 2)))
            after = value + n
        case "subtract":
            n = rng.randint(2, max(2, value * 3 // 4))
            after = value - n
        case "multiply":
            n = rng.randint(2, 9)
            after = value * n
        case "divide":
            n = rng.randint(2, 9)
            if value % n:
                return None
            after = value // n
        case "pack_in" | "pack_out":
            groups, size = rng.randint(2, 9), rng.randint(3, max(4, min(largest // 12, 99)))
            n = groups * size
            after = value + n if operation == "pack_in" else value - n
            if not 2 <= after <= largest:
                return None
            return Step(operation, value, n, after, groups, size)
    return Step(operation, value, n, after) if 2 <= after <= largest else None


def _draw_steps(rng: random.Random, level: int) -> tuple[int, tuple[Step, ...]]:
    largest = _LARGEST[level]
    start = value = rng.randint(11, largest // 2)
    steps: list[Step] = []
    while len(steps) < level:
        step = _draw_step(rng, value, largest)
        # The same operation twice in a row reads as a stutter.
        if step is None or (steps and steps[-1].operation == step.operation):
            continue
        steps.append(step)
        value = step.after
    return start, tuple(steps)


def draw_problem(rng: random.Random, level: int, split: Split) -> Problem:
    """Draw one problem of ``level`` steps from ``split`` (by rejection on the split's hash)."""
    while True:
        start, steps = _draw_steps(rng, level)
        if split_of(start, steps) == split:
            break
    name, pronoun = rng.choice(templates.NAMES)
    item = rng.choice(templates.ITEMS)
    words = {"name": name, "pron": pronoun, "Pron": pronoun.capitalize(), "item": item}
    lines = [rng.choice(templates.OPENINGS).format(n=start, **words)]
    for number, step in enumerate(steps, start=1):
        sentence = rng.choice(templates.QUESTION[step.operation])
        filled = sentence.format(n=step.amount, k=step.groups, m=step.size, **words)
        lines.append(f"{number}. {filled}")
    lines.append(rng.choice(templates.ENDINGS).format(**words))
    return Problem("\n".join(lines), steps[-1].after, start, steps, name, item, split)


def problems(split: Split, level: int, *, seed: int = 0) -> Iterator[Problem]:
    """Endless problems of one split and level; the same seed gives the same problems."""
    rng = random.Random(f"{split}/{level}/{seed}")
    while True:
        yield draw_problem(rng, level, split)


def hard_problems(split: Split, count: int, *, seed: int = 0) -> list[Problem]:
    """``count`` problems of the hard levels in turn."""
    streams = [problems(split, level, seed=seed) for level in HARD_LEVELS]
    return [next(streams[i % len(streams)]) for i in range(count)]
