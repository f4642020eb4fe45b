"""The runtime that users embed, on the scripted engine."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from math import inf
from typing import Any

import anyio
import pytest
from tests.strategies.counted import counted

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.protocol import Generation, Message, Sampling
from frontrunner.runtime.engines.scripted import BranchScript, Piece
from frontrunner.runtime.errors import (
    BadBranches,
    BadDeadline,
    BadRequest,
    DeadlineTooShort,
    EmptyQuestion,
    EngineClosed,
    EngineStartError,
    FrontrunnerError,
    PromptTooLong,
)
from frontrunner.runtime.events.types import BranchProgressed, CallTimeReached, Event, RaceDecided
from frontrunner.runtime.racing.race_options import AnswerOptions
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies import registry
from frontrunner.strategies.majority import Majority
from frontrunner.strategies.protocol import BranchStatus, StopReason

from ..backends import every_backend, no_tasks_left
from .race_harness import (
    SUFFIX,
    WatchedEngine,
    check_result,
    fails,
    forced_says,
    says,
    stalls,
    statuses,
)

#: Of two votes that weigh the more the earlier they come the first decides.
COUNTED = {"weight": "none"}


def settings(**sections: Any) -> Settings:
    """Without processes for answers; ``race={"deadline": 1}`` and the like."""
    defaults: dict[str, Any] = {
        "answers": {"workers": 0},
        "forcing": {"suffix": SUFFIX, "max_tokens": 16},
        "prompt": {"instruction": ""},
    }
    return Settings.from_dict({**defaults, **sections})


@asynccontextmanager
async def running(engine: WatchedEngine, **sections: Any) -> AsyncGenerator[Runtime, None]:
    """A runtime that must leave nothing behind."""
    async with no_tasks_left(), Runtime(engine, settings(**sections)) as runtime:
        yield runtime
        engine.check_idle()


async def watched(stream: AbstractAsyncContextManager[Any]) -> list[Event]:
    async with stream as events:
        return [event async for event in events]


def result_of(events: Sequence[Event]) -> Result:
    last = events[-1]
    assert isinstance(last, RaceDecided)
    return last.result


# ── solving ───────────────────────────────────────────────────────────────────────────────────


@every_backend
async def test_a_question_gets_its_answer() -> None:
    engine = WatchedEngine([says("4", 0.002)])
    async with running(engine) as runtime:
        result = await runtime.solve("What is 2 + 2?", branches=4)
    check_result(result)
    assert result.answer == "4"
    assert result.prompt_tokens == len(engine.encode("What is 2 + 2?"))
    assert {request.prompt for request in engine.requests} == {engine.encode("What is 2 + 2?")}


async def test_where_the_way_back_is_long_the_next_race_leaves_earlier() -> None:
    class Engine(WatchedEngine):
        async def abort(self, request_ids: Sequence[str]) -> None:
            await super().abort(request_ids)
            with anyio.CancelScope(shield=True):  # it cannot be hurried
                await anyio.sleep(0.05)

    async with running(Engine([stalls("x ")]), race={"deadline": 1.0}) as runtime:
        first = await runtime.solve("?", branches=2)
        second = await runtime.solve("?", branches=2)
    assert first.elapsed == pytest.approx(1.0 - 0.03 + 0.05)
    assert second.elapsed == pytest.approx(1.0 - 1.5 * 0.05 + 0.05)


async def test_what_a_call_does_not_say_comes_from_the_settings() -> None:
    engine = WatchedEngine([stalls("x ")])
    race = {"deadline": 3.0, "branches": 5, "parameters": {"force_answers": False}}
    sampling = {"temperature": 0.5, "top_p": 0.9, "top_k": 7, "max_tokens": 99, "stop": ["END"]}
    async with running(engine, race=race, sampling=sampling) as runtime:
        result = await runtime.solve("?")
    assert result.deadline == 3.0
    assert result.elapsed == pytest.approx(3.0 - 0.03)
    assert len(result.branches) == 5
    assert {r.sampling for r in engine.requests} == {Sampling(0.5, 0.9, 7, ("END",))}
    assert {r.max_tokens for r in engine.requests} == {99}
    assert {r.seed for r in engine.requests} == {None}


async def test_what_a_call_says_goes_before_the_settings() -> None:
    engine = WatchedEngine([says("a", 1), says("a", 2), says("a", 3), says("b", 4)])
    race = {"deadline": 9.0, "branches": 2, "parameters": {"stop": "lead", "min_votes": 4}}
    async with running(engine, race=race) as runtime:
        result = await runtime.solve(
            "?", deadline=8.0, branches=4, seed=7, parameters={"stop": "clinch"}
        )
    assert result.deadline == 8.0
    assert result.elapsed == 3.0
    assert result.stop_reason is StopReason.CLINCHED
    assert all(request.seed is not None for request in engine.requests)


async def test_the_parameters_of_the_settings_are_for_their_own_strategy_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry.STRATEGY_PLUGINS, "registered", {})
    made: list[dict[str, Any]] = []

    def factory(**parameters: Any) -> Majority:
        made.append(parameters)
        return counted(parameters["branches"])

    registry.register_strategy("other", factory)
    engine = WatchedEngine([says("a", 1)])
    race = {"parameters": {"stop": "none"}}
    async with running(engine, race=race) as runtime:
        await runtime.solve("?", branches=3, strategy="other", parameters={"depth": 2})
    assert made == [{"branches": 3, "depth": 2}]


async def test_branches_among_the_parameters_are_not_ignored() -> None:
    engine = WatchedEngine([says("a", 1)])
    async with running(engine) as runtime:
        try:
            result = await runtime.solve("?", parameters={"branches": 3})
        except BadRequest:
            return
    assert len(result.branches) == 3


async def test_a_conversation_is_answered_as_well() -> None:
    engine = WatchedEngine([says("a", 1)])
    messages: list[Message] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is 2 + 2?"},
    ]
    async with running(engine) as runtime:
        await runtime.solve(messages, branches=1)
    assert engine.requests[0].prompt == engine.encode_chat(messages)


async def test_branches_get_the_room_that_prompt_and_forced_answer_leave() -> None:
    engine = WatchedEngine([stalls("x ")], max_context_tokens=64)
    async with running(engine) as runtime:
        await runtime.solve("one two three", branches=1, deadline=1.0)
    original, forced = engine.requests
    suffix = engine.encode(SUFFIX)
    assert original.max_tokens == 64 - 3 - len(suffix) - 16
    assert len(original.prompt) + original.max_tokens + len(suffix) + forced.max_tokens == 64


async def test_an_answer_may_be_found_by_a_pattern() -> None:
    engine = WatchedEngine([BranchScript((Piece(1, "I think the answer is 7"),))])
    answers = {"workers": 0, "pattern": r"answer is (\d+)"}
    async with running(engine, answers=answers) as runtime:
        assert (await runtime.solve("?", branches=1)).answer == "7"


async def test_a_race_may_say_how_its_answers_are_compared() -> None:
    engine = WatchedEngine([says(r"5\text{ cm}", 1), says("5", 2), says("5.001", 3)])
    async with running(engine) as runtime:

        async def votes(answers: str | AnswerOptions) -> dict[str, int]:
            result = await runtime.solve(
                "?", branches=3, answers=answers, parameters={"stop": "none"}
            )
            return dict(result.votes)

        assert await votes("boxed") == {r"5\text{ cm}": 2, "5.001": 1}
        assert await votes({"units": "keep"}) == {r"5\text{ cm}": 1, "5": 1, "5.001": 1}
        assert await votes({"tolerance": 0.01}) == {r"5\text{ cm}": 3}
        assert await votes({"kind": "last_number"}) == {r"5\text{ cm}": 2, "5.001": 1}


async def test_a_race_keeps_what_it_does_not_say_about_answers() -> None:
    engine = WatchedEngine([says(r"5\text{ cm}", 1), says("5.001", 2)])
    answers = {"workers": 0, "tolerance": 0.01, "pattern": r"answer is (\d+)"}
    async with running(engine, answers=answers) as runtime:
        for asked in (None, "boxed", "last_number"):
            result = await runtime.solve("?", branches=2, answers=asked, parameters=COUNTED)
            assert dict(result.votes) == {r"5\text{ cm}": 2}


@pytest.mark.parametrize(
    "answers",
    [{"unit": "keep"}, {"units": "all"}, {"tolerance": -1}, {"kind": "no such"}, "no such"],
)
async def test_answers_that_cannot_be_asked_for_are_refused_by_name(answers: Any) -> None:
    async with running(WatchedEngine([says("5", 1)])) as runtime:
        with pytest.raises(BadRequest, match="answers") as caught:
            await runtime.solve("?", branches=1, answers=answers)
        assert any(word in str(caught.value) for word in ("unit", "tolerance", "kind"))


async def test_votes_weigh_what_their_branches_were_likely_by() -> None:
    def drawn(answer: str, seconds: float, logprob: float) -> BranchScript:
        return BranchScript.answering(answer, seconds=seconds, logprob=logprob)

    scripts = [drawn("7", 1, -0.9), drawn("42", 2, -0.1), drawn("7", 3, -0.8)]
    weighed = {"weight": "likelihood", "stop": "none"}
    engine = WatchedEngine(scripts, logprobs=True)
    async with running(engine) as runtime:
        result = await runtime.solve("?", branches=3, parameters=weighed)
        assert result.answer == "42"
        assert [b.logprob for b in result.branches] == pytest.approx([-0.9, -0.1, -0.8])
        counted = await runtime.solve("?", branches=3, parameters={**COUNTED, "stop": "none"})
        assert counted.answer == "7"
        assert [b.logprob for b in counted.branches] == [None] * 3
    async with running(WatchedEngine(scripts)) as runtime:
        with pytest.raises(BadRequest, match="log probabilities"):
            await runtime.solve("?", branches=3, parameters=weighed)


async def test_a_call_of_a_tool_that_was_not_offered_is_no_vote() -> None:
    def calls(name: str, seconds: float) -> BranchScript:
        return BranchScript((Piece(seconds, f'{{"name": "{name}", "arguments": {{}}}}'),))

    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    engine = WatchedEngine([calls("g", 1), calls("g", 2), calls("f", 3)])
    async with running(engine) as runtime:
        result = await runtime.solve("?", branches=3, answers="tool_call", tools=tools)
    assert dict(result.votes) == {'{"arguments":{},"name":"f"}': 1}


async def test_every_race_has_an_id_of_its_own() -> None:
    engine = WatchedEngine([says("a", 1)])
    async with running(engine) as runtime:
        results = [await runtime.solve("?", branches=1) for _ in range(3)]
    assert len({result.race_id for result in results}) == 3
    assert len({request.request_id for request in engine.requests}) == 3


async def test_load_is_that_of_the_engine() -> None:
    engine = WatchedEngine([stalls()])
    async with running(engine) as runtime, anyio.create_task_group() as tasks:
        assert runtime.load().running == 0
        tasks.start_soon(runtime.solve, "?")
        await anyio.sleep(1)
        assert runtime.load().running == 16
        tasks.cancel_scope.cancel()


# ── many at once ──────────────────────────────────────────────────────────────────────────────


@every_backend
async def test_many_races_on_one_runtime_do_not_mix() -> None:
    engine = WatchedEngine([])
    answer_of = {engine.encode(f"question {n}"): str(n) for n in range(20)}

    def chooser(request: Generation) -> BranchScript:
        # Every race has its own answer and pace; one branch in four is lost, one says nothing.
        answer = answer_of[request.prompt]
        match request.branch:
            case 0:
                return fails(after=0.001)
            case 1:
                return says(None, 0.001)
            case _:
                return says(answer, 0.001 * (1 + int(answer) % 3), tokens=2)

    engine.script.chooser = chooser
    results: dict[str, Result] = {}

    async def solve(runtime: Runtime, question: str) -> None:
        results[question] = await runtime.solve(question, branches=6, deadline=30.0)

    async with running(engine) as runtime, anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(solve, runtime, f"question {number}")
    for number in range(20):
        result = results[f"question {number}"]
        check_result(result)
        assert result.answer == str(number)
        assert set(result.votes) == {str(number)}
        assert {branch.error for branch in result.branches} == {None, "lost"}


async def test_one_race_that_is_cancelled_leaves_the_others_alone() -> None:
    engine = WatchedEngine([says("a", 2)] * 2)
    results: list[Result] = []

    async def solve(runtime: Runtime) -> None:
        results.append(await runtime.solve("?", branches=2, parameters=COUNTED))

    async with running(engine) as runtime, anyio.create_task_group() as tasks:
        tasks.start_soon(solve, runtime)
        with anyio.move_on_after(1):
            await solve(runtime)
    (result,) = results
    assert result.votes == {"a": 2}
    assert result.elapsed == 2.0
    assert len(engine.aborts) == 1


async def test_races_learn_how_long_forced_rounds_take_from_each_other() -> None:
    engine = WatchedEngine([stalls("x ")], [forced_says("1", 0.25)])
    calls: list[float] = []
    async with running(engine) as runtime:
        for _ in range(2):
            events = await watched(runtime.stream("?", branches=2, deadline=5.0))
            calls += [event.at for event in events if isinstance(event, CallTimeReached)]
    assert calls[1] < calls[0]


# ── what is learned about lengths ─────────────────────────────────────────────────────────────


async def test_lengths_are_learned_once_enough_branches_finished() -> None:
    engine = WatchedEngine([says("a", 1 + n, tokens=8 * (1 + n)) for n in range(8)])
    async with running(engine) as runtime:
        await runtime.solve("?", branches=7, deadline=60.0, parameters={"stop": "none"})
        assert runtime._races.lengths is None
        await runtime.solve("?", branches=8, deadline=60.0, parameters={"stop": "none"})
        assert runtime._races.lengths is not None
        assert runtime._races.lengths.median == pytest.approx(30, rel=0.2)


async def test_lengths_given_in_the_settings_are_improved_by_every_race() -> None:
    engine = WatchedEngine([says("a", 1, tokens=64)] * 4)
    async with running(engine, lengths={"median": 500, "p95": 1_000}) as runtime:
        for _ in range(20):
            await runtime.solve("?", branches=4, parameters={"stop": "none"})
        assert runtime._races.lengths is not None
        assert runtime._races.lengths.median == pytest.approx(64, rel=0.3)


async def test_branches_cut_by_an_early_stop_do_not_shorten_what_is_expected() -> None:
    engine = WatchedEngine([*[says("a", 1, tokens=32)] * 3, *[stalls("x " * 32, after=0.5)] * 5])
    async with running(engine, lengths={"median": 64, "p95": 200}) as runtime:
        for _ in range(20):
            result = await runtime.solve("?", branches=8, parameters={"min_votes": 3})
            assert result.counted(BranchStatus.CANCELLED) == 5
        assert runtime._races.lengths is not None
        assert runtime._races.lengths.median > 8


async def test_branches_forced_at_the_deadline_do_not_shorten_what_is_expected() -> None:
    """Two of eight finish after 8 tokens, disagreeing; the rest has 100 and more."""
    long = BranchScript((Piece(0.5, "x " * 100, 100),), stall=True)
    engine = WatchedEngine([says("a", 1), says("b", 1), *[long] * 6], [forced_says("a")])
    async with running(engine, lengths={"median": 100, "p95": 400}) as runtime:
        for _ in range(20):
            result = await runtime.solve("?", branches=8, deadline=2.0)
            assert result.counted(BranchStatus.FORCED) == 6
        assert runtime._races.lengths is not None
        assert runtime._races.lengths.median > 50


# ── an engine that stalled ────────────────────────────────────────────────────────────────────


async def stalled_once(runtime: Runtime, engine: WatchedEngine) -> tuple[str, ...]:
    """Run a race whose loser cannot be aborted; return its request."""
    engine.script.branches = [says("a", 1), says("a", 1), stalls("x ")]
    engine.script.abort_delay = inf
    result = await runtime.solve("?", branches=3)
    check_result(result)
    return (f"{result.race_id}-b2",)


async def test_what_could_not_be_aborted_is_told_again_before_the_next_race() -> None:
    engine = WatchedEngine([])
    async with running(engine) as runtime:
        lost = await stalled_once(runtime, engine)
        engine.script.abort_delay = 0.0
        engine.script.branches = [says("a", 1)]
        await runtime.solve("?", branches=1)
        assert engine.aborts == [lost, lost]
        await runtime.solve("?", branches=1)
        assert engine.aborts == [lost, lost]


async def test_a_stall_that_goes_on_costs_the_next_race_nothing_and_is_not_forgotten() -> None:
    engine = WatchedEngine([])
    async with running(engine) as runtime:
        lost = await stalled_once(runtime, engine)
        engine.script.branches = [says("a", 1)]
        result = await runtime.solve("?", branches=1)
        assert result.elapsed == pytest.approx(1.0)
        engine.script.abort_delay = 0.0
        await runtime.solve("?", branches=1)
        assert engine.aborts == [lost] * 3


async def test_a_race_cancelled_while_the_engine_is_told_again_forgets_nothing() -> None:
    engine = WatchedEngine([])
    async with running(engine) as runtime:
        lost = await stalled_once(runtime, engine)
        engine.script.branches = [says("a", 1)]
        with anyio.move_on_after(0.02):
            await runtime.solve("?", branches=1)
        engine.script.abort_delay = 0.0
        await runtime.solve("?", branches=1)
        assert set(lost) < set(engine.aborts[-1])  # and the cancelled race's own request


@pytest.mark.parametrize(
    "deadline",
    [
        0.05,
        0.06,
        0.1,
    ],
)
async def test_telling_a_stalled_engine_again_does_not_exceed_the_deadline(deadline: float) -> None:
    engine = WatchedEngine([])
    async with running(engine) as runtime:
        await stalled_once(runtime, engine)
        check_result(await runtime.solve("?", branches=3, deadline=deadline))


async def test_an_engine_that_died_meanwhile_is_told_nothing_and_raises_nothing() -> None:
    class Engine(WatchedEngine):
        async def abort(self, request_ids: Sequence[str]) -> None:
            if self.failure is not None:
                raise self.failure
            await super().abort(request_ids)

    engine = Engine([])
    async with running(engine) as runtime:
        await stalled_once(runtime, engine)
        engine.kill()
        result = await runtime.solve("?", branches=3)
    assert result.stop_reason is StopReason.FAILED


# ── bad input ─────────────────────────────────────────────────────────────────────────────────

BAD_INPUT: list[tuple[dict[str, Any], type[BadRequest]]] = [
    ({"question": ""}, EmptyQuestion),
    ({"question": " \n\t"}, EmptyQuestion),
    ({"question": []}, EmptyQuestion),
    ({"question": [{"role": "user", "content": ""}]}, EmptyQuestion),
    ({"question": [{"role": "user"}]}, EmptyQuestion),
    ({"question": "word " * 100}, PromptTooLong),
    ({"deadline": 0.0}, BadDeadline),
    ({"deadline": -1.0}, BadDeadline),
    ({"deadline": float("nan")}, BadDeadline),
    ({"deadline": float("inf")}, BadDeadline),
    ({"deadline": 0.0499}, DeadlineTooShort),
    ({"branches": 0}, BadBranches),
    ({"branches": -3}, BadBranches),
    ({"branches": 33}, BadBranches),
    ({"strategy": "magic"}, BadRequest),
    ({"parameters": {"stopp": "clinch"}}, BadRequest),
    ({"parameters": {"stop": "sometimes"}}, BadRequest),
    ({"parameters": {"min_votes": "three"}}, BadRequest),
    ({"parameters": {"max_flip_risk": 1.0}}, BadRequest),
]


@pytest.mark.parametrize(("arguments", "error"), BAD_INPUT, ids=lambda value: str(value)[:40])
async def test_bad_input_is_refused_before_anything_starts(
    arguments: dict[str, Any], error: type[BadRequest]
) -> None:
    engine = WatchedEngine([says("a", 1)], max_branches=32, max_context_tokens=100)
    call = {"question": "?", **arguments}
    async with running(engine) as runtime:
        with pytest.raises(error) as caught:
            await runtime.solve(**call)
        assert type(caught.value) is error
        assert str(caught.value)
        with pytest.raises(error):
            async with runtime.stream(**call):
                raise AssertionError("the block was entered")
        assert engine.requests == []
        assert anyio.current_time() == 0.0
        # Nobody else is affected.
        assert (await runtime.solve("?", branches=1)).answer == "a"


async def test_the_shortest_deadline_allowed_is_kept() -> None:
    engine = WatchedEngine([stalls("x ", after=0.005)], [forced_says("1", 0.005)])
    async with running(engine) as runtime:
        result = await runtime.solve("?", branches=1, deadline=0.05)
    check_result(result)
    assert result.answer == "1"


async def test_a_prompt_that_leaves_room_for_one_token_is_taken() -> None:
    suffix = len(WatchedEngine([]).encode(SUFFIX))
    engine = WatchedEngine([says("a", 1)], max_context_tokens=3 + 1 + 16 + suffix)
    async with running(engine) as runtime:
        await runtime.solve("one two three", branches=1)
        assert engine.requests[0].max_tokens == 1
        with pytest.raises(PromptTooLong, match="4 tokens"):
            await runtime.solve("one two three four", branches=1)


# ── streaming ─────────────────────────────────────────────────────────────────────────────────


@every_backend
async def test_a_stream_ends_with_the_result_that_solve_would_give() -> None:
    engine = WatchedEngine([says("a", 0.002)] * 3)
    async with running(engine) as runtime:
        events = await watched(runtime.stream("?", branches=3, parameters={"stop": "none"}))
    assert events[0].type == "race_started"
    result = result_of(events)
    check_result(result)
    assert result.votes == {"a": 3}
    assert sum(isinstance(event, RaceDecided) for event in events) == 1


async def test_a_slow_reader_does_not_hold_back_the_race_and_misses_no_text() -> None:
    engine = WatchedEngine([says("a", n, tokens=64) for n in (1, 2, 3)])
    async with running(engine) as runtime:
        async with runtime.stream("?", branches=3, parameters={"stop": "none"}) as stream:
            read: list[Event] = []
            async for event in stream:
                read.append(event)
                await anyio.sleep(10)
        assert anyio.current_time() >= 10 * len(read)
    result = result_of(read)
    assert result.elapsed == 3.0
    assert len(read) < 30
    for branch in result.branches:
        pieces = [e for e in read if isinstance(e, BranchProgressed) and e.branch == branch.index]
        assert "".join(event.text for event in pieces) == branch.text
        assert sum(event.tokens for event in pieces) == 64


@every_backend
async def test_leaving_a_stream_early_aborts_everything() -> None:
    engine = WatchedEngine([stalls("x ", after=0.001)] * 4)
    async with running(engine) as runtime:
        async with runtime.stream("?", branches=4) as stream:
            async for event in stream:
                if isinstance(event, BranchProgressed):
                    break
        engine.check_idle()
        assert len(engine.aborts) == 1
        assert len(engine.aborts[0]) == 4
        assert engine.forced_requests() == []


@every_backend
async def test_leaving_a_stream_at_once_leaves_nothing() -> None:
    engine = WatchedEngine([stalls("x ")] * 4)
    async with running(engine) as runtime:
        async with runtime.stream("?", branches=4):
            pass
        engine.check_idle()
    assert engine.forced_requests() == []


class OwnError(Exception):
    """The caller's."""


