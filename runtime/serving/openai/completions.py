"""``POST /v1/completions``: a bare prompt, which the model goes on with as it is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import anyio
from aiohttp import web
from pydantic import Field, NonNegativeInt

from ...errors import FrontrunnerError
from ...racing.options import RaceOptions, RawPrompt
from ...result import Result
from ..app_keys import RUNTIME, SETTINGS
from ..errors import BadParameter
from ..replies.races import (
    ClientGone,
    answer_race,
    branches_for,
    check_model,
    choices_of,
    completion,
    stream_race,
    wants_events,
)
from ..replies.usage import Account
from ..requests.bounds import Items
from ..requests.ignored_fields import COMPLETIONS, NO_LOGPROBS, ignored_fields
from ..requests.limits import read_json
from ..requests.options import FrontrunnerOptions, Sampled, checked, race_options, stop_strings
from ..runs.frames import Frame
from .chat import Seed, Stop, StreamOptions
from .chunks import ChunkEncoder

Token = Annotated[int, Field(ge=0, lt=2**31)]


#: Prompts of one request: each is a race.
MOST_PROMPTS = 128


class CompletionRequest(Sampled):
    """The body."""

    prompt: str | Items[str] | Items[Token] | Items[Items[Token]]
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: Stop | Items[Stop] | None = None
    seed: Seed | None = None
    max_tokens: NonNegativeInt | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    echo: bool | None = None

    def questions(self) -> list[RawPrompt]:
        """The prompts, at least one.

        Raises:
            BadParameter: there are none, or more than one request may have.
        """
        prompt = self.prompt
        several = isinstance(prompt, list) and prompt and not isinstance(prompt[0], int)
        prompts: list[Any] = list(prompt) if several else [prompt]
        if len(prompts) > MOST_PROMPTS:
            raise BadParameter(f"prompt: at most {MOST_PROMPTS} prompts a request", "prompt")
        for place, content in enumerate(prompts):
            if not content:
                at = f"prompt[{place}]" if several else "prompt"
                raise BadParameter(f"{at}: must hold something", at)
        return [RawPrompt(p if isinstance(p, str) else tuple(p)) for p in prompts]

    def check(self, questions: Sequence[RawPrompt]) -> None:
        """
        Raises:
            BadParameter: something is asked for that a race does not do.
        """
        if self.max_tokens == 0:
            raise BadParameter(
                "max_tokens: 0 asks for no text, only for the likelihood of the prompt: "
                f"{NO_LOGPROBS}",
                "max_tokens",
            )
        if self.echo and not all(isinstance(question.content, str) for question in questions):
            raise BadParameter(
                "echo: prompts of token ids are not repeated: send them as text", "echo"
            )
        if self.stream and len(questions) > 1:
            raise BadParameter(
                "stream: several prompts are answered whole: leave it out, or send one prompt a "
                "request",
                "stream",
            )

    def options(self, request: web.Request) -> RaceOptions:
        """What the race is told.

        Raises:
            BadParameter: what is asked for does not go together.
        """
        settings = request.app[RUNTIME].settings
        options = race_options(
            self.frontrunner,
            request.headers,
            settings,
            streams=bool(self.stream),
            seed=self.seed,
            stop=stop_strings(self.stop),
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
        )
        options.update(branches_for(self.n or 1, self.frontrunner, settings.race.branches))
        return options


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
        return {**_choice("", 0, None), "reasoning_content": text}

    def _answered(self, text: str) -> Iterable[Frame]:
        return []

    def _decided(self, result: Result) -> Sequence[Mapping[str, Any]]:
        return [
            _choice(self._echo + choice.text, index, choice.finish_reason)
            for index, choice in enumerate(choices_of(result, self._choices, self._account.form))
        ]


def _choice(text: str, index: int, reason: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}


async def completions(request: web.Request) -> web.StreamResponse:
    """Go on with a prompt."""
    body = checked(CompletionRequest, await read_json(request, request.app[SETTINGS]))
    model = check_model(request.app, body.model)
    account = Account.of(request.app, ignored_fields(body, COMPLETIONS))
    questions, options = body.questions(), body.options(request)
    body.check(questions)
    asked, choices = body.frontrunner, body.n or 1
    echoes = [str(q.content) if body.echo else "" for q in questions]
    if body.stream:
        encoder = CompletionEncoder(
            model,
            choices=choices,
            events=wants_events(request.app, asked),
            include_usage=bool(body.stream_options and body.stream_options.include_usage),
            account=account,
            echo=echoes[0],
        )
        return await stream_race(request, questions[0], options, encoder, asked, prefix="cmpl-")
    ids, results = await _answer_all(request, questions, options, asked)
    replies = [
        (echo + choice.text, choice.finish_reason)
        for echo, result in zip(echoes, results, strict=True)
        for choice in choices_of(result, choices, account.form)
    ]
    whole = [_choice(text, index, reason) for index, (text, reason) in enumerate(replies)]
    return completion(ids[0], "text_completion", model, whole, results, account)


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
    failures: list[Exception] = []

    async def answer(place: int, question: RawPrompt) -> None:
        try:
            answered[place] = await answer_race(request, question, options, asked, prefix="cmpl-")
        except (FrontrunnerError, ClientGone) as error:
            failures.append(error)  # raised outside, where no ExceptionGroup wraps it
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for place, question in enumerate(questions):
            tasks.start_soon(answer, place, question)
    if failures:
        raise failures[0]
    ids, results = zip(*(answered[place] for place in range(len(questions))), strict=True)
    return ids, results


def add_routes(app: web.Application) -> None:
    app.router.add_post("/v1/completions", completions)
