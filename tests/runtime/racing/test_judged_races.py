"""Races for text, which a judge decides, in virtual time."""

from collections.abc import Callable, Sequence
from math import inf
from random import Random
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trio._core import _run as trio_run

from frontrunner.runtime import events
from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.protocol import Generation
from frontrunner.runtime.engines.scripted import BranchScript, Piece
from frontrunner.runtime.errors import BadRequest
from frontrunner.runtime.result import Result
from frontrunner.runtime.rewards import FunctionReward, RewardModel, make_reward_model
from frontrunner.runtime.rewards.protocol import Scoring
from frontrunner.runtime.runtime import Runtime
from frontrunner.strategies.protocol import BranchStatus, StopReason

from ...backends import run_virtual
from ...profiles import examples
from ..judging import saying_the_letter_of
from ..race_harness import WatchedEngine, fails, stalls
from .test_cancellations import ABORT_LIMIT, Prepared, cancelled_after

MARGIN = 0.03
FINISHED, CANCELLED = BranchStatus.FINISHED, BranchStatus.CANCELLED


def reply(text: str, seconds: float) -> BranchScript:
    return BranchScript((Piece(seconds / 2, "In ", 4), Piece(seconds / 2, text, 4)))


LYON, PARIS, ROME = reply("Lyon.", 1.0), reply("Paris.", 2.0), reply("Rome.", 3.0)


def judged(
    branches: Sequence[BranchScript],
    picks: Callable[[Generation], BranchScript] | None = None,
    **more: Any,
) -> WatchedEngine:
    """An engine that runs ``branches``, and finds Paris best in a tenth of a second."""
    named = saying_the_letter_of("Paris.")
    engine = WatchedEngine(branches, **more)

    def choose(request: Generation) -> BranchScript | None:
        if not request.request_id.startswith("judge"):
            return None
        return picks(request) if picks else BranchScript((Piece(0.1, named(request)),))

    engine.script.chooser = choose
    return engine


def settings_of(branches: int, deadline: float, **rewards: Any) -> Settings:
    return Settings.from_dict(
        {
            "answers": {"kind": "text", "workers": 0},
            "race": {"branches": branches, "deadline": deadline, "abort_limit": ABORT_LIMIT},
            "rewards": {"kind": "judge", **rewards},
        }
    )


async def race(
    engine: WatchedEngine,
    deadline: float = 10.0,
    *,
    model: RewardModel | None = None,
    told: list[events.Event] | None = None,
    rewards: dict[str, Any] | None = None,
    **options: Any,
) -> Result:
    read = settings_of(len(engine.script.branches), deadline, **(rewards or {}))
    model = model or make_reward_model(read.rewards, engine)
    result: Result | None = None
    async with Runtime(engine, read, rewards=model) as runtime:
        async with runtime.stream("Where?", **options) as stream:
            async for event in stream:
                if told is not None:
                    told.append(event)
                if isinstance(event, events.RaceDecided):
                    result = event.result
        engine.check_idle()
    assert result is not None
    assert result.elapsed <= deadline
    return result


async def test_a_judge_who_agrees_with_itself_stops_the_race() -> None:
    told: list[events.Event] = []
    result = await race(judged([LYON, PARIS, ROME, stalls("In ")]), told=told)
    assert result.text == "In Paris."
    assert (result.answer, result.stop_reason) == (None, StopReason.REWARD_THRESHOLD)
    assert result.confidence == 1.0
    assert result.elapsed == pytest.approx(3.1)
    assert [b.status for b in result.branches] == [FINISHED] * 3 + [CANCELLED]
    assert [b.score for b in result.branches] == [0.0, 1.0, 0.0, None]
    scored = [e for e in told if isinstance(e, events.BranchScored)]
    assert [(e.branch, e.score) for e in scored] == [(0, 0.0), (1, 1.0), (2, 0.0)][: len(scored)]


async def test_what_it_takes_is_counted_beside_what_branches_generate() -> None:
    engine = judged([LYON, PARIS, ROME])
    result = await race(engine)
    picks = [r for r in engine.requests if r.request_id.startswith("judge")]
    assert len(picks) == 3
    assert result.scoring_tokens == sum(len(r.prompt) + 1 for r in picks)
    assert result.tokens_generated == 24
    assert (await race(judged([LYON]))).scoring_tokens == 0


