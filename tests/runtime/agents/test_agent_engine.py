"""Agents as branches: votes on outcomes, first accepted, cancellation, failures."""

from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from pydantic import BaseModel
from tests.backends import every_backend, no_tasks_left, until

from frontrunner import BadRequest, Runtime, Settings
from frontrunner.agents import AgentEngine, AgentTask, Outcome
from frontrunner.events import BranchProgressed
from frontrunner.runtime.engines.protocol import Generation, Sampling
from frontrunner.runtime.errors import EngineClosed, EngineError, Overloaded
from frontrunner.strategies.protocol import BranchStatus, StopReason


@dataclass
class Diary:
    """What became of an agent's runs."""

    began: list[int]
    cancelled: list[int]

    @classmethod
    def empty(cls) -> "Diary":
        return cls([], [])


async def test_agents_vote_on_their_outcomes() -> None:
    async def agent(task: AgentTask) -> Any:
        assert task.question == "What is it?"
        task.progress(f"step of {task.branch}\n")
        await anyio.sleep(1 + task.branch / 10)
        return {"b": 1, "a": [1.0]} if task.branch != 1 else "else"

    async with no_tasks_left(), Runtime(AgentEngine(agent)) as runtime:
        result = await runtime.solve(
            "What is it?", deadline=5.0, branches=3, parameters={"stop": "none"}
        )
    assert result.answer == '{"a":[1],"b":1}'
    assert result.votes == {'{"a":[1],"b":1}': 2, "else": 1}
    assert [branch.tokens for branch in result.branches] == [2, 2, 2]
    assert result.elapsed == pytest.approx(1.2)


async def test_the_first_that_is_accepted_ends_the_race_and_the_others() -> None:
    diary = Diary.empty()

    async def agent(task: AgentTask) -> AsyncGenerator[Any, None]:
        diary.began.append(task.branch)
        try:
            yield "reading\n"
            await anyio.sleep(5 - task.branch)
            yield "writing\n"
            yield Outcome(f"patch {task.branch}", data=object(), cost=0.5)
            await anyio.sleep(0.1)
        except BaseException:
            diary.cancelled.append(task.branch)
            raise

    async def verify(question: str, outcome: Outcome) -> bool:
        await anyio.sleep(0.25)
        return question == "Mend it." and outcome.answer == "patch 2"

    engine = AgentEngine(agent, verify=verify)
    async with no_tasks_left(), Runtime(engine) as runtime:
        result = await runtime.solve("Mend it.", deadline=60.0, branches=5)
        await until(lambda: engine.load().running == 0)
    assert (result.answer, result.stop_reason) == ("patch 2", StopReason.REWARD_THRESHOLD)
    assert result.elapsed == pytest.approx(3.35)
    assert sorted(diary.began) == [0, 1, 2, 3, 4]
    assert sorted(diary.cancelled) == [0, 1]
    outcome = engine.outcome(result)
    assert outcome is not None
    assert type(outcome.data) is object
    assert outcome.cost == 0.5
    assert engine.outcomes(result.race_id).keys() == {2, 3, 4}


async def test_an_outcomes_own_reward_counts_where_nobody_verifies() -> None:
    async def agent(task: AgentTask) -> Outcome:
        await anyio.sleep(1 + task.branch)
        return Outcome(task.branch, reward=task.branch / 4)

    async with Runtime(AgentEngine(agent)) as runtime:
        best = await runtime.solve("?", deadline=60.0, branches=4, strategy="best_of_n")
        first = await runtime.solve(
            "?", deadline=60.0, strategy="best_of_n", parameters={"threshold": 0.25}
        )
    assert (best.answer, best.elapsed) == ("3", pytest.approx(4.0))
    assert (first.answer, first.elapsed) == ("1", pytest.approx(2.0))
    assert len(first.branches) == 5


async def test_the_deadline_takes_the_best_so_far_where_nothing_has_finished() -> None:
    async def agent(task: AgentTask) -> str:
        assert task.seconds_left == pytest.approx(2.0)
        await anyio.sleep(1.0)
        task.best_so_far("rough")
        task.best_so_far("better")
        task.progress("polishing")
        await anyio.sleep_forever()
        return "never"

    async with no_tasks_left(), Runtime(AgentEngine(agent)) as runtime:
        result = await runtime.solve("?", deadline=2.0, branches=2)
    assert (result.answer, result.stop_reason) == ("better", StopReason.DEADLINE)
    assert result.forced_votes == {"better": 2}
    assert result.votes == {}
    assert result.elapsed <= 2.0


