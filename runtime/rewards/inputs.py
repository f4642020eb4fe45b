"""What a reward model reads: a question and a branch, as one text or cut into steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..engines.protocol import Message

Aggregation = Literal["last", "min", "prod", "mean"]


def question_text(question: Sequence[Message]) -> str:
    """A conversation as one text: the only turn's content, or ``role: content`` a paragraph."""
    if len(question) == 1:
        return str(question[0].get("content") or "")
    return "\n\n".join(f"{turn.get('role')}: {turn.get('content') or ''}" for turn in question)


def conversation(question: Sequence[Message], system: str | None) -> list[dict[str, str]]:
    """The turns as a chat template takes them; ``system`` takes the place of theirs."""
    turns = [dict(turn) for turn in question]
    if system is None:
        return turns
    return [
        {"role": "system", "content": system},
        *(turn for turn in turns if turn.get("role") != "system"),
    ]


@dataclass(frozen=True, slots=True)
class Template:
    """A plain text with the places ``{question}`` (optional) and ``{text}`` (once; or another
    ``place``)."""

    before: str
    after: str

    @classmethod
    def parse(cls, template: str, place: str = "{text}") -> "Template":
        """
        Raises:
            ValueError: without one ``place``.
        """
        if template.count(place) != 1:
            raise ValueError(f"the template needs the place {place}, once")
        before, _, after = template.partition(place)
        return cls(before, after)

    def around(self, question: Sequence[Message]) -> tuple[str, str]:
        """What stands before and after the branch's text.

        The places are filled apart, so that neither a question nor a text with braces in it is
        taken for a place.
        """
        asked = question_text(question)
        return (
            asked.join(self.before.split("{question}")),
            asked.join(self.after.split("{question}")),
        )

    def fill(self, question: Sequence[Message], text: str) -> str:
        before, after = self.around(question)
        return before + text + after


def split_steps(text: str, delimiter: str, marker: str | None) -> list[str]:
    """The text's steps, each with what its score is read at: at its end.

    Args:
        delimiter: ends a step in the text.
        marker: takes the delimiter's place and follows the last step too, as process reward models
            with a token of their own want it (Qwen2.5-Math-PRM: ``<extra_0>``); one that the
            branch wrote itself is taken out, it would be scored as a step. None: the delimiter
            stays, and an unfinished last step is read at its last token.

    Returns:
        Steps that are not blank; joined, they are what the model reads.
    """
    if marker is not None:
        text = text.replace(marker, "")
    parts = text.split(delimiter)
    steps = [part for part in parts[:-1] if part.strip()]
    if marker is None:
        steps = [step + delimiter for step in steps]
        return [*steps, parts[-1]] if parts[-1].strip() else steps
    if parts[-1].strip():
        steps.append(parts[-1])
    return [step + marker for step in steps]


def aggregate(scores: Sequence[float], how: Aggregation) -> float | None:
    """One score of a branch from those of its steps; None without any.

    ``last``, ``min`` and ``prod`` as in Snell et al. (arXiv 2408.03314, section 5.1) and HF
    search-and-learn; ``last`` is the choice there for models trained on the value of a prefix.
    """
    if not scores:
        return None
    match how:
        case "last":
            return scores[-1]
        case "min":
            return min(scores)
        case "prod":
            return math.prod(scores)
        case "mean":
            return math.fsum(scores) / len(scores)