async def test_time_for_a_judgement_is_kept_before_the_deadline() -> None:
    result = await race(judged([LYON, PARIS, stalls("In "), stalls("In ")]), deadline=5.0)
    assert result.text == "In Paris."
    assert result.confidence == 1.0
    assert result.stop_reason is StopReason.DEADLINE
    assert 4.5 < result.elapsed < 5.0 - MARGIN
    assert [b.status for b in result.branches] == [FINISHED, FINISHED, CANCELLED, CANCELLED]


async def test_a_slow_judge_is_left_at_the_deadline_and_more_time_is_kept_for_it_then() -> None:
    slow = [3.0]

    def picks(request: Generation) -> BranchScript:
        return BranchScript((Piece(slow[0], saying_the_letter_of("Paris.")(request)),))

    engine = judged([LYON, PARIS, stalls("In ")], picks)
    read = settings_of(3, 4.0, min_replies=3)
    async with Runtime(engine, read, rewards=make_reward_model(read.rewards, engine)) as runtime:
        first = await runtime.solve("Where?")
        assert first.text == "In Lyon."
        assert first.confidence == 0.0
        assert first.elapsed <= 4.0 - MARGIN + 1e-9
        slow[0], result = 0.4, first
        for _ in range(8):
            result = await runtime.solve("Where?")
            engine.check_idle()
            assert result.elapsed <= 4.0
        assert result.text == "In Paris."
        assert result.confidence == 1.0


async def test_a_judge_that_is_lost_costs_the_judgement_and_not_the_answer() -> None:
    for picks in (
        lambda request: BranchScript((Piece(0.1, "nonsense"),)),
        lambda request: BranchScript((Piece(0.1, " A."),)),
        lambda request: BranchScript(error="lost"),
        lambda request: stalls(),
    ):
        result = await race(judged([LYON, PARIS, ROME], picks), deadline=5.0)
        assert result.text == "In Lyon."
        assert result.confidence == 0.0
        assert result.answer is None


class Raising:
    """A judge that raises."""

    agreement, min_replies = 0.75, 2

    def predict(self, *args: object) -> float:
        return 0.1

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    async def score(self, items: Sequence[Scoring]) -> Sequence[float | None]:
        raise RuntimeError("no")


async def test_a_judge_that_raises_costs_the_judgement_and_not_the_answer() -> None:
    result = await race(judged([LYON, PARIS, ROME]), model=Raising())
    assert result.text == "In Lyon."
    assert result.stop_reason is StopReason.EXHAUSTED


async def test_a_branch_that_was_cut_at_its_limit_has_not_replied() -> None:
    result = await race(judged([LYON, PARIS, ROME]), max_tokens=7)
    assert not [b for b in result.branches if b.score is not None]
    result = await race(judged([LYON, reply("Paris.", 2.0), fails(), fails()]))
    assert result.text == "In Paris."


async def test_one_reply_is_not_judged_and_is_taken() -> None:
    engine = judged([LYON])
    result = await race(engine)
    assert result.text == "In Lyon."
    assert len(engine.requests) == 1


async def test_a_deadline_that_is_brought_forward_holds_for_the_judge_too() -> None:
    engine = judged([LYON, PARIS, ROME], lambda request: stalls())
    read = settings_of(3, 60.0, timeout=50.0)
    async with Runtime(engine, read, rewards=make_reward_model(read.rewards, engine)) as runtime:
        results: list[Result] = []
        async with anyio.create_task_group() as tasks:

            async def solve() -> None:
                results.append(await runtime.solve("Where?", race_id="race"))

            tasks.start_soon(solve)
            await anyio.sleep(4.0)
            engine.script.abort_delay = inf
            runtime.shorten_deadline("race", 1.0)
        assert anyio.current_time() <= 5.0
        assert results[0].text == "In Lyon."


async def test_strategies_that_score_branches_by_themselves_need_another_model() -> None:
    engine = judged([LYON])
    for name in ("best_of_n", "prune", "weighted"):
        with pytest.raises(BadRequest, match="a judge only compares"):
            await race(engine, strategy=name, answers="boxed")
    assert (await race(judged([LYON, PARIS, ROME]), strategy="best_of_n")).text == "In Paris."


