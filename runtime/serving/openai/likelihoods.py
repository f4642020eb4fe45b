"""``/v1/completions`` without a race: log probabilities, and prompts that nothing is to follow.

Evaluation harnesses measure likelihoods so (``echo``, ``logprobs``, ``max_tokens`` 0 or 1). Each
text is one request to the engine; there is nothing to vote on.
"""

from collections.abc import Callable, Mapping, Sequence
from secrets import token_hex
from time import time
from typing import Any, Final

import anyio
from aiohttp import web

from ...engines import protocol as engines
from ...engines.logprobs import ScoredChunk, TokenLogprob
from ...errors import BadRequest, FrontrunnerError
from ...racing.race_options import RaceOptions, RawPrompt
from ...scheduling.scoring import ScoreOptions, require_logprobs
from ..app_keys import RUNTIME
from ..errors import BadParameter, RunCancelled, json_response
from ..replies.completion_races import ClientGone
from ..replies.usage import Account, Spent
from ..reply_bodies import (
    Completion,
    CompletionChoice,
    CompletionChunk,
    CompletionHead,
    FinishReason,
    Unraced,
    Usage,
)
from ..requests.ignored_fields import told
from ..runs.frames import Frame, JsonFrame
from ..runs.replay_buffer import ReplayBuffer
from ..runs.run import RUNS
from ..runs.sse_stream import POLL_INTERVAL
from ..runs.written import stream_written
from ..security.api_keys import key_name
from .completion_choices import LogprobsWriter, choice, joined
from .completion_request import CompletionRequest

#: Why a text ends, as OpenAI has it: one that was cut is as one that became too long.
_REASONS: Final[Mapping[engines.FinishReason | None, FinishReason | None]] = {
    None: None,
    engines.FinishReason.STOP: "stop",
    engines.FinishReason.LENGTH: "length",
    engines.FinishReason.ABORT: "length",
}
#: Options of ``frontrunner`` that hold without a race.
_HOLDING = frozenset({"deadline", "max_tokens", "stop"})
_OPTIONS = ("deadline", "temperature", "top_p", "top_k", "stop", "seed", "max_tokens")


def is_unraced(body: CompletionRequest) -> bool:
    """Whether a request is answered without a race."""
    return body.logprobs is not None or body.max_tokens == 0


def without_effect(body: CompletionRequest) -> tuple[str, ...]:
    """Options of the race that there is none of."""
    return tuple(
        f"frontrunner.{name}"
        for name in sorted(body.frontrunner.model_fields_set - _HOLDING)
        if getattr(body.frontrunner, name) is not None
    )


async def repeated_texts(
    request: web.Request, body: CompletionRequest, prompts: Sequence[RawPrompt], seconds: float
) -> Sequence[str]:
    """The prompts as text: the engine tells those of token ids.

    Raises:
        BadParameter: it cannot.
        FrontrunnerError: see ``Runtime.score``.
    """
    if all(isinstance(prompt.content, str) for prompt in prompts):
        return [str(prompt.content) for prompt in prompts]
    _check(request, body)
    texts = [""] * len(prompts)

    def hear(place: int, chunk: ScoredChunk) -> None:
        texts[place] += _text(chunk.prompt)

    options = ScoreOptions(deadline=seconds, max_tokens=0, prompt_logprobs=True)
    await _score_for_client(request, prompts, options, hear)
    return texts


async def likelihoods(
    request: web.Request,
    body: CompletionRequest,
    model: str,
    prompts: Sequence[RawPrompt],
    options: RaceOptions,
    account: Account,
) -> web.StreamResponse:
    """Answer a request without a race.

    Raises:
        BadParameter: the engine cannot tell what is asked for.
        FrontrunnerError: see ``Runtime.score``.
        ClientGone: nobody waits for it any more.
    """
    ids = any(not isinstance(prompt.content, str) for prompt in prompts)
    # Without log probabilities a text is repeated as it came; the engine knows what ids stand for.
    wanted = bool(body.echo) and (body.logprobs is not None or ids)
    if wanted or body.max_tokens != 0:
        _check(request, body)
    asked: Any = {name: options.get(name) for name in _OPTIONS}
    asked = ScoreOptions(
        **{**asked, "max_tokens": 0 if body.max_tokens == 0 else asked["max_tokens"]},
        logprobs=body.logprobs or 0,
        prompt_logprobs=wanted,
        choices=body.n or 1,
    )
    reply = _Reply(model, body, prompts, account)
    if not body.stream:
        pieces = list[CompletionChoice]()
        counts = await _score_for_client(
            request, prompts, asked, lambda place, chunk: pieces.append(reply.hear(place, chunk))
        )
        return json_response(reply.whole(pieces, counts))

    async def write(log: ReplayBuffer) -> None:
        counts = await _score(
            request,
            prompts,
            asked,
            lambda place, chunk: log.extend([reply.frame(reply.hear(place, chunk))]),
        )
        log.extend([reply.last_frame(counts)], final=True)

    response = await stream_written(request, write)
    if response is None:
        raise ClientGone
    return response


