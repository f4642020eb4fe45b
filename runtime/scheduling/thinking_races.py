"""Races of a model that thinks before it replies: what is read of their branches, and how those
that are cut inside their thinking are made to answer."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from ..config import ThinkingSettings
from ..engines.protocol import Engine
from ..errors import PromptTooLong
from ..prompts.thinking_model import ThinkingModel
from ..racing.spec import RaceSpec
from ..thinking import ThinkingFormat

#: Strategies that take the end of a thinking off a text, by the parameter that says what that is.
_END_PARAMETERS: Final = {"budget_forcing": "before"}


class ThinkingRaces:
    """Applies ``[thinking]`` to races; one for a runtime."""

    def __init__(self, settings: ThinkingSettings, engine: Engine) -> None:
        """
        Args:
            engine: need not be started yet.
        """
        self._settings = settings
        self._engine = engine
        self.model = ThinkingModel(settings, engine)

    def apply(self, spec: RaceSpec) -> RaceSpec:
        """``spec``, for a model that thinks as the settings say; the same where nothing is known of
        that.

        Raises:
            PromptTooLong: it leaves no room for closing a thinking.
        """
        form = self.model.form_after(spec.prompt)
        if form is None:
            return spec
        answers = self.model.reader(spec.answers, form)
        forcing, longest = spec.forcing, 0
        if forcing.suffix:
            forcing = replace(forcing, thinking=form, encode=self.model.encode)
            # All forms that a cut at no mark can take. A remote tokenizer is asked for them before
            # the first one is due.
            forms = [forcing.after(text).token_ids for text in _cuts(form)]
            ids = max((*forms, forcing.suffix_ids), key=len)
            longest = len(ids)
            forcing = replace(forcing, suffix_ids=ids)
        room = self._engine.info.max_context_tokens - len(spec.prompt)
        room -= longest + forcing.max_tokens
        if room < 1:
            raise PromptTooLong(len(spec.prompt), self._engine.info.max_context_tokens)
        sampling = replace(
            spec.sampling,
            special_tokens=self._settings.special_tokens,
            thinking_tokens=self._settings.token_budget,
        )
        return replace(
            spec,
            sampling=sampling,
            max_tokens=min(spec.max_tokens, room),
            forcing=forcing,
            answers=answers,
            forced_answers=spec.answers,
            thinking=form,
        )

    def parameters(self, strategy: str) -> Mapping[str, Any]:
        """Parameters of a strategy that the model's marks decide where nobody else does."""
        form = self.model.form
        if form is None or strategy not in _END_PARAMETERS:
            return {}
        return {_END_PARAMETERS[strategy]: form.end}


def _cuts(form: ThinkingFormat) -> tuple[str, ...]:
    """Texts that stand for where a branch may be cut: before, inside and behind its thinking."""
    if form.channels:
        return ("", "<|channel|>analysis<|message|>.", "<|channel|>final<|message|>.")
    return ("", f"{form.start}.", f"{form.start}.{form.end}.")