async def test_what_finished_outvotes_the_best_so_far() -> None:
    async def agent(task: AgentTask) -> str | None:
        if task.branch == 0:
            return "whole"
        task.best_so_far("rough")
        await anyio.sleep_forever()
        return None

    async with Runtime(AgentEngine(agent)) as runtime:
        result = await runtime.solve("?", deadline=2.0, branches=4)
    assert result.answer == "whole"


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), ExceptionGroup("x", [OSError("no")])]
)
async def test_a_run_that_raises_costs_its_branch_only(error: BaseException) -> None:
    async def agent(task: AgentTask) -> str:
        await anyio.sleep(1.0)
        if task.branch == 1:
            raise error
        return "fine"

    async with no_tasks_left(), Runtime(AgentEngine(agent)) as runtime:
        for _ in range(2):
            result = await runtime.solve("?", deadline=5.0, branches=3, parameters={"stop": "none"})
            assert result.votes == {"fine": 2}
            lost = result.branches[1]
            assert lost.status is BranchStatus.FAILED
            assert "the agent raised" in str(lost.error)


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        (lambda task: "plain", "must be an async function"),
        (lambda task: anyio.lowlevel.checkpoint(), None),
    ],
)
async def test_what_is_no_agent_is_told_so(agent: Any, said: str | None) -> None:
    async with Runtime(AgentEngine(agent)) as runtime:
        result = await runtime.solve("?", deadline=2.0, branches=1)
    assert result.answer is None
    if said is None:
        assert result.branches[0].status is BranchStatus.FINISHED
    else:
        assert said in str(result.branches[0].error)


async def test_answers_that_json_cannot_say_are_told_so() -> None:
    async def agent(task: AgentTask) -> object:
        return object()

    async with Runtime(AgentEngine(agent)) as runtime:
        result = await runtime.solve("?", deadline=2.0, branches=1)
    assert "Outcome(data=" in str(result.branches[0].error)


async def test_models_and_dataclasses_are_answers() -> None:
    class City(BaseModel):
        name: str
        people: int

    async def agent(task: AgentTask) -> Any:
        city = City(name="Bern", people=134_000)
        return city if task.branch else {"people": 134_000.0, "name": "Bern"}

    async with Runtime(AgentEngine(agent)) as runtime:
        result = await runtime.solve("?", deadline=2.0, branches=2, parameters={"stop": "none"})
    assert result.votes == {'{"name":"Bern","people":134000}': 2}


async def test_marks_in_what_an_agent_tells_are_no_outcomes() -> None:
    async def agent(task: AgentTask) -> str:
        task.progress("\x1efalse\x1e")
        return "tr\x1eue"

    async with Runtime(AgentEngine(agent)) as runtime:
        result = await runtime.solve("?", deadline=2.0, branches=1)
    assert result.answer == "tr ue"


async def test_progress_is_streamed_as_it_comes() -> None:
    async def agent(task: AgentTask) -> AsyncGenerator[Any, None]:
        for step in range(3):
            yield f"step {step}\n"
            await anyio.sleep(1.0)
        yield Outcome("done")

    async with (
        Runtime(AgentEngine(agent)) as runtime,
        runtime.stream("?", deadline=9.0, branches=1) as events,
    ):
        told = [event async for event in events if isinstance(event, BranchProgressed)]
    seen = [(round(event.at, 3), event.text) for event in told]
    assert seen[:3] == [(0.0, "step 0\n"), (1.0, "step 1\n"), (2.0, "step 2\n")]


@pytest.mark.parametrize("strategy", ["beam", "dvts", "particle", "budget_forcing"])
async def test_strategies_that_continue_branches_are_refused(strategy: str) -> None:
    async def agent(task: AgentTask) -> str:
        raise AssertionError("it must not begin")

    async with Runtime(AgentEngine(agent)) as runtime:
        with pytest.raises(BadRequest, match="which agents cannot") as refused:
            await runtime.solve("?", deadline=2.0, branches=4, strategy=strategy)
    assert refused.value.param == "strategy"


