"""How a prompt would go on: what a verifier asks an engine that knows log probabilities."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM


@runtime_checkable
class SupportsNextTokens(Protocol):
    """An engine with one more ability than ``Engine``; ``EngineInfo.logprobs`` says if it is on."""

    async def next_tokens(
        self, prompt: Sequence[int], k: int, *, request_id: str, priority: int = 0
    ) -> Sequence[tuple[str, float]]:
        """The ``k`` most likely next tokens as text, with their log probabilities.

        They are the model's own, at temperature 1, whatever its sampling settings.

        Raises:
            EngineError: this request is lost.

        Cancelling it ends the request; call ``Engine.abort`` first where it must be certain.
        """
        ...


async def vllm_next_tokens(
    llm: "AsyncLLM", prompt: Sequence[int], k: int, request_id: str, priority: int
) -> Sequence[tuple[str, float]]:
    """``SupportsNextTokens.next_tokens`` on vLLM; its errors are vLLM's."""
    from vllm import SamplingParams, TokensPrompt
    from vllm.sampling_params import RequestOutputKind

    outputs = llm.generate(
        TokensPrompt(prompt_token_ids=list(prompt)),
        SamplingParams(
            temperature=0.0, max_tokens=1, logprobs=k, output_kind=RequestOutputKind.FINAL_ONLY
        ),
        request_id,
        priority=priority,
    )
    top: list[tuple[str, float]] = []
    async with aclosing(outputs):
        async for output in outputs:
            for position in output.outputs[0].logprobs or ():
                top = [(t.decoded_token or "", t.logprob) for t in position.values()]
    return top
