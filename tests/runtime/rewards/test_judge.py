"""The judge on a scripted engine, in virtual time."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf, log
from threading import current_thread
from typing import Any

import anyio
import pytest

from frontrunner.runtime.config import JudgeRewards, Settings
from frontrunner.runtime.engines.protocol import EngineInfo, Generation
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.errors import ConfigError, EngineError
from frontrunner.runtime.rewards import Scoring, make_reward_model
from frontrunner.runtime.rewards.judge import EngineJudge
from frontrunner.runtime.rewards.protocol import ScoringBudget, SupportsComparison
from frontrunner.runtime.thinking import ThinkingFormat

from ..judging import letter_before, saying_the_letter_of

ASKED = [{"role": "user", "content": "Where is the tower?"}]
REPLIES = ("In Lyon.", "In Paris.", "In Rome, I think.")


def items(*texts: str, until: float = inf) -> list[Scoring]:
    budget = ScoringBudget(until)
    return [Scoring(ASKED, text, True, budget) for text in texts or REPLIES]


def saying(say: Callable[[Generation], str], seconds: float = 0.1) -> ScriptedEngine:
    engine = ScriptedEngine(Script([]))
    engine.script.chooser = lambda request: BranchScript((Piece(seconds, say(request)),))
    return engine


class TellingEngine(ScriptedEngine):
    """One that tells the probabilities of letters: ``likes`` of the reply that has a word."""

    word, likes = "Paris.", 0.9
    asked: Sequence[Sequence[int]] = ()

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, logprobs=True)

    async def next_tokens(
        self, prompt: Sequence[int], k: int, *, request_id: str, priority: int = 0
    ) -> Sequence[tuple[str, float]]:
        self.asked = [*self.asked, prompt]
        await anyio.sleep(0.1)
        letter = letter_before(prompt, self.word)
        others = [other for other in "ABC" if other != letter]
        return [(f" {letter}", log(self.likes)), *((o, log((1 - self.likes) / 2)) for o in others)]


def judge(engine: ScriptedEngine, **settings: Any) -> EngineJudge:
    return EngineJudge(JudgeRewards(**settings), engine)


async def test_the_probabilities_of_the_letters_are_its_vote() -> None:
    engine = TellingEngine(Script([]))
    await engine.start()
    asked = items()
    scores = await judge(engine).score(asked)
    assert scores == [pytest.approx(0.05), pytest.approx(0.9), pytest.approx(0.05)]
    assert len(engine.asked) == 3  # of 4 picks as many as show each reply everywhere equally often
    assert asked[0].budget.requests == 3
    assert asked[0].budget.tokens == sum(map(len, engine.asked)) + 3


async def test_where_the_engine_tells_none_the_letters_said_are_counted() -> None:
    engine = saying(saying_the_letter_of("Paris."))
    await engine.start()
    asked = items()
    assert await judge(engine).score(asked) == [0.0, 1.0, 0.0]
    assert len({request.prompt for request in engine.requests}) == 3
    assert all(request.sampling.temperature == 0.0 for request in engine.requests)
    assert asked[0].budget.tokens == sum(len(r.prompt) + 1 for r in engine.requests)
    assert anyio.current_time() == 0.1  # all at once


async def test_who_picks_by_the_place_or_says_nonsense_has_not_judged() -> None:
    for said in ("A", "B.", "I cannot say", ""):
        engine = saying(lambda request, said=said: said)
        await engine.start()
        assert await judge(engine, picks=5).score(items()) == [None, None, None]
        assert await judge(engine, picks=4).score(items("x", "y")) == [None, None]


async def test_what_all_say_need_not_be_judged() -> None:
    engine = saying(lambda request: "A")
    await engine.start()
    asked = items("Paris", "Paris ", "")
    assert await judge(engine).score(asked) == [1.0, 1.0, None]
    assert await judge(engine).score(items("Paris")) == [None]
    assert await judge(engine).score([]) == []
    assert engine.requests == []
    assert asked[0].budget.requests == 0


async def test_what_was_only_thought_is_left_out() -> None:
    engine = saying(saying_the_letter_of("Paris."))
    await engine.start()
    texts = ("<think>Paris. or</think> In Lyon.", "<think>no</think>In Paris.", "<think>Paris.")
    assert await judge(engine).score(items(*texts)) == [0.0, 1.0, None]
    begun = ThinkingFormat("[T]", "[/T]").at("inside")
    texts = ("Paris. or [/T] In Lyon.", "no [/T] In Paris.", "Paris.")
    begun_items = [replace(item, thinking=begun) for item in items(*texts)]
    assert await judge(engine).score(begun_items) == [0.0, 1.0, None]


async def test_a_model_that_thinks_is_not_to_do_so_before_it_picks() -> None:
    engine = TellingEngine(Script([]))
    await engine.start()
    form = ThinkingFormat("<think>", "</think>", "\n</think> ")
    await judge(engine).score([replace(item, thinking=form) for item in items()])
    begun = engine.encode(f"{form.completion('')}The best reply is Reply")
    assert "</think>" in form.completion("")
    assert all(tuple(asked[-len(begun) :]) == begun for asked in engine.asked)


async def test_those_who_say_the_same_have_the_same_score() -> None:
    engine = saying(saying_the_letter_of("Paris."))
    await engine.start()
    scores = await judge(engine).score(items("In Paris.", "In Lyon.", "In Paris.\n"))
    assert scores == [1.0, 0.0, 1.0]


async def test_the_question_comes_first_and_the_answer_has_begun() -> None:
    engine = TellingEngine(Script([]))
    await engine.start()
    await judge(engine, template="{question} ! {replies} ?").score(items())
    question = engine.encode("Where is the tower? !")
    assert all(tuple(asked[: len(question)]) == question for asked in engine.asked)
    begun = engine.encode("? The best reply is Reply")
    assert all(tuple(asked[-len(begun) :]) == begun for asked in engine.asked)


async def test_replies_are_cut_to_what_is_allowed_and_to_the_context() -> None:
    long = " ".join(["word"] * 1000)
    engine = saying(saying_the_letter_of("Paris."))
    await engine.start()
    await judge(engine, max_prompt_tokens=500).score(items(f"{long} Lyon.", f"{long} Paris."))
    frame = len(engine.encode("Where is the tower?")) + 60
    assert all(400 < len(request.prompt) < 500 + frame for request in engine.requests)

    engine = ScriptedEngine(Script([]), max_context_tokens=400)
    engine.script.chooser = saying(saying_the_letter_of("Paris.")).script.chooser
    await engine.start()
    scores = await judge(engine).score(items(f"{long} Lyon.", f"{long} Paris."))
    assert scores == [0.0, 1.0]
    assert all(len(request.prompt) <= 400 - 8 for request in engine.requests)

    engine = ScriptedEngine(Script([]), max_context_tokens=40)
    await engine.start()
    assert await judge(engine).score(items(f"{long} Lyon.", f"{long} Paris.")) == [None, None]
    assert engine.requests == []


async def test_what_has_not_come_by_the_end_of_the_race_does_not_count() -> None:
    named = saying_the_letter_of("Paris.")
    engine = ScriptedEngine(Script([]))

    def choose(request: Generation) -> BranchScript:
        slow = len(engine.requests) == 4
        return BranchScript((Piece(60.0 if slow else 0.5, named(request)),))

    engine.script.chooser = choose
    await engine.start()
    asked = items("In Lyon.", "In Paris.", until=2.0)
    assert await judge(engine, picks=4).score(asked) == [0.0, 0.75]
    assert anyio.current_time() == pytest.approx(1.98)
    assert engine.load().running == 0


async def test_a_slow_judgement_ends_at_its_time_limit() -> None:
    engine = saying(lambda request: "A", seconds=60.0)
    await engine.start()
    assert await judge(engine, timeout=3.0).score(items()) == [None, None, None]
    assert anyio.current_time() == 3.0
    assert engine.load().running == 0


async def test_a_race_that_is_over_aborts_its_picks_and_is_not_made_late() -> None:
    engine = saying(lambda request: "A", seconds=60.0)
    await engine.start()
    with anyio.move_on_after(1.0):
        await judge(engine).score(items())
    assert engine.load().running == 0
    assert len(engine.aborts) == 1
    assert len(engine.aborts[0]) == 3
    assert anyio.current_time() == 1.0
    engine.script.abort_delay = inf
    with anyio.move_on_after(1.0):
        await judge(engine).score(items(until=2.2))
    assert anyio.current_time() == pytest.approx(2.1)  # half of what was left


async def test_a_pick_that_is_lost_counts_for_nobody_and_a_dead_engine_judges_nothing() -> None:
    named = saying_the_letter_of("Paris.")
    engine = ScriptedEngine(Script([]))
    engine.script.chooser = lambda request: (
        BranchScript(error="lost")
        if request.seed == 0
        else BranchScript((Piece(0.1, named(request)),))
    )
    await engine.start()
    assert await judge(engine).score(items("In Lyon.", "In Paris.")) == [0.0, 0.75]
    engine.kill()
    assert await judge(engine).score(items()) == [None, None, None]


async def test_what_the_chat_template_refuses_is_not_judged() -> None:
    class Refusing(ScriptedEngine):
        def encode_chat(self, *args: Any, **kwargs: Any) -> tuple[int, ...]:
            raise EngineError("no such turn")

    engine = Refusing(Script([]))
    await engine.start()
    assert await judge(engine).score(items()) == [None, None, None]


def test_the_time_it_takes_grows_with_what_it_reads() -> None:
    engine = ScriptedEngine(Script([]))
    made = judge(engine)
    assert isinstance(made, SupportsComparison)
    load = engine.load()
    short, long = (made.predict(100, [tokens] * 8, load) for tokens in (100, 500))
    assert 0 < short < long
    assert made.predict(100, [100_000] * 8, load) == made.predict(100, [600] * 8, load)


def test_settings_make_the_judge_that_they_name() -> None:
    engine = ScriptedEngine(Script([]))
    for rewards, name in (
        ({"kind": "judge"}, "EngineJudge"),
        ({"kind": "judge", "url": "http://a/v1", "model": "m"}, "EndpointJudge"),
    ):
        made = make_reward_model(Settings.from_dict({"rewards": rewards}).rewards, engine)
        assert type(made).__name__ == name
        assert isinstance(made, SupportsComparison)


@pytest.mark.parametrize(
    ("rewards", "says"),
    [
        ({"picks": 1}, "rewards.picks"),
        ({"agreement": 0.5}, "rewards.agreement"),
        ({"agreement": 1.1}, "rewards.agreement"),
        ({"min_replies": 1}, "rewards.min_replies"),
        ({"template": "{question}"}, "rewards.template"),
        ({"model": "m"}, "rewards.model"),
        ({"key_env": "KEY"}, "rewards.key_env"),
        ({"body": {"a": 1}}, "rewards.body"),
        ({"url": "http://a/v1"}, "rewards.model"),
        ({"url": "http://me:secret@a/v1", "model": "m"}, "rewards.url"),
        ({"url": "a/v1", "model": "m"}, "rewards.url"),
        ({"samples": 4}, "rewards.samples"),
    ],
)
def test_what_cannot_work_is_refused_by_its_path(rewards: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace(".", r"\.")):
        Settings.from_dict({"rewards": {"kind": "judge", **rewards}})


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_long_prompts_are_tokenised_beside_the_event_loop() -> None:
    threads: set[str] = set()

    class Noting(ScriptedEngine):
        def encode_chat(self, *args: Any, **kwargs: Any) -> tuple[int, ...]:
            threads.add(current_thread().name)
            return super().encode_chat(*args, **kwargs)

    engine = Noting(Script([]))
    named = saying_the_letter_of("Paris.")
    engine.script.chooser = lambda request: BranchScript((Piece(0.0, named(request)),))
    await engine.start()
    long = "word " * 4000
    assert await judge(engine).score(items(f"{long} Lyon.", f"{long} Paris.")) == [0.0, 1.0]
    assert current_thread().name not in threads