async def failing_with(error: Exception, stream: AbstractAsyncContextManager[Any]) -> None:
    async with stream as events:
        await anext(events)
        raise error


@every_backend
@pytest.mark.parametrize(
    "error",
    [OwnError("mine"), StopAsyncIteration(), ExceptionGroup("mine", [OwnError()]), TimeoutError()],
    ids=lambda error: type(error).__name__,
)
async def test_an_error_in_the_block_of_a_stream_arrives_as_it_is(error: Exception) -> None:
    engine = WatchedEngine([stalls("x ")] * 2)
    async with running(engine) as runtime:
        with pytest.raises(type(error)) as caught:
            await failing_with(error, runtime.stream("?", branches=2))
        assert caught.value is error
        engine.check_idle()


async def test_a_timeout_around_a_stream_ends_it() -> None:
    engine = WatchedEngine([stalls("x ")] * 2)
    async with running(engine) as runtime:
        with pytest.raises(TimeoutError):
            with anyio.fail_after(1):
                await watched(runtime.stream("?", branches=2))
        assert anyio.current_time() == 1.0


async def test_what_is_left_in_a_stream_can_be_read_after_its_block() -> None:
    engine = WatchedEngine([says("a", 1)])
    async with running(engine) as runtime:
        async with runtime.stream("?", branches=1) as stream:
            await anyio.sleep(2)
        events = [event async for event in stream]
    assert result_of(events).answer == "a"


