"""Replies that a judge picked, as clients get them."""

from typing import Any

import pytest

from frontrunner.runtime.config import JudgeRewards
from frontrunner.runtime.engines import BranchScript, Piece
from frontrunner.runtime.engines.protocol import Generation
from frontrunner.runtime.rewards.judge import EngineJudge

from ..judging import saying_the_letter_of
from .conftest import Serve, Served
from .test_usage import post, streamed

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Where is the tower?"}]}
RACE: dict[str, Any] = {"branches": 3, "deadline": 5}


def reply(town: str, seconds: float) -> BranchScript:
    return BranchScript((Piece(seconds / 2, "It is "), Piece(seconds / 2, f"in {town}.")))


REPLIES = (reply("Lyon", 0.01), reply("Paris", 0.03), reply("Rome", 0.02))


def judge(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ``served``'s replies judged, by who likes Paris best."""
    named = saying_the_letter_of("Paris.")

    def choose(request: Generation) -> BranchScript | None:
        picks = request.request_id.startswith("judge")
        return BranchScript((Piece(0.001, named(request)),)) if picks else None

    served.engine.script.chooser = choose
    monkeypatch.setattr(
        served.runtime._races.maker, "_rewards", EngineJudge(JudgeRewards(), served.engine)
    )


@pytest.mark.parametrize(
    "answers", [{"answers": "text"}, {"content": "reply"}], ids=["text", "chat"]
)
async def test_it_is_the_content_whole_and_streamed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str]
) -> None:
    asked = {**ASKED, "frontrunner": {**RACE, **answers}}
    async with serve(*REPLIES) as served:
        judge(served, monkeypatch)
        whole = await post(served, "v1/chat/completions", asked)
        assert whole["choices"][0]["message"]["content"] == "It is in Paris."
        assert whole["choices"][0]["finish_reason"] == "stop"
        race = whole["frontrunner"]
        assert (race["answer"], race["confidence"]) == (None, 1.0)
        assert race["stop_reason"] == "reward_threshold"
        assert race["scoring_tokens"] > race["tokens_generated"]

        chunks = await streamed(served, "v1/chat/completions", asked)
        deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"]]
        content = "".join(delta.get("content") or "" for delta in deltas)
        assert content == "It is in Paris."
        await served.idle()
