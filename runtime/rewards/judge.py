"""A judge: a model picks the best of several replies, by the letter, several times at once.

The picks of a judgement are independent of each other (``listwise`` has how they are asked and
counted), and the score of a reply is the share of them that name it. On the engine of the races the
judge's answer has been begun for it, so that its next token is the letter, and the probabilities of
the letters are its vote; engines that do not tell them, and endpoints that do not, answer, and the
letter that they say counts.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import structlog

from ..common.http_endpoints import authorization, with_retries
from ..config import JudgeRewards
from ..engines.openai.http import NOT_TAKEN, EndpointClient, Refused
from ..engines.protocol import Engine, EngineLoad, Message
from ..errors import EngineClosed, EngineError, FrontrunnerError
from .asking import TOP_TOKENS, Questions, asking
from .inputs import Template
from .listwise import (
    ANSWER_BEGINS,
    QUESTION,
    Candidate,
    by_probability,
    by_text,
    candidates,
    fitted,
    orders,
    prompt,
    shares,
)
from .protocol import Scoring, ScoringBudget

_log = structlog.get_logger("frontrunner.rewards")

#: Seconds before the end of a race in which picks must be in to be counted.
_TIME_TO_COUNT = 0.02
#: Characters of the replies that are tokenised to know how long a token is.
_SAMPLE_CHARS = 4000
#: Characters of a prompt that take a few milliseconds to tokenise; longer ones are in a thread.
_LARGE = 16 << 10
#: Tokens that the question around the replies takes, roughly.
_FRAME_TOKENS = 128
#: Seconds that a step is taken to last before one was measured, and a call of an endpoint.
_STEP_SECONDS, _CALL_SECONDS = 0.05, 1.0
#: Calls of an endpoint over the first, if it was overloaded or not reached.
_RETRIES = 2
_CONNECT_TIMEOUT = 2.0


class JudgeReward(ABC):
    """What judges have in common; satisfies ``RewardModel`` and ``SupportsComparison``."""

    def __init__(self, settings: JudgeRewards, engine: Engine) -> None:
        """
        Args:
            settings: of kind ``judge``.
            engine: of the races; started and closed by others.
        """
        self._settings = settings
        self._engine = engine
        self._template = Template.parse(settings.template or QUESTION, "{replies}")

    @property
    def agreement(self) -> float:
        return self._settings.agreement

    @property
    def min_replies(self) -> int:
        return self._settings.min_replies

    @abstractmethod
    def predict(self, prompt_tokens: int, reply_tokens: Sequence[int], load: EngineLoad) -> float:
        """See ``SupportsComparison``."""

    @abstractmethod
    async def start(self) -> None:
        """Get ready to judge."""

    @abstractmethod
    async def aclose(self) -> None:
        """Free what the judge has of its own."""

    async def score(self, items: Sequence[Scoring]) -> Sequence[float | None]:
        """The share of the picks that name each item, all of them replies to one question. None for
        all, if the judge picks by nothing but the place, or does not pick; None for a reply that
        says nothing."""
        scores: list[float | None] = [None] * len(items)
        replies = candidates([item.said for item in items])
        if not replies or len(items) < 2:
            return scores
        # Where all say the same there is nothing to ask.
        found = [1.0] if len(replies) == 1 else await self._judge(items[0], replies)
        for reply, share in zip(replies, found or (), strict=found is not None):
            for index in reply.items:
                scores[index] = share
        return scores

    async def _judge(self, item: Scoring, replies: Sequence[Candidate]) -> list[float] | None:
        """The share of the picks for each reply; what has not come in time does not count."""
        shown = orders(replies, self._settings.picks)
        ballots: list[list[float] | None] = [None] * len(shown)
        until = min(
            anyio.current_time() + self._settings.timeout, item.budget.until - _TIME_TO_COUNT
        )
        with anyio.move_on_after(until - anyio.current_time()):
            try:
                await self._fill(ballots, shown, replies, item)
            except FrontrunnerError as error:
                _log.warning("frontrunner.judgement_failed", error=str(error))
                return None
        missing = sum(ballot is None for ballot in ballots)
        if missing:
            _log.warning("frontrunner.picks_lost", lost=missing, asked=len(ballots))
        return shares(shown, ballots)

    @abstractmethod
    async def _fill(
        self,
        ballots: list[list[float] | None],
        shown: Sequence[Sequence[int]],
        replies: Sequence[Candidate],
        item: Scoring,
    ) -> None:
        """Put in place what each pick says; cancelled when time is up."""

    def _prompts(
        self,
        shown: Sequence[Sequence[int]],
        replies: Sequence[Candidate],
        question: Sequence[Message],
        tokens: int,
    ) -> list[str]:
        """What each pick asks, with replies of ``tokens`` tokens in all at most, roughly."""
        sample = "\n".join(r.text[:_SAMPLE_CHARS] for r in replies)[:_SAMPLE_CHARS]
        per_token = len(sample) / max(1, len(self._engine.encode(sample)))
        texts = fitted([r.text for r in replies], int(tokens * per_token))
        counts = [len(r.items) for r in replies]
        return [
            prompt(self._template, question, [texts[i] for i in order], [counts[i] for i in order])
            for order in shown
        ]


class EngineJudge(JudgeReward):
    """The model of the races judges, on their engine."""

    async def start(self) -> None:
        """The engine is started by its owner."""

    async def aclose(self) -> None:
        """The engine is closed by its owner."""

    def predict(self, prompt_tokens: int, reply_tokens: Sequence[int], load: EngineLoad) -> float:
        # Of the picks, only the first reads the question: the others find it in the prefix cache.
        info, settings = self._engine.info, self._settings
        replies = min(sum(reply_tokens), settings.max_prompt_tokens) + _FRAME_TOKENS
        read = prompt_tokens + settings.picks * (replies + info.cache_block_tokens / 2)
        steps = 2 + ceil(read / info.prefill_tokens_per_step)
        if not info.logprobs:
            steps += settings.max_tokens
        return steps * (load.step_seconds or _STEP_SECONDS)

    async def _fill(
        self,
        ballots: list[list[float] | None],
        shown: Sequence[Sequence[int]],
        replies: Sequence[Candidate],
        item: Scoring,
    ) -> None:
        encoded = await self._encoded(shown, replies, item)

        async def pick(place: int, questions: Questions) -> None:
            try:
                ballots[place] = await self._pick(encoded[place], len(replies), place, questions)
            except EngineError as error:
                _log.warning("frontrunner.pick_failed", error=str(error))

        async with (
            asking(self._engine, item.budget, "judge") as questions,
            anyio.create_task_group() as tasks,
        ):
            for place in range(len(shown)):
                tasks.start_soon(pick, place, questions)

    async def _pick(
        self, asked: Sequence[int], replies: int, place: int, questions: Questions
    ) -> list[float] | None:
        top = await questions.likeliest(asked)
        if top is not None:
            return by_probability(top, replies)
        text = await questions.answer(asked, self._settings.max_tokens, temperature=0.0, seed=place)
        return by_text(text, replies)

    async def _encoded(
        self,
        shown: Sequence[Sequence[int]],
        replies: Sequence[Candidate],
        item: Scoring,
    ) -> list[tuple[int, ...]]:
        """The prompts of the picks, cut so that the model's context holds them.

        Raises:
            EngineError: the question alone is too long for that.
        """
        room = self._engine.info.max_context_tokens - self._settings.max_tokens
        # A model that thinks is not to: its thinking is closed as soon as it is begun.
        begun = (item.thinking.completion("") if item.thinking else "") + ANSWER_BEGINS
        tokens = self._settings.max_prompt_tokens
        while tokens > 0:
            asked = self._prompts(shown, replies, item.question, tokens)
            encoded = [await self._encode(text, begun) for text in asked]
            excess = max(map(len, encoded)) - room
            if excess <= 0:
                return encoded
            # Replies may be shorter than they were allowed to be.
            frame = await self._encode(self._template.fill(item.question, ""), begun)
            written = max(map(len, encoded)) - len(frame)
            tokens = min(tokens, written) - excess - 1
        raise EngineError(f"the question leaves no room for replies in {room} tokens")

    async def _encode(self, asked: str, begun: str) -> tuple[int, ...]:
        """A prompt whose answer has begun; other races go on meanwhile."""

        def work() -> tuple[int, ...]:
            turn = self._engine.encode_chat([{"role": "user", "content": asked}])
            return (*turn, *self._engine.encode(begun))

        if len(asked) < _LARGE:
            await anyio.lowlevel.checkpoint()
            return work()
        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)


class EndpointJudge(JudgeReward):
    """A model behind an OpenAI-compatible endpoint judges; needs asyncio, as aiohttp does."""

    def __init__(self, settings: JudgeRewards, engine: Engine) -> None:
        """
        Args:
            settings: of kind ``judge``, with ``url``.
            engine: of the races: how long a token is, is asked of its tokenizer.
        """
        super().__init__(settings, engine)
        self._client: EndpointClient | None = None
        self._logprobs = True  # whether they are asked for

    async def start(self) -> None:
        settings = self._settings
        assert settings.url is not None
        url = settings.url.rstrip("/")
        _, _, path = url.partition("://")
        self._client = EndpointClient(
            url if "/" in path else f"{url}/v1",
            authorization("rewards.key_env", settings.key_env),
            _CONNECT_TIMEOUT,
        )

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def predict(self, prompt_tokens: int, reply_tokens: Sequence[int], load: EngineLoad) -> float:
        return _CALL_SECONDS

    async def _fill(
        self,
        ballots: list[list[float] | None],
        shown: Sequence[Sequence[int]],
        replies: Sequence[Candidate],
        item: Scoring,
    ) -> None:
        client = self._client
        if client is None:
            raise EngineClosed("the judge is not running")
        asked = self._prompts(shown, replies, item.question, self._settings.max_prompt_tokens)

        async def pick(place: int) -> None:
            try:
                answer = await with_retries(
                    lambda: self._ask(client, asked[place], item.budget), retries=_RETRIES
                )
                _count(answer, item.budget)
                ballots[place] = _read(answer, len(replies))
            except (EngineError, LookupError, TypeError, ValueError, AttributeError) as error:
                _log.warning("frontrunner.pick_failed", error=f"{type(error).__name__}: {error}")

        async with anyio.create_task_group() as tasks:
            for place in range(len(shown)):
                tasks.start_soon(pick, place)

    async def _ask(self, client: EndpointClient, asked: str, budget: ScoringBudget) -> Any:
        """A chat completion, with log probabilities unless the endpoint refuses to tell them."""
        body = self._body(asked)
        budget.requests += 1
        if self._logprobs:
            try:
                told = {"logprobs": True, "top_logprobs": TOP_TOKENS, **body}
                return await client.post("chat/completions", told)
            except Refused as refused:
                if refused.status not in NOT_TAKEN:
                    raise
        answer = await client.post("chat/completions", body)
        self._logprobs = False
        return answer

    def _body(self, asked: str) -> Mapping[str, Any]:
        return {
            "model": self._settings.model,
            "messages": [{"role": "user", "content": asked}],
            "max_tokens": self._settings.max_tokens,
            "temperature": 0.0,
            **self._settings.body,
        }


def _read(answer: Any, replies: int) -> list[float] | None:
    """The pick that a chat completion makes: by the probabilities at the letter that it says, where
    the endpoint tells them."""
    choice = answer["choices"][0]
    text = choice["message"]["content"] or ""
    said = by_text(text, replies)
    if said is None:
        return None
    for token in (choice.get("logprobs") or {}).get("content") or ():
        if by_text(token["token"], replies) == said:
            top = [(t["token"], float(t["logprob"])) for t in token.get("top_logprobs") or ()]
            return by_probability(top, replies) or said
    return said


def _count(answer: Any, budget: ScoringBudget) -> None:
    """What the endpoint says that it took."""
    usage = answer.get("usage") or {}
    for name in ("prompt_tokens", "completion_tokens"):
        if isinstance(usage.get(name), int):
            budget.tokens += max(0, usage[name])
