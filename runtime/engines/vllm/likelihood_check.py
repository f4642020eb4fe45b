"""Whether an engine's log probabilities can be trusted. With speculation vLLM's were wrong, or
missing, in several releases, by method and build: so they are compared, once, at the start."""

from contextlib import aclosing

import anyio

from ...errors import EngineError
from ..protocol import Generation, Sampling
from .on_client import EngineOnClient

#: Requests that are written at once, as drafts from other branches need them, and tokens of each.
_WRITERS, _TOKENS = 4, 32
#: In nats. What is read in one step is rounded otherwise than what was written token by token;
#: a wrong one is that of another token, and off by several.
_TOLERANCE = 0.5


async def likelihoods_hold(engine: EngineOnClient) -> bool:
    """Whether tokens get the log probabilities as they are written with which they are read.

    Args:
        engine: started; nothing else runs on it.
    """
    prompt = engine.encode_chat([{"role": "user", "content": "Count from one to ten, twice."}])
    agreed: list[bool] = []

    async def try_one(index: int) -> None:
        agreed.append(await _holds(engine, prompt, index))

    try:
        async with anyio.create_task_group() as tasks:
            for index in range(_WRITERS):
                tasks.start_soon(try_one, index)
    except* EngineError:
        agreed.append(False)
    return all(agreed)


async def _holds(engine: EngineOnClient, prompt: tuple[int, ...], index: int) -> bool:
    sampling = Sampling(temperature=1.0, likelihoods=True)
    request = Generation(f"likelihoods-{index}", prompt, _TOKENS, sampling, index, branch=index)
    ids: list[int] = []
    written: list[float] = []
    async with aclosing(engine.generate(request)) as chunks:
        async for chunk in chunks:
            ids.extend(chunk.token_ids)
            written.extend(chunk.confidences)
    again = Generation(f"likelihoods-read-{index}", (*prompt, *ids), 0, Sampling())
    async with aclosing(engine.scored(again, prompt=True)) as scored:
        told = [token.logprob async for chunk in scored for token in chunk.prompt]
    read = told[len(prompt) :]
    return len(read) == len(written) == len(ids) and all(
        other is not None and abs(one - other) <= _TOLERANCE
        for one, other in zip(written, read, strict=True)
    )
