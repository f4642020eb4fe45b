"""Log probabilities of a prompt's tokens and of those behind it, as OpenAI's ``/v1/completions``
tells them: what evaluation harnesses measure likelihoods by."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from .protocol import FinishReason, Generation

#: Log probabilities of a token that engines give at most, beside its own.
MAX_LOGPROBS = 20


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of a text."""

    text: str
    logprob: float | None  # None: nothing stands before it, as before the first of a prompt
    top: Mapping[str, float]  # the likeliest at its place as text, and the token itself


def likeliest(entries: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Texts with log probabilities, the likeliest first. Of tokens with the same text (parts of a
    character have one) the likeliest stays, so that the maximum is the greedy choice's."""
    told: dict[str, float] = {}
    for text, logprob in sorted(entries, key=lambda entry: -entry[1]):
        told.setdefault(text, logprob)
    return told


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """What a request brought since its last chunk."""

    text: str  # generated
    tokens: tuple[TokenLogprob, ...]  # behind ``text``, which may come later: a stop string's begin
    finish: FinishReason | None = None  # set on the last chunk only
    prompt: tuple[TokenLogprob, ...] = ()  # all of the prompt's at once, where they were asked for


@runtime_checkable
class SupportsLogprobs(Protocol):
    """An engine with one more ability than ``Engine``; ``EngineInfo.logprobs`` says if it is on."""

    def scored(
        self, request: Generation, *, prompt: bool = False
    ) -> AsyncGenerator[ScoredChunk, None]:
        """Run a request and tell the log probabilities of its tokens, and of as many of the
        likeliest at each place as ``Sampling.logprobs`` says (0: of the tokens alone).

        They are the model's own, at temperature 1, whatever the sampling. ``max_tokens`` may be 0:
        then nothing is generated. Stop strings are cut off the text. Otherwise like
        ``Engine.generate``: the last chunk, and only it, has ``finish``.

        Args:
            prompt: whether those of the prompt's tokens are told too, which costs more time and
                memory than to read the prompt.

        Raises:
            BadRequest: the engine cannot tell them; it was found out only now.
            EngineError: this request is lost (``EngineDead``: all are).
        """
        ...
