"""What reaches the engine of a question: its instruction, its template's variables, nothing else;
and what a result says of answers that were forced."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.protocol import ChatSupport
from frontrunner.runtime.engines.scripted import BranchScript, Piece, Script, ScriptedEngine
from frontrunner.runtime.errors import BadRequest
from frontrunner.runtime.events.types import RaceStarted
from frontrunner.runtime.prompts.instructions import INSTRUCTIONS
from frontrunner.runtime.racing.race_options import RawPrompt
from frontrunner.runtime.result import Result
from frontrunner.runtime.runtime import Runtime
from frontrunner.runtime.scheduling import race_runner
from frontrunner.runtime.traces.recorder import TraceRecorder

QUESTION = "What is 3 + 5?"
BOXED = INSTRUCTIONS["boxed"]
TOOLS: Any = [{"type": "function", "function": {"name": "add", "parameters": {}}}]


class Listening(ScriptedEngine):
    """Keeps what its chat template was given."""

    def __init__(self, *branches: BranchScript, **more: Any) -> None:
        forced = more.pop("forced", (BranchScript((Piece(0.001, "7}", 2),)),))
        script = Script(branches or (BranchScript.answering("8", seconds=0.01),), forced)
        super().__init__(script, step_seconds=0.001, **more)
        self.told: list[tuple[Any, Any, Any]] = []
        self.raw: list[str] = []

    def encode_chat(self, messages: Any, tools: Any = None, arguments: Any = None) -> Any:
        self.told.append(([dict(m) for m in messages], tools, arguments))
        return super().encode_chat(messages, tools, arguments)

    def encode_prompt(self, text: str) -> tuple[int, ...]:
        self.raw.append(text)
        return (1, *self.encode(text))


@asynccontextmanager
async def running(engine: ScriptedEngine, **sections: Any) -> AsyncGenerator[Runtime, None]:
    settings = {"answers": {"workers": 0}, **sections}
    async with Runtime(engine, Settings.from_dict(settings)) as runtime:
        yield runtime


async def told(question: Any = QUESTION, *, sections: Any = None, **options: Any) -> Any:
    """The conversation, the tools and the variables that one question reaches the template with."""
    engine = Listening(chat=options.pop("chat", None))
    async with running(engine, **(sections or {})) as runtime:
        await runtime.solve(question, branches=2, deadline=1.0, **options)
    (told,) = engine.told
    return told


def content(told: Any) -> str:
    return "|".join(f"{message['role']}: {message['content']}" for message in told[0])


# ── instructions ──────────────────────────────────────────────────────────────────────────────


async def test_the_form_of_the_answer_is_asked_for_by_default() -> None:
    assert content(await told()) == f"system: {BOXED}|user: {QUESTION}"
    said = await told([{"role": "system", "content": "Be kind."}, {"role": "user", "content": "?"}])
    assert content(said) == f"system: Be kind.\n\n{BOXED}|user: ?"


@pytest.mark.parametrize("kind", ["last_number", "multiple_choice", "code"])
async def test_each_kind_asks_for_its_own(kind: str) -> None:
    assert INSTRUCTIONS[kind] in content(await told(answers=kind))
    by_settings = await told(sections={"answers": {"workers": 0, "kind": kind}})
    assert INSTRUCTIONS[kind] in content(by_settings)


async def test_json_shows_the_schema_of_the_request_or_of_the_settings() -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
    asked = await told(answers={"kind": "json", "json_schema": schema})
    assert '{"age":{"type":"integer"}}' in content(asked)
    settings = {"answers": {"workers": 0, "kind": "json", "json_schema": schema}}
    assert '{"age":{"type":"integer"}}' in content(await told(sections=settings))


async def test_nothing_is_added_where_nobody_wants_it() -> None:
    plain = f"user: {QUESTION}"
    assert content(await told(sections={"prompt": {"instruction": ""}})) == plain
    assert content(await told(instruction="")) == plain
    assert content(await told(answers="text")) == plain
    assert content(await told(tools=TOOLS)) == plain
    boxed = r"Answer in \boxed{}: 3 + 5"
    assert content(await told(boxed)) == f"user: {boxed}"


async def test_a_race_and_the_settings_say_what_else() -> None:
    own = {"prompt": {"instruction": "Think in French."}}
    assert content(await told(sections=own)).startswith("system: Think in French.|")
    assert INSTRUCTIONS["code"] in content(await told(sections=own, answers="code"))
    assert content(await told(instruction="Be brief.")).startswith("system: Be brief.|")
    off = {"prompt": {"instruction": ""}}
    assert BOXED in content(await told(sections=off, instruction="auto"))


async def test_it_stands_where_the_template_shows_it() -> None:
    hides = ChatSupport(system=False)
    assert content(await told(chat=hides)) == f"user: {QUESTION}\n\n{BOXED}"
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "?"}]
    assert content(await told(turns, chat=hides)) == f"user: Be kind.\n\n?\n\n{BOXED}"
    behind = {"prompt": {"placement": "user"}}
    assert content(await told(sections=behind)) == f"user: {QUESTION}\n\n{BOXED}"
    with pytest.raises(BadRequest, match=r"prompt\.placement"):
        await told(sections={"prompt": {"placement": "system"}}, chat=hides)


async def test_reward_models_are_shown_the_question_as_it_was_asked() -> None:
    engine = Listening()
    async with running(engine) as runtime:
        request = await runtime._races.prepare(QUESTION, {"deadline": 1.0})
    assert request.spec.question == [{"role": "user", "content": QUESTION}]
    assert request.spec.instruction == BOXED


# ── raw prompts, base models ──────────────────────────────────────────────────────────────────


async def test_a_raw_prompt_is_never_touched_but_begins_as_its_tokenizer_has_it() -> None:
    engine = Listening()
    async with running(engine) as runtime:
        await runtime.solve(RawPrompt("once upon"), branches=1, deadline=1.0)
        assert (engine.told, engine.raw) == ([], ["once upon"])
        assert engine.requests[-1].prompt == (1, *engine.encode("once upon"))
        await runtime.solve(RawPrompt("once upon", special_tokens=False), branches=1, deadline=1.0)
        assert engine.requests[-1].prompt == engine.encode("once upon")
        await runtime.solve(RawPrompt((5, 6)), branches=1, deadline=1.0)
        assert engine.requests[-1].prompt == (5, 6)


async def test_without_a_template_a_branch_ends_before_a_question_of_its_own() -> None:
    engine = Listening(chat=ChatSupport(template=False))
    async with running(engine, sampling={"stop": ["END"]}) as runtime:
        await runtime.solve(QUESTION, branches=1, deadline=1.0)
    assert engine.requests[0].sampling.stop == ("END", "\nQuestion:")


# ── variables of the template ─────────────────────────────────────────────────────────────────


async def test_variables_reach_the_template_those_of_a_race_first() -> None:
    settings = {"prompt": {"template_arguments": {"enable_thinking": True, "date": "today"}}}
    assert (await told(sections=settings))[2] == {"enable_thinking": True, "date": "today"}
    race = await told(sections=settings, template_arguments={"enable_thinking": False})
    assert race[2] == {"enable_thinking": False, "date": "today"}
    assert (await told())[2] is None  # engines of before take none


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"tools": []}, "tools is not a variable"),
        ({"chat_template": "{{ 1 }}"}, "chat_template is not a variable"),
        ({"a b": 1}, "no name of a variable"),
        ({"a": object()}, "plain data"),
        ({"a": "x" * 5000}, "4096 bytes"),
        ({f"a{i}": i for i in range(33)}, "32 variables"),
    ],
)
async def test_what_cannot_be_a_variable_is_refused(arguments: Any, fault: str) -> None:
    with pytest.raises(BadRequest, match=f"template_arguments: .*{fault}") as caught:
        await told(template_arguments=arguments)
    assert caught.value.param == "template_arguments"


async def test_an_engine_that_knows_of_no_variables_goes_on_without_any() -> None:
    class Old(ScriptedEngine):
        def encode_chat(self, messages: Any, tools: Any = None) -> Any:  # pyright: ignore
            return super().encode_chat(messages, tools)

    engine = Old(Script((BranchScript.answering("8", seconds=0.01),)), step_seconds=0.001)
    async with running(engine) as runtime:
        assert (await runtime.solve(QUESTION, branches=1, deadline=1.0)).answer == "8"


# ── where it can be seen ──────────────────────────────────────────────────────────────────────


async def test_the_instruction_is_in_the_events_and_in_the_trace() -> None:
    for options, instruction in (({}, BOXED), ({"instruction": ""}, None)):
        recorder = TraceRecorder(question=QUESTION)
        async with running(Listening()) as runtime:
            stream = runtime.stream(QUESTION, branches=2, deadline=1.0, **options)  # pyright: ignore
            async with stream as events:
                async for event in events:
                    recorder.push(event)
                    if isinstance(event, RaceStarted):
                        assert event.instruction == instruction
        assert recorder.record()["instruction"] == instruction


# ── what a result says of itself ──────────────────────────────────────────────────────────────


def silent(text: str = "It is eight.") -> BranchScript:
    return BranchScript((Piece(0.01, text, 4),))


def guesses(*answers: str) -> tuple[BranchScript, ...]:
    return tuple(BranchScript((Piece(0.001, f"{answer}}}", 2),)) for answer in answers)


ENDLESS = BranchScript(tuple(Piece(0.01, "hm ") for _ in range(10_000)))


async def noted(engine: ScriptedEngine, **options: Any) -> tuple[Result, list[str]]:
    async with running(engine) as runtime:
        result = await runtime.solve(QUESTION, deadline=1.0, **options)
    return result, [note.code for note in result.notes]


async def test_branches_that_answer_by_themselves_need_no_note() -> None:
    assert (await noted(Listening(), branches=3))[1] == []


async def test_forced_answers_are_told_for_what_they_are() -> None:
    engine = Listening(ENDLESS, forced=guesses("7", "7", "8"))
    result, codes = await noted(engine, branches=3)
    assert codes == ["no_branch_answered"]
    assert "of 3, 3 forced to answer" in result.notes[0].text
    assert "2 of 3 forced ones" in result.notes[0].text


async def test_forced_answers_that_all_differ_are_guesses() -> None:
    engine = Listening(ENDLESS, forced=guesses("1", "2", "3"))
    result, codes = await noted(engine, branches=3)
    assert codes == ["no_branch_answered", "forced_answers_differ"]
    assert "All 3 forced answers differ" in result.notes[1].text
    single = Listening(ENDLESS, forced=guesses("1"))
    result, codes = await noted(single, branches=1)
    assert codes == ["no_branch_answered"]
    assert "one that was forced" in result.notes[0].text


async def test_branches_that_end_in_another_form_say_what_to_change() -> None:
    result, codes = await noted(Listening(silent()), branches=3, strategy="majority")
    assert codes[0] in ("no_branch_answered", "no_answer")
    assert "3 ended without an answer" in result.notes[0].text
    assert "answers.kind" in result.notes[0].text


async def test_a_reply_without_an_answer_is_one_where_none_is_asked_for() -> None:
    assert (await noted(Listening(silent()), branches=2, answers="text"))[1] == []
    optional = {"optional": True}
    assert (await noted(Listening(silent()), branches=2, answers=optional))[1] == []


async def test_tools_that_the_model_is_not_shown_are_noted() -> None:
    hides = ChatSupport(tools=False)
    assert (await noted(Listening(chat=hides), branches=2, tools=TOOLS))[1] == ["tools_not_shown"]
    assert (await noted(Listening(), branches=2, tools=TOOLS))[1] == []


async def test_the_log_warns_of_each_kind_once(monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    infos: list[Any] = []

    class Log:
        def info(self, event: str, **more: Any) -> None:
            infos.append(more.get("notes"))

        def warning(self, event: str, **more: Any) -> None:
            warned.append(event)

    monkeypatch.setattr(race_runner, "_log", Log())
    engine = Listening(ENDLESS, forced=guesses("1", "2"))
    async with running(engine) as runtime:
        for _ in range(2):
            await runtime.solve(QUESTION, branches=2, deadline=0.5)
    assert warned == ["frontrunner.no_branch_answered", "frontrunner.forced_answers_differ"]
    assert infos == [["no_branch_answered", "forced_answers_differ"]] * 2
