"""Training documents: a problem as a chat turn and one solution, tokenised and masked."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from . import templates
from .problems import LEVELS, draw_problem
from .slips import draw_slips
from .solutions import Style, draw_style, write_cut_solution, write_equations, write_solution
from .tokenizer import ASSISTANT, BOS, END, USER
from .tool_documents import draw_tool_parts


@dataclass(frozen=True, slots=True)
class Mix:
    """What documents are drawn from; what is left over are solutions in equal shares of styles."""

    drills: float
    """Share of bare equations: prose is learned from little, arithmetic is not."""
    terse: float
    """Share of terse solutions beyond their share of the styles: they are the shortest, so that by
    tokens alone the model would learn least from them and its first branches to finish would be
    its worst."""
    cut: float
    """Share, of the rest, of cut and forced solutions, which teach the forcing suffix."""
    slips: float = 0.0
    """Share of steps whose result is wrong, in all but the drills."""
    tools: float = 0.0
    """Share, of all, of documents in which tools are offered; those above share the rest."""


TRAINING: Final = Mix(drills=0.30, terse=0.20, cut=0.15)
#: At the end: a guess is four tokens of a whole document, so few of them teach little; and a model
#: that has learned its arithmetic well would need no race, so it now learns to slip.
FINISHING: Final = Mix(drills=0.25, terse=0.20, cut=0.50, slips=0.075)
#: For the model that calls a calculator: what it could, and the calls.
TOOLS: Final = Mix(drills=0.25, terse=0.20, cut=0.50, slips=0.075, tools=0.85)
_DRILL_STEPS: Final = 24


class Encoder(Protocol):
    def encode_batch(self, input: list[str], /, *, add_special_tokens: bool) -> list: ...


@dataclass(frozen=True, slots=True)
class Document:
    """Token ids with, for each, whether its prediction counts in the loss."""

    ids: list[int]  # (num_tokens,)
    counts: list[bool]  # (num_tokens,)


def prompt_text(question: str) -> str:
    """What the chat template renders for one user message."""
    return f"{BOS}{USER}{question}{ASSISTANT}"


def _draw_drill(rng: random.Random) -> list[tuple[str, bool]]:
    """Unrelated equations, of which only the results count."""
    parts: list[tuple[str, bool]] = [(BOS, False)]
    steps = 0
    while steps < _DRILL_STEPS:
        problem = draw_problem(rng, rng.choice(LEVELS), "train")
        for step in rng.sample(problem.steps, min(4, problem.level)):
            for line in write_equations(step).split("\n"):
                left, _, result = line.rpartition(" =")
                parts += [(left + " =", False), (result + "\n", True)]
            steps += 1
    return parts


def _draw_parts(rng: random.Random, mix: Mix) -> list[tuple[str, bool]]:
    parts = _draw_plain_parts(rng, mix)
    if mix.tools and rng.random() < mix.tools:  # no draw without: the documents stay the same
        return draw_tool_parts(rng, parts)
    return parts


def _draw_plain_parts(rng: random.Random, mix: Mix) -> list[tuple[str, bool]]:
    kind = rng.random()
    if kind < mix.drills:
        return _draw_drill(rng)
    problem = draw_problem(rng, rng.choice(LEVELS), "train")
    style = draw_style(rng)
    prompt = prompt_text(problem.question)
    if kind < mix.drills + mix.terse:
        # What draws the style, the first character, does not count: the styles keep their shares.
        worked = draw_slips(problem, rng, mix.slips)
        text = write_solution(worked, Style("terse", style.checked), rng)
        return [(prompt, False), (text[:1], False), (text[1:] + END, True)]
    if rng.random() < mix.cut:
        # Only the guess counts: the cut text must not teach the model to stop early, and the
        # suffix must never be sampled by itself.
        cut, guess = write_cut_solution(problem, style, rng, slips=mix.slips)
        return [(prompt + cut, False), (templates.FORCING_SUFFIX, False), (guess + END, True)]
    text = write_solution(draw_slips(problem, rng, mix.slips), style, rng)
    return [(prompt, False), (text + END, True)]


def draw_documents(
    rng: random.Random, count: int, encoder: Encoder, mix: Mix = TRAINING
) -> list[Document]:
    """Draw ``count`` training documents. Parts are encoded apart, as the runtime joins them."""
    drawn = [_draw_parts(rng, mix) for _ in range(count)]
    flat = [text for parts in drawn for text, _ in parts]
    encoded = iter(encoder.encode_batch(flat, add_special_tokens=False))
    documents: list[Document] = []
    for parts in drawn:
        ids: list[int] = []
        counts: list[bool] = []
        for _, counted in parts:
            piece = next(encoded).ids
            ids += piece
            counts += [counted] * len(piece)
        documents.append(Document(ids, counts))
    return documents


def batches(
    rng: random.Random, encoder: Encoder, *, tokens: int, mix: Mix = TRAINING, pool: int = 2048
) -> Iterator[list[Document]]:
    """Endless batches of about ``tokens`` tokens, each of documents of nearly equal length.

    Sorting a pool by length leaves a few percent of padding, where random batches waste half, and
    keeps plain causal attention (no cross-document mask).
    """
    while True:
        documents = sorted(draw_documents(rng, pool, encoder, mix), key=lambda d: len(d.ids))
        grouped: list[list[Document]] = []
        batch: list[Document] = []
        for document in reversed(documents):
            longest = len(batch[0].ids) if batch else len(document.ids)
            if batch and longest * (len(batch) + 1) > tokens:
                grouped.append(batch)
                batch = []
            batch.append(document)
        grouped.append(batch)
        rng.shuffle(grouped)
        yield from grouped
