"""The generative verifier on a scripted engine, in virtual time."""

from collections.abc import Sequence
from dataclasses import replace
from math import log
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrunner.runtime.config import VerifierRewards
from frontrunner.runtime.engines.protocol import EngineInfo, Generation
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.errors import EngineError
from frontrunner.runtime.rewards import Scoring
from frontrunner.runtime.rewards.verifier import VerifierReward

from ...backends import run_virtual

ASKED = [{"role": "user", "content": "2 + 2?"}]
ITEM = Scoring(ASKED, "It is 4.", True)


def saying(*texts: str, seconds: float = 0.1) -> ScriptedEngine:
    """An engine whose request with seed n says ``texts[n]``."""
    engine = ScriptedEngine(Script([]))

    def choose(request: Generation) -> BranchScript:
        return BranchScript((Piece(seconds, texts[(request.seed or 0) % len(texts)]),))

    engine.script.chooser = choose
    return engine


class TellingEngine(ScriptedEngine):
    """One that tells log probabilities."""

    top: Sequence[tuple[str, float]] = ()
    asked: tuple[int, ...] = ()

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, logprobs=True)

    async def next_tokens(
        self, prompt: Sequence[int], k: int, *, request_id: str, priority: int = 0
    ) -> Sequence[tuple[str, float]]:
        self.asked = tuple(prompt)
        await anyio.sleep(0.1)
        return self.top[:k]


def verifier(engine: ScriptedEngine, **settings: Any) -> VerifierReward:
    return VerifierReward(VerifierRewards(**settings), engine)


async def test_without_log_probabilities_the_score_is_the_share_of_yes() -> None:
    engine = saying("Yes.", "no", " **YES**, it is", "No, 2 + 2 is 4")
    await engine.start()
    assert await verifier(engine, samples=4).score([ITEM]) == [0.5]
    assert await verifier(engine, samples=1).score([ITEM]) == [1.0]


async def test_a_sample_that_says_neither_word_is_no_verdict() -> None:
    engine = saying("yes", "perhaps", "no", "")
    await engine.start()
    assert await verifier(engine, samples=2).score([ITEM]) == [1.0]
    engine = saying("perhaps", "who knows")
    await engine.start()
    assert await verifier(engine).score([ITEM]) == [None]


async def test_log_probabilities_of_all_spellings_are_brought_together() -> None:
    engine = TellingEngine(Script([]))
    await engine.start()
    engine.top = [("Yes", log(0.5)), (" yes", log(0.1)), ("No", log(0.2)), ("The", log(0.2))]
    assert await verifier(engine).score([ITEM]) == [pytest.approx(0.75)]
    engine.top = [("The", 0.0)]
    assert await verifier(engine).score([ITEM]) == [None]
    engine.top = [("Yes", 0.0)]
    assert await verifier(engine).score([ITEM]) == [pytest.approx(1.0)]


async def test_a_token_that_could_begin_either_word_counts_for_neither() -> None:
    engine = TellingEngine(Script([]))
    await engine.start()
    engine.top = [("cor", log(0.3)), ("in", log(0.1)), ("c", log(0.2)), ("", log(0.4))]
    reward = verifier(engine, yes="correct", no="incorrect")
    assert await reward.score([ITEM]) == [pytest.approx(0.5 / 0.6)]
    reward = verifier(engine, yes="correct", no="corrupt")
    assert await reward.score([ITEM]) == [None]


async def test_the_question_and_the_solution_are_put_to_the_engine() -> None:
    engine = TellingEngine(Script([]))
    await engine.start()
    await verifier(engine, template="P {question} S {text} ?").score([ITEM])
    turn = [{"role": "user", "content": "P 2 + 2? S It is 4. ?"}]
    assert engine.asked == engine.encode_chat(turn)


async def test_items_are_judged_at_the_same_time_and_a_slow_one_costs_itself() -> None:
    engine = ScriptedEngine(Script([]))
    slow = engine.encode_chat([{"role": "user", "content": "slow"}])

    def choose(request: Generation) -> BranchScript:
        return BranchScript((Piece(60.0 if request.prompt == slow else 1.0, "yes"),))

    engine.script.chooser = choose
    await engine.start()
    reward = verifier(engine, template="{text}", timeout=5.0)
    began = anyio.current_time()
    items = [Scoring(ASKED, text, True) for text in ("a", "slow", "b")]
    assert await reward.score(items) == [1.0, None, 1.0]
    assert anyio.current_time() - began == 5.0
    assert engine.load().running == 0


async def test_a_race_that_is_over_aborts_its_verdicts() -> None:
    engine = saying("yes", seconds=60.0)
    await engine.start()
    with anyio.move_on_after(1.0):
        await verifier(engine).score([ITEM, ITEM])
    assert engine.load().running == 0
    assert anyio.current_time() == 1.0


async def test_a_lost_request_costs_a_sample_and_a_dead_engine_the_scores() -> None:
    engine = ScriptedEngine(Script([]))
    engine.script.chooser = lambda request: (
        BranchScript(error="lost") if request.seed == 0 else BranchScript((Piece(0.1, "yes"),))
    )
    await engine.start()
    assert await verifier(engine).score([ITEM]) == [1.0]

    class Refusing(TellingEngine):
        async def next_tokens(self, *args: Any, **kwargs: Any) -> Sequence[tuple[str, float]]:
            raise EngineError("the text is too long")

    refusing = Refusing(Script([]))
    await refusing.start()
    assert await verifier(refusing).score([ITEM, ITEM]) == [None, None]


@given(st.lists(st.tuples(st.sampled_from(["yes", "no", "ye", "n", "x"]), st.floats(-20, 0))))
def test_a_score_is_a_probability(top: list[tuple[str, float]]) -> None:
    engine = TellingEngine(Script([]))
    engine.top = top

    async def judge() -> Sequence[float | None]:
        await engine.start()
        return await verifier(engine).score([ITEM])

    (score,) = run_virtual(judge)
    said = {token for token, _ in top[:20]}
    assert (score is None) == (not said & {"yes", "no", "ye", "n"})
    assert score is None or 0.0 <= score <= 1.0
