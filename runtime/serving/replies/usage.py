"""What a reply says of its request beside the choices: the tokens that the client received, which
are OpenAI's ``usage``, and the fields of the request that had no effect."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from aiohttp import web

from ...result import Result
from ..app_keys import RUNTIME
from ..reply_bodies import Race, Races, Usage
from ..requests.ignored_fields import told
from .content import ReplyForm
from .race_summary import summary

#: Characters of a content that are counted by the tokenizer, on the event loop; of a longer one its
#: share of the text is taken.
_COUNTED = 16_384
#: Texts of one request's replies whose tokens are remembered.
_REMEMBERED = 4_096


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens of a request and its reply."""

    prompt: int
    completion: int  # of all that the client received
    reasoning: int  # of these, what is no content

    def as_usage(self) -> Usage:
        """The same as OpenAI's completion APIs have it."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning},
        }


@dataclass(frozen=True, slots=True)
class Account:
    """How one request is accounted for."""

    count: Callable[[str], int]
    """Tokens of a text."""
    ignored: tuple[str, ...] = ()
    """Fields of the request that were sent and have no effect."""
    form: ReplyForm = field(default_factory=ReplyForm)
    """How its replies are told."""

    @classmethod
    def of(cls, app: web.Application, ignored: tuple[str, ...] = ()) -> "Account":
        """An account that counts as the engine of ``app`` does."""
        engine = app[RUNTIME].engine

        @lru_cache(maxsize=_REMEMBERED)  # replies are told, cut and accounted for one after another
        def count(text: str) -> int:
            # Models can write lone surrogates, which no tokenizer reads.
            return len(engine.encode(text.encode("utf-8", "replace").decode()))

        return cls(count, ignored)

    def summary(self, *results: Result) -> Race | Races:
        """The ``frontrunner`` object: how the race went, or each of several."""
        if len(results) == 1:
            return summary(results[0], self.ignored)
        return {
            "races": [summary(result) for result in results],
            "tokens_generated": sum(result.tokens_generated for result in results),
            "scoring_tokens": sum(result.scoring_tokens for result in results),
            "tokens_saved": sum(result.tokens_saved for result in results),
            "ignored": told(self.ignored),
        }

    def spent(self, text: str, tokens: int, content: str, *, apart: bool) -> tuple[int, int]:
        """Tokens of one reply, and of these the reasoning's.

        Args:
            text: all that the model wrote.
            tokens: of ``text``.
            content: what the client reads as the reply. The answer that a branch ends with is
                content, though it also stands at the end of its reasoning.
            apart: whether the reasoning is told beside the content, which else is all there is.
        """
        if not text:  # no single branch stands for the answer
            return self.count(content), 0
        if not apart:
            return tokens, 0
        if len(content) <= _COUNTED:
            said = self.count(content)
        else:
            said = round(tokens * len(content) / len(text))
        return tokens, max(0, tokens - said)
