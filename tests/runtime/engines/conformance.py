"""What every engine must do, whatever it runs on.

The tests here take the fixtures ``engine_under_test`` and ``engine_to_close`` of ``conftest.py``,
and are run by ``test_conformance.py``. They look at no clock: what takes an engine a moment is
waited for with a bound on the number of looks.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from itertools import count

import anyio
import pytest

from frontrunner.runtime.engines.protocol import (
    Chunk,
    Engine,
    FinishReason,
    Generation,
    Message,
    Sampling,
    SupportsFeeding,
    feeding,
)
from frontrunner.runtime.errors import EngineClosed

from ...backends import until

#: Answered in a few tokens.
EASY: list[Message] = [{"role": "user", "content": "What is 1 + 1?"}]
#: Keeps a model busy for some hundred tokens.
LONG: list[Message] = [
    {
        "role": "user",
        "content": "Tom has 47 apples. He buys 3 bags of 12 apples, gives 19 apples away, doubles "
        "what is left, and shares all equally with 3 friends. How many apples does each have?",
    }
]
GREEDY = Sampling(temperature=0.0)
RANDOM = Sampling(temperature=1.0)
PATIENCE = 30_000  # looks, a millisecond or more apart
_numbers = count()


def request(
    engine: Engine,
    messages: list[Message],
    max_tokens: int,
    *,
    sampling: Sampling = GREEDY,
    seed: int | None = None,
    more: tuple[int, ...] = (),
) -> Generation:
    """A request with an id of its own; ``more`` are tokens after the prompt."""
    return Generation(
        request_id=f"conformance-{next(_numbers)}",
        prompt=(*engine.encode_chat(messages), *more),
        max_tokens=max_tokens,
        sampling=sampling,
        seed=seed,
    )


async def run(engine: Engine, generation: Generation) -> list[Chunk]:
    async with aclosing(engine.generate(generation)) as chunks:
        return [chunk async for chunk in chunks]


def tokens(chunks: list[Chunk]) -> tuple[int, ...]:
    return tuple(token for chunk in chunks for token in chunk.token_ids)


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


async def idle(engine: Engine) -> None:
    """Wait until the engine runs nothing."""
    await until(lambda: engine.load().running + engine.load().waiting == 0, PATIENCE)


class Consumers:
    """Many requests, each read by a task of its own."""

    def __init__(self, engine: Engine, generations: list[Generation]) -> None:
        self.engine = engine
        self.generations = generations
        self.chunks: dict[str, list[Chunk]] = {g.request_id: [] for g in generations}

    @property
    def ids(self) -> list[str]:
        return list(self.chunks)

    async def read(self, generation: Generation) -> None:
        async with aclosing(self.engine.generate(generation)) as chunks:
            async for chunk in chunks:
                self.chunks[generation.request_id].append(chunk)

    async def all_began(self) -> None:
        await until(lambda: all(tokens(chunks) for chunks in self.chunks.values()), PATIENCE)


class Sink:
    """A ``TokenSink`` that keeps what comes."""

    def __init__(self, *, immediate: bool = False) -> None:
        self.immediate = immediate
        self.catch_up: Callable[[], None] | None = None
        self.text = ""
        self.token_ids: list[int] = []

    def put(self, text: str, token_ids: Sequence[int], confidences: Sequence[float] = ()) -> None:
        self.text += text
        self.token_ids += token_ids

    def put_all(
        self,
        texts: Sequence[str],
        token_ids: Sequence[Sequence[int]],
        confidences: Sequence[float] = (),
    ) -> None:
        for text, ids in zip(texts, token_ids, strict=True):
            self.put(text, ids)


def feeder(engine: Engine) -> SupportsFeeding:
    found = feeding(engine)
    if found is None:
        pytest.skip("this engine does not feed")
    return found


def long_requests(engine: Engine, number: int) -> Consumers:
    return Consumers(
        engine,
        [request(engine, LONG, 800, sampling=RANDOM, seed=seed) for seed in range(number)],
    )


async def test_an_engine_knows_its_limits_and_has_not_failed(engine_under_test: Engine) -> None:
    info = engine_under_test.info
    assert info.name
    assert info.model
    assert info.max_context_tokens > 0
    assert info.max_branches > 0
    assert info.prefill_tokens_per_step > 0
    assert info.cache_block_tokens > 0
    assert engine_under_test.failure is None


async def test_text_is_encoded_to_token_ids(engine_under_test: Engine) -> None:
    assert engine_under_test.encode("") == ()
    some = engine_under_test.encode("The answer is 42.")
    assert isinstance(some, tuple)
    assert some
    assert all(type(token) is int and token >= 0 for token in some)
    assert some == engine_under_test.encode("The answer is 42.")
    assert engine_under_test.encode_chat(EASY) == engine_under_test.encode_chat(EASY)
    assert engine_under_test.encode_chat(EASY) != engine_under_test.encode_chat(LONG)


async def test_only_the_last_chunk_says_why_the_request_ended(engine_under_test: Engine) -> None:
    chunks = await run(engine_under_test, request(engine_under_test, EASY, 300))
    assert chunks[-1].finish in (FinishReason.STOP, FinishReason.LENGTH)
    assert all(chunk.finish is None for chunk in chunks[:-1])
    assert 0 < len(tokens(chunks)) <= 300
    assert text(chunks)
    await idle(engine_under_test)


@pytest.mark.parametrize("limit", [1, 2, 17])
async def test_a_request_ends_at_its_limit_with_exactly_that_many_tokens(
    engine_under_test: Engine, limit: int
) -> None:
    chunks = await run(engine_under_test, request(engine_under_test, LONG, limit))
    assert len(tokens(chunks)) == limit
    assert chunks[-1].finish is FinishReason.LENGTH
    assert all(chunk.finish is None for chunk in chunks[:-1])
    await idle(engine_under_test)


async def test_a_slow_consumer_misses_no_token(engine_under_test: Engine) -> None:
    generation = request(engine_under_test, LONG, 24)
    quick = await run(engine_under_test, request(engine_under_test, LONG, 24))
    slow: list[Chunk] = []
    async with aclosing(engine_under_test.generate(generation)) as chunks:
        async for chunk in chunks:
            slow.append(chunk)
            await anyio.sleep(0.02)
    assert len(tokens(slow)) == len(tokens(quick)) == 24
    assert text(slow) == text(quick)
    assert slow[-1].finish is FinishReason.LENGTH
    assert all(chunk.finish is None for chunk in slow[:-1])


async def test_a_request_continues_from_exact_tokens(engine_under_test: Engine) -> None:
    first = await run(engine_under_test, request(engine_under_test, LONG, 8))
    both = await run(engine_under_test, request(engine_under_test, LONG, 16))
    second = await run(engine_under_test, request(engine_under_test, LONG, 8, more=tokens(first)))
    assert len(tokens(second)) == 8
    assert text(first) + text(second) == text(both)


async def test_the_same_seed_gives_the_same_tokens(engine_under_test: Engine) -> None:
    if not engine_under_test.info.seeded:
        pytest.skip("this engine takes no seeds")
    made: list[tuple[int, ...]] = []
    for _ in range(2):
        generation = request(engine_under_test, LONG, 24, sampling=RANDOM, seed=11)
        made.append(tokens(await run(engine_under_test, generation)))
    assert made[0] == made[1]


async def test_requests_at_the_same_time_do_not_mix(engine_under_test: Engine) -> None:
    consumers = Consumers(
        engine_under_test, [request(engine_under_test, LONG, 3 + n) for n in range(8)]
    )
    async with anyio.create_task_group() as tasks:
        for generation in consumers.generations:
            tasks.start_soon(consumers.read, generation)
    for number, chunks in enumerate(consumers.chunks.values()):
        assert len(tokens(chunks)) == 3 + number
        assert [chunk.finish for chunk in chunks if chunk.finish] == [FinishReason.LENGTH]
    await idle(engine_under_test)


async def test_one_abort_ends_many_requests_and_another_changes_nothing(
    engine_under_test: Engine,
) -> None:
    consumers = long_requests(engine_under_test, 6)
    async with anyio.create_task_group() as tasks:
        for generation in consumers.generations:
            tasks.start_soon(consumers.read, generation)
        await consumers.all_began()
        assert engine_under_test.load().running == 6
        await engine_under_test.abort(consumers.ids)
        await engine_under_test.abort(consumers.ids)
    # The task group has ended, and with it all streams.
    for chunks in consumers.chunks.values():
        assert chunks[-1].finish is FinishReason.ABORT
        assert all(chunk.finish is None for chunk in chunks[:-1])
    await idle(engine_under_test)
    await engine_under_test.abort(consumers.ids)
    assert engine_under_test.failure is None


@pytest.mark.parametrize("immediate", [True, False])
async def test_what_is_fed_is_what_would_be_generated(
    engine_under_test: Engine, immediate: bool
) -> None:
    engine, sink = feeder(engine_under_test), Sink(immediate=immediate)
    chunks = await run(engine_under_test, request(engine_under_test, LONG, 24))
    finish = await engine.feed(request(engine_under_test, LONG, 24), sink)
    assert finish is FinishReason.LENGTH
    assert sink.text == text(chunks)
    assert tuple(sink.token_ids) == tokens(chunks)
    assert sink.catch_up is None
    await idle(engine_under_test)


@pytest.mark.parametrize("immediate", [True, False])
async def test_an_abort_ends_what_is_fed(engine_under_test: Engine, immediate: bool) -> None:
    engine, ended = feeder(engine_under_test), list[FinishReason]()
    sinks = [Sink(immediate=immediate) for _ in range(4)]
    asked = long_requests(engine_under_test, 4).generations

    async def feed(generation: Generation, sink: Sink) -> None:
        ended.append(await engine.feed(generation, sink))

    async with anyio.create_task_group() as tasks:
        for generation, sink in zip(asked, sinks, strict=True):
            tasks.start_soon(feed, generation, sink)
        await until(lambda: all(sink.token_ids for sink in sinks), PATIENCE)
        await engine_under_test.abort([generation.request_id for generation in asked])
    assert ended == [FinishReason.ABORT] * 4
    await idle(engine_under_test)
    assert engine_under_test.failure is None


async def test_an_abort_ends_only_what_it_names(engine_under_test: Engine) -> None:
    consumers = long_requests(engine_under_test, 2)
    one, other = consumers.ids
    async with anyio.create_task_group() as tasks:
        for generation in consumers.generations:
            tasks.start_soon(consumers.read, generation)
        await consumers.all_began()
        await engine_under_test.abort([])
        await engine_under_test.abort(["nobody", one, "nothing"])
        await until(lambda: engine_under_test.load().running == 1, PATIENCE)
        seen = len(tokens(consumers.chunks[other]))
        await until(lambda: len(tokens(consumers.chunks[other])) > seen + 3, PATIENCE)
        await engine_under_test.abort([other])
    assert consumers.chunks[one][-1].finish is FinishReason.ABORT
    await idle(engine_under_test)


async def test_closing_a_stream_early_ends_its_request(engine_under_test: Engine) -> None:
    async with aclosing(
        engine_under_test.generate(request(engine_under_test, LONG, 800))
    ) as chunks:
        await anext(chunks)
        assert engine_under_test.load().running == 1
    await idle(engine_under_test)


async def test_a_stream_that_was_never_read_holds_nothing(engine_under_test: Engine) -> None:
    await engine_under_test.generate(request(engine_under_test, LONG, 800)).aclose()
    await idle(engine_under_test)


async def test_cancelling_the_consumers_ends_their_requests(engine_under_test: Engine) -> None:
    consumers = long_requests(engine_under_test, 4)
    async with anyio.create_task_group() as tasks:
        for generation in consumers.generations:
            tasks.start_soon(consumers.read, generation)
        await consumers.all_began()
        tasks.cancel_scope.cancel()
    await idle(engine_under_test)
    # And it serves on.
    chunks = await run(engine_under_test, request(engine_under_test, LONG, 3))
    assert len(tokens(chunks)) == 3


async def test_a_request_that_is_aborted_first_and_then_closed_is_gone(
    engine_under_test: Engine,
) -> None:
    """The way in which a race ends its losers."""
    consumers = long_requests(engine_under_test, 4)
    async with anyio.create_task_group() as tasks:
        for generation in consumers.generations:
            tasks.start_soon(consumers.read, generation)
        await consumers.all_began()
        with anyio.CancelScope(shield=True):
            await engine_under_test.abort(consumers.ids)
        tasks.cancel_scope.cancel()
    await idle(engine_under_test)


async def test_a_closed_engine_serves_nothing_and_may_be_closed_again(
    engine_to_close: Engine,
) -> None:
    generation = request(engine_to_close, LONG, 3)
    assert len(tokens(await run(engine_to_close, generation))) == 3
    await engine_to_close.aclose()
    await engine_to_close.aclose()
    assert isinstance(engine_to_close.failure, EngineClosed)
    assert engine_to_close.load().running == 0
    await engine_to_close.abort([generation.request_id])
    stream: AsyncGenerator[Chunk, None] = engine_to_close.generate(generation)
    with pytest.raises(EngineClosed):
        await anext(stream)