# ── life ──────────────────────────────────────────────────────────────────────────────────────


@every_backend
async def test_a_runtime_serves_only_while_it_is_entered() -> None:
    engine = WatchedEngine([says("a", 0.001)])
    runtime = Runtime(engine, settings())
    with pytest.raises(EngineClosed, match="enter the runtime first"):
        await runtime.solve("?")
    async with runtime:
        await runtime.solve("?", branches=1)
    with pytest.raises(EngineClosed):
        await runtime.solve("?")
    with pytest.raises(EngineClosed):
        async with runtime.stream("?"):
            pass
    assert isinstance(engine.failure, EngineClosed)


async def test_the_engine_is_closed_whatever_happens_inside() -> None:
    engine = WatchedEngine([])
    with pytest.raises(OwnError):
        async with Runtime(engine, settings()):
            raise OwnError
    assert isinstance(engine.failure, EngineClosed)


class SlowEngine(WatchedEngine):
    """Takes its time to start and to close."""

    closed = 0

    async def start(self) -> None:
        await anyio.sleep(1)
        await super().start()

    async def aclose(self) -> None:
        await anyio.sleep(1)
        await super().aclose()
        self.closed += 1


async def test_cancelling_the_block_does_not_cut_the_closing_short() -> None:
    engine = SlowEngine([])
    with anyio.move_on_after(5):
        async with Runtime(engine, settings()):
            await anyio.sleep_forever()
    assert anyio.current_time() == 6.0
    assert engine.closed == 1


