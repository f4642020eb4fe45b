"""From a question to the tokens of its prompt, without holding others up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..config import DEMO_MODELS, Settings
from ..engines.chat_template import PLAIN_STOP
from ..engines.protocol import Engine, Message, encode_prompt
from ..errors import BadRequest, EmptyQuestion
from ..prompts.instructions import AnswerForm, fitted, instruction_for, with_instruction
from ..prompts.messages import plain_messages
from ..prompts.plain_values import check_token_ids, check_value
from ..prompts.thinking_model import with_reasoning_key
from ..prompts.tokenizing import OffLoop, is_large
from ..racing.race_options import Question, RaceOptions, RawPrompt
from ..result import Note

_TOOLS_NOT_SHOWN: Final = Note(
    "tools_not_shown",
    "The model's chat template shows no tools, so the model did not know of those that were "
    "offered: set prompt.chat_template to a template that does.",
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question as the engine gets it."""

    messages: Sequence[Message]
    """The conversation as it was asked; none where token ids were given."""
    ids: tuple[int, ...]
    """Up to where the answer begins."""
    instruction: str | None = None
    """What was added to the conversation; None: nothing."""
    stop: tuple[str, ...] = ()
    """What else ends a branch, where there is no chat template to end turns."""
    notes: tuple[Note, ...] = ()
    """What of the question does not reach the model."""


class PromptReader:
    """Reads the questions of a runtime."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._off_loop = OffLoop()

    async def read(
        self,
        question: Question,
        deadline: float,
        form: AnswerForm | None = None,
        options: RaceOptions | None = None,
    ) -> Prompt:
        """A question's tokens, by ``deadline`` (anyio clock, seconds).

        Args:
            form: what is looked for in the branches, which the model is to know; None: nothing.
            options: of its race.

        Raises:
            BadRequest: it cannot be read.
            Overloaded: others are read until then.
        """
        form, options = form or AnswerForm("text"), options or {}
        raw = question.content if isinstance(question, RawPrompt) else question
        if isinstance(raw, tuple) or not is_large(raw, form.use.offered):
            return self._read(question, form, options)
        return await self._off_loop.run(lambda: self._read(question, form, options), deadline)

    def _read(self, question: Question, form: AnswerForm, options: RaceOptions) -> Prompt:
        arguments = {
            **self._settings.prompt.template_arguments,
            **(options.get("template_arguments") or {}),
        }
        if isinstance(question, RawPrompt):
            return self._raw(question, form)
        messages = plain_messages(question)
        chat = self._engine.info.chat
        told = fitted(messages, chat)
        settings = self._settings.prompt
        usual = self._settings.answers.kind
        asked = options.get("instruction")
        if asked is None and self._trained_without():
            asked = ""
        added = instruction_for(settings, asked, form, usual)
        if added is not None and added.needed(told):
            longer = with_instruction(told, added.text, settings.placement, chat)
            told, text = longer, added.text if longer is not told else None
        else:
            text = None
        stop = () if chat.template else (PLAIN_STOP,)
        tools = form.use.offered or None
        notes = (_TOOLS_NOT_SHOWN,) if tools and chat.template and chat.tools is False else ()
        return Prompt(messages, self._chat(told, tools, arguments), text, stop, notes)

    def _trained_without(self) -> bool:
        """Whether the model is the demo's and nobody said what to add: it knows its questions and
        nothing else."""
        info, said = self._engine.info, self._settings.prompt.model_fields_set
        return info.name == "vllm" and info.model in DEMO_MODELS and "instruction" not in said

    def _chat(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None,
        arguments: Mapping[str, Any],
    ) -> tuple[int, ...]:
        messages = with_reasoning_key(messages, self._settings.thinking.history_key)
        if arguments:  # an engine that somebody wrote before there were any has no such parameter
            return self._engine.encode_chat(messages, tools, arguments)
        return self._engine.encode_chat(messages, tools)

    def _raw(self, question: RawPrompt, form: AnswerForm) -> Prompt:
        if form.use.offered:
            raise BadRequest("a raw prompt has no chat template to put tools into")
        content: object = question.content
        if not content:
            raise EmptyQuestion
        if not isinstance(content, str):
            return Prompt([], check_token_ids(content, "prompt", self._engine.info.vocabulary))
        check_value(content, "prompt")
        encode = encode_prompt if question.special_tokens else _without_special_tokens
        return Prompt([{"role": "user", "content": content}], encode(self._engine, content))


def _without_special_tokens(engine: Engine, text: str) -> tuple[int, ...]:
    return engine.encode(text)