async def test_other_reward_models_choose_among_replies_by_their_scores() -> None:
    async def liking(question: str, text: str) -> float:
        return {"In Paris.": 0.9, "In Rome.": 0.5}.get(text, 0.1)

    engine = WatchedEngine([LYON, PARIS, ROME])
    result = await race(engine, model=FunctionReward(liking), strategy="best_of_n")
    assert (result.text, result.elapsed) == ("In Paris.", 3.0)
    assert result.confidence == 0.9
    engine = WatchedEngine([LYON, PARIS, ROME])
    stop = {"threshold": 0.8}
    result = await race(engine, model=FunctionReward(liking), strategy="best_of_n", parameters=stop)
    assert (result.text, result.elapsed) == ("In Paris.", 2.0)


async def test_where_answers_are_optional_replies_are_judged_when_most_have_replied() -> None:
    options: dict[str, Any] = {"answers": {"kind": "boxed", "optional": True}}
    result = await race(judged([LYON, PARIS, ROME, stalls("In ")]), **options)
    assert result.text == "In Paris."
    box = BranchScript.answering("7", seconds=1.0)
    result = await race(judged([box, box, LYON, PARIS]), **options)
    assert result.answer == "7"
    assert result.scoring_tokens == 0


scripts = st.lists(
    st.builds(
        reply,
        st.sampled_from(["Lyon.", "Paris.", "Rome.", "Oslo."]),
        st.floats(0.1, 6.0),
    )
    | st.sampled_from([fails(), stalls("In "), stalls("In ", ignores_abort=True)]),
    min_size=1,
    max_size=8,
)
verdicts = st.sampled_from(
    [BranchScript((Piece(0.05, " B"),)), BranchScript((Piece(2.0, "A"),)), fails(), stalls()]
)


@settings(max_examples=examples(200))
@given(scripts, st.none() | verdicts, st.sampled_from([0.0, 0.1, inf]), st.floats(1.0, 7.0))
def test_whatever_happens_there_is_a_result_in_time_and_nothing_is_left(
    branches: list[BranchScript],
    verdict: BranchScript | None,
    abort_delay: float,
    deadline: float,
) -> None:
    picks = (lambda request: verdict) if verdict else None
    engine = judged(branches, picks, abort_delay=abort_delay)

    async def run() -> Result:
        read = settings_of(len(branches), deadline)
        model = make_reward_model(read.rewards, engine)
        async with Runtime(engine, read, rewards=model) as runtime:
            return await runtime.solve("Where?")

    result = run_virtual(run)
    assert result.elapsed <= deadline + 1e-9
    replied = [b for b in result.branches if b.status is FINISHED]
    assert not replied or result.text in {b.text for b in replied}
    if result.stop_reason is StopReason.REWARD_THRESHOLD:
        assert result.confidence >= 0.75


def a_judgement() -> Prepared:
    engine = judged([reply("Lyon.", 0.5), reply("Paris.", 0.5), stalls("In "), stalls()])
    return engine, lambda: judged_once(engine, min_replies=2)


def a_judgement_at_the_call_time() -> Prepared:
    engine = judged([reply("Lyon.", 0.5), reply("Paris.", 0.5), stalls("In ")], abort_delay=0.05)
    return engine, lambda: judged_once(engine)


async def judged_once(engine: WatchedEngine, **rewards: Any) -> None:
    read = settings_of(len(engine.script.branches), 2.0, **rewards)
    model = make_reward_model(read.rewards, engine)
    async with Runtime(engine, read, rewards=model) as runtime:
        await runtime.solve("Where?")


@pytest.mark.parametrize("scenario", [a_judgement, a_judgement_at_the_call_time])
@pytest.mark.parametrize("order", range(3))
def test_cancelling_a_judged_race_after_any_step_leaves_nothing(
    scenario: Callable[[], Prepared], order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines: list[WatchedEngine] = []

    def noted() -> Prepared:
        engine, run = scenario()
        engines.append(engine)
        return engine, run

    def steps_when_cancelled_after(step: int) -> int:
        monkeypatch.setattr(trio_run, "_r", Random(order))
        return cancelled_after(step, noted)

    steps = steps_when_cancelled_after(0)
    assert steps > 20
    assert any(request.request_id.startswith("judge") for request in engines[0].requests)
    for step in range(1, steps + 1):
        assert steps_when_cancelled_after(step) >= step
