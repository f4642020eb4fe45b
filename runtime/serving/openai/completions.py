"""``POST /v1/completions``: a bare prompt, which the model goes on with as it is."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from secrets import token_hex
from time import time
from typing import Any

import anyio
from aiohttp import web

from ...errors import FrontrunnerError
from ...racing.race_options import AnswerOptions, RaceOptions, RawPrompt, answer_kind
from ...result import Result
from ..app_keys import SETTINGS
from ..errors import json_response
from ..replies.completion_races import (
    ClientGone,
    answer_race,
    check_model,
    choices_of,
    start_streamed,
    stream_race,
    usage,
    wants_events,
)
from ..replies.content import ReplyForm
from ..replies.usage import Account
from ..reply_bodies import Completion
from ..requests.ignored_fields import COMPLETIONS, ignored_fields
from ..requests.request_body import read_request
from ..requests.request_options import FrontrunnerOptions
from ..runs.frames import Frame, JsonFrame
from ..runs.replay_buffer import ReplayBuffer
from ..runs.written import stream_written
from .chunks import ChunkEncoder
from .completion_choices import choice
from .completion_request import CompletionRequest
from .likelihoods import is_unraced, likelihoods, repeated_texts, without_effect

__all__ = ["CompletionRequest", "add_routes", "completions"]


class CompletionEncoder(ChunkEncoder):
    """The text of a completion is what the model wrote: the winner's, whole, once it is known."""

    object = "text_completion"

    def __init__(
        self,
        model: str,
        *,
        choices: int,
        events: bool,
        include_usage: bool,
        account: Account,
        echo: str,
    ) -> None:
        super().__init__(
            model, choices=choices, events=events, include_usage=include_usage, account=account
        )
        self._echo = echo

    def _first(self) -> Sequence[Mapping[str, Any]]:
        return []

    def _reasoning(self, text: str) -> Mapping[str, Any]:
        return {**choice("", 0, None), "reasoning_content": text}

    def _answered(self, text: str) -> Iterable[Frame]:
        return []

    def _decided(self, result: Result) -> Sequence[Mapping[str, Any]]:
        return [
            choice(self._echo + told.content, index, told.finish_reason)
            for index, told in enumerate(choices_of(result, self._choices, self._account.form))
        ]


