"""Races on the real engine: answered, repeatable, many at once.

Nothing here asserts a time: deadlines are tested in virtual time, and measured by the benchmarks.
"""

from contextlib import suppress
from typing import Any

import anyio
import pytest

from frontrunner.runtime import events
from frontrunner.runtime.config import Settings
from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.errors import BadRequest, DeadlineTooShort, EngineError, PromptTooLong
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.protocol import BranchStatus, StopReason

#: Seconds of a race that is to end by itself, on any machine.
PATIENT = 600.0
SETTLED = {StopReason.CLINCHED, StopReason.CONFIDENT_MAJORITY, StopReason.EXHAUSTED}


async def test_a_race_is_called_early_and_its_losers_are_aborted(runtime: Runtime) -> None:
    problem = hard_problems("select", 1)[0]
    result = await runtime.solve(problem.question, deadline=PATIENT, branches=16, seed=1)
    assert result.stop_reason in SETTLED
    assert result.answer is not None
    assert len(result.branches) == 16
    assert runtime.load().running == 0


async def test_branches_that_are_cut_give_forced_answers_from_the_exact_tokens(
    runtime: Runtime,
) -> None:
    """By a token limit, and by a tight deadline, in which a busy machine may not get to a token."""
    problem = hard_problems("select", 1)[0]
    options: dict[str, Any] = {"branches": 16, "seed": 1}
    limited = await runtime.solve(problem.question, deadline=PATIENT, max_tokens=60, **options)
    assert limited.answer is not None
    assert any(b.status is BranchStatus.FORCED for b in limited.branches)
    branches = [*limited.branches]
    with suppress(DeadlineTooShort):
        hurried = await runtime.solve(problem.question, deadline=2.0, **options)
        assert hurried.branches
        branches += hurried.branches
    suffix = runtime.settings.forcing.suffix
    assert suffix is not None
    assert all(suffix in b.text for b in branches if b.status is BranchStatus.FORCED)


async def test_the_stream_tells_the_race_that_the_result_sums_up(runtime: Runtime) -> None:
    problem = hard_problems("select", 2)[1]
    seen: list[events.Event] = []
    async with runtime.stream(problem.question, deadline=PATIENT, branches=4, seed=2) as stream:
        seen = [event async for event in stream]
    assert isinstance(seen[0], events.RaceStarted)
    last = seen[-1]
    assert isinstance(last, events.RaceDecided)
    for branch in last.result.branches:
        pieces = [
            e for e in seen if isinstance(e, events.BranchProgressed) and e.branch == branch.index
        ]
        assert "".join(e.text for e in pieces) == branch.text
        assert sum(e.tokens for e in pieces) == branch.tokens


async def test_chat_messages_are_raced_like_text(runtime: Runtime) -> None:
    question = hard_problems("select", 1)[0].question
    text = await runtime.solve(question, deadline=PATIENT, branches=1, seed=5)
    chat = await runtime.solve(
        [{"role": "user", "content": question}], deadline=PATIENT, branches=1, seed=5
    )
    assert text.prompt_tokens == chat.prompt_tokens
    assert text.text == chat.text


async def test_the_same_seed_gives_the_same_branch(runtime: Runtime) -> None:
    question = hard_problems("select", 1)[0].question
    texts = {
        (await runtime.solve(question, deadline=PATIENT, branches=1, seed=seed)).text
        for seed in (1, 1, 2)
    }
    assert len(texts) == 2


async def test_many_races_at_once_all_answer(runtime: Runtime) -> None:
    problems = hard_problems("select", 12)
    answers: list[str | None] = []

    async def race(index: int) -> None:
        result = await runtime.solve(
            problems[index].question, deadline=PATIENT + index, branches=8, max_tokens=80
        )
        answers.append(result.answer)

    async with anyio.create_task_group() as tasks:
        for index in range(len(problems)):
            tasks.start_soon(race, index)
    assert len(answers) == len(problems)
    assert runtime.load().running == 0


@pytest.mark.parametrize(
    ("question", "arguments", "error"),
    [
        ("", {}, BadRequest),
        ("   ", {}, BadRequest),
        ([], {}, BadRequest),
        ("What is 1 + 1?", {"deadline": -1.0}, BadRequest),
        ("What is 1 + 1?", {"deadline": float("nan")}, BadRequest),
        ("What is 1 + 1?", {"deadline": 0.001}, DeadlineTooShort),
        ("What is 1 + 1?", {"branches": 0}, BadRequest),
        ("What is 1 + 1?", {"branches": 10_000}, BadRequest),
        ("What is 1 + 1?", {"strategy": "nonsense"}, BadRequest),
        ("What is 1 + 1?", {"parameters": {"stopp": "none"}}, BadRequest),
        ("one two three " * 1000, {}, PromptTooLong),
    ],
)
async def test_bad_input_is_refused_with_a_typed_error(
    runtime: Runtime, question: str, arguments: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await runtime.solve(question, **arguments)  # pyright: ignore[reportArgumentType]
    assert runtime.load().running == 0


async def test_a_closed_runtime_says_so(demo_settings: Settings) -> None:
    with pytest.raises(EngineError, match="enter the runtime"):
        await Runtime.from_config(demo_settings).solve("What is 1 + 1?")