async def test_cancelling_the_start_closes_what_was_started() -> None:
    engine = SlowEngine([])
    with anyio.move_on_after(0.5):
        async with Runtime(engine, settings()):
            raise AssertionError("the block was entered")
    assert engine.closed == 1
    assert isinstance(engine.failure, EngineClosed)


@every_backend
async def test_a_start_that_fails_says_why_and_closes_what_was_started() -> None:
    class Engine(WatchedEngine):
        closed = 0

        async def start(self) -> None:
            raise EngineStartError("no model there")

        async def aclose(self) -> None:
            self.closed += 1

    engine = Engine([])
    async with no_tasks_left():
        with pytest.raises(EngineStartError, match="no model there"):
            async with Runtime(engine, settings()):
                raise AssertionError("the block was entered")
    assert engine.closed == 1


async def test_closing_the_runtime_ends_a_race_under_way_with_what_is_known() -> None:
    engine = WatchedEngine([says("a", 1), stalls("x ")])
    results: list[Result] = []

    async def solve() -> None:
        results.append(await runtime.solve("?", branches=2, parameters=COUNTED))

    async with anyio.create_task_group() as tasks, Runtime(engine, settings()) as runtime:
        tasks.start_soon(solve)
        await anyio.sleep(2)
    (result,) = results
    check_result(result)
    assert result.elapsed == 2.0
    assert result.answer == "a"
    assert statuses(result) == ["finished", "failed"]


