"""Picking the best of several replies by the letter: what is asked, and how the picks are counted.

A model is shown all replies at once, as ``Reply A``, ``Reply B`` …, and names one (universal
self-consistency, Chen et al., arXiv 2311.17311). What it names depends on the place too (Wang et
al., arXiv 2305.17926), so it is asked several times, each reply at another place each time. A
model that looks at nothing but the place names each reply equally often, and decides nothing.

Nothing here awaits.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from random import Random
from string import ascii_uppercase
from typing import Final
from zlib import crc32

from ..engines.protocol import Message
from ..thinking import without_thinking
from .inputs import Template

#: What is put to the judge where the settings say nothing. The question comes first: the picks of
#: a judgement share it, and the engine's prefix cache has it.
QUESTION: Final = (
    "Here is a request and several replies to it.\n\nRequest:\n{question}\n\n{replies}\n\n"
    "Which reply is the best answer to the request? Where replies contradict each other, trust "
    "what most of them say. Answer with its letter only."
)
#: How the judge's own answer begins, where we write its beginning: up to the letter, before which a
#: model might put a colon, a line break or other words.
ANSWER_BEGINS: Final = "The best reply is Reply"
#: Replies that one pick is asked about.
MAX_REPLIES: Final = len(ascii_uppercase)
#: What stands for what was cut out of a reply.
_CUT: Final = " […] "
#: The letters must have so much of the probability for a pick: below it, the model would rather
#: have said something else.
_MIN_PROBABILITY: Final = 0.1
#: A share must be so much above what the place alone can give. Small models look at little else.
_MARGIN: Final = 0.05
#: What models put around a letter.
_AROUND: Final = " \t\r\n*_\"'`.,:;!?()[]{}<>$\u2581\u0120"
#: A letter that a text begins with, and one that is named in it.
_FIRST: Final = re.compile(r"[\s*_\"'`(\[]*([A-Z])(?![\w'’])")
_NAMED: Final = re.compile(
    r"\b(?i:reply|replies|answer|option|choice|letter|is|pick|choose)\b[\s:*_\"'`(\[-]{0,8}"
    r"([A-Z])(?![\w'’])"
)
#: Words of one letter, which begin sentences.
_WORDS: Final = frozenset("AI")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reply, and which of the items say just that."""

    text: str
    items: tuple[int, ...]


def candidates(texts: Sequence[str]) -> list[Candidate]:
    """The different replies among ``texts``, in their order: what two branches say alike is one
    reply, whose votes are not split. Replies that say nothing are left out, and so are those beyond
    the letters that there are, the ones said least often first."""
    items: dict[str, list[int]] = {}
    for index, text in enumerate(texts):
        said = text.strip()
        if said:
            items.setdefault(said, []).append(index)
    found = [Candidate(text, tuple(indices)) for text, indices in items.items()]
    kept = sorted(found, key=lambda c: -len(c.items))[:MAX_REPLIES]
    return sorted(kept, key=lambda c: c.items[0])


def orders(candidates: Sequence[Candidate], picks: int) -> list[tuple[int, ...]]:
    """In which order each pick shows the candidates, as indices.

    They are rotations of shuffles: each candidate stands at each place equally often where there
    are at least as many picks as candidates (as many picks as fit then), and never twice at the
    same place where there are fewer. The same candidates are shuffled alike.
    """
    count = len(candidates)
    seed = 0
    for candidate in candidates:
        seed = crc32(candidate.text.encode("utf-8", "replace"), seed)
    random = Random(seed)
    made: list[tuple[int, ...]] = []
    for _ in range(max(1, picks // count)):
        shuffled = random.sample(range(count), count)
        starts = range(count) if count <= picks else random.sample(range(count), picks)
        made += [tuple(shuffled[start:] + shuffled[:start]) for start in starts]
    return made


def fitted(texts: Sequence[str], characters: int) -> list[str]:
    """``texts``, cut in the middle where they must be to have ``characters`` together: the longest
    are cut first, and all that are cut have the same length."""
    left, longest = characters, 0
    for taken, length in enumerate(sorted(map(len, texts))):
        longest = left // (len(texts) - taken)
        if length > longest:
            break
        left -= length
        longest = length
    return [_cut(text, longest) for text in texts]


def _cut(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    kept = max(0, length - len(_CUT))
    end = kept // 2
    return text[: kept - end] + _CUT[: length - kept] + text[len(text) - end :]


def prompt(
    template: Template, question: Sequence[Message], texts: Sequence[str], counts: Sequence[int]
) -> str:
    """What a pick asks: the question, and the replies by their letters.

    Args:
        texts: (num_candidates,) the replies, in the order of this pick.
        counts: (num_candidates,) how many branches replied so.
    """
    total = sum(counts)
    shown = [
        f"Reply {letter}{f' (given {count} of {total} times)' if count > 1 else ''}:\n{text}"
        for letter, text, count in zip(ascii_uppercase, texts, counts, strict=False)
    ]
    return template.fill(question, "\n\n".join(shown))


def by_probability(top: Sequence[tuple[str, float]], count: int) -> list[float] | None:
    """The pick that the likeliest next tokens make.

    Args:
        top: tokens as text, with their log probabilities.
        count: of replies.

    Returns:
        (count,) The probability of each letter among all letters; None: the model would say
        something else.
    """
    found = [0.0] * count
    for token, logprob in top:
        place = _place(token.strip(_AROUND), count)
        if place is not None:
            found[place] += exp(min(0.0, logprob))
    total = sum(found)
    return [p / total for p in found] if total >= _MIN_PROBABILITY else None


def by_text(text: str, count: int) -> list[float] | None:
    """The pick that a text makes, as (count,) votes, one of which is 1; None: it names no reply, or
    more than one."""
    said = without_thinking(text).strip()
    alone = said.strip(_AROUND)
    if len(alone) == 1:
        return _vote(_place(alone.upper(), count), count)
    first = _FIRST.match(said)
    if first and (first[1] not in _WORDS or not said[first.end(1) :].startswith(" ")):
        return _vote(_place(first[1], count), count)
    named = {found[1] for found in _NAMED.finditer(said)}
    return _vote(_place(named.pop(), count), count) if len(named) == 1 else None


def _place(letter: str, count: int) -> int | None:
    place = ascii_uppercase.find(letter) if len(letter) == 1 else -1
    return place if 0 <= place < count else None


def _vote(place: int | None, count: int) -> list[float] | None:
    return None if place is None else [float(i == place) for i in range(count)]


def shares(
    orders: Sequence[Sequence[int]], ballots: Sequence[Sequence[float] | None]
) -> list[float] | None:
    """What all picks together say.

    Args:
        orders: (num_picks, num_candidates) the candidate at each place.
        ballots: (num_picks, num_candidates) the vote for each place; None: a pick that failed.

    Returns:
        (num_candidates,) The share of all picks, failed ones included, that names each candidate.
        None, if none has clearly more than a judge could give that looks at nothing but the place.
    """
    count = len(orders[0])
    found = [0.0] * count
    for order, ballot in zip(orders, ballots, strict=True):
        for candidate, vote in zip(order, ballot or (), strict=ballot is not None):
            found[candidate] += vote
    explained = max(1 / count, 1 / len(orders))
    most = max(found) / len(orders)
    return [votes / len(orders) for votes in found] if most > explained + _MARGIN else None
