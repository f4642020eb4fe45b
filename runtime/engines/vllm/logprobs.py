"""Log probabilities from vLLM."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from ..logprobs import ScoredChunk, TokenLogprob, likeliest
from ..protocol import FinishReason, Generation

if TYPE_CHECKING:
    from vllm.outputs import RequestOutput
    from vllm.v1.engine.async_llm import AsyncLLM

#: What stands for bytes that are no whole character, and the most tokens that spell one.
_BROKEN, _MAX_CHARACTER = "\ufffd", 4
_FINISHES = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "abort": FinishReason.ABORT,
}


class TokenTexts:
    """What a tokenizer's tokens stand for, each decoded once."""

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._known: dict[int, str] = {}

    def of(self, token: int) -> str:
        """One token by itself."""
        text = self._known.get(token)
        if text is None:
            text = self._known[token] = self._decode([token])
        return text

    def in_order(self, tokens: Sequence[int]) -> list[str]:
        """Tokens that follow each other. A character that several spell stands with the last."""
        texts, begun = list[str](), list[int]()
        for token in tokens:
            text = self.of(token)
            if begun or _BROKEN in text:
                begun.append(token)
                text = self._decode(begun)
                if text.endswith(_BROKEN) and len(begun) < _MAX_CHARACTER:
                    text = ""
                else:
                    begun.clear()
            texts.append(text)
        return texts


async def vllm_scored(
    llm: "AsyncLLM", request: Generation, texts: TokenTexts, *, prompt: bool, priority: int
) -> AsyncGenerator[ScoredChunk, None]:
    """``SupportsLogprobs.scored`` on vLLM, with the priority that it is told; its errors are
    vLLM's."""
    from vllm import SamplingParams, TokensPrompt
    from vllm.sampling_params import RequestOutputKind

    sampling, generates = request.sampling, request.max_tokens > 0
    # vLLM decodes every entry anew, on the event loop, where all other requests wait. It is needed
    # for the text alone, with its stop strings.
    decodes = request.max_tokens > 1 or (generates and bool(sampling.stop))
    outputs = llm.generate(
        TokensPrompt(prompt_token_ids=list(request.prompt)),
        SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            stop=list(sampling.stop) or None if decodes else None,
            seed=request.seed,
            max_tokens=max(1, request.max_tokens),  # vLLM generates a token at least
            logprobs=sampling.logprobs,
            prompt_logprobs=sampling.logprobs if prompt else None,
            detokenize=decodes,
            output_kind=RequestOutputKind.DELTA,
        ),
        request.request_id,
        priority=priority,
    )
    async with aclosing(outputs):
        async for output in outputs:
            yield _chunk(output, texts, sampling.logprobs, generates=generates, decoded=decodes)


def _chunk(
    output: "RequestOutput", texts: TokenTexts, k: int, *, generates: bool, decoded: bool
) -> ScoredChunk:
    completion = output.outputs[0]
    finish: FinishReason | None = None
    if output.finished:
        finish = _FINISHES.get(completion.finish_reason or "", FinishReason.ERROR)
    told = _tokens(output.prompt_token_ids or (), output.prompt_logprobs or (), texts, k)
    if not generates:
        ended = finish in (FinishReason.STOP, FinishReason.LENGTH)
        return ScoredChunk("", (), FinishReason.LENGTH if ended else finish, told)
    tokens = _tokens(completion.token_ids, completion.logprobs or (), texts, k)
    ended_itself = finish is FinishReason.STOP
    text = completion.text
    if not decoded and not ended_itself:  # a token that ends the text is none of it
        text = "".join(token.text for token in tokens)
    return ScoredChunk(text, tokens, finish, told)


def _tokens(
    ids: Sequence[int], logprobs: Sequence[Mapping[int, Any] | None], texts: TokenTexts, k: int
) -> tuple[TokenLogprob, ...]:
    """Tokens with what vLLM says of them: by id, the token itself and the ``k`` likeliest."""
    if not logprobs:
        return ()
    told = list[TokenLogprob]()
    for token, text, entries in zip(ids, texts.in_order(ids), logprobs, strict=False):
        if not entries:
            told.append(TokenLogprob(text, None, {}))
            continue
        own = entries[token].logprob
        shown = [(text, own)]
        for other, entry in entries.items():
            if other != token and (entry.rank is None or entry.rank <= k):
                shown.append((texts.of(other), entry.logprob))
        told.append(TokenLogprob(text, own, likeliest(shown)))
    return tuple(told)