def _check(request: web.Request, body: CompletionRequest) -> None:
    """
    Raises:
        BadParameter: the engine tells no log probabilities.
    """
    try:
        require_logprobs(request.app[RUNTIME].engine)
    except BadRequest as error:
        if body.logprobs is not None:
            raise
        raise BadParameter(
            "echo: this engine cannot say what token ids stand for: send prompts as text", "echo"
        ) from error


async def _score(
    request: web.Request,
    prompts: Sequence[RawPrompt],
    options: ScoreOptions,
    hear: Callable[[int, ScoredChunk], object],
) -> Sequence[int]:
    """``Runtime.score`` as one of the server's requests."""
    with request.app[RUNS].unraced(key_name(request)) as name:
        return await request.app[RUNTIME].score(prompts, hear, name=name, **options)
    raise RunCancelled


async def _score_for_client(
    request: web.Request,
    prompts: Sequence[RawPrompt],
    options: ScoreOptions,
    hear: Callable[[int, ScoredChunk], object],
) -> Sequence[int]:
    """``_score``, as long as the client is there.

    Raises:
        FrontrunnerError: see ``Runtime.score``.
        ClientGone: it is not any more.
    """
    counts: Sequence[int] | None = None
    failure: FrontrunnerError | None = None
    async with anyio.create_task_group() as tasks:

        async def leave_with_client() -> None:
            while request.transport is not None:  # noqa: ASYNC110 - nobody tells when it goes
                await anyio.sleep(POLL_INTERVAL)
            tasks.cancel_scope.cancel()

        tasks.start_soon(leave_with_client)
        try:
            counts = await _score(request, prompts, options, hear)
        except FrontrunnerError as error:
            failure = error  # raised outside, where no ExceptionGroup wraps it
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if counts is None:
        raise ClientGone
    return counts


class _Reply:
    """What is told of a request without a race."""

    def __init__(
        self, model: str, body: CompletionRequest, prompts: Sequence[RawPrompt], account: Account
    ) -> None:
        self._head: CompletionHead = {
            "id": f"cmpl-{token_hex(12)}",
            "object": "text_completion",
            "created": int(time()),
            "model": model,
        }
        self._body = body
        self._account = account
        self._usage_at_end = bool(body.stream_options and body.stream_options.include_usage)
        self._began = anyio.current_time()
        n = body.n or 1
        self._echoes = [prompt.content if body.echo else "" for prompt in prompts for _ in range(n)]
        self._writers = [LogprobsWriter() for _ in self._echoes]
        self._heard: set[int] = set()
        self._generated = 0  # tokens

    def hear(self, place: int, chunk: ScoredChunk) -> CompletionChoice:
        """A chunk as a piece of its choice."""
        self._generated += len(chunk.tokens)
        text, told = chunk.text, chunk.tokens
        if place not in self._heard:
            self._heard.add(place)
            echo = self._echoes[place]
            text = (echo if isinstance(echo, str) else _text(chunk.prompt)) + text
            told = (*chunk.prompt, *told)
        asked = self._body.logprobs is not None
        logprobs = self._writers[place].write(told) if asked else None
        return choice(text, place, _REASONS[chunk.finish], logprobs)

    def frame(self, piece: CompletionChoice) -> Frame:
        """A piece of a choice in a stream."""
        null = {"usage": None} if self._usage_at_end else {}
        return JsonFrame({**self._head, **null, "choices": [piece]})

    def last_frame(self, counts: Sequence[int]) -> Frame:
        """How it went, in a chunk without choices."""
        end: CompletionChunk = {**self._head, "choices": [], "frontrunner": self._summary()}
        if self._usage_at_end:
            end["usage"] = self._usage(counts)
        return JsonFrame(end, terminal=True)

    def whole(self, pieces: Sequence[CompletionChoice], counts: Sequence[int]) -> Completion:
        """The reply that is not streamed."""
        choices: dict[int, CompletionChoice] = {}
        for piece in sorted(pieces, key=lambda piece: piece["index"]):
            before = choices.get(piece["index"])
            choices[piece["index"]] = joined(before, piece) if before else piece
        return {
            **self._head,
            "choices": [*choices.values()],
            "usage": self._usage(counts),
            "frontrunner": self._summary(),
        }

    def _usage(self, counts: Sequence[int]) -> Usage:
        return Spent(sum(counts), self._generated, 0).as_usage()

    def _summary(self) -> Unraced:
        return {
            "raced": False,
            "tokens_generated": self._generated,
            "elapsed": round(anyio.current_time() - self._began, 6),
            "ignored": told(self._account.ignored),
        }


def _text(tokens: Sequence[TokenLogprob]) -> str:
    return "".join(token.text for token in tokens)
