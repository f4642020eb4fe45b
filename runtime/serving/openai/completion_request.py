"""The body of ``POST /v1/completions``."""

from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, NonNegativeInt

from ...engines.logprobs import MAX_LOGPROBS
from ...racing.race_options import RaceOptions, RawPrompt
from ..app_keys import RUNTIME
from ..errors import BadParameter
from ..replies.completion_races import branches_for
from ..requests.bounds import Items
from ..requests.request_options import Sampled, race_options, stop_strings
from .chat import Seed, Stop, StreamOptions

Token = Annotated[int, Field(ge=0, lt=2**31)]


#: Prompts of one request: each is a race.
MAX_PROMPTS = 128


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
    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    add_special_tokens: bool | None = None
    """vLLM's: whether text begins with the special tokens that the model's tokenizer puts there;
    None: it does."""

    def questions(self) -> list[RawPrompt]:
        """The prompts, at least one.

        Raises:
            BadParameter: there are none, or more than one request may have.
        """
        prompt = self.prompt
        several = isinstance(prompt, list) and prompt and not isinstance(prompt[0], int)
        prompts: list[Any] = list(prompt) if several else [prompt]
        if len(prompts) > MAX_PROMPTS:
            raise BadParameter(f"prompt: at most {MAX_PROMPTS} prompts a request", "prompt")
        for place, content in enumerate(prompts):
            if not content:
                at = f"prompt[{place}]" if several else "prompt"
                raise BadParameter(f"{at}: must hold something", at)
        special = self.add_special_tokens is not False
        return [RawPrompt(p if isinstance(p, str) else tuple(p), special) for p in prompts]

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
            thinking_token_budget=self.thinking_token_budget,
        )
        if self.max_tokens == 0:  # whatever a branch may have
            options["max_tokens"] = 0
        options.update(branches_for(self.n or 1, self.frontrunner, settings.race.branches))
        return options
