"""Reward models on the real engine: a pooling engine beside the one that runs the branches."""

import random
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from frontrunner.runtime.config import (
    DEMO_REWARD_MODEL,
    JudgeRewards,
    PoolingRewards,
    Settings,
    VerifierRewards,
    demo_config_path,
)
from frontrunner.runtime.demo.problems import hard_problems
from frontrunner.runtime.demo.slips import draw_slips
from frontrunner.runtime.demo.solutions import draw_style, write_solution
from frontrunner.runtime.engines.next_tokens import vllm_next_tokens
from frontrunner.runtime.engines.supervised import running_engine
from frontrunner.runtime.engines.vllm.engine import VllmEngine
from frontrunner.runtime.engines.vllm.start import model_folder
from frontrunner.runtime.errors import EngineClosed, EngineStartError
from frontrunner.runtime.rewards import Scoring
from frontrunner.runtime.rewards.judge import EngineJudge
from frontrunner.runtime.rewards.pooling import PoolingReward
from frontrunner.runtime.rewards.protocol import ScoringBudget
from frontrunner.runtime.rewards.verifier import VerifierReward
from frontrunner.runtime.runtime import Runtime

ASKED = [{"role": "user", "content": "Mia has 34 apples.\n1. Mia buys 58 more apples.\nHow many?"}]
LINES = "1. 34 + 58 = 92\n2. 92 - 2 = 90\n"


def settings(model: str, **more: Any) -> PoolingRewards:
    return PoolingRewards(model=model, dtype="bfloat16", max_context_tokens=1024, **more)


@pytest.fixture(scope="module")
async def outcome(runtime: Runtime) -> AsyncGenerator[PoolingReward, None]:
    reward = PoolingReward(settings(DEMO_REWARD_MODEL))
    await reward.start()
    yield reward
    await reward.aclose()


@pytest.fixture(scope="module")
async def process(runtime: Runtime) -> AsyncGenerator[PoolingReward, None]:
    found = Settings.from_toml(demo_config_path().with_name("demo-reward.toml")).rewards
    assert isinstance(found, PoolingRewards)
    reward = PoolingReward(found)
    await reward.start()
    yield reward
    await reward.aclose()


async def test_an_outcome_model_scores_whole_and_part_beside_the_main_engine(
    outcome: PoolingReward,
) -> None:
    texts = [Scoring(ASKED, LINES, False), Scoring(ASKED, LINES, True), Scoring(ASKED, "", False)]
    scores = await outcome.score(texts)
    assert all(score is not None and 0.0 < score < 1.0 for score in scores)
    assert scores[0] != scores[1]  # the second turn has ended
    assert await outcome.score(texts) == pytest.approx(scores, abs=0.02)
    assert scores == pytest.approx(expected(model_folder(DEMO_REWARD_MODEL), texts), abs=0.02)


def expected(folder: str, items: list[Scoring]) -> list[float]:
    """The same scores from transformers."""
    import torch
    from transformers import LlamaForSequenceClassification, PreTrainedTokenizerFast

    model: Any = LlamaForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    scores: list[float] = []
    for item in items:
        text = f"<|begin|><|user|>{ASKED[0]['content']}<|assistant|>{item.text}"
        ids = tokenizer.encode(text + "<|end|>" * item.complete, add_special_tokens=False)
        with torch.inference_mode():
            hidden = model.model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
            scores.append(float(torch.sigmoid(model.score(hidden))))
    return scores


async def test_a_text_that_is_too_long_costs_its_own_score(outcome: PoolingReward) -> None:
    long = Scoring(ASKED, LINES * 200, False)
    good = Scoring(ASKED, LINES, False)
    scores = await outcome.score([good, long, good])
    assert scores[1] is None
    assert scores[0] is not None
    assert scores[2] is not None


async def test_a_race_that_is_over_leaves_nothing_to_score(outcome: PoolingReward) -> None:
    items = [Scoring(ASKED, f"{LINES * 20}{n}", False) for n in range(64)]
    with anyio.move_on_after(0.01):
        await outcome.score(items)
    assert outcome._llm is not None
    with anyio.fail_after(600):
        while outcome._llm.get_num_unfinished_requests():  # noqa: ASYNC110 - vLLM's own count
            await anyio.sleep(0.01)
    assert await outcome.score(items[:1]) != [None]


