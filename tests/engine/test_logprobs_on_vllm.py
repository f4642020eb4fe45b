"""Log probabilities on the real engine."""

from contextlib import aclosing
from typing import Any

import pytest

from frontrunner.runtime.engines.logprobs import ScoredChunk, SupportsLogprobs
from frontrunner.runtime.engines.protocol import FinishReason
from frontrunner.runtime.racing.race_options import RawPrompt
from frontrunner.runtime.runtime import Runtime

pytestmark = pytest.mark.engine

QUESTION = [{"role": "user", "content": "Tom has 7 apples. He buys 5 apples. How many has he?"}]


async def scored(runtime: Runtime, prompts: list[RawPrompt], **options: Any) -> list[ScoredChunk]:
    """Of each prompt all chunks as one."""
    told: dict[int, list[ScoredChunk]] = {}
    await runtime.score(prompts, lambda at, chunk: told.setdefault(at, []).append(chunk), **options)
    return [
        ScoredChunk(
            "".join(chunk.text for chunk in chunks),
            tuple(token for chunk in chunks for token in chunk.tokens),
            chunks[-1].finish,
            tuple(token for chunk in chunks for token in chunk.prompt),
        )
        for _, chunks in sorted(told.items())
    ]


async def test_what_is_written_has_the_same_likelihood_when_it_is_read(runtime: Runtime) -> None:
    engine = runtime.engine
    assert isinstance(engine, SupportsLogprobs)
    prompt = engine.encode_chat(QUESTION)
    (written,) = await scored(
        runtime, [RawPrompt(prompt)], temperature=0.0, max_tokens=24, logprobs=2, deadline=600.0
    )
    assert written.finish is not None
    text = "".join(token.text for token in written.tokens)
    assert text.startswith(written.text) or written.text.startswith(text)
    for token in written.tokens:
        assert token.logprob == max(token.top.values())  # greedy
        assert len(token.top) == 2
    whole = RawPrompt((*prompt, *engine.encode(written.text)))
    read = (await scored(runtime, [whole] * 3, max_tokens=0, prompt_logprobs=True, logprobs=1))[1]
    assert (read.text, read.tokens, read.finish) == ("", (), FinishReason.LENGTH)
    assert read.prompt[0].logprob is None
    assert len(read.prompt) == len(whole.content)
    behind = read.prompt[len(prompt) :]
    for one, other in zip(written.tokens, behind, strict=False):
        assert one.text == other.text
        assert one.logprob == pytest.approx(other.logprob, abs=0.02)


async def test_a_reader_that_leaves_ends_the_request(runtime: Runtime) -> None:
    engine = runtime.engine
    assert isinstance(engine, SupportsLogprobs)
    from frontrunner.runtime.engines.protocol import Generation, Sampling

    request = Generation("leaving", engine.encode_chat(QUESTION), 200, Sampling(), None)
    async with aclosing(engine.scored(request)) as chunks:
        async for _ in chunks:
            break
    assert engine.load().running == 0