def test_all_errors_of_input_are_one_kind() -> None:
    for _, error in BAD_INPUT:
        assert issubclass(error, BadRequest)
    assert issubclass(BadRequest, FrontrunnerError)


# ── tools, kinds that cannot be forced, equal branches ────────────────────────────────────────────

ADD: Any = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
CALL = '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'
CALLED = '{"arguments":{"a":1},"name":"add"}'


def writes(text: str, seconds: float) -> BranchScript:
    return BranchScript((Piece(seconds, text),))


async def test_tools_add_calls_to_the_answers() -> None:
    engine = WatchedEngine([says("7", 1), writes(CALL, 1.5), says("7", 2)])
    async with running(engine) as runtime:
        result = await runtime.solve("?", branches=3, tools=ADD, parameters={"stop": "none"})
        assert result.votes == {"7": 2, CALLED: 1}
        assert (await runtime.solve("?", branches=3, tools=ADD, tool_choice="required")).votes == {
            CALLED: 1
        }


async def test_unfinished_branches_are_still_forced_beside_tools() -> None:
    engine = WatchedEngine([stalls("x ")], forced=[forced_says("5", 0.01)])
    async with running(engine) as runtime:
        result = await runtime.solve("?", branches=2, tools=ADD, deadline=2.0)
        assert result.forced_votes == {"5": 2}