class OneOfSeveral(CompletionEncoder):
    """The chunks of one prompt of a list, whose streams are one. It does not end that."""

    def of(self, run_id: str, place: int) -> None:
        """Say which stream, and which prompt of the list."""
        self._shared_id, self._place = run_id, place
        self.key = f"{place} "
        self.result: Result | None = None

    def start(self, run_id: str) -> Iterable[Frame]:
        return super().start(self._shared_id)

    def fail(self, error: FrontrunnerError) -> Iterable[Frame]:
        # A run whose log has no last frame is taken for one that was cancelled.
        return [] if self.result is not None else super().fail(error)

    def end(self, results: Sequence[Result]) -> Frame:
        """The last chunk of the whole stream; this one's account is that of all."""
        end = {
            **self._base(),
            "choices": [],
            "frontrunner": self._account.summary(*results),
        }
        if self._include_usage:
            end["usage"] = usage(results, self._choices, self._account)
        return JsonFrame(end, terminal=True)

    def _last(self, result: Result) -> list[Frame]:
        self.result = result
        told = {"frontrunner": self._account.summary(result)}
        *others, last = self._decided(result)
        return [
            *(JsonFrame(self._chunk(other)) for other in others),
            JsonFrame({**self._chunk(last), **told}),
        ]

    def _chunk(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        index = self._place * self._choices + choice["index"]
        return super()._chunk({**choice, "index": index})

    def _beside(self, extra: Mapping[str, Any]) -> dict[str, Any]:
        return super()._beside({**extra, "prompt": self._place})


async def completions(request: web.Request) -> web.StreamResponse:
    """Go on with a prompt, or with each of several."""
    body = await read_request(request, CompletionRequest, request.app[SETTINGS])
    model = check_model(request.app, body.model)
    ignored = ignored_fields(body, COMPLETIONS)
    questions, options = body.questions(), body.options(request)
    if is_unraced(body):
        account = Account.of(request.app, (*ignored, *without_effect(body)))
        return await likelihoods(request, body, model, questions, options, account)
    said = options.get("answers")
    if answer_kind(said) is None:
        # Nobody asked for an answer of the usual kind: what has none is a completion all the same.
        more: AnswerOptions = {} if said is None or isinstance(said, str) else said
        options["answers"] = {**more, "optional": True}
    for name in ("content", "instruction"):  # the text is what the model makes of the prompt
        if getattr(body.frontrunner, name) is not None:
            ignored = (*ignored, f"frontrunner.{name}")
    live, stop = body.frontrunner.stream_leader, tuple(options.get("stop") or ())
    form = ReplyForm(raw=True, stream_leader=live, stop=stop)
    account = replace(Account.of(request.app, ignored), form=form)
    echoes = [""] * len(questions)
    if body.echo:
        began, seconds = anyio.current_time(), options.get("deadline") or 0.0
        echoes = await repeated_texts(request, body, questions, seconds)
        options["deadline"] = seconds - (anyio.current_time() - began)
    if body.stream:
        return await _stream(request, body, model, options, account, echoes)
    choices = body.n or 1
    ids, results = await _answer_all(request, questions, options, body.frontrunner)
    replies = (
        (echo, reply)
        for echo, result in zip(echoes, results, strict=True)
        for reply in choices_of(result, choices, account.form)
    )
    whole = [
        choice(echo + reply.content, index, reply.finish_reason)
        for index, (echo, reply) in enumerate(replies)
    ]
    completion: Completion = {
        "id": ids[0],
        "object": "text_completion",
        "created": int(time()),
        "model": model,
        "choices": whole,
        "usage": usage(results, choices, account),
        "frontrunner": account.summary(*results),
    }
    return json_response(completion)


async def _stream(
    request: web.Request,
    body: CompletionRequest,
    model: str,
    options: RaceOptions,
    account: Account,
    echoes: Sequence[str],
) -> web.StreamResponse:
    asked, questions = body.frontrunner, body.questions()
    kind = OneOfSeveral if len(questions) > 1 else CompletionEncoder
    encoders = [
        kind(
            model,
            choices=body.n or 1,
            events=wants_events(request.app, asked),
            include_usage=bool(body.stream_options and body.stream_options.include_usage),
            account=account,
            echo=echo,
        )
        for echo in echoes
    ]
    several = [encoder for encoder in encoders if isinstance(encoder, OneOfSeveral)]
    if not several:
        (question,), (encoder,) = questions, encoders
        return await stream_race(request, question, options, encoder, asked, prefix="cmpl-")
    shared_id = f"cmpl-{token_hex(12)}"
    for place, encoder in enumerate(several):
        encoder.of(shared_id, place)

    async def write(log: ReplayBuffer) -> None:
        async def copy(place: int) -> None:
            run = await start_streamed(
                request, questions[place], options, several[place], asked, prefix="cmpl-"
            )
            with run.frames() as frames:
                while batch := await frames.batch():
                    log.extend(frame for _, frame in batch)

        await _all_of(copy, len(questions))
        results = [encoder.result for encoder in several if encoder.result is not None]
        if len(results) == len(several):  # else the log has the error of one, as its end
            log.extend([several[0].end(results)], final=True)

    response = await stream_written(request, write)
    if response is None:
        raise ClientGone
    return response


async def _answer_all(
    request: web.Request,
    questions: Sequence[RawPrompt],
    options: RaceOptions,
    asked: FrontrunnerOptions,
) -> tuple[Sequence[str], Sequence[Result]]:
    """The ids and outcomes of one race for each question; all run at once.

    Raises:
        FrontrunnerError, ClientGone: see ``answer_race``. The other races are cancelled.
    """
    answered: dict[int, tuple[str, Result]] = {}

    async def answer(place: int) -> None:
        answered[place] = await answer_race(
            request, questions[place], options, asked, prefix="cmpl-"
        )

    await _all_of(answer, len(questions))
    ids, results = zip(*(answered[place] for place in range(len(questions))), strict=True)
    return ids, results


async def _all_of(work: Callable[[int], Awaitable[None]], count: int) -> None:
    """Do ``work`` for each place, at once.

    Raises:
        FrontrunnerError, ClientGone: the first of ``work``. What else is done is cancelled.
    """
    failures: list[Exception] = []

    async def do(place: int) -> None:
        try:
            await work(place)
        except (FrontrunnerError, ClientGone) as error:
            failures.append(error)  # raised outside, where no ExceptionGroup wraps it
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for place in range(count):
            tasks.start_soon(do, place)
    if failures:
        raise failures[0]


def add_routes(app: web.Application) -> None:
    app.router.add_post("/v1/completions", completions)
