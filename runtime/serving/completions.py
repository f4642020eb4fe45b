"""``POST /v1/completions``: a bare prompt, which the model goes on with as it is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, NonNegativeInt, PositiveInt

from ..race_options import RaceOptions, RawPrompt
from ..result import Result
from .chat import Seed, Stop, StreamOptions, stop_strings
from .chunks import ChunkEncoder
from .errors import BadParameter
from .frames import Frame
from .limits import read_json
from .replies import (
    answer_race,
    branches_for,
    check_model,
    choices_of,
    completion,
    stream_race,
    wants_events,
)
from .request_options import Sampled, checked, race_options
from .state import RUNTIME, SETTINGS

Token = Annotated[int, Field(ge=0, lt=2**31)]


class CompletionRequest(Sampled):
    """The body."""

    prompt: str | list[str] | list[Token] | list[list[Token]]
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: Stop | list[Stop] | None = None
    seed: Seed | None = None
    max_tokens: PositiveInt | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    echo: bool | None = None
    suffix: str | None = None
    logprobs: NonNegativeInt | None = None

    def question(self) -> RawPrompt:
        """The prompt; there is one.

        Raises:
            BadParameter: there are several, or none.
        """
        prompt = self.prompt
        if isinstance(prompt, list) and prompt and not isinstance(prompt[0], int):
            if len(prompt) > 1:
                raise BadParameter("prompt: one prompt a request, not a list of several", "prompt")
            prompt = prompt[0]
        if isinstance(prompt, list):
            return RawPrompt(tuple(token for token in prompt if isinstance(token, int)))
        assert isinstance(prompt, str)
        return RawPrompt(prompt)

    def check(self) -> None:
        """
        Raises:
            BadParameter: something is asked for that a race does not do.
        """
        for name, value in (("echo", self.echo), ("suffix", self.suffix)):
            if value:
                raise BadParameter(f"{name} is not supported", name)
        if self.logprobs is not None:
            raise BadParameter("logprobs are not supported", "logprobs")

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
            seed=self.seed,
            stop=stop_strings(self.stop),
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
        )
        if more := branches_for(self.n or 1, self.frontrunner, settings.race.branches):
            options["branches"] = more
        return options


class CompletionEncoder(ChunkEncoder):
    """The text of a completion is what the model wrote: the winner's, whole, once it is known."""

    object = "text_completion"

    def _first(self) -> Sequence[Mapping[str, Any]]:
        return []

    def _reasoning(self, text: str) -> Mapping[str, Any]:
        return {**_choice("", 0, None), "reasoning_content": text}

    def _answered(self, text: str) -> Iterable[Frame]:
        return []

    def _decided(self, result: Result) -> Sequence[Mapping[str, Any]]:
        return [
            _choice(choice.text, index, choice.finish_reason)
            for index, choice in enumerate(choices_of(result, self._choices))
        ]


def _choice(text: str, index: int, reason: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": reason}


async def completions(request: web.Request) -> web.StreamResponse:
    """Go on with a prompt."""
    body = checked(CompletionRequest, await read_json(request, request.app[SETTINGS]))
    model = check_model(request.app, body.model)
    body.check()
    question, options = body.question(), body.options(request)
    asked, choices = body.frontrunner, body.n or 1
    if body.stream:
        encoder = CompletionEncoder(
            model,
            choices=choices,
            events=wants_events(request.app, asked),
            include_usage=bool(body.stream_options and body.stream_options.include_usage),
        )
        return await stream_race(request, question, options, encoder, asked, prefix="cmpl-")
    run_id, result = await answer_race(request, question, options, asked, prefix="cmpl-")
    whole = [
        _choice(choice.text, index, choice.finish_reason)
        for index, choice in enumerate(choices_of(result, choices))
    ]
    return completion(run_id, "text_completion", model, whole, result)


def add_routes(app: web.Application) -> None:
    app.router.add_post("/v1/completions", completions)
