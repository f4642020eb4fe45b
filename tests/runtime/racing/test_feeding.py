"""Engines that tell what they generate by a call: the race is the same, only cheaper."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.engines.protocol import Chunk, FinishReason, Generation, Sampling, feeding
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.events.fold import RaceState
from frontrunner.runtime.racing.branch import Branch
from frontrunner.runtime.racing.token_text import TokenText
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime

from ...backends import run_virtual
from ..test_runtime import settings


class GeneratingEngine(ScriptedEngine):
    """The same, which only generates."""

    async def generate(self, request: Generation) -> AsyncGenerator[Chunk, None]:
        async with aclosing(super().generate(request)) as chunks:
            async for chunk in chunks:
                yield chunk


pieces = st.builds(
    Piece, st.sampled_from([0.0, 0.1, 0.25]), st.sampled_from(["a", "bc ", ""]), st.integers(1, 3)
)
scripts = st.builds(
    BranchScript,
    st.lists(pieces, max_size=8).map(lambda some: (*some, Piece(0.1, "\\boxed{7}"))),
    finish=st.sampled_from([FinishReason.STOP, FinishReason.LENGTH]),
    error=st.sampled_from([None, None, None, "lost"]),
    stall=st.booleans(),
)


async def raced(
    engine: ScriptedEngine, deadline: float, max_tokens: int, *, watched: bool
) -> tuple[Result, RaceState]:
    """The result of a race, and what a viewer knows of it."""
    state = RaceState()
    options = {
        "branches": len(engine.script.branches),
        "deadline": deadline,
        "max_tokens": max_tokens,
        "race_id": "race",
        "parameters": {"stop": "none"},
    }
    async with Runtime(engine, settings()) as runtime:
        if not watched:
            return await runtime.solve("?", **options), state
        async with runtime.stream("?", **options) as events:
            async for event in events:
                state.apply(event)
    assert state.result is not None
    return state.result, state


@given(
    some=st.lists(scripts, min_size=1, max_size=4),
    deadline=st.sampled_from([0.9, 1.3, 10.0]),
    max_tokens=st.sampled_from([3, 7, 1000]),
    dies_at=st.sampled_from([float("inf"), 0.35]),
    watched=st.booleans(),
)
def test_a_race_that_is_fed_ends_as_one_that_reads(
    some: Sequence[BranchScript], deadline: float, max_tokens: int, dies_at: float, watched: bool
) -> None:
    # No two branches do anything at one moment: their order would be left to chance.
    apart = [
        replace(one, pieces=(Piece(0.0011 * (i + 1), "x"), *one.pieces))
        for i, one in enumerate(some)
    ]
    forced = [BranchScript((Piece(0.0013 * (i + 1), "7}"),)) for i in range(len(some))]

    def result_on(kind: type[ScriptedEngine]) -> Result:
        async def race() -> Result:
            script = Script(apart, forced, dies_at)
            result, state = await raced(kind(script), deadline, max_tokens, watched=watched)
            for branch in result.branches if watched else ():
                assert state.branches[branch.index].text == branch.text
            return result

        return run_virtual(race)

    def rounded(result: Result) -> Result:
        branches = tuple(replace(b, seconds=round(b.seconds, 6)) for b in result.branches)
        return replace(result, elapsed=round(result.elapsed, 6), branches=branches)

    assert rounded(result_on(ScriptedEngine)) == rounded(result_on(GeneratingEngine))


def test_an_engine_with_a_generate_of_its_own_is_read() -> None:
    script = Script([BranchScript()])
    assert feeding(ScriptedEngine(script)) is not None
    assert feeding(GeneratingEngine(script)) is None
    wrapped = ScriptedEngine(script)
    wrapped.generate = wrapped.generate  # type: ignore[method-assign]
    assert feeding(wrapped) is None


class Sink:
    def __init__(self, *, immediate: bool) -> None:
        self.immediate = immediate
        self.catch_up: Callable[[], None] | None = None
        self.text = ""

    def put(self, text: str, token_ids: Sequence[int], confidences: Sequence[float] = ()) -> None:
        self.text += text

    def put_all(
        self,
        texts: Sequence[str],
        token_ids: Sequence[Sequence[int]],
        confidences: Sequence[float] = (),
    ) -> None:
        self.text += "".join(texts)


@pytest.mark.parametrize("immediate", [True, False])
async def test_what_was_generated_before_an_abort_is_put(immediate: bool) -> None:
    engine = ScriptedEngine(Script([BranchScript(tuple(Piece(0.1, c) for c in "abcdefgh"))]))
    await engine.start()
    sink, ended = Sink(immediate=immediate), list[FinishReason]()

    async def run() -> None:
        ended.append(await engine.feed(Generation("r", (1,), 100, Sampling()), sink))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await anyio.sleep(0.35)
        assert sink.text == ("abc" if immediate else "a")
        if sink.catch_up is not None:
            sink.catch_up()
        assert sink.text == "abc"
        await anyio.sleep(0.1)
        await engine.abort(["r"])
    assert ended == [FinishReason.ABORT]
    assert sink.text == "abcd"
    assert sink.catch_up is None


async def test_what_many_requests_have_written_comes_step_by_step() -> None:
    """Else it would come all at once, when their races are called."""
    written = tuple(Piece(0.1, c) for c in "abcdefgh")
    engine = ScriptedEngine(Script([BranchScript(written)]), max_branches=100)
    await engine.start()
    sinks = [Sink(immediate=False) for _ in range(100)]
    async with anyio.create_task_group() as tasks:
        for index, sink in enumerate(sinks):
            request = Generation(f"r{index}", (1,), 100, Sampling())
            tasks.start_soon(engine.feed, request, sink)
        await anyio.sleep(0.45)
        assert {sink.text[:2] for sink in sinks} == {"ab"}
        await engine.abort([f"r{index}" for index in range(50)])
        await anyio.sleep(0.1)  # those that are left are few
        assert {sink.text for sink in sinks[:50]} == {"abcd"}
        await anyio.sleep(0.3)
    assert {sink.text for sink in sinks[50:]} == {"abcdefgh"}


@given(
    st.lists(st.tuples(st.sampled_from(["", "a", "bcd"]), st.integers(0, 3)), max_size=12),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_a_text_knows_which_token_wrote_what(
    some: list[tuple[str, int]], tokens: int, characters: int
) -> None:
    text, whole, counts, lengths = TokenText(), "", [0], [0]
    for piece, count in some:
        text.append(piece, count)
        whole += piece
        counts.append(counts[-1] + count)
        lengths.append(len(whole))
    joined = TokenText()
    joined.extend([piece for piece, _ in some], [count for _, count in some])
    last = max(i for i, count in enumerate(counts) if count <= tokens)
    for each in (text, joined):
        assert str(each) == whole
        assert len(each) == len(whole)
        assert each.up_to(tokens) == whole[: lengths[last]]
        copy = each.copy_up_to(tokens)
        each.cut(tokens)
        for short in (copy, each):
            assert str(short) == whole[: lengths[last]]
            short.append("next", 1)  # comes after the tokens that were kept
            assert short.up_to(min(tokens, counts[-1]) + 1) == whole[: lengths[last]] + "next"
            if tokens and counts[-1]:
                assert short.up_to(min(tokens, counts[-1])) == whole[: lengths[last]]


async def test_what_a_branch_has_written_is_packed_though_nobody_looks() -> None:
    branch = Branch(index=0, request_id="r", seed=1, launched_at=0.0, clock=lambda: 0.0)
    for place in range(1000):
        branch.put(f"{place} ", (place,))
        assert len(branch.new_ids) < 64  # a piece takes six times the memory before
    branch.take_in()
    assert not branch.new_ids
    assert [*branch.token_ids] == [*range(1000)]
    assert branch.text == "".join(f"{place} " for place in range(1000))


@pytest.mark.parametrize("replaced", ["", " = 2"])
async def test_a_branch_goes_on_from_ids_of_any_size(replaced: str) -> None:
    """Where an endpoint tells token ids and only its own tokenizer makes them, what the strategy
    adds is spelled, in numbers of any size."""
    branch = Branch(index=0, request_id="r", seed=1, launched_at=0.0, clock=lambda: 0.0)
    branch.put_all(["1+1", " = 2"], [(5,), (6,)])
    branch.take_in()
    spelled = (2**63 + 1, 2**90)
    branch.resume(replaced, "Wait,", spelled)
    kept = (5,) if replaced else (5, 6)
    assert tuple(branch.token_ids) == (*kept, *spelled)
    assert branch.tokens == len(kept) + len(spelled)
    assert branch.text == ("1+1Wait," if replaced else "1+1 = 2Wait,")
