"""How the model of an engine thinks, and where a prompt leaves it: before its thinking, inside it,
or behind it.

Chat templates open the thinking in the prompt (DeepSeek-R1, QwQ), leave that to the model (Qwen3),
or have it closed already (Qwen3 with ``enable_thinking = false``). That is read off the end of each
prompt, never off the template: variables and raw prompts change it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, Final, cast

from ..answers import Extractor
from ..config import ThinkingSettings
from ..config.thinking import MESSAGE_END
from ..engines.protocol import Engine, Message, SupportsPromptEnds, SupportsReasoningParsers
from ..errors import EngineStartError
from ..thinking import ThinkingFormat

#: What templates put behind a mark.
_BLANKS: Final = ("", "\n", "\n\n", " ")
_ANALYSIS: Final = "<|channel|>analysis<|message|>"
_FINAL: Final = "<|channel|>final<|message|>"
#: Forms of forcing suffixes whose tokens are remembered; each is text of ours, cut somewhere.
_FORMS: Final = 256


class ThinkingModel:
    """The thinking of one engine's model."""

    def __init__(self, settings: ThinkingSettings, engine: Engine) -> None:
        """
        Args:
            engine: need not be started yet.
        """
        self._settings = settings
        self._engine = engine
        self.encode: Callable[[str], tuple[int, ...]] = lru_cache(_FORMS)(engine.encode)
        """Token ids of bare text, remembered."""

    @cached_property
    def form(self) -> ThinkingFormat | None:
        """How it marks its thinking; None: it is not known, or it does not think. The engine must
        have been started.

        Raises:
            EngineStartError: ``thinking.parser`` names no parser that can be used.
        """
        said = self._settings
        start, end = said.start, said.end
        if said.parser is not None and not said.channels and (start is None or end is None):
            found = self._parsed(said.parser)
            start, end = start or found[0], end or found[1]
            said = said.model_copy(update={"start": start, "end": end})
        if said.channels:
            return ThinkingFormat("", MESSAGE_END, "", channels=True, turn_ends=said.turn_ends)
        if start is None or end is None:
            return None
        return ThinkingFormat(start, end, said.whole_closing, turn_ends=said.turn_ends)

    def form_after(self, prompt: Sequence[int]) -> ThinkingFormat | None:
        """The same for what follows ``prompt``, which are token ids (num_tokens,)."""
        form = self.form
        if form is None:
            return None
        for position, ends in self._ends(form).items():
            if any(tuple(prompt[-len(ids) :]) == ids for ids in ends if ids):
                return form.at(position)
        text = ""
        if isinstance(self._engine, SupportsPromptEnds):
            known = self._engine.prompt_end(prompt)
            if known is None:
                opened = self._settings.in_prompt
                if self._settings.mode == "off":
                    return form.at("after")
                return form.at("unknown" if opened is None else "inside" if opened else "before")
            text = known.rstrip()
        for position, marks in self._marks(form).items():
            if text.endswith(marks):
                return form.at(position)
        return form.at("before")

    def reader(self, answers: Extractor, form: ThinkingFormat | None) -> Extractor:
        """``answers``, looked for in what a branch says behind a prompt, and never in what it
        thinks."""
        if form is None or (form.channels and form.position != "inside"):
            return answers  # which knows channels
        return answers.reading(lambda text: _said(form, text))

    def _parsed(self, parser: str) -> tuple[str, str]:
        if not isinstance(self._engine, SupportsReasoningParsers):
            raise EngineStartError(
                "thinking.parser: vLLM's reasoning parsers need vLLM in this process: set "
                "thinking.start and thinking.end"
            )
        return self._engine.reasoning_marks(parser)

    @staticmethod
    def _marks(form: ThinkingFormat) -> Mapping[Any, str]:
        if form.channels:
            return {"inside": _ANALYSIS, "after": _FINAL}
        return {"after": form.end, "inside": form.start}

    def _ends(self, form: ThinkingFormat) -> Mapping[Any, Sequence[tuple[int, ...]]]:
        return {
            position: [self.encode(mark + blank) for blank in _BLANKS]
            for position, mark in self._marks(form).items()
        }


def _said(form: ThinkingFormat, text: str) -> str:
    # Calls of tools are known by their channels, which are kept for who looks for them.
    return _ANALYSIS + text if form.channels else form.read(text).content


def with_reasoning_key(messages: Sequence[Message], key: str) -> Sequence[Message]:
    """Turns whose earlier reasoning stands under ``key``, where the chat template looks for it."""
    if key == "reasoning_content":
        return messages
    return [_renamed(message, key) for message in messages]


def _renamed(message: Message, key: str) -> Message:
    said: dict[str, Any] = dict(message)
    if (thought := said.pop("reasoning_content", None)) is not None:
        said.setdefault(key, thought)
    return cast(Message, said)
