"""An engine without a model, with all that depends on a tokenizer as vLLM's engine has it: prompts
by its encoder and its chat template, text by vLLM's own detokenizer."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from random import Random
from types import SimpleNamespace
from typing import Any

from tests.runtime.race_harness import WatchedEngine

from frontrunner.runtime.engines.openai.tokens import LocalTokenizer
from frontrunner.runtime.engines.protocol import (
    Chunk,
    EngineInfo,
    FinishReason,
    Generation,
    Message,
)
from frontrunner.runtime.engines.scripted import BranchScript, ScriptedEngine, _Live
from frontrunner.runtime.engines.vllm.prompt_characters import correct_prompt_ends

#: What decoders write for bytes that are no character, or not yet.
BROKEN = "\ufffd"
#: The token ids that a request gets.
Writer = Callable[[Generation], Sequence[int]]


def detokenizer(tokenizer: Any, prompt: Sequence[int], *, special: bool = False) -> Any:
    """vLLM's, of a request, as our engine starts it; special tokens are text if ``special``."""
    from vllm import SamplingParams
    from vllm.v1.engine.detokenizer import IncrementalDetokenizer

    correct_prompt_ends()
    request: Any = SimpleNamespace(
        request_id="request",
        sampling_params=SamplingParams(
            skip_special_tokens=not special, spaces_between_special_tokens=not special
        ),
        prompt_token_ids=list(prompt),
        prompt_embeds=None,
    )
    return IncrementalDetokenizer.from_new_request(tokenizer, request)


@lru_cache(maxsize=1)  # the tests of one family come one after the other
def local_tokenizer(tokenizer: Any) -> LocalTokenizer:
    """Ours, on one of the library's; it looks through the whole vocabulary as it is made."""
    return LocalTokenizer(tokenizer)


def encode(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text, without special ones around it."""
    return tokenizer.encode(text, add_special_tokens=False)


def pieces(
    tokenizer: Any, prompt: Sequence[int], ids: Sequence[int], rng: Random
) -> Iterator[Chunk]:
    """A stream of ``ids`` behind ``prompt``, which come one to four at a time."""
    stream, at = detokenizer(tokenizer, prompt), 0
    while at < len(ids):
        new = list(ids[at : at + rng.randint(1, 4)])
        at += len(new)
        stream.update(new, False)
        yield Chunk(stream.get_next_output_text(at >= len(ids), True), tuple(new))


class _Writing(ScriptedEngine):
    """Writes token ids, a few at a time."""

    tokenizer: Any
    local: LocalTokenizer
    write: Writer
    told: dict[str, list[int]]
    pauses: Callable[[Generation, Random], float]

    def encode(self, text: str) -> tuple[int, ...]:
        return self.local.encode(text)

    def encode_prompt(self, text: str) -> tuple[int, ...]:
        return self.local.encode_prompt(text)

    def encode_chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[int, ...]:
        return self.local.encode_chat(messages, tools, arguments)

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        if self.failure is not None:
            raise self.failure
        self.requests.append(request)
        live = self._live[request.request_id] = _Live()
        rng = Random(request.request_id)
        pause, ids, at = self.pauses(request, rng), list(self.write(request)), 0
        special = request.sampling.special_tokens
        stream = detokenizer(self.tokenizer, request.prompt, special=special)
        try:
            while True:
                if not await self._wait(pause * rng.uniform(0.5, 1.5), live, BranchScript()):
                    yield Chunk("", (), FinishReason.ABORT)
                    return
                end = min(at + rng.randint(1, 4), request.max_tokens)
                new, at = ids[at:end], end
                stream.update(new, False)
                full, done = at >= request.max_tokens, at >= len(ids)
                text = stream.get_next_output_text(full or done, True)
                self.told[request.request_id] += new
                finish = FinishReason.STOP if done else FinishReason.LENGTH if full else None
                yield Chunk(text, tuple(new), finish)
                if finish is not None:
                    return
        finally:
            self._live.pop(request.request_id, None)


class TokenizedEngine(WatchedEngine, _Writing):
    """``told`` is what each request was given, by its id."""

    def __init__(
        self,
        tokenizer: Any,
        write: Writer,
        *,
        pauses: Callable[[Generation, Random], float] = lambda request, rng: 0.002,
        **more: Any,
    ) -> None:
        """
        Args:
            write: what requests are given; all of it, or as much as they have room for.
            pauses: about how long a request's steps take, in seconds.
        """
        super().__init__([BranchScript()], **more)
        self.tokenizer, self.write, self.pauses = tokenizer, write, pauses
        self.local = local_tokenizer(tokenizer)
        self.told = defaultdict(list[int])

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, chat=self.local.chat)
