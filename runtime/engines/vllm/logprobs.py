"""Log probabilities from vLLM."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from ..logprobs import ScoredChunk, TokenLogprob, likeliest
from ..protocol import FinishReason, Generation

if TYPE_CHECKING:
    from vllm.outputs import RequestOutput
    from vllm.v1.engine.async_llm import AsyncLLM

_FINISHES = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "abort": FinishReason.ABORT,
}


async def vllm_scored(
    llm: "AsyncLLM", request: Generation, *, prompt: bool
) -> AsyncGenerator[ScoredChunk, None]:
    """``TellsLogprobs.scored`` on vLLM; its errors are vLLM's."""
    from vllm import SamplingParams, TokensPrompt
    from vllm.sampling_params import RequestOutputKind

    sampling = request.sampling
    outputs = llm.generate(
        TokensPrompt(prompt_token_ids=list(request.prompt)),
        SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            stop=list(sampling.stop) or None,
            seed=request.seed,
            max_tokens=max(1, request.max_tokens),  # vLLM generates a token at least
            logprobs=sampling.logprobs,
            prompt_logprobs=sampling.logprobs if prompt else None,
            output_kind=RequestOutputKind.DELTA,
        ),
        request.request_id,
        priority=request.priority,
    )
    decode: Callable[[int], str] = llm.get_tokenizer().decode
    async with aclosing(outputs):
        async for output in outputs:
            yield _chunk(output, decode, k=sampling.logprobs, generates=request.max_tokens > 0)


def _chunk(
    output: "RequestOutput", decode: Callable[[int], str], *, k: int, generates: bool
) -> ScoredChunk:
    completion = output.outputs[0]
    finish: FinishReason | None = None
    if output.finished:
        finish = _FINISHES.get(completion.finish_reason or "", FinishReason.ERROR)
    told = _tokens(output.prompt_token_ids or (), output.prompt_logprobs or (), decode, k)
    if not generates:
        ended = finish in (FinishReason.STOP, FinishReason.LENGTH)
        return ScoredChunk("", (), FinishReason.LENGTH if ended else finish, told)
    tokens = _tokens(completion.token_ids, completion.logprobs or (), decode, k)
    return ScoredChunk(completion.text, tokens, finish, told)


def _tokens(
    ids: Sequence[int],
    logprobs: Sequence[Mapping[int, Any] | None],
    decode: Callable[[int], str],
    k: int,
) -> tuple[TokenLogprob, ...]:
    """Tokens with what vLLM says of them: by id, the token itself and the ``k`` likeliest."""
    told = list[TokenLogprob]()
    for token, entries in zip(ids, logprobs, strict=False):  # there may be none at all
        if not entries:
            told.append(TokenLogprob(decode(token), None, {}))
            continue
        own = entries[token]
        shown = [e for i, e in entries.items() if i == token or (e.rank is None or e.rank <= k)]
        told.append(
            TokenLogprob(
                _text(own, token, decode),
                own.logprob,
                likeliest((e.decoded_token or "", e.logprob) for e in shown),
            )
        )
    return tuple(told)


def _text(entry: Any, token: int, decode: Callable[[int], str]) -> str:
    return decode(token) if entry.decoded_token is None else entry.decoded_token