async def test_a_process_model_scores_the_ends_of_the_steps(
    outcome: PoolingReward, process: PoolingReward
) -> None:
    with_both = Scoring(ASKED, LINES, False)
    first = Scoring(ASKED, LINES[: LINES.index("\n") + 1], False)
    (least,) = await process.score([with_both])
    # At a line break the token's score is that of the text up to there.
    by_line = [score for score in await outcome.score([first, with_both]) if score is not None]
    assert least == pytest.approx(min(by_line), abs=0.02)
    assert await process.score([Scoring(ASKED, " \n", False)]) == [None]


async def test_the_shipped_model_tells_slips_from_right_working(process: PoolingReward) -> None:
    rng = random.Random(0)
    items: list[Scoring] = []
    for problem in hard_problems("select", 40, seed=3):
        style = draw_style(rng)
        slipped = draw_slips(problem, rng, 1.0, steps=1)
        for worked in (problem, slipped):
            asked = [{"role": "user", "content": problem.question}]
            items.append(Scoring(asked, write_solution(worked, style, rng), complete=True))
    scores = await process.score(items)
    pairs = [(a or 0.0, b or 0.0) for a, b in zip(scores[::2], scores[1::2], strict=True)]
    assert sum(right > slipped for right, slipped in pairs) >= 30  # of 40; 20 by chance


async def test_what_is_no_reward_model_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(EngineStartError, match=r"rewards\.model: no model in"):
        await PoolingReward(settings(str(tmp_path / "missing"))).start()
    with pytest.raises(EngineStartError, match="no reward model"):
        await PoolingReward(settings(model_folder("demo"))).start()


async def test_next_tokens_come_with_their_log_probabilities(runtime: Runtime) -> None:
    engine = running_engine(runtime.engine)
    assert isinstance(engine, VllmEngine)
    prompt = engine.encode_chat(ASKED)
    top = await vllm_next_tokens(engine.llm, prompt, 5, "next-tokens", 0)
    assert len(top) >= 5
    assert all(p <= 0.0 for _, p in top)


async def test_the_main_engine_judges_for_itself(runtime: Runtime) -> None:
    # The demo knows no "yes": its own words stand in, so that it gives verdicts at all.
    verifier = VerifierReward(
        VerifierRewards(template="{question}{text}", yes="1.", no="Let"),
        runtime.engine,
    )
    scores = await verifier.score([Scoring(ASKED, "", True)] * 2)
    assert all(score is None or 0.0 <= score <= 1.0 for score in scores)
    assert runtime.load().running == 0


async def test_the_main_engine_judges_replies_and_its_picks_are_counted(runtime: Runtime) -> None:
    judge = EngineJudge(JudgeRewards(picks=4, max_prompt_tokens=300), runtime.engine)
    budget = ScoringBudget()
    items = [Scoring(ASKED, text, True, budget) for text in (LINES, "I do not know.")]
    scores = await judge.score(items)
    # What the demo, which knows no such question, thinks of them is its own affair.
    assert scores == [None, None] or sum(s or 0.0 for s in scores) == pytest.approx(1.0, abs=0.5)
    assert budget.requests == 4
    assert budget.tokens > 4 * 20
    assert runtime.load().running == 0


async def test_a_race_for_text_is_judged_in_time_on_its_own_engine(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = EngineJudge(JudgeRewards(max_prompt_tokens=300), runtime.engine)
    monkeypatch.setattr(runtime._races.maker, "_rewards", judge)
    for seed in range(8):  # of one in which all branches that ended say the same none is judged
        result = await runtime.solve(ASKED, branches=6, deadline=600.0, answers="text", seed=seed)
        assert result.text in {b.text for b in result.branches}
        if result.scoring_tokens > 0:
            break
    else:
        pytest.fail("nothing was judged")
    assert runtime.load().running == 0


async def test_a_reward_model_that_was_closed_scores_no_more(process: PoolingReward) -> None:
    await process.aclose()
    await process.aclose()
    with pytest.raises(EngineClosed):
        await process.score([Scoring(ASKED, LINES, False)])