async def test_other_answers_are_found_in_outcomes_and_none_is_forced() -> None:
    async def agent(task: AgentTask) -> str:
        if task.branch == 2:
            await anyio.sleep_forever()
        await anyio.sleep(task.branch)
        return f"It is \\boxed{{{['1/2', '0.5'][task.branch]}}}"

    settings = Settings.from_dict({"answers": {"kind": "boxed", "workers": 0}})
    async with Runtime(AgentEngine(agent), settings) as runtime:
        result = await runtime.solve("?", deadline=2.0, branches=3, parameters={"stop": "none"})
    assert result.votes == {"1/2": 2}
    assert result.counted(BranchStatus.FORCED) == 0


async def test_a_conversation_reaches_the_agent_as_it_is() -> None:
    told: list[AgentTask] = []

    async def agent(task: AgentTask) -> str:
        told.append(task)
        return "yes"

    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Zwei — ja? 🌻"},
    ]
    async with Runtime(AgentEngine(agent)) as runtime:
        await runtime.solve(messages, deadline=2.0, branches=2, seed=7, race_id="mine")
    assert [task.messages for task in told] == [messages, messages]
    assert told[0].question == "Zwei — ja? 🌻"
    assert {task.branch for task in told} == {0, 1}
    assert {task.race_id for task in told} == {"mine"}
    assert told[0].seed != told[1].seed


async def test_it_continues_nothing_and_says_so() -> None:
    async def agent(task: AgentTask) -> str:
        return "x"

    engine = AgentEngine(agent)
    request = Generation("r", (1, 2), 10, Sampling())
    with pytest.raises(EngineClosed):
        await anext(engine.generate(request))
    await engine.start()
    with pytest.raises(EngineError, match="can neither go on"):
        await anext(engine.generate(request))
    await engine.aclose()
    await engine.aclose()


@every_backend
async def test_a_caller_that_leaves_cancels_all_runs() -> None:
    diary = Diary.empty()

    async def agent(task: AgentTask) -> None:
        diary.began.append(task.branch)
        try:
            await anyio.sleep_forever()
        finally:
            diary.cancelled.append(task.branch)

    engine = AgentEngine(agent)
    async with no_tasks_left(), Runtime(engine) as runtime:
        async with runtime.stream("?", deadline=60.0, branches=4):
            await until(lambda: len(diary.began) == 4)
        await until(lambda: engine.load().running == 0)
        assert sorted(diary.cancelled) == [0, 1, 2, 3]


async def test_an_agent_that_takes_long_to_clean_up_holds_nobody_up() -> None:
    async def agent(task: AgentTask) -> str:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(5.0)
        return "x"

    engine = AgentEngine(agent)
    async with no_tasks_left(), Runtime(engine) as runtime:
        result = await runtime.solve("?", deadline=1.0, branches=2)
        assert result.elapsed <= 1.0
        assert engine.load().running == 2
    assert engine.load().running == 0


def test_wrong_arguments_are_told() -> None:
    not_callable: Any = 3
    with pytest.raises(TypeError, match="async function"):
        AgentEngine(not_callable)

    async def agent(task: AgentTask) -> None: ...

    with pytest.raises(ValueError, match="max_branches"):
        AgentEngine(agent, max_branches=0)


async def test_runs_that_ignore_their_cancellation_are_never_more_than_may_run_at_once() -> None:
    running, most = 0, 0

    async def stubborn(task: AgentTask) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        with anyio.CancelScope(shield=True):
            await anyio.sleep(5.0)
        running -= 1
        return task.question

    engine = AgentEngine(stubborn, max_branches=4)
    async with no_tasks_left(), Runtime(engine) as runtime:
        for _ in range(6):
            began = anyio.current_time()
            with suppress(Overloaded):
                await runtime.solve("?", deadline=1.0, branches=4)
            assert anyio.current_time() - began <= 1.0
        assert most == 4
        assert engine.slots < 4
        await anyio.sleep(10.0)
        assert engine.slots == 4
        assert (await runtime.solve("6", deadline=10.0, branches=4)).answer == "6"