@pytest.mark.parametrize("kind", ["text", "tool_call", "code"])
async def test_what_cannot_be_forced_runs_to_the_last_moment(kind: str) -> None:
    engine = WatchedEngine([stalls("x ")])
    async with running(engine) as runtime:
        result = await runtime.solve("?", branches=2, answers=kind, deadline=2.0)
        check_result(result)
        assert (result.answer, result.stop_reason) == (None, StopReason.DEADLINE)
        assert result.elapsed > 1.9
        assert not any(request.forced for request in engine.requests)


async def test_a_suffix_for_the_kind_makes_it_forcible() -> None:
    engine = WatchedEngine([stalls("x ")], forced=[BranchScript((Piece(0.01, "[1, 2]\n"),))])
    sections = {
        "answers": {"kind": "json", "workers": 0},
        "forcing": {"suffix": "So the data are:\n", "max_tokens": 16},
    }
    async with running(engine, **sections) as runtime:
        result = await runtime.solve("?", branches=2, deadline=2.0)
        assert result.forced_votes == {"[1,2]": 2}
        assert (await runtime.solve("?", branches=2, answers="boxed", deadline=2.0)).answer is None


async def test_branches_that_would_be_equal_are_not_raced() -> None:
    async with running(WatchedEngine([says("7", 1)])) as runtime:
        assert len((await runtime.solve("?", temperature=0.0)).branches) == 1
        assert len((await runtime.solve("?", top_k=1)).branches) == 1
        assert len((await runtime.solve("?", temperature=0.0, branches=3)).branches) == 3
